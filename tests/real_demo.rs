//! The demo, as README's first command opens it, used from headless Chromium.

use crate::support::{Door, alone, chromium, run};

#[test]
fn the_demo_shows_a_login_a_console_live_notifications_and_a_job() {
    let _alone = alone();
    let door = Door::demo();
    let ran = run(&mut chromium("demo_page.mjs", &door)).well();
    assert_eq!(ran.stdout, "the demo page shows everything\n");
}
