//! Long polls, and what the address means.

use serde_json::Value;

use super::{Hub, channel, hub};
use crate::harness::Answer;

fn messages(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let object: Value = serde_json::from_slice(&answer.body).unwrap();
    let messages = object["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["data"].as_str().unwrap().to_owned())
        .collect()
}

async fn cursor(hub: &Hub, path: &str) -> String {
    let answer = hub.poll(path, "").await;
    assert!(messages(&answer).is_empty());
    let tag = answer.head.one("etag").unwrap();
    tag.trim_matches('"').to_owned()
}

#[tokio::test]
async fn a_poll_without_a_cursor_gets_one_and_the_next_waits() {
    let hub = hub("", &channel("a", "")).await;
    hub.say("a", "before").await;
    let id = cursor(&hub, "/events/a").await;
    let path = format!("/events/a?last-event-id={id}");
    let (answer, _) = tokio::join!(hub.poll(&path, ""), async {
        // It may come before the poll or while that waits; both are right.
        hub.say("a", "now").await
    });
    assert_eq!(messages(&answer), ["now"]);
    assert_eq!(answer.head.one("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_poll_that_finds_nothing_says_so() {
    let hub = hub("poll-wait = '10ms'", &channel("a", "")).await;
    let id = cursor(&hub, "/events/a").await;
    let lines = format!("If-None-Match: \"{id}\"\r\n");
    let answer = hub.poll("/events/a", &lines).await;
    assert_eq!(answer.status, 304);
    assert_eq!(answer.head.one("etag"), Some(format!("\"{id}\"").as_str()));
    let answer = hub.poll(&format!("/events/a?last-event-id={id}"), "").await;
    assert!(messages(&answer).is_empty());
    hub.say("a", "new").await;
    assert_eq!(messages(&hub.poll("/events/a", &lines).await), ["new"]);
}

#[tokio::test]
async fn polls_in_a_row_lose_and_repeat_nothing() {
    let hub = hub("", &channel("a", "")).await;
    let mut path = format!(
        "/events/a?last-event-id={}",
        cursor(&hub, "/events/a").await
    );
    let mut got = Vec::new();
    for number in 0..20 {
        hub.say("a", &number.to_string()).await;
        if number % 3 == 0 {
            let answer = hub.poll(&path, "").await;
            got.extend(messages(&answer));
            let tag = answer
                .head
                .one("etag")
                .unwrap()
                .trim_matches('"')
                .to_owned();
            path = format!("/events/a?last-event-id={tag}");
        }
    }
    got.extend(messages(&hub.poll(&format!("{path}&wait=0"), "").await));
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_poll_is_told_of_a_gap() {
    let hub = hub("", &channel("a", "[channel.history]\nmessages = 1")).await;
    let id = hub.say("a", "1").await;
    hub.say("a", "2").await;
    hub.say("a", "3").await;
    let answer = hub.poll(&format!("/events/a?last-event-id={id}"), "").await;
    assert_eq!(messages(&answer), ["3"]);
    let object: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(object["reset"]["reason"], "expired");
}

#[tokio::test]
async fn an_address_that_means_nothing_is_told_why() {
    let hub = hub("", &channel("a", "")).await;
    for (path, status, word) in [
        ("/events/other", 404, "other"),
        ("/events/a%20b", 404, "letters"),
        ("/events/a/b", 404, "channel"),
        ("/events/a?format=xml", 400, "json or plain"),
        ("/events/-/nothing.js", 404, "file"),
        ("/events/a/presence", 404, "subscribers"),
    ] {
        let answer = hub.poll(path, "").await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().contains(word), "{path}: {}", answer.text());
    }
    let deleted = hub
        .door
        .plain()
        .await
        .ask("DELETE /events/a HTTP/1.1\r\nHost: door.example\r\n\r\n")
        .await;
    assert_eq!(deleted.status, 405);
    assert_eq!(deleted.head.one("allow"), Some("GET, HEAD, POST"));
}

#[tokio::test]
async fn who_listens_can_be_asked() {
    let hub = hub("", &channel("a", "presence = true")).await;
    let _events = hub.stream("/events/a", "").await;
    let _socket = hub.socket("/events/a").await;
    let answer = hub.poll("/events/a/presence", "").await;
    let object: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        object,
        serde_json::json!({"channel": "a", "count": 2, "names": []})
    );
}

#[tokio::test]
async fn a_person_gets_the_live_page_and_the_page_its_library() {
    let hub = hub("", &channel("a", "")).await;
    let html = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
    let page = hub.poll("/events/a", html).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("-/notifications.js"));
    let policy = page.head.one("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'"), "{policy}");
    assert_eq!(hub.poll("/events/none", html).await.status, 404);
    for (file, kind) in [
        ("noren.js", "text/javascript"),
        ("noren.mjs", "text/javascript"),
        ("notifications.css", "text/css"),
    ] {
        let path = format!("/events/-/{file}");
        let asset = hub.poll(&path, "").await;
        assert_eq!(asset.status, 200, "{file}");
        assert!(asset.head.one("content-type").unwrap().starts_with(kind));
        let tag = format!("If-None-Match: {}\r\n", asset.head.one("etag").unwrap());
        assert_eq!(hub.poll(&path, &tag).await.status, 304);
    }
}
