//! Tests of refused handshakes, before any 101: a status and one line with the reason.

use std::os::unix::net::UnixListener;

use crate::support::{Answer, Door, Peer, ask, path, scratch};

/// A handshake by curl with these header lines; a line in place of one of its own counts.
fn handshake(door: &Door, target: &str, lines: &[&str]) -> Answer {
    const OWN: [&str; 4] = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: bm9yZW4gbm9yZW4gbm9yZQ==",
    ];
    let name = |line: &str| line.split(':').next().map(str::to_lowercase);
    let kept = OWN
        .iter()
        .filter(|own| lines.iter().all(|line| name(line) != name(own)));
    let request = ask(door, target).over("1.1");
    kept.chain(lines)
        .fold(request, |request, line| request.header(line))
        .send()
}

/// It has this status and one line that says why, in these words among others.
#[track_caller]
fn refused(answer: &Answer, status: u16, why: &str) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{}\n{text}", answer.head);
    assert_eq!(text.trim_end().lines().count(), 1, "{text:?}");
    assert!(
        text.to_lowercase().contains(why),
        "{status} without {why:?}: {text:?}"
    );
    assert!(text.len() < 300 && !text.contains("/tmp"), "{text:?}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[test]
fn a_handshake_that_is_not_one_is_told_what_is_wrong() {
    let door = Door::open("[[bridge.target]]\ntoken = \"vm1\"\naddress = \"unix:/nobody\"\n");
    let target = "/websockify?token=vm1";
    refused(&handshake(&door, "/websockify", &[]), 400, "token");
    refused(&handshake(&door, "/websockify?token=", &[]), 400, "token");
    refused(
        &handshake(&door, target, &["Sec-WebSocket-Key: short"]),
        400,
        "sec-websocket-key",
    );
    refused(
        &handshake(&door, target, &["Content-Length: 4"]),
        400,
        "body",
    );
    let answer = handshake(&door, target, &["Sec-WebSocket-Version: 8"]);
    refused(&answer, 426, "version");
    assert_eq!(answer.header("sec-websocket-version"), "13");
}

#[test]
fn a_page_of_another_origin_is_refused() {
    let door = Door::open("[[bridge.target]]\ntoken = \"vm1\"\naddress = \"unix:/nobody\"\n");
    for evil in [
        "https://evil.example",
        "http://localhost",
        "null",
        "https://localhost:1",
        "",
    ] {
        let answer = handshake(
            &door,
            "/websockify?token=vm1",
            &[&format!("Origin: {evil}")],
        );
        // curl leaves out a header without a value, and a client without an origin is no browser.
        if !evil.is_empty() {
            refused(&answer, 403, "origin");
        }
    }
    let same = format!("Origin: https://localhost:{}", door.port);
    refused(
        &handshake(&door, "/websockify?token=vm1", &[&same]),
        502,
        "not running",
    );
}

#[test]
fn a_target_that_cannot_be_reached_is_named_in_the_log_and_its_token_is_not() {
    let directory = scratch();
    let (dead, gone) = (path(&directory, "dead"), path(&directory, "gone"));
    // The socket stays behind without anybody who listens.
    drop(UnixListener::bind(&dead).expect("a socket"));
    let silent = Peer::start("deaf_server.py", &[]);
    let tokens = path(&directory, "tokens");
    let lines = [
        format!("late: {}", silent.address),
        format!("gone: unix_socket:{gone}"),
        format!("secret-token: unix_socket:{dead}"),
    ];
    std::fs::write(&tokens, lines.join("\n")).expect("a token file");
    let door = Door::open(&format!(
        "[bridge]\nconnect = \"1s\"\n[[bridge.tokens]]\nsource = \"file\"\npath = \"{tokens}\"\n"
    ));
    refused(
        &handshake(&door, "/websockify?token=nobody", &[]),
        404,
        "token",
    );
    refused(
        &handshake(&door, "/websockify?token=../echo", &[]),
        404,
        "token",
    );
    refused(
        &handshake(&door, "/websockify?token=secret-token", &[]),
        502,
        "not running",
    );
    refused(
        &handshake(&door, "/websockify?token=gone", &[]),
        502,
        "not running",
    );
    refused(
        &handshake(&door, "/websockify?token=late", &[]),
        504,
        "in time",
    );
    // Websockify's way to name any host and port is no way in.
    let answer = handshake(&door, "/websockify/host/127.0.0.1/port/22?token=late", &[]);
    assert_eq!(answer.status, 404, "{}", answer.head);
    let log = door.log();
    assert!(
        !log.contains("secret-token"),
        "the token is in the log:\n{log}"
    );
    assert!(log.contains(&dead), "the target is not in the log:\n{log}");
}
