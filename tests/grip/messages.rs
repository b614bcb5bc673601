//! The control endpoint: whose messages are taken, and for which channels.

use serde_json::json;

use super::{KEY, OTHER_KEY, fixture, in_a_minute, token};
use crate::harness::Door;

const ITEMS: &str = r#"{"items": [{"channel": "room", "http-stream": {"content": "x"}}]}"#;

#[tokio::test]
async fn only_who_has_a_key_of_the_app_publishes() {
    let fixture = fixture("", "", "").await;
    let good = json!({"iss": "app", "exp": in_a_minute()});
    let of_the_door = json!({"iss": "noren", "exp": in_a_minute(), "for": "app"});
    for (path, token, status) in [
        ("/publish/", None, 401),
        ("/publish/", Some("x".to_owned()), 401),
        ("/publish/", Some(token(OTHER_KEY, &good)), 401),
        ("/publish/", Some(token(KEY, &json!({"iss": "app"}))), 401),
        ("/publish/", Some(token(KEY, &json!({"exp": 1}))), 401),
        ("/publish/", Some(token(KEY, &of_the_door)), 401),
        ("/other/publish/", Some(token(KEY, &good)), 401),
        ("/", Some(token(KEY, &good)), 404),
        ("/publish", Some(token(KEY, &good)), 200),
        ("/app/publish/", Some(token(KEY, &good)), 200),
    ] {
        let answer = fixture.post(path, token.as_deref(), ITEMS).await;
        assert_eq!(answer.status, status, "{path} {token:?} {}", answer.text());
    }
}

#[tokio::test]
async fn one_bad_item_refuses_all() {
    let fixture = fixture("", "", "").await;
    let lines = "Grip-Hold: stream\r\nGrip-Channel: room\r\n";
    let (mut client, _app) = fixture.hold(lines, "").await;
    assert_eq!(client.head().await.status(), 200);
    let token = token(KEY, &json!({"exp": in_a_minute()}));
    for body in [
        "",
        "{}",
        r#"{"items": [{"channel": "room", "http-stream": {"content": "x"}}, {"channel": "room"}]}"#,
        r#"{"items": [{"channel": "room", "http-stream": {"content": "x"}}, 1]}"#,
    ] {
        let answer = fixture.post("/publish/", Some(&token), body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    fixture.say("only this").await;
    assert_eq!(client.input.chunk().await, b"only this");
}

#[tokio::test]
async fn a_channel_of_the_app_is_reached_through_the_app_only() {
    let channels =
        "[hub]\nconnect-rate = 1000\n[[channel]]\nname = '*.*.*'\n[[channel]]\nname = 'news'\n";
    let fixture = fixture("", "", channels).await;
    fixture.say("secret").await;
    let mut client = fixture.door.plain().await;
    for path in [
        "/events/grip.app.room",
        "/events/news,grip.app.room?last-event-id=earliest",
    ] {
        let answer = client.ask(&Door::get(path, "")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    // A channel of this very name, as the app spells it, is another one.
    let lines = "Grip-Hold: stream\r\nGrip-Channel: grip.app.room\r\n";
    let (mut stream, _app) = fixture.hold(lines, "").await;
    assert_eq!(stream.head().await.status(), 200);
    fixture.say("secret").await;
    fixture
        .publish(json!({"channel": "grip.app.room", "http-stream": {"content": "its own"}}))
        .await;
    assert_eq!(stream.input.chunk().await, b"its own");
}

#[tokio::test]
async fn wrong_tokens_at_once_are_no_more_than_one_by_one() {
    let fixture = std::sync::Arc::new(fixture("", "", "[limits]\ntoken-failures = 5\n").await);
    let wrong = token(OTHER_KEY, &json!({"iss": "app", "exp": in_a_minute()}));
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (fixture, wrong) = (std::sync::Arc::clone(&fixture), wrong.clone());
        guesses.spawn(async move { fixture.post("/publish/", Some(&wrong), ITEMS).await.status });
    }
    let statuses = guesses.join_all().await;
    let looked_up = statuses.iter().filter(|status| **status == 401).count();
    assert!((1..=6).contains(&looked_up), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| [401, 429].contains(status)),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn a_message_that_is_sent_twice_with_one_id_is_one_message_also_at_once() {
    let fixture = std::sync::Arc::new(fixture("", "", "").await);
    let lines = "Grip-Hold: stream\r\nGrip-Channel: room\r\n";
    let (mut client, _app) = fixture.hold(lines, "").await;
    assert_eq!(client.head().await.status(), 200);
    for round in 0..20 {
        let item = json!({
            "channel": "room", "id": format!("own-{round}"), "http-stream": {"content": format!("<{round}>")}
        });
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (fixture, item) = (std::sync::Arc::clone(&fixture), item.clone());
            tries.spawn(async move { fixture.publish(item).await });
        }
        tries.join_all().await;
    }
    fixture.say("end").await;
    let mut came = String::new();
    while !came.ends_with("end") {
        came += std::str::from_utf8(&client.input.chunk().await).unwrap();
    }
    let expected: Vec<_> = (0..20).map(|round| format!("<{round}>")).collect();
    assert_eq!(came, expected.concat() + "end");
}
