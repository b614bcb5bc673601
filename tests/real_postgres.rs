//! The `postgres` source with a real PostgreSQL: notifications, and an outbox that loses nothing.

mod django;
mod outbox;
mod trouble;

use std::ops::{Deref, DerefMut};
use std::process::Command;

use crate::support::{Peer, Postgres, SourceDoor, alone, path, run, until};

/// A server, an app that writes into it, and a door with an admin socket.
struct Fixture {
    server: Postgres,
    app: Peer,
    source: SourceDoor,
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl Fixture {
    /// `SOURCE` in the tables is the beginning of a source's table: its kind, the database and the password.
    #[track_caller]
    fn open(prepare: impl FnOnce(&Postgres), tables: &str) -> Self {
        let turn = alone();
        let server = Postgres::start();
        prepare(&server);
        let app = Peer::start("postgres.py", &[&server.socket(), &server.port.to_string()]);
        let source = format!(
            "[[channel.source]]\nsource = \"postgres\"\nurl = \"{}\"\npassfile = \"{}\"",
            server.url(),
            server.passfile("hunter2"),
        );
        Self {
            server,
            app,
            source: SourceDoor::open(source, tables),
            _alone: turn,
        }
    }

    /// One field of the only source in the status.
    #[track_caller]
    fn status(&self, field: &str) -> serde_json::Value {
        let status = run(&mut self.command(&["status", "--json"])).well().stdout;
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        let value = status.pointer(&format!("/sources/0/{field}"));
        value.cloned().unwrap_or_default()
    }
}

impl Deref for Fixture {
    type Target = SourceDoor;

    fn deref(&self) -> &SourceDoor {
        &self.source
    }
}

impl DerefMut for Fixture {
    fn deref_mut(&mut self) -> &mut SourceDoor {
        &mut self.source
    }
}

/// A channel that gets all that the app sends by NOTIFY.
const LISTENS: &str = "[[channel]]\nname = \"a\"\n[channel.history]\nmessages = 100000\nsize = \"64MiB\"\n\
    SOURCE\nlisten = [\"Jobs\"]\nevent = \"{notify-channel}\"\nkey = \"{/n}\"\nid = \"{/id}\"\n";

#[test]
fn what_is_notified_in_a_transaction_arrives_in_order_when_it_commits() {
    let mut fixture = Fixture::open(|_| {}, LISTENS);
    fixture.connected();
    fixture.app.ask("notify 0 50");
    let expected: Vec<u64> = (0..50).collect();
    assert_eq!(fixture.numbers(50), expected);
    let message = &fixture.first("a", 1)[0];
    assert_eq!(
        (&message["event"], &message["key"]),
        (&"Jobs".into(), &"0".into())
    );
    // The name is quoted, so it is not this one; and what a transaction takes back was never sent.
    fixture.server.sql("NOTIFY jobs, '{\"n\": 77}'");
    fixture
        .server
        .sql("BEGIN; SELECT pg_notify('Jobs', '{\"n\": 78}'); ROLLBACK");
    fixture.server.sql("SELECT pg_notify('Jobs', 'no JSON')");
    for text in [
        "{\"n\": 79, \"id\": \"x\"}",
        "{\"n\": 80, \"id\": \"x\"}",
        "{\"n\": 81}",
    ] {
        fixture
            .server
            .sql(&format!("SELECT pg_notify('Jobs', '{text}')"));
    }
    let all = fixture.numbers(52);
    assert_eq!(all.get(50..), Some(&[79, 81][..]));
    fixture.until_logged("its body is not JSON");
    assert_eq!(fixture.status("refused"), 1);
}

#[test]
fn a_server_that_was_killed_is_listened_to_again_and_its_loss_told_once() {
    let mut fixture = Fixture::open(|_| {}, LISTENS);
    fixture.connected();
    fixture.app.ask("notify 0 3");
    assert_eq!(fixture.numbers(3), [0, 1, 2]);
    fixture.server.kill();
    fixture.until_logged("a source is not there");
    let error = until("the status to say so", || {
        let error = fixture.status("last_error");
        error.as_str().map(str::to_owned)
    });
    assert!(!error.is_empty() && fixture.status("since").is_null());
    // The door still serves, so it is ready; the probe says what is missing.
    let socket = path(&fixture.directory, "admin.sock");
    let mut probe = Command::new("curl");
    let probe = probe.args([
        "--silent",
        "--fail",
        "--unix-socket",
        &socket,
        "http://localhost/readyz",
    ]);
    let ready = run(probe).well().stdout;
    assert!(
        ready.starts_with("ok\nthe source of a at postgres://127.0.0.1:"),
        "{ready}"
    );
    fixture.server.begin();
    until("it to listen again", || {
        (!fixture.status("since").is_null()).then_some(())
    });
    fixture.app.ask("notify 3 3");
    assert_eq!(fixture.numbers(6), [0, 1, 2, 3, 4, 5]);
    assert_eq!(fixture.log().matches("a source is not there").count(), 1);
}

#[test]
fn text_goes_to_the_channel_that_its_notification_is_named_after() {
    let fixture = Fixture::open(
        |_| {},
        "[[channel]]\nname = \"room.*\"\nSOURCE\nlisten = [\"one\", \"two\", \"x y\"]\nformat = \"text\"\n\
         channel = \"room.{notify-channel}\"\n",
    );
    fixture.connected();
    fixture
        .server
        .sql("NOTIFY two, 'it''s \u{e9}'; NOTIFY \"x y\", 'nowhere'; NOTIFY one");
    assert_eq!(fixture.first("room.two", 1)[0]["data"], "it's \u{e9}");
    assert_eq!(fixture.first("room.one", 1)[0]["data"], "");
    fixture.until_logged("is not one word of letters");
}
