//! The page library and the live page in real Chromium, against real doors: the scripts start, kill and restart them.

use crate::support::{Certificates, alone, browser, run, scratch};

#[track_caller]
fn passes(script: &str, cases: usize) {
    let _alone = alone();
    let directory = scratch();
    let names = &["localhost", "127.0.0.1"];
    Certificates::new(directory.path()).sign(directory.path(), "door", names);
    let ran = run(browser(script)
        .args(["--program", env!("CARGO_BIN_EXE_noren"), "--directory"])
        .arg(directory.path()))
    .well();
    assert_eq!(ran.stdout, format!("cases={cases}\n"));
}

#[test]
fn the_page_library_loses_and_doubles_nothing_over_cuts_of_each_transport() {
    passes("hub_library.mjs", 31);
}

#[test]
fn eight_tabs_share_one_connection_and_survive_its_leader() {
    passes("hub_tabs.mjs", 6);
}

#[test]
fn the_live_page_shows_what_comes_and_hostile_text_as_text() {
    passes("hub_page.mjs", 4);
}
