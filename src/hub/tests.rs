//! Tests of the messages that subscribers get, their order, and the gaps and ends that are reported.

use std::task::{Context, Poll, Waker};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::hub::subscription::Next;

fn hub(settings: &str) -> Hub {
    let config = Config::parse(settings, "noren.toml").expect("a configuration");
    Hub::new(&config, None).expect("a hub")
}

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).expect("a name")
}

fn say(hub: &Hub, channel: &str, text: &str) -> EventId {
    let draft = Draft::new(Data::text(text));
    hub.publish(&name(channel), draft)
        .expect("published")
        .id()
        .cloned()
        .expect("an id")
}

fn listen(hub: &Hub, channels: &[&str], from: From) -> Subscription {
    let names: Vec<_> = channels.iter().map(|channel| name(channel)).collect();
    hub.subscribe(&names, from, None).expect("subscribed")
}

/// Takes all messages that are available.
fn drained(subscription: &mut Subscription) -> Vec<String> {
    let mut texts = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(next) = subscription.poll_next(&mut cx) {
        texts.push(match next {
            Next::Message(message) => message.draft.data.as_text().unwrap_or("?").to_owned(),
            Next::Reset(reset) => format!("reset {}", reset.as_str()),
            Next::Refused(name) => format!("refused {name}"),
            Next::End(end) => {
                texts.push(format!("{end:?}"));
                return texts;
            }
        });
    }
    texts
}

const TWO: &str = "[[channel]]\nname = 'a'\n[[channel]]\nname = 'b'\n";

#[test]
fn several_channels_come_in_the_order_of_publishing() {
    let hub = hub(TWO);
    let mut both = listen(&hub, &["b", "a"], From::Now);
    let mut one = listen(&hub, &["a"], From::Now);
    for (channel, text) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        say(&hub, channel, text);
    }
    assert_eq!(drained(&mut both), ["1", "2", "3", "4"]);
    assert_eq!(drained(&mut one), ["1", "3"]);
    assert_eq!(both.position(), one.position());
}

#[test]
fn one_cursor_serves_any_set_of_channels() {
    let hub = hub(TWO);
    say(&hub, "a", "1");
    let cursor = say(&hub, "b", "2");
    say(&hub, "a", "3");
    say(&hub, "b", "4");
    let resumed = |channels: &[&str]| {
        let from = From::parse(Some(&cursor.to_string()));
        drained(&mut listen(&hub, channels, from))
    };
    assert_eq!(resumed(&["a"]), ["3"]);
    assert_eq!(resumed(&["b"]), ["4"]);
    assert_eq!(resumed(&["a", "b"]), ["3", "4"]);
    assert_eq!(
        drained(&mut listen(&hub, &["a", "b"], From::Earliest)),
        ["1", "2", "3", "4"]
    );
}

#[test]
fn a_gap_that_the_history_cannot_bridge_is_told_once() {
    let hub = hub("[[channel]]\nname = 'a'\n[channel.history]\nmessages = 2\n");
    let cursor = say(&hub, "a", "1");
    for text in ["2", "3", "4"] {
        say(&hub, "a", text);
    }
    let mut late = listen(&hub, &["a"], From::After(cursor));
    assert_eq!(drained(&mut late), ["reset expired", "3", "4"]);
    say(&hub, "a", "5");
    assert_eq!(drained(&mut late), ["5"]);
    // It asked for what there is, so there is no gap.
    assert_eq!(
        drained(&mut listen(&hub, &["a"], From::Earliest)),
        ["4", "5"]
    );
}

#[test]
fn a_cursor_of_another_run_is_a_gap_and_then_comes_all_there_is() {
    let hub = hub(TWO);
    say(&hub, "a", "1");
    let mut old = listen(&hub, &["a"], From::parse(Some("otherrun:900")));
    assert_eq!(drained(&mut old), ["reset restarted", "1"]);
}

#[test]
fn a_cursor_follows_what_is_said_elsewhere() {
    let hub =
        hub("[[channel]]\nname = 'a'\n[channel.history]\nmessages = 1\n[[channel]]\nname = 'b'\n");
    say(&hub, "a", "1");
    let mut quiet = listen(&hub, &["b"], From::Now);
    let last = say(&hub, "a", "2");
    assert!(drained(&mut quiet).is_empty());
    assert_eq!(quiet.position(), last);
}

fn lag(slow: &str) -> Vec<String> {
    let hub = hub(&format!(
        "[hub]\nbudget = '4KiB'\n[[channel]]\nname = 'a'\nslow = '{slow}'\n"
    ));
    let mut slow = listen(&hub, &["a"], From::Now);
    for number in 0..40 {
        say(&hub, "a", &number.to_string());
    }
    drained(&mut slow)
}

