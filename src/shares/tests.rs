use super::*;

/// Shares without a limit for single clients.
const WHOLE: Parts = Parts {
    address: 100,
    session: 100,
};

fn from(address: u8) -> Client {
    Client {
        address: Some(IpAddr::from([192, 0, 2, address])),
        session: None,
    }
}

fn shares(total: u64) -> Shares {
    let parts = Parts {
        address: 50,
        session: 10,
    };
    Shares::new(total, parts)
}

/// All single units that a client gets, and the reason why no more.
fn all(shares: &Shares, client: Client) -> (Vec<Share>, Denied) {
    let mut held = Vec::new();
    loop {
        match shares.take(client, 1) {
            Ok(share) => held.push(share),
            Err(denied) => return (held, denied),
        }
    }
}

#[test]
fn one_address_takes_half_and_two_leave_a_quarter_for_those_who_have_little() {
    let shares = shares(10_000);
    let (first, denied) = all(&shares, from(1));
    assert_eq!((first.len(), denied), (5_000, Denied::Client));
    let (second, denied) = all(&shares, from(2));
    assert_eq!((second.len(), denied), (2_500, Denied::Client));
    let (third, denied) = all(&shares, from(3));
    assert_eq!((third.len(), denied), (312, Denied::Client));
    assert!(shares.take(from(4), 1).is_ok());
    drop((first, second, third));
    assert_eq!(shares.taken(), 0);
    assert!(lock(&shares.taken.0.held).addresses.is_empty());
}

#[test]
fn a_session_has_its_share_from_whatever_address() {
    let shares = shares(1_000);
    let of = |address| Client {
        session: NonZeroU64::new(7),
        ..from(address)
    };
    let held: Vec<_> = (0..150).map_while(|n| shares.take(of(n), 1).ok()).collect();
    assert_eq!(held.len(), 100);
    assert_eq!(shares.take(of(200), 1).err(), Some(Denied::Client));
    assert!(shares.take(from(1), 1).is_ok());
}

#[test]
fn programs_of_this_machine_and_a_whole_share_have_the_total_only() {
    let (held, denied) = all(&shares(100), Client::default());
    assert_eq!((held.len(), denied), (100, Denied::All));
    let shares = shares(100);
    shares.change(100, WHOLE);
    let (held, denied) = all(&shares, from(1));
    assert_eq!((held.len(), denied), (100, Denied::All));
}

#[test]
fn of_very_little_one_may_have_all() {
    for (total, most, denied) in [
        (1, 1, Denied::All),
        (4, 4, Denied::All),
        (7, 4, Denied::Client),
        (8, 4, Denied::Client),
    ] {
        let (held, why) = all(&shares(total), from(1));
        assert_eq!((held.len(), why), (most, denied), "of {total}");
    }
}

#[test]
fn a_share_grows_and_shrinks_and_a_reload_takes_nothing_away() {
    let shares = shares(100);
    let mut share = shares.take(from(1), 30).expect("there is room");
    assert_eq!(share.take(30), Err(Denied::Client));
    share.take(20).expect("its share");
    share.give_back(10);
    assert_eq!((share.held(), shares.taken()), (40, 40));
    shares.change(20, WHOLE);
    assert_eq!(share.take(1), Err(Denied::All));
    drop(share);
    assert_eq!(shares.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_gets_what_is_given_back_or_hears_why_not() {
    let shares = shares(8);
    let first = shares.take(from(1), 4).expect("its share");
    let limit = Duration::from_secs(10);
    let denied = shares.take_within(limit, from(1), 1).await;
    assert_eq!(denied.err(), Some(Denied::Client));
    let waiting = shares.take_within(limit, from(1), 1);
    let free = async { drop(first) };
    let (got, ()) = tokio::join!(waiting, free);
    assert_eq!(got.map(|share| share.held()), Ok(1));
}

#[test]
fn by_another_size_what_is_held_counts() {
    let taken = HeldAmounts::default();
    let before = Shares::of_taken(&taken, 100, WHOLE);
    let _held = before.take(from(1), 40).expect("its share");
    let after = Shares::of_taken(&taken, 60, WHOLE);
    assert!(after.is_tight() && !before.is_tight());
    assert!(after.take(from(1), 21).is_err());
    assert!(after.take(from(1), 20).is_ok());
}
