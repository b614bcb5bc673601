//! `noren subscribe` with a URL: the public door, with TLS.

use std::process::Command;

use crate::support::{Door, Ran, path, run, scratch};

/// Subscribes to what a door has had so far, and ends after so many messages.
fn subscribe(door: &Door, count: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
    command
        .args([
            "subscribe",
            &door.url("/events/wok,other"),
            "--from",
            "earliest",
            "--once",
            count,
        ])
        .args(arguments);
    run(&mut command)
}

#[test]
fn a_url_is_read_with_a_certificate_that_is_trusted_and_not_without() {
    let directory = scratch();
    let socket = path(&directory, "admin.sock");
    let door = Door::open(&format!(
        "[[channel]]\nname = \"wok\"\n[[channel]]\nname = \"other\"\n[admin]\nsocket = \"{socket}\"\n"
    ));
    for (channel, text) in [("wok", "one"), ("other", "two")] {
        let mut publish = Command::new(env!("CARGO_BIN_EXE_noren"));
        run(publish.args(["publish", "--socket", &socket, channel, text])).well();
    }
    let ran = subscribe(&door, "2", &["--ca", &door.file("ca.pem")]).well();
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.stdout);
    assert!(
        lines
            .iter()
            .zip(["wok: one", "other: two"])
            .all(|(line, end)| line.ends_with(end)),
        "{}",
        ran.stdout
    );
    let ran = subscribe(&door, "1", &["--insecure", "--json"]).well();
    assert!(ran.stdout.contains("\"data\":\"one\""), "{}", ran.stdout);
    let ran = subscribe(&door, "1", &[]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        ran.stderr.contains("--ca FILE") && ran.stderr.contains("--insecure"),
        "{}",
        ran.stderr
    );
}

#[test]
fn messages_of_others_cannot_command_the_terminal_and_json_keeps_their_value() {
    let directory = scratch();
    let socket = path(&directory, "admin.sock");
    let door = Door::open(&format!(
        "[[channel]]\nname = \"wok\"\n[[channel]]\nname = \"other\"\n[admin]\nsocket = \"{socket}\"\n"
    ));
    let hostile = "a\u{1b}]0;x\u{7}\u{9b}2J\u{7f}\u{202e}\u{2028}\u{e0041}";
    let mut publish = Command::new(env!("CARGO_BIN_EXE_noren"));
    run(publish.args(["publish", "--socket", &socket, "wok", hostile])).well();
    let certificate = door.file("ca.pem");
    let text = subscribe(&door, "1", &["--ca", &certificate]).well().stdout;
    let json = subscribe(&door, "1", &["--ca", &certificate, "--json"])
        .well()
        .stdout;
    for line in [&text, &json] {
        let line = line.strip_suffix('\n').expect("a line");
        assert!(!line.contains(noren::text::escape::is_active), "{line:?}");
    }
    assert!(text.contains(r"a\u{1b}]0;x\u{7}\u{9b}2J"), "{text}");
    let message: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(message.get("data"), Some(&hostile.into()));
}
