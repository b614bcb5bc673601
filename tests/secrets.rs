//! No byte of a file with a secret reaches an error, the log, or who calls `noren reload`; what can be read of a file
//! that came another way is read.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Certificates, Door, Ran, run, scratch, until};

/// A secret that no output may contain.
const SECRET: &str = "hunter2hunter2";

fn noren(directory: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
    run(command.args(arguments).current_dir(directory))
}

/// Files with a secret in them, as nothing can read it.
fn unreadable() -> Vec<String> {
    let pem = |body: &str| format!("-----BEGIN PRIVATE KEY-----{body}-----END PRIVATE KEY-----");
    vec![
        format!("{SECRET}!"),
        format!("key: {SECRET}"),
        format!("{{\"k\": \"{SECRET}\", {SECRET}"),
        format!("{{\"keys\": [{{\"kty\": \"oct\", \"k\": \"{SECRET}\"}}]}}"),
        pem(&format!("\n{SECRET}!\n")),
        pem(&format!("\\n{SECRET}!\\n")),
        pem(&format!(" {SECRET}! ")),
        format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n"),
        format!("-----BEGIN PRIVATE KEY-----{SECRET}\n-----END\n"),
        format!("-----BEGIN {SECRET}-----\n{SECRET}\n-----END {SECRET}-----\n"),
        format!("-----BEGIN PRIVATE KEY-----\n-----BEGIN {SECRET}-----\n"),
        format!("----BEGIN PRIVATE KEY-----\\n{SECRET}\\n-----END PRIVATE KEY----"),
        format!("\u{feff}{SECRET}!"),
        format!("{SECRET}\u{0}\u{1}!"),
    ]
}

/// Tables that name a file with a secret, `FILE`.
const PLACES: &[(&str, &str)] = &[
    (
        "a key",
        "[[tls.certificate]]\ncertificate = 'door.pem'\nkey = 'FILE'",
    ),
    (
        "a certificate",
        "[[tls.certificate]]\ncertificate = 'FILE'\nkey = 'door.key'",
    ),
    (
        "an authority of clients",
        "[[tls.certificate]]\ncertificate = 'door.pem'\nkey = 'door.key'\n[[listener]]\n\
         address = '127.0.0.1:0'\nclient-authority = 'FILE'",
    ),
    (
        "keys of links",
        "[bridge.signed]\nkeys = ['FILE']\nstore = 'used'\n[[bridge.target]]\ntoken = 'a'\naddress = 'h:1'",
    ),
    (
        "keys of channels",
        "[hub.tokens]\nkeys = ['FILE']\n[[channel]]\nname = 'a'\nneeds = 'token'",
    ),
    (
        "an authority of consoles",
        "[[bridge.target]]\ntoken = 'a'\naddress = 'h:1'\ntls = { ca = 'FILE' }",
    ),
    (
        "a key for consoles",
        "[[bridge.target]]\ntoken = 'a'\naddress = 'h:1'\ntls = { certificate = 'door.pem', key = 'FILE' }",
    ),
    (
        "an authority of a broker",
        "[[channel]]\nname = 'a'\n[[channel.source]]\nsource = 'amqp'\nurl = 'amqps://127.0.0.1:1'\n\
         exchange = 'x'\nca = 'FILE'",
    ),
    (
        "an authority of a database",
        "[[channel]]\nname = 'a'\n[[channel.source]]\nsource = 'postgres'\n\
         url = 'postgres://n@127.0.0.1:1/a?sslmode=verify-full'\nlisten = ['x']\nca = 'FILE'",
    ),
];

#[test]
fn a_file_that_cannot_be_read_is_named_and_no_byte_of_it_is_told() {
    let directory = scratch();
    let directory = directory.path();
    Certificates::new(directory).sign(directory, "door", &["localhost"]);
    let app = "[[app]]\nurl = 'http://127.0.0.1:1'\n[tls]\nself-signed = 'own'\n";
    for (place, tables) in PLACES {
        for content in unreadable() {
            let file = directory.join("secret.pem");
            fs::write(&file, &content).expect("a file");
            let listener = if tables.contains("[[listener]]") {
                ""
            } else {
                "[[listener]]\naddress = '127.0.0.1:0'\n"
            };
            let tables = tables.replace("FILE", file.to_str().expect("UTF-8"));
            fs::write(
                directory.join("noren.toml"),
                format!("{app}{listener}{tables}\n"),
            )
            .expect("a file");
            let ran = noren(directory, &["serve", "--config", "noren.toml"]);
            assert!(!ran.status.success(), "{place}: {content}");
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(said.contains("secret.pem"), "{place}: {content}: {said}");
            assert!(!said.contains("hunter2"), "{place}: {content}: {said}");
        }
    }
}

