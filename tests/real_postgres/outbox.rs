//! The outbox: rows are published once each, in order, whatever is killed meanwhile.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::House;
use crate::support::{Door, PATIENCE, Postgres, path, until};

/// A channel on disk, and one beside it that takes messages of local programs.
const OUTBOX: &str = "[hub]\nstore = \"STORE\"\n[[channel]]\nname = \"a\"\n[channel.history]\nmessages = 100000\n\
    size = \"64MiB\"\nstore = \"disk\"\nids = 100000\nSOURCE\noutbox = \"noren_outbox\"\npoll = \"1h\"\nbatch = 20\n\
    [[channel]]\nname = \"b\"\n[[channel]]\nname = \"closed\"\npublish = [\"token\"]\n";

fn left(house: &House) -> String {
    house
        .server
        .sql("SELECT count(*) FROM noren_outbox WHERE refused IS NULL")
}

fn until_empty(house: &House) {
    until("the table to be empty", || {
        (left(house) == "0").then_some(())
    });
}

#[test]
fn rows_are_published_when_their_transaction_commits_and_deleted() {
    let house = House::open(Postgres::make_outbox, OUTBOX);
    house.connected();
    house.server.sql(
        "INSERT INTO noren_outbox (channel, event, key, data) VALUES ('a', 'created', 'k', '{\"n\": 1}'), \
         (NULL, NULL, NULL, '{\"n\": 2}'), ('b', NULL, NULL, '\"text\"')",
    );
    assert_eq!(house.numbers(2), [1, 2]);
    let message = &house.first("a", 1)[0];
    assert_eq!(
        (&message["event"], &message["key"]),
        (&"created".into(), &"k".into())
    );
    assert_eq!(house.first("b", 1)[0]["data"], "text");
    until_empty(&house);
    house
        .server
        .sql("BEGIN; INSERT INTO noren_outbox (channel, data) VALUES ('a', '3'); ROLLBACK");
    // The same message of the app, in two transactions: an app that repeats what it is not sure of.
    for number in [4, 5] {
        house.server.sql(&format!(
            "INSERT INTO noren_outbox (message_id, channel, data) VALUES ('one', 'a', '{{\"n\": {number}}}')"
        ));
        until_empty(&house);
    }
    house
        .server
        .sql("INSERT INTO noren_outbox (channel, data) VALUES ('a', '{\"n\": 6}')");
    assert_eq!(house.numbers(4), [1, 2, 4, 6]);
    assert_eq!(
        (house.status("waiting"), house.status("refused")),
        (0.into(), 0.into())
    );
    assert!(house.status("lag").is_u64());
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_whatever_is_killed() {
    const ROUNDS: u64 = 3;
    const EACH: u64 = 400;
    let mut house = House::open(Postgres::make_outbox, OUTBOX);
    for round in 0..ROUNDS {
        house.connected();
        house.app.ask(&format!("insert {} {EACH}", round * EACH));
        let done = usize::try_from(round * EACH + EACH / 3).expect("a count");
        until("some rows", || {
            (house.app.count("inserted") > done).then_some(())
        });
        house.server.kill();
        house.until_logged("a source is not there");
        house.server.begin();
        let done = usize::try_from(round * EACH + EACH / 2).expect("a count");
        until("more rows", || {
            (house.app.count("inserted") > done).then_some(())
        });
        house.kill_door();
        let all = usize::try_from((round + 1) * EACH).expect("a count");
        until("all rows", || {
            (house.app.count("inserted") == all).then_some(())
        });
        house.open_door(OUTBOX);
    }
    house.connected();
    until_empty(&house);
    // One that was doubled would have pushed the last one out of so many.
    house
        .server
        .sql("INSERT INTO noren_outbox (channel, data) VALUES ('a', '{\"n\": 1200}')");
    let all = house.numbers(usize::try_from(ROUNDS * EACH + 1).expect("a count"));
    let expected: Vec<u64> = (0..=ROUNDS * EACH).collect();
    assert_eq!(all, expected);
}

#[test]
fn a_row_that_cannot_be_published_stays_with_the_reason_and_holds_up_nothing() {
    let house = House::open(Postgres::make_outbox, OUTBOX);
    house.connected();
    house.server.sql(
        "ALTER TABLE noren_outbox ALTER COLUMN data TYPE text USING data::text; \
         INSERT INTO noren_outbox (channel, data) VALUES ('no such', '1'), ('none', '2'), ('closed', '3'), \
         ('a', 'no JSON'), ('a', repeat('x', 3000000)), ('a', '{\"n\": 1}')",
    );
    assert_eq!(house.numbers(1), [1]);
    until_empty(&house);
    // As the guide has it, src/guide/postgres.md.
    let refused = house.server.sql(&Postgres::looks_at_what_was_refused());
    let reasons: Vec<&str> = refused.lines().collect();
    let expected = [
        "not the name of a channel",
        "there is no channel none",
        "no publish = [\"local\"]",
        "not JSON",
        "and hub.message-size is",
    ];
    for (reason, expected) in reasons.iter().zip(expected) {
        assert!(reason.contains(expected), "{reason}");
    }
    assert_eq!(reasons.len(), expected.len());
    assert_eq!(house.status("refused"), 5);
    // Put right, it goes out; the others are not told again.
    house.server.sql(
        "UPDATE noren_outbox SET data = '{\"n\": 2}', refused = NULL WHERE data = 'no JSON'; NOTIFY noren_outbox",
    );
    assert_eq!(house.numbers(2), [1, 2]);
    assert_eq!(house.status("refused"), 5);
}

/// One channel may be made by the pattern, and a subscriber has it.
const FULL: &str = "[hub]\nchannels = 1\n[[channel]]\nname = \"a\"\n[channel.history]\nmessages = 100\nSOURCE\n\
    outbox = \"noren_outbox\"\npoll = \"1h\"\nbatch = 3\n[[channel]]\nname = \"room.*\"\n[channel.history]\n\
    messages = 100\n";

#[test]
fn a_row_whose_channel_finds_no_room_waits_until_there_is_and_holds_up_no_others() {
    let house = House::open(Postgres::make_outbox, FULL);
    house.connected();
    let subscriber = subscribe(&house, "room.one");
    house.server.sql(
        "INSERT INTO noren_outbox (channel, data) SELECT 'room.two', format('{\"n\": %s}', n)::jsonb \
         FROM generate_series(1, 8) AS n; \
         INSERT INTO noren_outbox (channel, data) VALUES ('none', '1'), ('a', '{\"n\": 1}'), ('a', '{\"n\": 2}')",
    );
    assert_eq!(house.numbers(2), [1, 2]);
    until("the status to say so", || {
        let error = house.status("last_error");
        let says = error.as_str()?.contains("hub.channels");
        (says && house.status("waiting") == 8).then_some(())
    });
    assert!(house.status("lag").as_u64().is_some_and(|lag| lag > 0));
    assert!(!house.status("since").is_null(), "it is connected");
    assert_eq!(
        (left(&house).as_str(), house.status("refused")),
        ("8", 1.into())
    );
    drop(subscriber);
    until_empty(&house);
    let rows = house.first("room.two", 8);
    let numbers: Vec<_> = rows.iter().map(|row| row["data"]["n"].as_u64()).collect();
    assert_eq!(numbers, (1..9).map(Some).collect::<Vec<_>>());
    until("nothing to wait", || {
        (house.status("waiting") == 0).then_some(())
    });
    assert_eq!(house.status("refused"), 1);
}

/// A subscriber, for whom the channel is open.
fn subscribe(house: &House, channel: &str) -> UnixStream {
    let mut stream = UnixStream::connect(path(&house.directory, "admin.sock")).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let request = format!("GET /events/{channel} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

#[test]
fn a_transaction_that_commits_late_is_not_passed_by() {
    let mut house = House::open(Postgres::make_outbox, OUTBOX);
    house.connected();
    // It has its number before the others, and commits after them.
    let mut slow = house.server.session();
    slow.say("BEGIN; INSERT INTO noren_outbox (channel, data) VALUES ('a', '{\"n\": 0}');");
    house.app.ask("insert 1 30");
    let rest: Vec<u64> = (1..31).collect();
    assert_eq!(house.numbers(30), rest);
    slow.say("COMMIT;");
    assert_eq!(house.numbers(31).last(), Some(&0));
}

#[test]
fn of_two_norens_one_reads_and_the_other_takes_over() {
    let mut house = House::open(Postgres::make_outbox, OUTBOX);
    house.connected();
    let tables = house.tables(OUTBOX);
    let tables = tables.replace("admin.sock", "two.sock");
    let tables = tables.replace(
        &path(&house.directory, "store"),
        &path(&house.directory, "two"),
    );
    let other = Door::open(&tables);
    until("the other to stand by", || {
        other.log().contains("standing by").then_some(())
    });
    house
        .server
        .sql("INSERT INTO noren_outbox (channel, data) VALUES ('a', '{\"n\": 1}')");
    assert_eq!(house.numbers(1), [1]);
    house.kill_door();
    until("the other to read", || {
        other.log().contains("connected to a source").then_some(())
    });
    house
        .server
        .sql("INSERT INTO noren_outbox (channel, data) VALUES ('a', '{\"n\": 2}')");
    until_empty(&house);
}
