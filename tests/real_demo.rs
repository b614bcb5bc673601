//! The demo, as README's first command opens it, used from headless Chromium.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use crate::support::{Door, alone, chromium, path, run, scratch, until};

#[test]
fn the_demo_shows_a_console_notifications_a_queue_that_is_conflated_and_guests_who_talk() {
    let _alone = alone();
    let door = Door::demo();
    let ran = run(&mut chromium("demo_page.mjs", &door)).well();
    assert_eq!(ran.stdout, "the demo page shows everything\n");
}

#[test]
fn the_address_of_the_demo_is_the_last_that_is_seen() {
    let directory = scratch();
    let screen = path(&directory, "screen");
    let file = File::create(&screen).expect("a file for what it shows");
    // Ends with this thread, however the test ends.
    let mut demo = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_noren")])
        .args(["demo", "--listen", "127.0.0.1:0"])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a second handle of a file"))
        .stderr(file)
        .spawn()
        .expect("setpriv, of util-linux");
    let seen = until("the address", || {
        let text = fs::read_to_string(&screen).expect("what it shows");
        text.contains("open https://").then_some(text)
    });
    demo.kill().expect("it runs");
    demo.wait().expect("its end");
    for line in ["admin socket open", "connected to a source"] {
        assert!(seen.contains(line), "{seen}");
    }
    let last = seen.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("  Noren demo: open https://localhost:"),
        "{seen}"
    );
}
