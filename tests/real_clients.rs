//! Clients that are not browsers: Python's `websockets`, frames written by hand, curl and openssl.

use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::support::{Answer, Door, Peer, Ran, alone, curl, path, python, run, scratch};

/// A door to an echo on a UNIX socket, under the token `echo`, and nothing else.
fn echo() -> (tempfile::TempDir, Peer, Door) {
    let directory = scratch();
    let socket = format!("unix:{}", path(&directory, "echo"));
    let echo = Peer::start("echo_server.py", &[&socket]);
    let door = Door::open(&format!("[[bridge.target]]\ntoken = \"echo\"\naddress = \"{socket}\"\n"));
    (directory, echo, door)
}

/// Python's library, as a client of the bridge.
fn client(case: &str) {
    let (_directory, _echo, door) = echo();
    let url = format!("wss://localhost:{}/websockify?token=echo", door.port);
    run(python("websocket_client.py").args([&url, &door.file("ca.pem"), case])).well();
}

#[test]
fn sixteen_mib_come_back_while_they_are_sent() {
    let _alone = alone();
    client("echo");
}

#[test]
fn a_message_in_many_fragments_comes_back_whole() {
    client("fragments");
}

#[test]
fn binary_is_preferred_and_no_offer_gets_no_subprotocol() {
    client("subprotocols");
}

#[test]
fn a_frame_right_behind_the_handshake_and_other_odd_but_honest_frames_arrive() {
    let (_directory, _echo, door) = echo();
    let port = door.port.to_string();
    run(python("hostile_client.py").args([&port, &door.file("ca.pem"), "echo", "honest"])).well();
}

#[test]
fn a_client_that_breaks_the_protocol_is_closed_and_nothing_reaches_the_target() {
    let (_directory, mut echo, door) = echo();
    let port = door.port.to_string();
    let ran = run(python("hostile_client.py").args([&port, &door.file("ca.pem"), "echo", "offences"])).well();
    assert!(ran.stdout.lines().count() >= 20, "{}", ran.stdout);
    assert_eq!(echo.count("received"), 0);
    assert!(echo.count("connections") >= 20, "the offenders never came so far");
}

/// A handshake by curl; the bridge refuses it before any 101.
fn handshake(door: &Door, path: &str, more: &[&str]) -> Answer {
    let url = door.url(path);
    let handshake = ["--http1.1", "--header", "Connection: Upgrade", "--header", "Upgrade: websocket"];
    let key = ["--header", "Sec-WebSocket-Key: bm9yZW4gbm9yZW4gbm9yZQ=="];
    let version: &[&str] = if more.iter().any(|line| line.starts_with("Sec-WebSocket-Version")) {
        &[]
    } else {
        &["--header", "Sec-WebSocket-Version: 13"]
    };
    curl(door, &[&[url.as_str()], &handshake[..], &key, version, more].concat())
}

