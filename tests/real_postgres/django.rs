//! The Django app of `examples/postgres`, as a user would start it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::Fixture;
use crate::support::{Postgres, ask};

/// The app; it ends with the test.
struct App(Child);

impl App {
    fn start(server: &Postgres, port: &str) -> Self {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/examples/postgres/django_app.py"
        );
        let child = Command::new("/usr/bin/python3")
            .args(["-B", file, port])
            .env("PGHOST", server.socket())
            .env("PGPORT", server.port.to_string())
            .env("PGUSER", "postgres")
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("python3");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), port);
        Self(child)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_order_that_django_commits_is_told_and_one_that_it_takes_back_is_not() {
    let port = crate::support::free_port().to_string();
    let fixture = Fixture::open(
        Postgres::make_outbox,
        &format!(
            "[[app]]\nname = \"shop\"\nurl = \"http://127.0.0.1:{port}\"\n[[channel]]\nname = \"orders\"\nSOURCE\n\
             outbox = \"noren_outbox\"\n"
        ),
    );
    fixture.connected();
    let _app = App::start(&fixture.server, &port);
    let door = fixture.door();
    let order = |path: &str, status| {
        ask(door, path).method("POST").gets(status);
    };
    order("/order/17/packed", 200);
    order("/order/17/lost", 500);
    order("/order/17/sent", 200);
    let events: Vec<_> = fixture
        .first("orders", 2)
        .iter()
        .map(|one| one["event"].clone())
        .collect();
    assert_eq!(events, ["packed", "sent"]);
    assert_eq!(fixture.server.sql("SELECT state FROM shop_order"), "sent");
}
