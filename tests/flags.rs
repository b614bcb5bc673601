//! `noren serve` with flags alone, and `noren demo`: what they say is enough to go on.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::support::{Door, ask, path, run, scratch};

#[test]
fn one_line_serves_a_console_with_its_page_and_says_where_to_open_it() {
    let pages = scratch();
    fs::write(path(&pages, "vnc.html"), "a page").expect("written");
    let directory = pages.path().to_string_lossy().into_owned();
    let door = Door::with_flags(&["--target", "127.0.0.1:1", "--files", &directory]);
    let page = "/vnc.html?autoconnect=true&path=websockify%3Ftoken%3Dconsole";
    let log = door.log();
    assert!(log.contains(&format!("open {}", door.url(page))), "{log}");
    assert!(
        log.contains(" certificate=certs/noren-cert.pem sha256="),
        "{log}"
    );
    assert!(log.contains("--cacert") && log.contains("--ca"), "{log}");
    assert_eq!(log.matches("self-signed").count(), 1, "told once: {log}");
    assert_eq!(ask(&door, page).gets(200).text(), "a page");
    // There is a console; it is for WebSockets.
    ask(&door, "/websockify?token=console").gets(426);
}

#[test]
fn a_directory_that_is_not_there_is_told_at_once() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
    let ran = run(command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--files",
        "/nonexistent/novnc",
    ]));
    assert_eq!(ran.status.code(), Some(78), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("--files /nonexistent/novnc: No such file"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_demo_on_a_port_that_is_taken_says_how_to_take_another() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let directory = scratch();
    let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
    let ran = run(command
        .args(["demo", "--listen", &address])
        .current_dir(directory.path()));
    assert_eq!(ran.status.code(), Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("another port is taken with --listen PORT"),
        "{}",
        ran.stderr
    );
}
