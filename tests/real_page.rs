//! The page library and the live page in real Chromium, against the real door.

use std::fs;

use crate::support::{Door, alone, chromium, path, run, scratch};

const TOKEN: &str = "0123456789abcdef";

#[track_caller]
fn passes(script: &str, cases: usize) {
    let _alone = alone();
    let directory = scratch();
    let token = path(&directory, "publish-token");
    fs::write(&token, TOKEN).expect("a token file");
    let door = Door::open(&format!(
        "[limits]\nconnections-per-address = 0\n[hub]\npublish-token = \"{token}\"\n\
         [[channel]]\nname = \"test.*\"\npublish = [\"token\"]\n"
    ));
    let mut command = chromium(script, &door);
    let ran = run(command.args([
        "--publish-token",
        &token,
        "--authority",
        &door.file("ca.pem"),
    ]))
    .well();
    assert_eq!(ran.stdout, format!("cases={cases}\n"));
}

#[test]
fn the_page_library_loses_and_doubles_nothing_over_cuts_of_each_transport() {
    passes("hub_library.mjs", 23);
}

#[test]
fn eight_tabs_share_one_connection_and_survive_its_leader() {
    passes("hub_tabs.mjs", 6);
}

#[test]
fn the_live_page_shows_what_comes_and_hostile_text_as_text() {
    passes("hub_page.mjs", 4);
}
