//! Every page of the door and of the demo, examined for barriers by axe-core in real Chromium.

use crate::support::{Certificates, alone, browser, run, scratch};

#[test]
fn no_page_has_a_barrier_in_light_or_dark_mode_on_a_wide_or_a_narrow_screen() {
    let _alone = alone();
    let directory = scratch();
    let names = &["localhost", "127.0.0.1"];
    Certificates::new(directory.path()).sign(directory.path(), "door", names);
    let ran = run(browser("accessible_pages.mjs")
        .args(["--program", env!("CARGO_BIN_EXE_noren"), "--directory"])
        .arg(directory.path()))
    .well();
    assert_eq!(ran.stdout, "pages=17\n");
}
