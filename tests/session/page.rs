//! The admin page: only for visitors whom the app knows by one of the names of the configuration.

use serde_json::Value;

use super::App;
use crate::harness::{Door, until};

const SETTINGS: &str = "[session]\npath = '/tasks'\nname-header = 'X-User'\nallow-cache = '0s'\ninterval = '1s'\n\
                        [[channel]]\nname = 'wok'\n[admin]\npage = '/noren'\nusers = ['ann']\n";

async fn fixture() -> (App, Door) {
    let app = App::start().await;
    let door = Door::open(&format!("{}{SETTINGS}", app.0.settings)).await;
    (app, door)
}

#[tokio::test]
async fn nobody_sees_the_page_whom_the_configuration_does_not_name() {
    let (app, door) = fixture().await;
    let mut client = door.tls().await;
    for (answer, status) in [
        ("401 Unauthorized\r\n", 401),
        ("200 OK\r\n", 403),
        ("200 OK\r\nX-User: bob\r\n", 403),
        ("200 OK\r\nX-User: ann\r\n", 200),
    ] {
        app.answers("/tasks", answer);
        for path in [
            "/noren/",
            "/noren/page.js",
            "/noren/hour",
            "//noren/",
            "/%6eoren//hour",
            "/noren;x/hour",
        ] {
            let asked = client.ask(&Door::get(path, "")).await;
            assert_eq!(
                asked.status,
                status,
                "{path} with {answer}: {}",
                asked.text()
            );
        }
    }
    assert_eq!(client.ask(&Door::get("/noren/x", "")).await.status, 404);
    let moved = client.ask(&Door::get("/noren", "")).await;
    assert_eq!(
        (moved.status, moved.head.one("location")),
        (308, Some("/noren/"))
    );
    // Two slashes would be another host to a browser.
    for path in ["//noren", "///noren", "/nor%65n"] {
        let moved = client.ask(&Door::get(path, "")).await;
        assert_eq!(moved.head.one("location"), Some("/noren/"), "{path}");
    }
    // A path with the same beginning is the app's own.
    let other = client.ask(&Door::get("/norenx", "")).await;
    assert_eq!((other.status, other.text()), (200, "[]"));
}

#[tokio::test]
async fn the_page_is_live_and_its_channel_is_no_public_one() {
    let (app, door) = fixture().await;
    app.answers("/tasks", "200 OK\r\nX-User: ann\r\n");
    let mut listener = door.tls().await;
    listener
        .send(Door::get("/events/wok", "Accept: text/event-stream\r\n"))
        .await;
    assert_eq!(listener.head().await.status(), 200);
    let mut client = door.tls().await;
    client.send(Door::get("/noren/live", "")).await;
    let head = client.head().await;
    assert_eq!(head.one("content-type"), Some("text/event-stream"));
    let mut text = String::new();
    while !text.contains("\ndata: ") || !text.ends_with("\n\n") {
        text.push_str(&String::from_utf8(client.input.chunk().await).unwrap());
    }
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap();
    let status: Value = serde_json::from_str(data).unwrap();
    assert_eq!(status["sample"].as_array().unwrap().len(), 8);
    assert_eq!(
        status["subscribers"], 1,
        "who looks at the page is no subscriber"
    );
    let mut stranger = door.tls().await;
    let answer = stranger.ask(&Door::get("/events/noren.status", "")).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    // A name that is not an administrator's any more loses the page with the session.
    app.answers("/tasks", "401 Unauthorized\r\n");
    until("the page to be closed", || async {
        let asked = door.tls().await.ask(&Door::get("/noren/hour", "")).await;
        (asked.status == 401).then_some(())
    })
    .await;
    while !client.input.chunk().await.is_empty() {}
}

#[tokio::test]
async fn the_hour_has_every_curve() {
    let (app, door) = fixture().await;
    app.answers("/tasks", "200 OK\r\nX-User: ann\r\n");
    let hour = until("a sample", || async {
        let answer = door.tls().await.ask(&Door::get("/noren/hour", "")).await;
        let hour: Value = serde_json::from_str(answer.text()).unwrap();
        let samples = hour["hour"]["curves"][0]["values"]
            .as_array()
            .unwrap()
            .len();
        (samples > 0).then_some(hour)
    })
    .await;
    let names: Vec<_> = hour["hour"]["curves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|curve| &curve["name"])
        .collect();
    assert_eq!(names.len(), 8);
    assert_eq!(names[0], "requests");
}
