use super::Class::{Known, Unknown};
use super::*;

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// A queue that these entries have joined in this order, each with a name.
fn line(most: usize, entries: &[(Class, u8, &'static str)]) -> FairQueue<&'static str> {
    let mut line = FairQueue::new(most);
    for (class, last, name) in entries {
        let joined = line.join(*class, Some(ip(*last)), *name);
        assert!(matches!(joined, Ok((_, None))), "{name}: {joined:?}");
    }
    line
}

fn order(line: &mut FairQueue<&'static str>) -> Vec<&'static str> {
    std::iter::from_fn(|| line.next(|_| true)).collect()
}

#[test]
fn strangers_are_served_in_the_order_they_came() {
    let mut line = line(
        9,
        &[(Unknown, 1, "a"), (Unknown, 2, "b"), (Unknown, 3, "c")],
    );
    assert_eq!(order(&mut line), ["a", "b", "c"]);
}

#[test]
fn addresses_take_turns_however_many_requests_one_has() {
    let mut line = line(
        9,
        &[
            (Unknown, 1, "a1"),
            (Unknown, 1, "a2"),
            (Unknown, 1, "a3"),
            (Unknown, 2, "b1"),
            (Unknown, 3, "c1"),
            (Unknown, 2, "b2"),
        ],
    );
    assert_eq!(order(&mut line), ["a1", "b1", "c1", "a2", "b2", "a3"]);
}

#[test]
fn the_known_go_first_and_the_others_are_not_forgotten() {
    let mut line = line(
        20,
        &[
            (Unknown, 1, "u1"),
            (Unknown, 1, "u2"),
            (Known, 2, "k1"),
            (Known, 2, "k2"),
            (Known, 2, "k3"),
            (Known, 2, "k4"),
            (Known, 2, "k5"),
        ],
    );
    assert_eq!(order(&mut line), ["k1", "k2", "k3", "k4", "u1", "k5", "u2"]);
}

#[test]
fn who_fills_the_line_gives_way_with_its_latest_request() {
    let mut line = line(
        4,
        &[
            (Unknown, 1, "a1"),
            (Unknown, 1, "a2"),
            (Unknown, 1, "a3"),
            (Unknown, 2, "b1"),
        ],
    );
    // One that has as many itself, less one, cannot drive another out.
    assert_eq!(line.join(Unknown, Some(ip(1)), "a4"), Err(QueueFull));
    let (_, gave_way) = line.join(Unknown, Some(ip(2)), "b2").expect("room");
    assert_eq!(gave_way, Some("a3"));
    assert_eq!(line.join(Unknown, Some(ip(2)), "b3"), Err(QueueFull));
    let (_, gave_way) = line.join(Unknown, Some(ip(3)), "c1").expect("room");
    assert!(matches!(gave_way, Some("a2" | "b2")));
    assert_eq!(line.len(), 4);
}

#[test]
fn each_class_keeps_a_quarter_of_the_places() {
    let mut full = FairQueue::new(8);
    for number in 0..8 {
        full.join(Unknown, Some(ip(number)), "unknown")
            .expect("room");
    }
    for number in 0..6 {
        let joined = full.join(Known, Some(ip(number)), "known");
        assert!(matches!(joined, Ok((_, Some("unknown")))), "{number}");
    }
    assert_eq!(full.join(Known, Some(ip(9)), "known"), Err(QueueFull));
    // The same the other way round.
    let mut full = FairQueue::new(8);
    for number in 0..8 {
        full.join(Known, Some(ip(number)), "known").expect("room");
    }
    for number in 0..2 {
        let joined = full.join(Unknown, Some(ip(number)), "unknown");
        assert!(matches!(joined, Ok((_, Some("known")))), "{number}");
    }
    assert_eq!(full.join(Unknown, Some(ip(9)), "unknown"), Err(QueueFull));
}

#[test]
fn who_leaves_is_not_served_and_who_was_served_cannot_leave() {
    let mut line = FairQueue::new(9);
    let (first, _) = line.join(Unknown, Some(ip(1)), "a").expect("room");
    let (second, _) = line.join(Unknown, Some(ip(1)), "b").expect("room");
    let (third, _) = line.join(Unknown, Some(ip(2)), "c").expect("room");
    line.leave(second);
    assert_eq!(line.next(|_| true), Some("a"));
    line.leave(first);
    line.leave(third);
    assert_eq!((line.next(|_| true), line.len()), (None, 0));
    assert!(line.unknown.of.is_empty() && line.unknown.turns.is_empty());
    assert!(line.unknown.by_size.is_empty());
}

#[test]
fn a_line_without_places_takes_nobody() {
    let mut line = FairQueue::new(0);
    assert_eq!(line.join(Known, Some(ip(1)), ()), Err(QueueFull));
    assert_eq!(line.join(Unknown, None, ()), Err(QueueFull));
}

/// Compares the queue with a plain model: a list of all entries.
#[test]
fn whatever_happens_nobody_is_lost_served_twice_or_beyond_the_bound() {
    let mut seed = 7_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut line = FairQueue::new(12);
    let mut waiting: Vec<(u64, Ticket)> = Vec::new();
    for name in 0..20_000_u64 {
        match random(4) {
            0 => {
                let served = line.next(|_| true);
                assert_eq!(served.is_none(), waiting.is_empty());
                waiting.retain(|(other, _)| Some(*other) != served);
            }
            1 if !waiting.is_empty() => {
                let at = usize::try_from(random(waiting.len() as u64)).expect("small");
                line.leave(waiting.swap_remove(at).1);
            }
            _ => {
                let class = if random(2) == 0 { Known } else { Unknown };
                let last = u8::try_from(random(5)).expect("small");
                if let Ok((ticket, gave_way)) = line.join(class, Some(ip(last)), name) {
                    waiting.retain(|(other, _)| Some(*other) != gave_way);
                    waiting.push((name, ticket));
                }
            }
        }
        assert_eq!(line.len(), waiting.len());
        assert!(line.len() <= 12);
    }
}
