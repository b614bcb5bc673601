//! The journal of systemd: what the door writes there has fields of its own.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;

use crate::support::{mount_namespace, path, run, scratch};

#[test]
fn entries_of_the_journal_have_the_fields_of_the_log_and_of_the_audit() {
    let directory = scratch();
    let (config, certs) = (path(&directory, "noren.toml"), path(&directory, "certs"));
    let text = format!(
        "[log]\nformat = 'journald'\n[[listener]]\naddress = '127.0.0.1:0'\n[tls]\nself-signed = '{certs}'\n\
         [[bridge.target]]\ntoken = 'vm'\naddress = '127.0.0.1:1'\n"
    );
    fs::write(&config, text).unwrap();
    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/journal.py");
    let Some(mut inside) = mount_namespace("the journal of systemd") else {
        return;
    };
    inside.args([
        "/usr/bin/python3",
        "-B",
        peer,
        env!("CARGO_BIN_EXE_noren"),
        &config,
    ]);
    let ran = run(&mut inside).well();
    assert_eq!(ran.stderr, "", "it is in the journal and nowhere else");
    let entries: Vec<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_str(&ran.stdout).unwrap();
    let is = |message: &str, name: &str, value: &str| {
        let of = |entry: &&serde_json::Map<_, _>| {
            entry.get("MESSAGE").is_some_and(|said| said == message)
        };
        let found = entries.iter().find(of).and_then(|entry| entry.get(name));
        assert_eq!(
            found.and_then(serde_json::Value::as_str),
            Some(value),
            "{message}"
        );
    };
    is("refused", "TARGET", "noren::audit");
    is("refused", "NOREN_KIND", "console");
    is("refused", "NOREN_STATUS", "426");
    is("request", "NOREN_PATH", "/websockify");
    is("request", "NOREN_METHOD", "GET");
    is("request", "PRIORITY", "5");
    assert!(!ran.stdout.contains("nobody"), "a token is in the journal");
    // The journal gives bytes that are no text as a list of numbers, so text it is.
    let paths = entries
        .iter()
        .filter_map(|entry| entry.get("NOREN_PATH")?.as_str());
    assert!(
        paths.clone().any(|path| path == r"/\u{9b}2J\u{202e}"),
        "{:?}",
        paths.collect::<Vec<_>>()
    );
}
