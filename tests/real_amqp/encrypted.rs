//! A broker that speaks TLS: whose certificate is believed, and what is said of one that is not.

use super::House;
use crate::support::{Certificates, path, scratch};

/// A channel from the broker's TLS port, by this name, trusting this file.
fn tables(house: &House, host: &str, authority: &str) -> String {
    let port = house.rabbit.encrypted_port;
    format!(
        "[[channel]]\nname = \"a\"\n[[channel.source]]\nsource = \"amqp\"\nurl = \"amqps://{host}:{port}\"\n\
         ca = \"{authority}\"\nexchange = \"e\"\nchannel = \"a\"\n"
    )
}

impl House {
    /// Another door, with these tables.
    #[track_caller]
    fn reopen(&mut self, tables: &str) {
        self.kill_door();
        self.open_door(tables);
    }
}

#[test]
fn a_broker_is_believed_by_its_authority_and_its_name() {
    let mut house = House::open("e topic no", "[[channel]]\nname = \"a\"\n");
    let own = house.rabbit.authority();
    let believed = tables(&house, "localhost", &own);
    house.reopen(&believed);
    house.connected();
    house.publisher.ask("flood e k 3 10");
    assert_eq!(house.first("a", 3).len(), 3);

    let elsewhere = scratch();
    Certificates::new(elsewhere.path());
    let foreign = tables(&house, "localhost", &path(&elsewhere, "ca.pem"));
    house.reopen(&foreign);
    house.until_logged("a source is not there");
    let log = house.log();
    assert!(log.contains("invalid peer certificate"), "{log}");
    assert!(log.contains("`ca` names the authorities"), "{log}");

    let misnamed = tables(&house, "127.0.0.1", &own);
    house.reopen(&misnamed);
    house.until_logged("a source is not there");
    let log = house.log();
    assert!(log.contains("certificate not valid for name"), "{log}");
    assert!(!house.log().contains("connected to a source"));
}
