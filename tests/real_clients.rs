//! Clients that are not browsers: Python's `websockets`, frames written by hand, curl and openssl.

mod refusals;
mod tls;

use crate::support::{Door, Peer, alone, path, python, run, scratch};

/// A door to an echo on a UNIX socket, under the token `echo`, and nothing else; with these tables besides.
fn echo_with(tables: &str) -> (tempfile::TempDir, Peer, Door) {
    let directory = scratch();
    let socket = format!("unix:{}", path(&directory, "echo"));
    let echo = Peer::start("echo_server.py", &[&socket]);
    let door = Door::open(&format!(
        "{tables}[[bridge.target]]\ntoken = \"echo\"\naddress = \"{socket}\"\n"
    ));
    (directory, echo, door)
}

fn echo() -> (tempfile::TempDir, Peer, Door) {
    echo_with("")
}

/// A case of Python's library as a client of the bridge.
fn client(door: &Door, case: &str) {
    let url = format!("wss://localhost:{}/websockify?token=echo", door.port);
    run(python("websocket_client.py").args([&url, &door.file("ca.pem"), case])).well();
}

#[test]
fn sixteen_mib_come_back_while_they_are_sent() {
    let _alone = alone();
    let (_directory, _echo, door) = echo();
    client(&door, "echo");
}

#[test]
fn a_message_in_many_fragments_comes_back_whole() {
    let (_directory, _echo, door) = echo();
    client(&door, "fragments");
}

#[test]
fn binary_is_preferred_and_no_offer_gets_no_subprotocol() {
    let (_directory, _echo, door) = echo();
    client(&door, "subprotocols");
}

#[test]
fn a_silent_tunnel_outlives_every_limit_of_a_request() {
    let limits =
        "[limits]\nhandshake = \"3s\"\nhead = \"3s\"\nkeep-alive = \"3s\"\nbody-idle = \"3s\"\n";
    let (_directory, _echo, door) = echo_with(limits);
    client(&door, "silence");
}

/// A case of the client that writes its frames by hand.
fn by_hand(door: &Door, case: &str) -> String {
    let port = door.port.to_string();
    run(python("hostile_client.py").args([&port, &door.file("ca.pem"), "echo", case]))
        .well()
        .stdout
}

#[test]
fn a_frame_right_behind_the_handshake_and_other_odd_but_honest_frames_arrive() {
    let (_directory, _echo, door) = echo();
    by_hand(&door, "honest");
}

#[test]
fn a_client_that_breaks_the_protocol_is_closed_and_nothing_reaches_the_target() {
    let (_directory, mut echo, door) = echo();
    let offences = by_hand(&door, "offences").lines().count();
    assert!(offences >= 20, "only {offences} offences");
    assert_eq!(echo.count("received"), 0);
    assert!(
        echo.count("connections") >= 20,
        "the offenders never came so far"
    );
}