/// Refused with this status and one line that says why.
#[track_caller]
fn refused(answer: Answer, status: u16, why: &str) {
    let answer = answer.with_status(status);
    let text = answer.text();
    assert_eq!(text.trim_end().lines().count(), 1, "{text:?}");
    assert!(text.to_lowercase().contains(why), "{status} without {why:?}: {text:?}");
    assert!(text.len() < 300 && !text.contains("/tmp"), "{text:?}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[test]
fn a_bridge_that_refuses_says_why_in_one_line() {
    let (directory, _echo, _) = echo();
    let dead = path(&directory, "dead");
    // The socket stays behind without anybody who listens.
    drop(UnixListener::bind(&dead).expect("a socket"));
    let deaf = Peer::start("deaf_server.py", &[]);
    let tokens = path(&directory, "tokens");
    let gone = path(&directory, "gone");
    std::fs::write(&tokens, format!("late: {}\ngone: unix_socket:{gone}\nsecret-token: unix_socket:{dead}\n", deaf.address))
        .expect("a token file");
    let door = Door::open(&format!(
        "[bridge]\nconnect = \"1s\"\n[[bridge.tokens]]\nsource = \"file\"\npath = \"{tokens}\"\n"
    ));
    let here = format!("Origin: https://localhost:{}", door.port);
    let good = ["--header", here.as_str()];

    refused(handshake(&door, "/websockify", &good), 400, "token");
    refused(handshake(&door, "/websockify?token=", &good), 400, "token");
    let old = ["--header", "Sec-WebSocket-Version: 8"];
    let answer = handshake(&door, "/websockify?token=late", &old);
    assert_eq!(answer.header("sec-websocket-version"), "13");
    refused(answer, 426, "version");
    let bad_key = ["--header", "Sec-WebSocket-Key: short"];
    refused(handshake(&door, "/websockify?token=late", &bad_key), 400, "sec-websocket-key");
    let length = ["--request", "GET", "--data", "body"];
    refused(handshake(&door, "/websockify?token=late", &length), 400, "body");

    for evil in ["https://evil.example", "http://localhost", "null", "https://localhost:1"] {
        let origin = format!("Origin: {evil}");
        refused(handshake(&door, "/websockify?token=late", &["--header", &origin]), 403, "origin");
    }
    refused(handshake(&door, "/websockify?token=nobody", &good), 404, "token");
    refused(handshake(&door, "/websockify?token=../echo", &good), 404, "token");
    refused(handshake(&door, "/websockify?token=secret-token", &good), 502, "refused");
    refused(handshake(&door, "/websockify?token=gone", &good), 502, "target");
    refused(handshake(&door, "/websockify?token=late", &good), 504, "1s");
    // Websockify's way to name any host and port is no way in.
    let answer = handshake(&door, "/websockify/host/127.0.0.1/port/22?token=late", &good);
    assert_eq!(answer.status, 404, "{}", answer.head);
    assert!(!door.log().contains("secret-token"), "the token is in the log");
    assert!(door.log().contains(&dead), "the target is not in the log");
}

/// openssl as a client; it verifies, and sends this request and waits for the end.
fn s_client(door: &Door, request: &str, arguments: &str) -> Ran {
    let ca = door.file("ca.pem");
    let port = door.port;
    let end = if request.is_empty() { "" } else { "-ign_eof" };
    run(Command::new("sh").args([
        "-c",
        &format!(
            "printf '{request}' | openssl s_client -connect 127.0.0.1:{port} -CAfile {ca} \
             -verify_return_error -verify_hostname localhost -servername localhost {end} {arguments} 2>&1"
        ),
    ]))
}

const ASK: &str = "GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n";

#[test]
fn tls_1_2_and_1_3_are_spoken_and_1_1_is_not() {
    let (_directory, _echo, door) = echo();
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let ran = s_client(&door, "", option).well();
        assert!(ran.stdout.contains(&format!("New, {version}, Cipher is ")), "{}", ran.stdout);
        assert!(ran.stdout.contains("Verification: OK"), "{}", ran.stdout);
    }
    // Debian's openssl would itself refuse 1.1 at its usual security level.
    let ran = s_client(&door, "", "-tls1_1 -cipher DEFAULT@SECLEVEL=0");
    assert!(!ran.status.success());
    assert!(ran.stdout.contains("alert protocol version"), "{}", ran.stdout);
}

#[test]
fn the_protocol_is_chosen_by_alpn() {
    let (_directory, _echo, door) = echo();
    for (offer, chosen) in [("h2,http/1.1", "h2"), ("http/1.1,h2", "h2"), ("http/1.1", "http/1.1")] {
        let ran = s_client(&door, "", &format!("-alpn {offer}")).well();
        assert!(ran.stdout.contains(&format!("ALPN protocol: {chosen}\n")), "{offer}: {}", ran.stdout);
    }
    let ran = s_client(&door, ASK, "").well();
    assert!(ran.stdout.contains("No ALPN negotiated"), "{}", ran.stdout);
    assert!(ran.stdout.contains("HTTP/1.1 "), "{}", ran.stdout);
}

#[test]
fn the_name_asked_for_selects_the_certificate() {
    let target = "[[bridge.target]]\ntoken = \"x\"\naddress = \"unix:/nowhere\"\n";
    let door = Door::with_names(
        &[
            ("first", &["localhost", "first.test"]),
            ("second", &["second.test"]),
            ("wild", &["*.wild.test"]),
        ],
        target,
    );
    let names = [("first.test", "first"), ("second.test", "second"), ("a.wild.test", "wild"), ("other.test", "first")];
    for (name, certificate) in names {
        // The later options win over those of `s_client`.
        let verify = if name == "other.test" { "first.test" } else { name };
        let ran = s_client(&door, "", &format!("-servername {name} -verify_hostname {verify}")).well();
        assert!(ran.stdout.contains(&format!("subject=CN = {certificate}\n")), "{name}: {}", ran.stdout);
        assert!(ran.stdout.contains("Verification: OK"), "{}", ran.stdout);
    }
}

#[test]
fn sessions_are_resumed() {
    let (directory, _echo, door) = echo();
    let session = path(&directory, "session");
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        s_client(&door, ASK, &format!("{option} -sess_out {session}")).well();
        let ran = s_client(&door, ASK, &format!("{option} -sess_in {session}")).well();
        assert!(ran.stdout.contains(&format!("Reused, {version}, Cipher is ")), "{}", ran.stdout);
        assert!(ran.stdout.contains("HTTP/1.1 "), "{}", ran.stdout);
    }
}

#[test]
fn every_close_is_announced_by_close_notify() {
    let (_directory, _echo, door) = echo();
    for version in ["-tls1_2", "-tls1_3"] {
        for request in [ASK, "junk\\r\\n\\r\\n"] {
            let ran = s_client(&door, request, &format!("{version} -state"));
            assert!(ran.stdout.contains("SSL3 alert read:warning:close notify"), "{request}: {}", ran.stdout);
            assert!(!ran.stdout.contains("unexpected eof"), "{request}: {}", ran.stdout);
        }
    }
}

#[test]
fn plain_http_on_the_tls_port_gets_a_readable_answer() {
    let (_directory, _echo, door) = echo();
    let url = format!("http://localhost:{}/", door.port);
    let answer = curl(&door, &[&url]).with_status(400);
    assert!(answer.text().to_lowercase().contains("https"), "{}", answer.text());
    assert!(answer.text().is_ascii(), "{}", answer.text());
}
