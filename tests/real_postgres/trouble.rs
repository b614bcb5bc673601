//! Errors of a database, each told with its remedy, and connections that are not what they seem.

use super::{House, LISTENS};
use crate::support::{Certificates, Door, Postgres, path, run, scratch, until};

const OUTBOX: &str =
    "[[channel]]\nname = \"a\"\nSOURCE\noutbox = \"public.noren_outbox\"\npoll = \"1s\"\n";

#[test]
fn a_missing_table_and_missing_rights_are_told_with_the_remedy_and_waited_for() {
    let house = House::open(|_| {}, OUTBOX);
    house.until_logged("relation \"public.noren_outbox\" does not exist");
    house.until_logged("has the statement that makes it");
    house.server.make_outbox();
    house.server.sql("REVOKE ALL ON noren_outbox FROM noren");
    let remedy =
        "GRANT SELECT, DELETE, UPDATE (refused) ON \"public\".\"noren_outbox\" TO \"noren\"";
    until("the remedy", || {
        house
            .status("last_error")
            .as_str()?
            .contains(remedy)
            .then_some(())
    });
    house.server.sql("GRANT SELECT ON noren_outbox TO noren");
    house
        .server
        .sql("INSERT INTO noren_outbox (data) VALUES ('{\"n\": 1}')");
    until("the remedy", || {
        house
            .status("last_error")
            .as_str()?
            .contains(remedy)
            .then_some(())
    });
    house
        .server
        .sql("GRANT DELETE, UPDATE (refused) ON noren_outbox TO noren");
    until("it to work", || {
        let left = house.server.sql("SELECT count(*) FROM noren_outbox");
        (left == "0").then_some(())
    });
    house
        .server
        .sql("ALTER TABLE noren_outbox DROP COLUMN created");
    until("the column", || {
        let error = house.status("last_error");
        error
            .as_str()?
            .contains("has the columns id, message_id")
            .then_some(())
    });
    // What goes wrong again and again is one line.
    assert!(house.log().matches("a source is not there").count() <= 4);
}

#[test]
fn a_wrong_password_and_a_missing_file_are_told_without_the_secret() {
    let house = House::open(|_| {}, LISTENS);
    house.connected();
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"http\"\n";
    let text = house.tables(LISTENS).replace("admin.sock", "two.sock");
    let config = path(&house.directory, "noren.toml");
    let none = path(&house.directory, "none");
    let missing = text.replace(&house.server.passfile("swordfish"), &none);
    std::fs::write(&config, format!("{listener}{missing}")).expect("a file");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_noren"));
    let ran = run(command.args(["serve", "--config", &config]));
    assert!(ran.stderr.contains(&none), "{}", ran.stderr);
    let door = Door::open(&text);
    until("the refusal", || {
        let log = door.log();
        (log.contains("password authentication failed") && log.contains("`passfile`")).then_some(())
    });
    assert!(!door.log().contains("swordfish"));
    // The file is read for each connection.
    house.server.passfile("hunter2");
    until("the right password", || {
        door.log().contains("connected to a source").then_some(())
    });
}

#[test]
fn a_server_is_believed_by_its_authority_and_its_name() {
    let mut house = House::open(|_| {}, "[[channel]]\nname = \"a\"\n");
    let port = house.server.port;
    let passfile = house.server.passfile("hunter2");
    let elsewhere = scratch();
    Certificates::new(elsewhere.path());
    let own = house.server.authority();
    let foreign = path(&elsewhere, "ca.pem");
    let mut said = |host: &str, mode: &str, authority: &str, expected: &str| {
        house.kill_door();
        house.open_door(&format!(
            "[[channel]]\nname = \"a\"\n[[channel.source]]\nsource = \"postgres\"\n\
             url = \"postgres://noren@{host}:{port}/app?sslmode={mode}\"\nca = \"{authority}\"\n\
             passfile = \"{passfile}\"\nlisten = [\"Jobs\"]\n"
        ));
        house.until_logged(expected);
    };
    said("localhost", "verify-full", &own, "connected to a source");
    said("127.0.0.1", "verify-full", &own, "a source is not there");
    said("127.0.0.1", "verify-ca", &own, "connected to a source");
    said("localhost", "verify-ca", &foreign, "a source is not there");
    let encrypted = house.log();
    assert!(encrypted.contains("certificate"), "{encrypted}");
}

#[test]
fn a_unix_socket_needs_no_password() {
    let mut house = House::open(Postgres::make_outbox, "[[channel]]\nname = \"a\"\n");
    house.kill_door();
    let (directory, port) = (house.server.socket(), house.server.port);
    house.open_door(&format!(
        "[[channel]]\nname = \"a\"\n[[channel.source]]\nsource = \"postgres\"\n\
         url = \"postgres://noren@/app?host={directory}&port={port}\"\noutbox = \"noren_outbox\"\n"
    ));
    house.connected();
    house
        .server
        .sql("INSERT INTO noren_outbox (data) VALUES ('{\"n\": 1}')");
    assert_eq!(house.numbers(1), [1]);
}
