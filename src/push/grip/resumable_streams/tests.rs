use std::net::IpAddr;

use http::Response;

use super::*;

/// A stream whose app has given it a header of this length.
fn instruct(length: usize) -> Instruct {
    let response = Response::builder()
        .header("Grip-Hold", "stream")
        .header("Grip-Channel", "room")
        .header("Grip-Set-Meta", "id_format=\"%(room)s\"")
        .header("X-Own", "x".repeat(length));
    let (parts, ()) = response.body(()).expect("a response").into_parts();
    Instruct::read(&parts, bytes::Bytes::new()).expect("an instruction")
}

fn key(number: usize) -> Key {
    let mut key = Key::default();
    for (place, byte) in key.iter_mut().zip(number.to_be_bytes()) {
        *place = byte;
    }
    key
}

fn from(address: u8) -> Client {
    Client {
        address: Some(IpAddr::from([192, 0, 2, address])),
        session: None,
    }
}

#[tokio::test(start_paused = true)]
async fn one_address_takes_its_share_of_the_memory_and_what_is_too_old_gives_room() {
    const LENGTH: usize = 60_000;
    let parts = Parts {
        address: 50,
        session: 10,
    };
    let (returning, within) = (ResumableStreams::new(parts), Duration::from_secs(60));
    let remember = |number: usize, address: u8| {
        returning.remember(key(number), from(address), &instruct(LENGTH), within)
    };
    let most = usize::try_from(MOST).expect("a size") / LENGTH;
    let mut open: Vec<_> = (0..most).map_while(|number| remember(number, 1)).collect();
    assert!(
        open.len() > most / 3 && open.len() <= most / 2,
        "{}",
        open.len()
    );
    assert!(remember(most, 1).is_none());
    assert!(remember(most, 2).is_some(), "there is room for others");
    // One that is remembered already takes no more for a second client of the visitor.
    open.push(remember(0, 1).expect("the same stream"));
    // Those that were cut off are kept for a minute, in which they take the memory.
    drop(open);
    assert!(remember(most + 1, 1).is_none());
    tokio::time::advance(within * 2).await;
    let again = (0..most).map_while(|number| remember(number + 2 * most, 1));
    assert!(again.count() > most / 3);
    tokio::time::advance(within * 2).await;
    lock(&returning.entries).forget_old(within);
    assert_eq!(returning.memory.taken(), 0);
}

#[test]
fn an_id_is_taken_apart_as_it_was_built() {
    let read = |format, id| {
        let mut pairs: Vec<_> = positions(format, id)?.into_iter().collect();
        pairs.sort_unstable();
        Some(pairs)
    };
    assert_eq!(
        read("a:%(x)s,b:%(y)s", "a:1,b:22"),
        Some(vec![("x", "1"), ("y", "22")])
    );
    assert_eq!(read("a%%20:%(x)s", "a%20:7"), Some(vec![("x", "7")]));
    for (format, id) in [
        ("a:%(x)s", "b:1"),
        ("a:%(x)s", "error"),
        ("a:%(x)s,b:%(y)s", "a:1"),
        ("%(x)s%(y)s", "12"),
        ("a:%(x", "a:1"),
        ("a", "ab"),
        ("%d", "1"),
    ] {
        assert_eq!(read(format, id), None, "{format} {id}");
    }
}
