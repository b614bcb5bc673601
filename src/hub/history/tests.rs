//! The bounds, the tail and conflation.

use std::sync::LazyLock;

use super::*;
use crate::config::ChannelName;
use crate::hub::message::{Data, Draft, Epoch, EventId};

const BOUNDS: Bounds = Bounds {
    messages: 3,
    size: 1 << 20,
    age: Duration::from_secs(3600),
    budget: 1 << 20,
};

/// The instant this many milliseconds into the test.
fn at(milliseconds: u64) -> Instant {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    *BEGIN + Duration::from_millis(milliseconds)
}

fn append(history: &mut History, message: Arc<Message>, listening: bool) -> Appended {
    let now = message.came;
    history.append(message, now, listening)
}

fn message(offset: u64, key: Option<&str>, time: u64) -> Arc<Message> {
    let id = EventId {
        epoch: Epoch::parse("e").expect("an epoch"),
        offset,
    };
    let draft = Draft {
        event: None,
        key: key.map(Into::into),
        id: None,
        data: Data::text("x"),
    };
    let channel = ChannelName::parse("c").expect("a name");
    Arc::new(Message::new(id, channel, draft, time, at(time)))
}

/// The offsets that a subscriber at `after` receives.
fn walk(history: &History, mut after: u64) -> Vec<u64> {
    let mut offsets = Vec::new();
    while let Found::Message(message, _) = history.next(after, u64::MAX) {
        after = message.id.offset;
        offsets.push(after);
    }
    offsets
}

#[test]
fn only_so_many_messages_are_kept() {
    let mut history = History::new(BOUNDS, false);
    for offset in 1..=5 {
        append(&mut history, message(offset, None, 0), false);
    }
    assert_eq!(history.floor(), 2);
    assert_eq!(walk(&history, 2), [3, 4, 5]);
    assert!(matches!(history.next(1, 9), Found::Gap(2)));
}

#[test]
fn who_is_there_may_lag_behind_the_bounds() {
    let mut history = History::new(BOUNDS, false);
    for offset in 1..=5 {
        append(&mut history, message(offset, None, 0), true);
    }
    assert_eq!(history.floor(), 2, "new subscribers do not see the tail");
    assert_eq!(walk(&history, 0), [1, 2, 3, 4, 5]);
    // Half a minute later nobody needs it.
    history.trim(at(31_000), true);
    assert!(matches!(history.next(0, 9), Found::Gap(2)));
}

#[test]
fn the_tail_is_bounded_by_the_budget() {
    let cost = message(1, None, 0).cost();
    let bounds = Bounds {
        budget: 2 * cost,
        ..BOUNDS
    };
    let mut history = History::new(bounds, false);
    for offset in 1..=10 {
        append(&mut history, message(offset, None, 0), true);
    }
    assert_eq!(walk(&history, 5), [6, 7, 8, 9, 10]);
    assert!(matches!(history.next(4, 99), Found::Gap(5)));
    let (lag, lost) = history.lag(7);
    assert_eq!((lag, lost), (2 * cost as u64, false));
    assert_eq!(history.newest(2 * cost), 8);
}

#[test]
fn old_messages_go() {
    let mut history = History::new(BOUNDS, false);
    append(&mut history, message(1, None, 0), false);
    append(&mut history, message(2, None, 3_000_000), false);
    history.trim(at(3_600_001), false);
    assert_eq!(walk(&history, 1), [2]);
    history.trim(at(9_000_000), false);
    assert!(history.is_empty());
    assert_eq!(history.floor(), 2);
}

#[test]
fn how_old_a_message_is_does_not_depend_on_the_time_it_tells() {
    let mut history = History::new(BOUNDS, false);
    let told = |offset, time, came| {
        let told = message(offset, None, 0);
        let (id, channel, draft) = (told.id.clone(), told.channel.clone(), told.draft.clone());
        Arc::new(Message::new(id, channel, draft, time, came))
    };
    // The clock was in 1970, then in 2026, then in 1970 again.
    for (offset, time) in [(1, 5_000), (2, 1_795_000_000_000), (3, 6_000)] {
        history.append(told(offset, time, at(offset)), at(offset), false);
    }
    history.trim(at(3_600_000), false);
    assert_eq!(walk(&history, 0), [1, 2, 3]);
    history.trim(at(3_600_002), false);
    assert_eq!(walk(&history, 1), [2, 3]);
    history.trim(at(3_700_000), false);
    assert!(history.is_empty());
}

#[test]
fn bytes_are_bounded() {
    let bounds = Bounds {
        size: 2 * message(1, None, 0).cost(),
        ..BOUNDS
    };
    let mut history = History::new(bounds, false);
    for offset in 1..=3 {
        append(&mut history, message(offset, None, 0), false);
    }
    assert_eq!(walk(&history, 1), [2, 3]);
}

#[test]
fn with_conflation_only_the_newest_of_each_key_is_there() {
    let mut history = History::new(BOUNDS, true);
    for (offset, key) in [(1, "a"), (2, "b"), (3, "a"), (4, "a"), (5, "b"), (6, "c")] {
        append(&mut history, message(offset, Some(key), 0), true);
    }
    assert_eq!(walk(&history, 0), [4, 5, 6]);
    assert_eq!(walk(&history, 4), [5, 6]);
    assert_eq!(history.floor(), 0, "what was replaced is no loss");
}

#[test]
fn replaced_messages_do_not_pile_up() {
    let mut history = History::new(BOUNDS, true);
    append(&mut history, message(1, Some("first"), 0), true);
    for offset in 2..10_000 {
        append(&mut history, message(offset, Some("again"), 0), true);
    }
    assert_eq!(walk(&history, 0), [1, 9_999]);
    assert!(history.entries.len() < 200, "{}", history.entries.len());
}

#[test]
fn a_key_whose_newest_message_is_gone_is_forgotten() {
    let mut history = History::new(BOUNDS, true);
    for offset in 1..1_000 {
        append(
            &mut history,
            message(offset, Some(&offset.to_string()), 0),
            false,
        );
    }
    assert_eq!(history.latest.as_ref().map(HashMap::len), Some(3));
}

#[test]
fn nothing_beyond_the_head_is_handed_out() {
    let mut history = History::new(BOUNDS, false);
    append(&mut history, message(1, None, 0), true);
    append(&mut history, message(3, None, 0), true);
    assert!(matches!(history.next(1, 2), Found::Nothing));
}
