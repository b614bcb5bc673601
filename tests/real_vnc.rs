//! A real VNC server on a UNIX socket, seen and typed into through noVNC in headless Chromium over https.

use crate::support::{Door, Peer, alone, chromium, path, run, scratch};

/// Opens the console with the noVNC of this page, sees the picture and types. With `http2` "off" the browser
/// speaks HTTP/1.1 only. Both versions of noVNC offer no subprotocol.
#[track_caller]
fn console(page: &str, http2: &str) {
    let directory = scratch();
    let sockets = path(&directory, "sockets");
    std::fs::create_dir(&sockets).expect("a directory for the sockets");
    let (socket, shot) = (format!("{sockets}/vm1"), path(&directory, "shot.png"));
    let (picture, typed) = (path(&directory, "picture.png"), path(&directory, "typed"));
    let _server = Peer::start("vnc_server.py", &[&socket, &picture, &typed]);

    let browser = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");
    let pages = format!("/pages={browser}/pages");
    let current = format!("/novnc={browser}/node_modules/@novnc/novnc");
    let debian = "/debian=/usr/share/novnc";
    let app = Peer::start(
        "app.py",
        &["--static", &pages, "--static", &current, "--static", debian],
    );
    let door = Door::open(&format!(
        "[[app]]\nname = \"wok\"\nurl = \"http://{}\"\nworkers = 10\n\
         [[bridge.tokens]]\nsource = \"sockets\"\npath = \"{sockets}\"\n",
        app.address
    ));

    // base64url("vm1")
    let page = format!("{page}?path=websockify%3Ftoken%3Ddm0x");
    let mut command = chromium("vnc_page.mjs", &door);
    command.args(["--http2", http2, "--page", &page, "--picture", &picture]);
    let ran = run(command.args(["--shot", &shot, "--typed", &typed])).well();
    let over = if http2 == "off" {
        "over=http1\n"
    } else {
        "over=http2\n"
    };
    assert!(ran.stdout.ends_with(over), "{}", ran.stdout);
}

#[test]
fn the_current_novnc_shows_a_console_and_types_into_it_over_http2() {
    let _alone = alone();
    console("/pages/vnc.html", "on");
}

#[test]
fn the_current_novnc_shows_a_console_and_types_into_it_over_http1() {
    let _alone = alone();
    console("/pages/vnc.html", "off");
}

#[test]
fn debians_novnc_shows_a_console_and_types_into_it_over_http2() {
    let _alone = alone();
    console("/debian/vnc_lite.html", "on");
}

#[test]
fn debians_novnc_shows_a_console_and_types_into_it_over_http1() {
    let _alone = alone();
    console("/debian/vnc_lite.html", "off");
}
