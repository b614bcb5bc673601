//! A real VNC server on a UNIX socket, seen and typed into through noVNC in headless Chromium over https.

use crate::support::{Door, Peer, Ran, alone, chromium, path, run, scratch};

/// Both versions of noVNC offer no subprotocol. The page is the one that `page` names, with the door's path in it.
fn console(page: &str, http2: &str) -> Ran {
    let directory = scratch();
    let sockets = path(&directory, "sockets");
    std::fs::create_dir(&sockets).expect("a directory for the sockets");
    let socket = format!("{sockets}/vm1");
    let (picture, typed) = (path(&directory, "picture.png"), path(&directory, "typed"));
    let shot = path(&directory, "shot.png");
    let _server = Peer::start("vnc_server.py", &[&socket, &picture, &typed]);
    let browser = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");
    let app = Peer::start(
        "app.py",
        &[
            "--static",
            &format!("/pages={browser}/pages"),
            "--static",
            &format!("/novnc={browser}/node_modules/@novnc/novnc"),
            "--static",
            "/debian=/usr/share/novnc",
        ],
    );
    let door = Door::open(&format!(
        "[[app]]\nname = \"wok\"\nurl = \"http://{}\"\n\
         [[bridge.tokens]]\nsource = \"sockets\"\npath = \"{sockets}\"\n",
        app.address
    ));
    // base64url("vm1")
    let page = format!("{page}?path=websockify%3Ftoken%3Ddm0x");
    let mut command = chromium("vnc_page.mjs", &door);
    command.args(["--http2", http2, "--page", &page, "--picture", &picture]);
    run(command.args(["--shot", &shot, "--typed", &typed])).well()
}

#[test]
fn the_current_novnc_shows_a_console_and_types_into_it_over_http2() {
    let _alone = alone();
    let ran = console("/pages/vnc.html", "on");
    assert_eq!((ran.number("http2"), ran.number("http1")), (1, 0), "{}", ran.stdout);
}

#[test]
fn the_current_novnc_shows_a_console_and_types_into_it_over_http1() {
    let _alone = alone();
    let ran = console("/pages/vnc.html", "off");
    assert_eq!((ran.number("http2"), ran.number("http1")), (0, 1), "{}", ran.stdout);
}

#[test]
fn debians_novnc_shows_a_console_and_types_into_it() {
    let _alone = alone();
    console("/debian/vnc_lite.html", "on");
}
