//! The outbox: rows are published once each, in order, whatever is killed meanwhile.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::Fixture;
use crate::support::{Door, PATIENCE, Postgres, path, until};

/// A channel on disk, and one beside it that takes messages of local programs.
const OUTBOX: &str = "[hub]\nstore = \"STORE\"\n[[channel]]\nname = \"a\"\n[channel.history]\nmessages = 100000\n\
    size = \"64MiB\"\nstore = \"disk\"\nids = 100000\nSOURCE\noutbox = \"noren_outbox\"\npoll = \"1h\"\nbatch = 20\n\
    [[channel]]\nname = \"b\"\n[[channel]]\nname = \"closed\"\npublish = [\"token\"]\n";

fn left(fixture: &Fixture) -> String {
    fixture
        .server
        .sql("SELECT count(*) FROM noren_outbox WHERE refused IS NULL")
}

fn until_empty(fixture: &Fixture) {
    until("the table to be empty", || {
        (left(fixture) == "0").then_some(())
    });
}

#[test]
fn rows_are_published_when_their_transaction_commits_and_deleted() {
    let fixture = Fixture::open(Postgres::make_outbox, OUTBOX);
    fixture.connected();
    fixture.server.sql(
        "INSERT INTO noren_outbox (channel, event, key, data) VALUES ('a', 'created', 'k', '{\"n\": 1}'), \
         (NULL, NULL, NULL, '{\"n\": 2}'), ('b', NULL, NULL, '\"text\"')",
    );
    assert_eq!(fixture.numbers(2), [1, 2]);
    let message = &fixture.first("a", 1)[0];
    assert_eq!(
        (&message["event"], &message["key"]),
        (&"created".into(), &"k".into())
    );
    assert_eq!(fixture.first("b", 1)[0]["data"], "text");
    until_empty(&fixture);
    fixture
        .server
        .sql("BEGIN; INSERT INTO noren_outbox (channel, data) VALUES ('a', '3'); ROLLBACK");
    // The same message of the app, in two transactions: an app that repeats what it is not sure of.
    for number in [4, 5] {
        fixture.server.sql(&format!(
            "INSERT INTO noren_outbox (message_id, channel, data) VALUES ('one', 'a', '{{\"n\": {number}}}')"
        ));
        until_empty(&fixture);
    }
    fixture
        .server
        .sql("INSERT INTO noren_outbox (channel, data) VALUES ('a', '{\"n\": 6}')");
    assert_eq!(fixture.numbers(4), [1, 2, 4, 6]);
    assert_eq!(
        (fixture.status("waiting"), fixture.status("refused")),
        (0.into(), 0.into())
    );
    assert!(fixture.status("lag").is_u64());
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_whatever_is_killed() {
    const ROUNDS: u64 = 3;
    const EACH: u64 = 400;
    let mut fixture = Fixture::open(Postgres::make_outbox, OUTBOX);
    for round in 0..ROUNDS {
        fixture.connected();
        fixture.app.ask(&format!("insert {} {EACH}", round * EACH));
        let done = usize::try_from(round * EACH + EACH / 3).expect("a count");
        until("some rows", || {
            (fixture.app.count("inserted") > done).then_some(())
        });
        fixture.server.kill();
        fixture.until_logged("a source is not there");
        fixture.server.begin();
        let done = usize::try_from(round * EACH + EACH / 2).expect("a count");
        until("more rows", || {
            (fixture.app.count("inserted") > done).then_some(())
        });
        fixture.kill_door();
        let all = usize::try_from((round + 1) * EACH).expect("a count");
        until("all rows", || {
            (fixture.app.count("inserted") == all).then_some(())
        });
        fixture.open_door(OUTBOX);
    }
    fixture.connected();
    until_empty(&fixture);
    // One that was doubled would have pushed the last one out of so many.
    fixture
        .server
        .sql("INSERT INTO noren_outbox (channel, data) VALUES ('a', '{\"n\": 1200}')");
    let all = fixture.numbers(usize::try_from(ROUNDS * EACH + 1).expect("a count"));
    let expected: Vec<u64> = (0..=ROUNDS * EACH).collect();
    assert_eq!(all, expected);
}

#[test]
fn a_row_that_cannot_be_published_stays_with_the_reason_and_holds_up_nothing() {
    let fixture = Fixture::open(Postgres::make_outbox, OUTBOX);
    fixture.connected();
    fixture.server.sql(
        "ALTER TABLE noren_outbox ALTER COLUMN data TYPE text USING data::text; \
         INSERT INTO noren_outbox (channel, data) VALUES ('no such', '1'), ('none', '2'), ('closed', '3'), \
         ('a', 'no JSON'), ('a', repeat('x', 3000000)), ('a', '{\"n\": 1}')",
    );
    assert_eq!(fixture.numbers(1), [1]);
    until_empty(&fixture);
    // As the guide has it, src/guide/postgres.md.
    let refused = fixture.server.sql(&Postgres::looks_at_what_was_refused());
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
    assert_eq!(fixture.status("refused"), 5);
    // Put right, it goes out; the others are not told again.
    fixture.server.sql(
        "UPDATE noren_outbox SET data = '{\"n\": 2}', refused = NULL WHERE data = 'no JSON'; NOTIFY noren_outbox",
    );
    assert_eq!(fixture.numbers(2), [1, 2]);
    assert_eq!(fixture.status("refused"), 5);
}

/// One channel may be made by the pattern, and a subscriber has it.
const FULL: &str = "[hub]\nchannels = 1\n[[channel]]\nname = \"a\"\n[channel.history]\nmessages = 100\nSOURCE\n\
    outbox = \"noren_outbox\"\npoll = \"1h\"\nbatch = 3\n[[channel]]\nname = \"room.*\"\n[channel.history]\n\
    messages = 100\n";

#[test]
fn a_row_whose_channel_finds_no_room_waits_until_there_is_and_holds_up_no_others() {
    let fixture = Fixture::open(Postgres::make_outbox, FULL);
    fixture.connected();
    let subscriber = subscribe(&fixture, "room.one");
    fixture.server.sql(
        "INSERT INTO noren_outbox (channel, data) SELECT 'room.two', format('{\"n\": %s}', n)::jsonb \
         FROM generate_series(1, 8) AS n; \
         INSERT INTO noren_outbox (channel, data) VALUES ('none', '1'), ('a', '{\"n\": 1}'), ('a', '{\"n\": 2}')",
    );
    assert_eq!(fixture.numbers(2), [1, 2]);
    until("the status to say so", || {
        let error = fixture.status("last_error");
        let says = error.as_str()?.contains("hub.channels");
        (says && fixture.status("waiting") == 8).then_some(())
    });
    assert!(fixture.status("lag").as_u64().is_some_and(|lag| lag > 0));
    assert!(!fixture.status("since").is_null(), "it is connected");
    assert_eq!(
        (left(&fixture).as_str(), fixture.status("refused")),
        ("8", 1.into())
    );
    drop(subscriber);
    until_empty(&fixture);
    let rows = fixture.first("room.two", 8);
    let numbers: Vec<_> = rows.iter().map(|row| row["data"]["n"].as_u64()).collect();
    assert_eq!(numbers, (1..9).map(Some).collect::<Vec<_>>());
    until("nothing to wait", || {
        (fixture.status("waiting") == 0).then_some(())
    });
    assert_eq!(fixture.status("refused"), 1);
}

/// A subscriber, for whom the channel is open.
fn subscribe(fixture: &Fixture, channel: &str) -> UnixStream {
    let mut stream = UnixStream::connect(path(&fixture.directory, "admin.sock")).expect("a socket");
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
    let mut fixture = Fixture::open(Postgres::make_outbox, OUTBOX);
    fixture.connected();
    // It has its number before the others, and commits after them.
    let mut slow = fixture.server.session();
    slow.say("BEGIN; INSERT INTO noren_outbox (channel, data) VALUES ('a', '{\"n\": 0}');");
    fixture.app.ask("insert 1 30");
    let rest: Vec<u64> = (1..31).collect();
    assert_eq!(fixture.numbers(30), rest);
    slow.say("COMMIT;");
    assert_eq!(fixture.numbers(31).last(), Some(&0));
}

#[test]
fn of_two_norens_one_reads_and_the_other_takes_over() {
    let mut fixture = Fixture::open(Postgres::make_outbox, OUTBOX);
    fixture.connected();
    let tables = fixture.tables(OUTBOX);
    let tables = tables.replace("admin.sock", "two.sock");
    let tables = tables.replace(
        &path(&fixture.directory, "store"),
        &path(&fixture.directory, "two"),
    );
    let other = Door::open(&tables);
    until("the other to stand by", || {
        other.log().contains("standing by").then_some(())
    });
    fixture
        .server
        .sql("INSERT INTO noren_outbox (channel, data) VALUES ('a', '{\"n\": 1}')");
    assert_eq!(fixture.numbers(1), [1]);
    fixture.kill_door();
    until("the other to read", || {
        other.log().contains("connected to a source").then_some(())
    });
    fixture
        .server
        .sql("INSERT INTO noren_outbox (channel, data) VALUES ('a', '{\"n\": 2}')");
    until_empty(&fixture);
}
