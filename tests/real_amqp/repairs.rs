//! An exchange, a queue, a binding and the permissions of a user that go while a source is connected: each is told with
//! its reason, and when it is there again the source is heard again by itself.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{Fixture, KEPT, kept_on_disk};
use crate::support::{path, run, until};

const GUIDE: &str = include_str!("../../src/guide/rabbitmq.md");

impl Fixture {
    /// The same door, as the user `noren` with the permissions of the guide, from the exchange `nova`.
    #[track_caller]
    fn least_privileged() -> Self {
        let mut fixture = Self::open("nova topic no", "[[channel]]\nname = \"other\"\n");
        fixture.rabbit.permit_as_in(GUIDE);
        let secret = path(&fixture.directory, "amqp");
        fs::write(&secret, "noren:noren").expect("a file");
        let source = KEPT.replace(
            "exchange = \"e\"",
            &format!("credentials = {secret:?}\nexchange = \"nova\""),
        );
        fixture.kill_door();
        fixture.open_door(&source);
        fixture.connected();
        fixture
    }

    /// The status of the only source.
    fn status_of_source(&self) -> Value {
        let status = run(&mut self.command(&["status", "--json"])).well().stdout;
        let status: Value = serde_json::from_str(&status).expect("JSON");
        let source = status.pointer("/sources/0");
        source.expect("a source").clone()
    }

    fn heard(&self) -> u64 {
        let count = self.status_of_source();
        let count = count.get("messages").and_then(Value::as_u64);
        count.expect("a count")
    }

    /// Publishes until a message comes: what is published before all is bound again is lost.
    #[track_caller]
    fn hears_again(&mut self, exchange: &str) {
        let before = self.heard();
        until("a message to come again", || {
            // The key is a binding as well, for an exchange that takes it by the letter.
            self.publisher
                .ask(&format!("send {exchange} # {{\"n\": 1000000}}"));
            (self.heard() > before).then_some(())
        });
    }

    /// An answer at the admin socket.
    fn admin(&self, target: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--unix-socket"]);
        curl.arg(path(&self.directory, "admin.sock"));
        run(curl.arg(format!("http://localhost{target}")))
            .well()
            .stdout
    }
}

#[test]
fn the_permissions_of_the_guide_are_enough_for_a_source() {
    let mut fixture = Fixture::least_privileged();
    fixture.publisher.ask("flood nova k 3 10");
    assert_eq!(fixture.numbers(3), [0, 1, 2]);
}

#[test]
fn permissions_that_are_taken_away_are_told_and_given_again_they_are_used() {
    let mut fixture = Fixture::least_privileged();
    fixture.hears_again("nova");
    fixture.rabbit.permit("noren", ["^$", "^$", "^$"]);
    let reason = until("the refusal", || {
        // On a channel that is never idle the broker goes on with what it has permitted.
        fixture.publisher.ask("send nova # {\"n\": 1000000}");
        let status = fixture.status_of_source();
        let reason = status["last_error"].as_str()?.to_owned();
        status["since"].is_null().then_some(reason)
    });
    assert!(reason.contains("ACCESS_REFUSED"), "{reason}");
    // It serves without this source.
    let ready = fixture.admin("/readyz");
    assert!(
        ready.contains("is down: ") && ready.contains("ACCESS_REFUSED"),
        "{ready}"
    );
    let metrics = fixture.admin("/metrics");
    let down = |line: &str| line.starts_with("noren_source_up{") && line.ends_with(" 0");
    assert!(metrics.lines().any(down), "{metrics}");
    fixture.rabbit.permit_as_in(GUIDE);
    fixture.hears_again("nova");
    let status = fixture.status_of_source();
    assert!(
        status["since"].is_number() && status["last_error"].is_null(),
        "{status}"
    );
    assert!(!fixture.admin("/readyz").contains("is down"));
}

#[test]
fn a_user_who_is_removed_is_told_and_made_again_is_used() {
    let mut fixture = Fixture::least_privileged();
    fixture.hears_again("nova");
    fixture.rabbit.forget("noren");
    until("the refusal", || {
        let status = fixture.status_of_source();
        let reason = status["last_error"].as_str()?;
        (status["since"].is_null() && reason.contains("ACCESS_REFUSED")).then_some(())
    });
    assert!(!fixture.log().contains("noren:noren"));
    fixture.rabbit.permit_as_in(GUIDE);
    fixture.hears_again("nova");
    assert!(fixture.status_of_source()["last_error"].is_null());
}

#[test]
fn an_exchange_a_queue_and_a_binding_that_go_while_connected_are_there_again() {
    let mut fixture = Fixture::open("e topic yes", KEPT);
    fixture.connected();
    fixture.hears_again("e");
    fixture.publisher.ask("delete e");
    fixture.until_logged("the exchange of a source is gone");
    assert!(fixture.status_of_source()["since"].is_null());
    fixture.publisher.ask("exchange e topic yes");
    fixture.until_logged("bound to it again");
    fixture.hears_again("e");
    // So fast that nobody sees it.
    fixture.publisher.ask("delete e");
    fixture.publisher.ask("exchange e topic yes");
    fixture.hears_again("e");
    fixture.publisher.ask("unbind noren-a e #");
    fixture.hears_again("e");
    fixture.publisher.ask("delete-queue noren-a");
    fixture.hears_again("e");
}

#[test]
fn an_exchange_of_another_type_is_heard_and_what_was_in_the_queue_comes_once() {
    const EACH: u64 = 2_000;
    let mut fixture = Fixture::open("e topic yes", &kept_on_disk());
    fixture.connected();
    let is_read = |fixture: &mut Fixture| {
        until("the queue to be empty", || {
            (fixture.publisher.count("length noren-a") == 0).then_some(())
        });
    };
    for kind in ["fanout", "headers", "direct", "topic"] {
        // Most of them are in the queue, or on their way and not acknowledged, when the exchange goes.
        fixture.publisher.ask(&format!("flood e # {EACH} 100"));
        fixture.publisher.ask("delete e");
        fixture.publisher.ask(&format!("exchange e {kind} yes"));
        is_read(&mut fixture);
        fixture.hears_again("e");
    }
    is_read(&mut fixture);
    let count = usize::try_from(fixture.heard()).expect("a count");
    let mut all = fixture.numbers(count);
    all.retain(|number| *number < EACH);
    let expected: Vec<u64> = (0..4).flat_map(|_| 0..EACH).collect();
    assert!(all == expected, "{} of {}", all.len(), expected.len());
}
