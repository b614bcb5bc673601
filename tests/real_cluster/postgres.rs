//! PostgreSQL as a source of two nodes: each message is published once, whichever node reads.

use super::Node;
use crate::support::{Peer, Postgres, Rabbit, alone, until};

/// A broker, a database with an outbox, an app that fills it, and the tables of each node.
struct Fixture {
    rabbit: Rabbit,
    server: Postgres,
    app: Peer,
    tables: String,
}

impl Fixture {
    #[track_caller]
    fn open(place: &str) -> Self {
        let (rabbit, server) = (Rabbit::start(), Postgres::start());
        server.make_outbox();
        let app = Peer::start("postgres.py", &[&server.socket(), &server.port.to_string()]);
        let tables = format!(
            "[[channel]]\nname = \"a\"\n[channel.history]\nmessages = 100000\nsize = \"64MiB\"\nids = 100000\n\
             [[channel.source]]\nsource = \"postgres\"\nurl = \"{}\"\npassfile = \"{}\"\n{place}\n",
            server.url(),
            server.passfile("hunter2"),
        );
        Self {
            rabbit,
            server,
            app,
            tables,
        }
    }

    #[track_caller]
    fn node(&self) -> Node {
        Node::start_with(self.rabbit.port, "", &self.tables).caught_up()
    }
}

fn reads(node: &Node) -> bool {
    node.log().contains("connected to a source")
}

/// Waits until one of the nodes reads and the other stands by; the one that reads comes first.
#[track_caller]
fn sorted(one: Node, two: Node) -> (Node, Node) {
    until("one to read and the other to stand by", || {
        let stands_by = |node: &Node| node.log().contains("standing by");
        let sorted = reads(&one) && stands_by(&two) || reads(&two) && stands_by(&one);
        sorted.then_some(())
    });
    if reads(&one) { (one, two) } else { (two, one) }
}

/// The numbers in the history of a node.
#[track_caller]
fn numbers(node: &Node, count: usize) -> Vec<u64> {
    let socket = crate::support::path(&node.directory, "admin.sock");
    let count = count.to_string();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_noren"));
    command.args(["subscribe", "--socket", &socket, "a", "--from", "earliest"]);
    let ran = crate::support::run(command.args(["--json", "--once", &count])).well();
    let lines = ran.stdout.lines().map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).expect("JSON");
        message
            .pointer("/data/n")
            .and_then(serde_json::Value::as_u64)
    });
    lines.map(|number| number.expect("a number")).collect()
}

#[test]
fn rows_of_an_outbox_are_published_once_by_two_nodes_of_which_one_is_killed() {
    const EACH: u64 = 300;
    let _alone = alone();
    let mut fixture = Fixture::open("outbox = \"noren_outbox\"\npoll = \"1h\"\nbatch = 20");
    let (reader, other) = sorted(fixture.node(), fixture.node());
    fixture.app.ask(&format!("insert 0 {EACH}"));
    until("some rows", || {
        (fixture.app.count("inserted") > 100).then_some(())
    });
    // It may have published rows that it has not deleted.
    drop(reader);
    until("the other to read", || reads(&other).then_some(()));
    let late = fixture.node();
    // The broker restarts while rows are read.
    fixture.app.ask(&format!("insert {EACH} {EACH}"));
    fixture.rabbit.stop();
    fixture.rabbit.begin();
    until("the table to be empty", || {
        let all = fixture.app.count("inserted") == 2 * 300;
        let left = fixture.server.sql("SELECT count(*) FROM noren_outbox");
        (all && left == "0").then_some(())
    });
    // One that was doubled would have pushed the last one out of so many.
    fixture
        .server
        .sql("INSERT INTO noren_outbox (channel, data) VALUES ('a', '{\"n\": 600}')");
    let expected: Vec<u64> = (0..=2 * EACH).collect();
    let count = expected.len();
    let mut found = numbers(&other, count);
    assert_eq!(
        numbers(&late, count),
        found,
        "the order of all nodes is one"
    );
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_notification_is_published_once_by_two_nodes_that_listen() {
    let _alone = alone();
    let mut fixture = Fixture::open("listen = [\"Jobs\"]\n");
    let (reader, other) = sorted(fixture.node(), fixture.node());
    fixture.app.ask("notify 0 50");
    let expected: Vec<u64> = (0..50).collect();
    assert_eq!(numbers(&reader, 50), expected);
    assert_eq!(numbers(&other, 50), expected);
    drop(reader);
    until("the other to listen", || reads(&other).then_some(()));
    fixture.app.ask("notify 50 50");
    fixture
        .server
        .sql("SELECT pg_notify('Jobs', '{\"n\": 100}')");
    let expected: Vec<u64> = (0..=100).collect();
    assert_eq!(numbers(&other, 101), expected);
}