#[test]
fn who_lags_beyond_the_budget_is_closed_or_told() {
    assert_eq!(lag("disconnect"), ["Slow"]);
    let told = lag("drop-oldest");
    assert_eq!(told.first().map(String::as_str), Some("reset slow"));
    assert_eq!(told.last().map(String::as_str), Some("39"));
    assert!(told.len() < 20, "{told:?}");
    assert_eq!(
        lag("conflate").len(),
        40,
        "messages without a key are not conflated"
    );
}

#[test]
fn who_catches_up_does_not_lag() {
    let hub = hub("[hub]\nbudget = '4KiB'\n[[channel]]\nname = 'a'\n");
    for number in 0..40 {
        say(&hub, "a", &number.to_string());
    }
    assert_eq!(drained(&mut listen(&hub, &["a"], From::Earliest)).len(), 40);
}

#[test]
fn only_the_newest_of_a_key_reaches_one_that_lags() {
    let hub = hub("[[channel]]\nname = 'job'\nslow = 'conflate'\n");
    let mut listener = listen(&hub, &["job"], From::Now);
    for position in (0..400).rev() {
        let draft = Draft {
            event: None,
            key: Some("17".into()),
            id: None,
            data: Data::text(position.to_string()),
        };
        hub.publish(&name("job"), draft).expect("published");
    }
    assert_eq!(drained(&mut listener), ["0"]);
}

#[test]
fn no_key_of_a_publisher_replaces_what_the_hub_tells_itself() {
    let hub = hub("[[channel]]\nname = 'a'\nslow = 'conflate'\npresence = true\n");
    let mut listener = listen(&hub, &["a"], From::Now);
    assert!(hub.do_housekeeping().is_empty());
    let draft = Draft {
        key: Some("presence".into()),
        ..Draft::new(Data::text("mine"))
    };
    hub.publish(&name("a"), draft).expect("published");
    let told = r#"{"count":1,"joined":[],"left":[]}"#;
    assert_eq!(drained(&mut listener), [told, "mine"]);
}

#[test]
fn a_signal_in_an_old_history_is_shown_as_a_plain_message() {
    let id = EventId {
        epoch: Epoch::new(),
        offset: 1,
    };
    let shown = |event: &str| {
        let draft = Draft {
            event: Some(event.into()),
            ..Draft::new(Data::text("x"))
        };
        let message = Message::new(id.clone(), name("a"), draft, 0, Instant::now());
        let stream = message.stream_event(Format::Plain);
        String::from_utf8_lossy(&stream).contains("\nevent: ")
    };
    assert!(!shown("reset") && !shown("open") && !shown("noren:x"));
    assert!(shown("presence") && shown("resets"));
}

#[test]
fn a_pattern_makes_channels_up_to_the_limit_and_forgets_them() {
    let hub =
        hub("[hub]\nchannels = 3\n[[channel]]\nname = 'job.*'\n[channel.history]\nmessages = 0\n");
    let first = listen(&hub, &["job.1", "job.2"], From::Now);
    say(&hub, "job.3", "gone at once");
    let fourth = hub.subscribe(&[name("job.4")], From::Now, None);
    assert_eq!(fourth.err(), Some(SubscribeError::TooManyChannels(3)));
    let unknown = hub.subscribe(&[name("other")], From::Now, None);
    assert_eq!(unknown.err(), Some(SubscribeError::Unknown(name("other"))));
    drop(first);
    assert!(hub.do_housekeeping().is_empty());
    assert!(hub.subscribe(&[name("job.4")], From::Now, None).is_ok());
    assert_eq!(hub.subscribers(), 0);
}

#[test]
fn a_cursor_from_before_the_last_message_of_a_closed_channel_has_a_gap() {
    let hub = hub("[[channel]]\nname = 'job.*'\n[channel.history]\nmessages = 0\n");
    let cursor = say(&hub, "job.1", "1");
    say(&hub, "job.1", "2");
    assert!(hub.do_housekeeping().is_empty());
    assert!(hub.channels_now().is_empty(), "nobody needs it");
    let newest = hub.newest();
    let mut late = listen(&hub, &["job.1"], From::After(cursor));
    assert_eq!(drained(&mut late), ["reset expired"]);
    let mut current = listen(&hub, &["job.1"], From::After(newest));
    assert_eq!(drained(&mut current), [""; 0]);
}

#[test]
fn a_message_that_cannot_be_sent_is_refused() {
    let hub = hub("[hub]\nmessage-size = '1KiB'\n[[channel]]\nname = 'a'\n");
    let large = hub.publish(&name("a"), Draft::new(Data::text("x".repeat(1025))));
    assert_eq!(
        large.err(),
        Some(PublishError::TooLarge {
            size: 1025,
            limit: 1024
        })
    );
    let unknown = hub.publish(&name("b"), Draft::new(Data::text("x")));
    assert_eq!(unknown.err(), Some(PublishError::Unknown(name("b"))));
}

