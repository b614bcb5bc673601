//! A broker that speaks TLS: whose certificate is believed, and what is said of one that is not.

use super::Fixture;
use crate::support::{Certificates, path, scratch};

/// A channel from the broker's TLS port, by this name, trusting this file.
fn tables(fixture: &Fixture, host: &str, authority: &str) -> String {
    let port = fixture.rabbit.encrypted_port;
    format!(
        "[[channel]]\nname = \"a\"\n[[channel.source]]\nsource = \"amqp\"\nurl = \"amqps://{host}:{port}\"\n\
         ca = \"{authority}\"\nexchange = \"e\"\nchannel = \"a\"\n"
    )
}

impl Fixture {
    /// Another door, with these tables.
    #[track_caller]
    fn reopen(&mut self, tables: &str) {
        self.kill_door();
        self.open_door(tables);
    }
}

#[test]
fn a_broker_is_believed_by_its_authority_and_its_name() {
    let mut fixture = Fixture::open("e topic no", "[[channel]]\nname = \"a\"\n");
    let own = fixture.rabbit.authority();
    let believed = tables(&fixture, "localhost", &own);
    fixture.reopen(&believed);
    fixture.connected();
    fixture.publisher.ask("flood e k 3 10");
    assert_eq!(fixture.first("a", 3).len(), 3);

    let elsewhere = scratch();
    Certificates::new(elsewhere.path());
    let foreign = tables(&fixture, "localhost", &path(&elsewhere, "ca.pem"));
    fixture.reopen(&foreign);
    fixture.until_logged("a source is not there");
    let log = fixture.log();
    assert!(log.contains("invalid peer certificate"), "{log}");
    assert!(log.contains("`ca` names the authorities"), "{log}");

    let misnamed = tables(&fixture, "127.0.0.1", &own);
    fixture.reopen(&misnamed);
    fixture.until_logged("a source is not there");
    let log = fixture.log();
    assert!(log.contains("certificate not valid for name"), "{log}");
    assert!(!fixture.log().contains("connected to a source"));
}
