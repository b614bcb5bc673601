use super::*;
use crate::access::limit_counts::{LONGEST, MOST, PARTS};

fn peer(address: &str) -> Peer {
    Peer::tcp(address.parse().expect("an address"))
}

fn limit(number: u32, most: usize) -> Limit {
    Limit {
        rate: Rate::new(number, Duration::from_secs(60), 1),
        counts: Arc::new(Counts::new(most)),
    }
}

/// Number of admitted events out of a hundred.
fn let_in(limit: &Limit, address: &str) -> usize {
    (0..100)
        .filter(|_| limit.take(peer(address)).is_ok())
        .count()
}

#[test]
fn an_address_gets_its_share_and_is_told_when_it_may_come_back() {
    let limit = limit(10, MOST);
    assert_eq!(let_in(&limit, "192.0.2.1:1"), 10);
    let Err(TooMany(wait)) = limit.take(peer("192.0.2.1:2")) else {
        panic!("one more was let in");
    };
    assert!(
        wait <= Duration::from_secs(6) && wait > Duration::from_secs(5),
        "{wait:?}"
    );
    assert_eq!(let_in(&limit, "192.0.2.2:1"), 10, "others have their own");
}

#[test]
fn a_network_of_64_bits_is_one_client_and_a_program_of_this_machine_none() {
    let limit = limit(10, MOST);
    assert_eq!(let_in(&limit, "[2001:db8::1]:1"), 10);
    assert_eq!(let_in(&limit, "[2001:db8::ffff:2]:1"), 0);
    assert_eq!(let_in(&limit, "[2001:db8:0:1::1]:1"), 10);
    assert!((0..100).all(|_| limit.take(Peer::Unix).is_ok()));
}

#[test]
fn what_was_counted_beyond_the_limit_is_paid_for_and_what_was_forgiven_is_not() {
    let limit = limit(10, MOST);
    let client = peer("192.0.2.1:1");
    for _ in 0..40 {
        limit.count(client);
    }
    let Err(TooMany(wait)) = limit.check(client) else {
        panic!("let in after forty");
    };
    assert!(wait > Duration::from_secs(180), "{wait:?}");
    for _ in 0..100_000 {
        limit.count(client);
    }
    let Err(TooMany(wait)) = limit.check(client) else {
        panic!("let in after many");
    };
    assert!(wait < LONGEST + Duration::from_secs(10), "{wait:?}");
    let other = peer("192.0.2.2:1");
    for _ in 0..100 {
        let place = limit.hold(other, None).expect("room").expect("a place");
        place.forgive();
    }
}

#[test]
fn as_many_are_held_as_may_count_and_what_is_forgiven_is_what_was_held() {
    let limit = limit(10, MOST);
    let client = peer("192.0.2.1:1");
    let hold = || (0..100).map_while(|_| limit.hold(client, None).ok().flatten());
    let first: Vec<_> = hold().collect();
    assert_eq!(first.len(), 10);
    assert!(limit.check(client).is_ok(), "none has counted yet");
    for place in first {
        place.forgive();
    }
    let mut second: Vec<_> = hold().collect();
    assert_eq!(second.len(), 10);
    second.drain(..3).for_each(Place::forgive);
    drop(second);
    assert_eq!(hold().count(), 3);
    assert_eq!(limit.counts.held.lock().expect("a count").len(), 0);
}

#[test]
fn those_that_share_a_mark_have_one_place_that_does_not_count_by_itself() {
    let limit = limit(2, MOST);
    let client = peer("192.0.2.1:1");
    let accepted = Accepted::default();
    let hold = |text: &str| limit.hold(client, Some(accepted.mark(text)));
    let first: Vec<_> = (0..50).map(|_| hold("first").expect("room")).collect();
    let second = hold("second").expect("room");
    assert!(hold("third").is_err());
    assert!(limit.hold(client, None).is_err());
    drop(first);
    let third = hold("third").expect("room");
    drop((second, third));
    assert_eq!(limit.counts.held.lock().expect("a count").len(), 0);
    limit.count(client);
    let own = limit.hold(client, None).expect("room");
    assert!(hold("first").is_err());
    drop(own);
    assert!(hold("first").is_err(), "two have counted");
}

#[tokio::test(start_paused = true)]
async fn a_brief_place_is_waited_for_and_counts_like_others() {
    let limit = limit(2, MOST);
    let client = peer("192.0.2.1:1");
    let mut first = Vec::new();
    for _ in 0..2 {
        first.push(limit.hold_briefly(client).await.expect("room"));
    }
    assert!(
        limit.hold_briefly(client).await.is_err(),
        "none is given back"
    );
    let (third, ()) = tokio::join!(limit.hold_briefly(client), async {
        first.pop().flatten().expect("a place").forgive();
    });
    let third = third.expect("room");
    drop((first, third));
    assert_eq!(limit.counts.held.lock().expect("a count").len(), 0);
    let Err(TooMany(wait)) = limit.hold_briefly(client).await else {
        panic!("two have counted");
    };
    assert!(wait > BRIEF, "at once: {wait:?}");
}

#[test]
fn there_is_a_bound_to_what_is_remembered_and_the_rest_share_one_count() {
    let limit = limit(10, PARTS);
    for last in 0..=255_u8 {
        let _ = limit.take(peer(&format!("192.0.2.{last}:1")));
    }
    let held: usize = limit.counts.remembered();
    assert!(held <= PARTS, "{held}");
    assert!(limit.check(peer("198.51.100.1:1")).is_err());
}

#[test]
fn a_limit_of_nothing_is_none() {
    assert_eq!(let_in(&limit(0, MOST), "192.0.2.1:1"), 100);
}
