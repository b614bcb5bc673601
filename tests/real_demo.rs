//! The demo, as README's first command opens it, used from headless Chromium.

use crate::support::{Door, alone, chromium, run};

#[test]
fn the_demo_shows_a_console_notifications_a_queue_that_is_conflated_and_guests_who_talk() {
    let _alone = alone();
    let door = Door::demo();
    let ran = run(&mut chromium("demo_page.mjs", &door)).well();
    assert_eq!(ran.stdout, "the demo page shows everything\n");
}
