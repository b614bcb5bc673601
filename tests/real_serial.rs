//! Shared serial consoles in Chromium: Kimchi's page as it is, and xterm.js, on one guest that accepts one connection.

use std::fs;

use crate::support::{Door, Peer, alone, chromium, path, run, scratch};

/// A guest as Kimchi serves it, found through Wok's token directory by the tables of `config/wok.toml`.
#[track_caller]
fn shared_console(http2: &str) {
    let directory = scratch();
    let socket = path(&directory, "vm1");
    let mut guest = Peer::start("serial_console.py", &[&socket]);
    let tokens = path(&directory, "ws-tokens");
    fs::create_dir(&tokens).expect("a directory for the tokens");
    // base64url("vm1-console"), and no line end, as Kimchi writes it.
    let token = "dm0xLWNvbnNvbGU";
    fs::write(
        format!("{tokens}/vm1-console"),
        format!("{token}: unix_socket:{socket}"),
    )
    .expect("a token file");
    let browser = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");
    let pages = format!("/pages={browser}/pages");
    let xterm = format!("/xterm={browser}/node_modules/@xterm/xterm");
    let app = Peer::start("app.py", &["--static", &pages, "--static", &xterm]);
    let door = Door::open(&format!(
        "[[app]]\nname = \"wok\"\nurl = \"http://{}\"\nworkers = 10\n{}",
        app.address,
        shipped(&tokens)
    ));
    let mut command = chromium("shared_serial_page.mjs", &door);
    let ran = run(command.args(["--http2", http2, "--token", token])).well();
    let over = if http2 == "off" { "http1" } else { "http2" };
    assert_eq!(ran.stdout, format!("shared=ok over={over}\n"));
    assert_eq!(guest.count("accepted"), 1);
    assert!(!door.log().contains(token), "the token is in the log");
}

/// The source of tokens of `config/wok.toml`, as it is shipped, with another directory.
fn shipped(tokens: &str) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/wok.toml");
    let text = fs::read_to_string(file).expect("the example for Wok");
    let table = text
        .split("\n\n")
        .find(|table| table.contains("[[bridge.tokens]]"));
    let table = table.expect("its source of tokens");
    assert!(table.contains("shared = "), "{table}");
    table.replace("/var/lib/wok/ws-tokens", tokens)
}

#[test]
fn three_pages_share_a_guest_that_accepts_one_connection_over_http1() {
    let _alone = alone();
    shared_console("off");
}

#[test]
fn three_pages_share_a_guest_that_accepts_one_connection_over_http2() {
    let _alone = alone();
    shared_console("on");
}
