//! What subscribers and publishers may not do.

use super::{TOKEN, channel, hub};
use crate::harness::{Door, until};

#[tokio::test]
async fn publishing_needs_the_token() {
    let hub = hub("", &(channel("a", "") + "[[channel]]\nname = 'local'\n")).await;
    let kind = "Content-Type: text/plain\r\n";
    let wrong = format!("{kind}Authorization: Bearer 0123456789abcdeg\r\n");
    for lines in [kind, &wrong] {
        let answer = hub.post("/events/a", lines, "x").await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.head.one("www-authenticate"), Some("Bearer"));
    }
    let right = format!("{kind}Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(hub.post("/events/a", &right, "x").await.status, 202);
    assert_eq!(hub.post("/events/local", &right, "x").await.status, 403);
    assert_eq!(hub.post("/events/a,local", &right, "x").await.status, 400);
    assert_eq!(hub.post("/events/none", &right, "x").await.status, 404);
}

#[tokio::test]
async fn a_message_that_is_too_large_or_broken_is_refused_aloud() {
    let hub = hub("message-size = '1KiB'", &channel("a", "")).await;
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    let text = format!("{right}Content-Type: text/plain\r\n");
    let large = "x".repeat(1025);
    assert_eq!(hub.post("/events/a", &text, &large).await.status, 413);
    assert_eq!(hub.post("/events/a", &text, &large[1..]).await.status, 202);
    let json = format!("{right}Content-Type: application/json\r\n");
    let broken = hub.post("/events/a", &json, "{\"a\":").await;
    assert_eq!(broken.status, 400);
    assert!(broken.text().contains("JSON"), "{}", broken.text());
    let forged = hub.post("/events/a?event=a%0Aid:%201", &text, "x").await;
    assert_eq!(forged.status, 400);
}

#[tokio::test]
async fn subscribers_beyond_the_limit_are_told_to_come_back() {
    let hub = hub("subscribers = 1", &channel("a", "")).await;
    let events = hub.stream("/events/a", "").await;
    let refused = hub
        .door
        .tls()
        .await
        .ask(&Door::handshake("/events/a", ""))
        .await;
    assert_eq!(refused.status, 503);
    assert!(
        refused
            .head
            .one("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 1
    );
    drop(events);
    until("the place to be free", || async {
        let answer = hub.poll("/events/a", "").await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn more_at_once_than_the_rate_are_refused_before_the_upgrade() {
    let hub = hub("connect-rate = 1", &channel("a", "")).await;
    let mut refused = 0;
    for _ in 0..5 {
        let answer = hub
            .door
            .tls()
            .await
            .ask(&Door::handshake("/events/a", ""))
            .await;
        if answer.status == 503 {
            assert!(answer.head.one("retry-after").is_some());
            refused += 1;
        }
    }
    assert!(refused >= 1);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_closed_and_loses_nothing_with_its_cursor() {
    let settings = "budget = '64KiB'\nmessage-size = '256KiB'";
    let history = "[channel.history]\nsize = '64MiB'";
    let hub = hub(settings, &channel("a", history)).await;
    let mut socket = hub.socket("/events/a").await;
    let message = "x".repeat(200 * 1024);
    // More than the sockets between hold; the reader takes none of it yet.
    for number in 0..60 {
        hub.say("a", &format!("{number} {message}")).await;
    }
    let mut next = 0;
    let mut last = String::new();
    loop {
        let frame = socket.0.input.try_frame().await;
        let Some(frame) = frame.filter(|frame| frame.opcode == crate::harness::TEXT) else {
            break;
        };
        let object: serde_json::Value = serde_json::from_slice(&frame.payload).unwrap();
        assert!(
            object["data"]
                .as_str()
                .unwrap()
                .starts_with(&format!("{next} "))
        );
        last = object["id"].as_str().unwrap().to_owned();
        next += 1;
    }
    assert!((1..60).contains(&next), "closed after {next} messages");
    let mut back = hub.socket(&format!("/events/a?last-event-id={last}")).await;
    for number in next..60 {
        let data = back.data().await;
        assert!(data.as_str().unwrap().starts_with(&format!("{number} ")));
    }
}
