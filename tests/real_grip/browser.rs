//! A Django app with `django-eventstream` in Chromium.

use super::Fixture;
use crate::support::{alone, browser, path, run};

#[test]
fn chromium_gets_events_of_django_goes_on_after_a_loss_and_talks_to_its_websocket() {
    let _alone = alone();
    let fixture = Fixture::open("django_app.py");
    let (url, certificate) = (fixture.door.url(""), fixture.door.file("door.pem"));
    let ran = run(browser("grip_page.mjs").args([
        "--url",
        &url,
        "--certificate",
        &certificate,
        "--program",
        env!("CARGO_BIN_EXE_noren"),
        "--socket",
        &path(&fixture.directory, "admin.sock"),
    ]))
    .well();
    assert_eq!(ran.stdout, "grip=ok events=5\n");
    // One request for each stream, and none while it was open.
    let requests = fixture.get("/requests/");
    let streams = requests
        .lines()
        .filter(|line| line.starts_with("GET /updates/"));
    assert_eq!(streams.count(), 2, "{requests}");
}
