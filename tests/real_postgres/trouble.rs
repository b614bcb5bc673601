//! Errors of a database, each told with its remedy, and connections that are not what they seem.

use super::{Fixture, LISTENS};
use crate::support::{Certificates, Door, Postgres, path, run, scratch, until};

const OUTBOX: &str =
    "[[channel]]\nname = \"a\"\nSOURCE\noutbox = \"public.noren_outbox\"\npoll = \"1s\"\n";

#[test]
fn a_missing_table_and_missing_rights_are_told_with_the_remedy_and_waited_for() {
    let fixture = Fixture::open(|_| {}, OUTBOX);
    fixture.until_logged("relation \"public.noren_outbox\" does not exist");
    fixture.until_logged("has the statement that makes it");
    fixture.server.make_outbox();
    fixture.server.sql("REVOKE ALL ON noren_outbox FROM noren");
    let remedy =
        "GRANT SELECT, DELETE, UPDATE (refused) ON \"public\".\"noren_outbox\" TO \"noren\"";
    until("the remedy", || {
        fixture
            .status("last_error")
            .as_str()?
            .contains(remedy)
            .then_some(())
    });
    fixture.server.sql("GRANT SELECT ON noren_outbox TO noren");
    fixture
        .server
        .sql("INSERT INTO noren_outbox (data) VALUES ('{\"n\": 1}')");
    until("the remedy", || {
        fixture
            .status("last_error")
            .as_str()?
            .contains(remedy)
            .then_some(())
    });
    fixture
        .server
        .sql("GRANT DELETE, UPDATE (refused) ON noren_outbox TO noren");
    until("it to work", || {
        let left = fixture.server.sql("SELECT count(*) FROM noren_outbox");
        (left == "0").then_some(())
    });
    fixture
        .server
        .sql("ALTER TABLE noren_outbox DROP COLUMN created");
    until("the column", || {
        let error = fixture.status("last_error");
        error
            .as_str()?
            .contains("has the columns id, message_id")
            .then_some(())
    });
    // What goes wrong again and again is one line.
    assert!(fixture.log().matches("a source is not there").count() <= 4);
}

#[test]
fn a_wrong_password_and_a_missing_file_are_told_without_the_secret() {
    let fixture = Fixture::open(|_| {}, LISTENS);
    fixture.connected();
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"http\"\n";
    let text = fixture.tables(LISTENS).replace("admin.sock", "two.sock");
    let config = path(&fixture.directory, "noren.toml");
    let none = path(&fixture.directory, "none");
    let missing = text.replace(&fixture.server.passfile("swordfish"), &none);
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
    fixture.server.passfile("hunter2");
    until("the right password", || {
        door.log().contains("connected to a source").then_some(())
    });
}

#[test]
fn a_server_is_believed_by_its_authority_and_its_name() {
    let mut fixture = Fixture::open(|_| {}, "[[channel]]\nname = \"a\"\n");
    let port = fixture.server.port;
    let passfile = fixture.server.passfile("hunter2");
    let elsewhere = scratch();
    Certificates::new(elsewhere.path());
    let own = fixture.server.authority();
    let foreign = path(&elsewhere, "ca.pem");
    let mut said = |host: &str, mode: &str, authority: &str, expected: &str| {
        fixture.kill_door();
        fixture.open_door(&format!(
            "[[channel]]\nname = \"a\"\n[[channel.source]]\nsource = \"postgres\"\n\
             url = \"postgres://noren@{host}:{port}/app?sslmode={mode}\"\nca = \"{authority}\"\n\
             passfile = \"{passfile}\"\nlisten = [\"Jobs\"]\n"
        ));
        fixture.until_logged(expected);
    };
    said("localhost", "verify-full", &own, "connected to a source");
    said("127.0.0.1", "verify-full", &own, "a source is not there");
    said("127.0.0.1", "verify-ca", &own, "connected to a source");
    said("localhost", "verify-ca", &foreign, "a source is not there");
    let encrypted = fixture.log();
    assert!(encrypted.contains("certificate"), "{encrypted}");
}

#[test]
fn a_unix_socket_needs_no_password() {
    let mut fixture = Fixture::open(Postgres::make_outbox, "[[channel]]\nname = \"a\"\n");
    fixture.kill_door();
    let (directory, port) = (fixture.server.socket(), fixture.server.port);
    fixture.open_door(&format!(
        "[[channel]]\nname = \"a\"\n[[channel.source]]\nsource = \"postgres\"\n\
         url = \"postgres://noren@/app?host={directory}&port={port}\"\noutbox = \"noren_outbox\"\n"
    ));
    fixture.connected();
    fixture
        .server
        .sql("INSERT INTO noren_outbox (data) VALUES ('{\"n\": 1}')");
    assert_eq!(fixture.numbers(1), [1]);
}
