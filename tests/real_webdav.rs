//! An app of `WebDAV`, wsgidav, whose clients come through the door: litmus, the test suite of the protocol, asks
//! for all of it.

use std::fs;
use std::process::Command;

use crate::support::{Door, Peer, run, scratch};

#[test]
fn litmus_finds_all_of_webdav_behind_the_door() {
    let files = scratch();
    let shared = files.path().join("shared");
    fs::create_dir(&shared).expect("a directory for the app");
    let app = Peer::start_in_venv("webdav.py", &[&shared.to_string_lossy()]);
    let door = Door::in_front_of(&app.address);
    let mut litmus = Command::new("litmus");
    // It writes what it said into files of the directory that it is in.
    litmus
        .current_dir(files.path())
        .args(["--keep-going", &door.url("/")]);
    let said = run(&mut litmus).well().stdout;
    let suites = said.matches(" 0 failed. 100.0%").count();
    assert_eq!(suites, 5, "{said}");
}
