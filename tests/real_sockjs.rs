//! The `SockJS` client library in real Chromium, on each of its transports.

use std::fs;

use crate::support::{Door, Peer, alone, chromium, path, run, scratch};

const TOKEN: &str = "0123456789abcdef";

#[track_caller]
fn listens(transport: &str) {
    let _alone = alone();
    let directory = scratch();
    let token = path(&directory, "publish-token");
    fs::write(&token, TOKEN).expect("a token file");
    let browser = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");
    let pages = format!("/pages={browser}/pages");
    let library = format!("/lib={browser}/node_modules/sockjs-client/dist");
    let app = Peer::start("app.py", &["--static", &pages, "--static", &library]);
    let door = Door::open(&format!(
        "[[app]]\nname = \"app\"\nurl = \"http://{}\"\nworkers = 10\n\
         [hub]\npublish-token = \"{token}\"\n[[channel]]\nname = \"a\"\npublish = [\"token\"]\n",
        app.address
    ));
    let mut command = chromium("sockjs_page.mjs", &door);
    let ran = run(command.args(["--transport", transport, "--token", TOKEN])).well();
    assert_eq!(ran.stdout, format!("sockjs=ok over {transport}\n"));
}

#[test]
fn a_sockjs_page_listens_over_websocket() {
    listens("websocket");
}

#[test]
fn a_sockjs_page_listens_over_xhr_streaming() {
    listens("xhr-streaming");
}

#[test]
fn a_sockjs_page_listens_over_eventsource() {
    listens("eventsource");
}

#[test]
fn a_sockjs_page_listens_over_xhr_polling() {
    listens("xhr-polling");
}