#[test]
fn files_of_passwords_are_refused_without_their_words() {
    let directory = scratch();
    let directory = directory.path();
    let users = "[[app]]\nurl = 'http://127.0.0.1:1'\nusers = 'FILE'";
    let token = "[hub]\npublish-token = 'FILE'\n[[channel]]\nname = 'a'";
    let broker = "[[channel]]\nname = 'a'\n[[channel.source]]\nsource = 'amqp'\nurl = 'amqp://127.0.0.1:1'\n\
                  exchange = 'x'\ncredentials = 'FILE'";
    let database = "[[channel]]\nname = 'a'\n[[channel.source]]\nsource = 'postgres'\n\
                    url = 'postgres://n@127.0.0.1:1/a'\nlisten = ['x']\npassfile = 'FILE'";
    for (tables, content) in [
        (users, "hunter2"),
        (users, "ann:tea\nhunter2"),
        (users, "ann:{NEW}hunter2"),
        (users, "ann:$1$hunter2"),
        (users, "ann:hunter2hunter"),
        (users, "ann:!hunter2"),
        (users, "\u{feff}ann:$1$hunter2"),
        (token, "hunter2"),
        (token, "\u{feff}hunter2hunter2"),
        (database, "hunter2"),
        (database, "127.0.0.1:1:b:n:hunter2"),
        (broker, "hunter2"),
        (broker, "ann:hunter2\nhunter2"),
    ] {
        let file = directory.join("secret.txt");
        fs::write(&file, content).expect("a file");
        let tables = tables.replace("FILE", file.to_str().expect("UTF-8"));
        let listener = "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'http'\n";
        fs::write(
            directory.join("noren.toml"),
            format!("{listener}{tables}\n"),
        )
        .expect("a file");
        let ran = noren(directory, &["serve", "--config", "noren.toml"]);
        assert!(!ran.status.success(), "{content}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("secret.txt"), "{content}: {said}");
        assert!(!said.contains("hunter2"), "{content}: {said}");
    }
}

#[test]
fn a_key_that_changes_to_nonsense_is_told_to_the_log_and_to_a_reload_without_its_words() {
    let door = Door::open(
        "[[app]]\nurl = 'http://127.0.0.1:1'\n[admin]\nsocket = 'admin.sock'\n[tls]\nwatch = '50ms'\n",
    );
    let key = door.file("door.key");
    let good = fs::read_to_string(&key).expect("a key");
    for content in [
        good.replace('\n', "\\n")
            .replace("\\n-----END", "!\\n-----END"),
        good.replace("-----END", "----END"),
        good.replace('\n', " ").replace(" -----END", "! -----END"),
    ] {
        let before = door.log().matches("door.key").count();
        fs::write(&key, &content).expect("the key written");
        until("the log to tell of the key", || {
            (door.log().matches("door.key").count() > before).then_some(())
        });
        let socket = door.file("admin.sock");
        let ran = noren(Path::new("/"), &["reload", "--socket", &socket]);
        assert_eq!(ran.status.code(), Some(78), "{}", ran.stderr);
        assert!(ran.stderr.contains("door.key"), "{}", ran.stderr);
        let body: Vec<_> = good.lines().filter(|line| !line.starts_with('-')).collect();
        assert!(!body.is_empty());
        for said in [door.log(), ran.stdout, ran.stderr] {
            for line in &body {
                let (start, _) = line.split_at(20.min(line.len()));
                assert!(!said.contains(start), "{said}");
            }
        }
    }
}

#[test]
fn a_key_and_a_chain_that_lost_their_line_feeds_are_served() {
    let door = Door::open("[[app]]\nurl = 'http://127.0.0.1:1'\n[admin]\nsocket = 'admin.sock'\n");
    let authority = fs::read_to_string(door.file("ca.pem")).expect("the authority");
    let certificate = fs::read_to_string(door.file("door.pem")).expect("the certificate");
    let key = fs::read_to_string(door.file("door.key")).expect("the key");
    fs::write(
        door.file("door.pem"),
        format!("{}{authority}", certificate.trim_end()),
    )
    .expect("a chain");
    fs::write(door.file("door.key"), key.replace('\n', "\\n")).expect("a key");
    let socket = door.file("admin.sock");
    noren(Path::new("/"), &["reload", "--socket", &socket]).well();
    let shown = run(Command::new("openssl").args([
        "s_client",
        "-showcerts",
        "-servername",
        "localhost",
        "-connect",
        &format!("127.0.0.1:{}", door.port),
    ]));
    assert_eq!(
        shown.stdout.matches("-----BEGIN CERTIFICATE-----").count(),
        2,
        "{}",
        shown.stdout
    );
}