#[test]
fn subscribers_are_limited() {
    let hub = hub("[hub]\nsubscribers = 1\n[[channel]]\nname = 'a'\n");
    let one = listen(&hub, &["a"], From::Now);
    let two = hub.subscribe(&[name("a")], From::Now, None);
    assert_eq!(two.err(), Some(SubscribeError::Full(1)));
    drop(one);
    assert!(hub.subscribe(&[name("a")], From::Now, None).is_ok());
}

#[test]
fn presence_is_told_and_the_app_hears_of_the_first_and_the_last() {
    let hub = hub(
        "[[app]]\nurl = 'unix:/run/app'\n[[channel]]\nname = 'a'\npresence = true\non-first-join = \
         '/first'\non-last-leave = '/last'\n",
    );
    let user = Some("alice".into());
    let alice_lease = Lease::new(CancellationToken::new(), user, Arc::new(()));
    let mut alice = hub
        .subscribe(&[name("a")], From::Now, Some(alice_lease))
        .expect("subscribed");
    let anonymous = listen(&hub, &["a"], From::Now);
    let hooks = hub.do_housekeeping();
    assert_eq!(hooks.len(), 1);
    assert_eq!(hooks.first().map(|hook| hook.path.as_str()), Some("/first"));
    assert_eq!(
        drained(&mut alice),
        [r#"{"count":2,"joined":["alice"],"left":[]}"#]
    );
    assert!(hub.do_housekeeping().is_empty(), "nothing has changed");
    drop(anonymous);
    drop(alice);
    let paths: Vec<_> = hub
        .do_housekeeping()
        .into_iter()
        .map(|hook| hook.path)
        .collect();
    assert_eq!(paths, ["/last"]);
}

#[test]
fn a_reload_keeps_subscribers_and_history() {
    let hub = hub(TWO);
    let mut listener = listen(&hub, &["a"], From::Now);
    say(&hub, "a", "1");
    let config = Config::parse("[[channel]]\nname = 'a'\n[[channel]]\nname = 'c'\n", "n");
    let plan = hub.plan(&config.expect("a configuration"));
    hub.commit(plan.expect("a plan"));
    say(&hub, "a", "2");
    assert_eq!(drained(&mut listener), ["1", "2"]);
    say(&hub, "c", "new");
    assert!(
        hub.publish(&name("b"), Draft::new(Data::text("x"))).is_ok(),
        "still in use"
    );
}

#[tokio::test]
async fn everybody_is_told_when_the_server_stops() {
    let hub = hub(TWO);
    let mut listeners: Vec<_> = (0..10).map(|_| listen(&hub, &["a"], From::Now)).collect();
    hub.dismiss(Duration::from_millis(20)).await;
    for listener in &mut listeners {
        assert_eq!(drained(listener), ["Stopping"]);
    }
    // A request that was on its way meanwhile: it would wait for messages that another process has.
    let mut late = listen(&hub, &["a"], From::Now);
    assert_eq!(drained(&mut late), ["Stopping"]);
}

#[test]
fn what_is_published_after_the_end_of_a_session_is_not_for_its_visitor() {
    let hub = hub(TWO);
    let ended = CancellationToken::new();
    let lease = Lease::new(ended.clone(), None, Arc::new(()));
    let subscribed = hub.subscribe(&[name("a")], From::Now, Some(lease));
    let mut subscription = subscribed.expect("subscribed");
    say(&hub, "a", "for those who are here");
    assert_eq!(drained(&mut subscription), ["for those who are here"]);
    ended.cancel();
    say(&hub, "a", "for those who are still here");
    assert_eq!(drained(&mut subscription), ["SessionEnded"]);
}

/// CPU time of this thread in nanoseconds, which other load on the machine does not change.
fn time_on_core() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let spent = text
        .split_whitespace()
        .next()
        .and_then(|text| text.parse().ok());
    spent.expect("a number")
}

#[test]
fn ten_times_as_many_channels_cost_a_start_and_a_reload_some_ten_times_as_much() {
    let cost = |channels: usize| {
        let channel = |number| {
            format!("[[channel]]\nname = 'job.n{number}'\n[[channel]]\nname = 'p{number}.*'\n")
        };
        let text: String = (0..channels / 2).map(channel).collect();
        let started_at = time_on_core();
        let hub = hub(&text);
        let config = Config::parse(&text, "noren.toml").expect("a configuration");
        for number in 0..channels / 2 {
            let name = name(&format!("p{number}.x"));
            let _ = hub.subscribe(&[name], From::Now, None).map(drop);
        }
        hub.commit(hub.plan(&config).expect("a plan"));
        let _ = hub.do_housekeeping();
        let _ = (hub.overview(), hub.subscriptions());
        time_on_core() - started_at
    };
    let few = (0..3).map(|_| cost(400)).min().unwrap_or_default();
    let many = cost(4000);
    assert!(
        many < 40 * few,
        "{few} ns for 400 channels, and {many} for 4,000"
    );
}
