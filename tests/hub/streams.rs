//! Server-sent events.

use super::{channel, hub};
use crate::harness::{Door, Http2, within};

#[tokio::test]
async fn an_event_stream_brings_messages_as_they_come() {
    let hub = hub("", &channel("a", "")).await;
    let mut events = hub.stream("/events/a", "").await;
    let id = hub
        .publish("/events/a?event=greeting", "text/plain", "one\ntwo")
        .await;
    assert_eq!(
        events.block().await,
        format!("id: {id}\nevent: greeting\ndata: one\ndata: two")
    );
    let id = hub
        .publish("/events/a", "application/json", "{\"a\": 1}")
        .await;
    assert_eq!(
        events.block().await,
        format!("id: {id}\ndata: {{\"a\": 1}}")
    );
    let id = hub
        .publish("/events/a", "application/octet-stream", "\u{1}")
        .await;
    assert_eq!(events.block().await, format!("id: {id}\ndata: AQ=="));
}

#[tokio::test]
async fn nothing_between_may_keep_or_change_a_stream() {
    let hub = hub("", &channel("a", "")).await;
    let mut client = hub.door.tls().await;
    let lines = "Accept: text/event-stream\r\nAccept-Encoding: gzip, br\r\n";
    client.send(Door::get("/events/a", lines)).await;
    let head = client.head().await;
    assert_eq!(head.one("content-type"), Some("text/event-stream"));
    assert_eq!(head.one("cache-control"), Some("no-store, no-transform"));
    assert_eq!(head.one("x-accel-buffering"), Some("no"));
    assert_eq!(head.one("content-encoding"), None);
}

#[tokio::test]
async fn a_browser_that_comes_back_gets_what_it_missed_once() {
    let hub = hub("", &channel("a", "")).await;
    let mut events = hub.stream("/events/a", "").await;
    hub.say("a", "1").await;
    let (id, _) = events.event().await;
    drop(events);
    hub.say("a", "2").await;
    hub.say("a", "3").await;
    let header = format!("Last-Event-ID: {id}\r\n");
    // The URL still says where the page began; the header is newer.
    let mut events = hub
        .stream("/events/a?last-event-id=earliest", &header)
        .await;
    assert_eq!(events.data().await, "2");
    assert_eq!(events.data().await, "3");
    hub.say("a", "4").await;
    assert_eq!(events.data().await, "4");
}

#[tokio::test]
async fn a_stream_without_any_message_can_be_resumed() {
    let hub = hub("", &channel("a", "")).await;
    let mut client = hub.door.tls().await;
    client
        .send(Door::get("/events/a", "Accept: text/event-stream\r\n"))
        .await;
    client.head().await;
    let opening = String::from_utf8(client.input.chunk().await).unwrap();
    let id = opening
        .lines()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap();
    hub.say("a", "missed").await;
    let mut events = hub
        .stream(&format!("/events/a?last-event-id={id}"), "")
        .await;
    assert_eq!(events.data().await, "missed");
}

#[tokio::test]
async fn several_channels_share_a_stream_and_a_cursor() {
    let hub = hub("", &(channel("a", "") + &channel("job.*", ""))).await;
    let mut events = hub.stream("/events/a,job.1", "").await;
    for (name, text) in [
        ("a", "1"),
        ("job.1", "2"),
        ("job.2", "not ours"),
        ("a", "3"),
    ] {
        hub.say(name, text).await;
    }
    let mut got = Vec::new();
    let mut last = String::new();
    for _ in 0..3 {
        let (id, data) = events.event().await;
        let object: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(object["id"], id);
        got.push(format!("{} {}", object["channel"], object["data"]));
        last = id;
    }
    assert_eq!(got, [r#""a" "1""#, r#""job.1" "2""#, r#""a" "3""#]);
    hub.say("job.1", "4").await;
    let mut resumed = hub
        .stream(&format!("/events/job.1?last-event-id={last}"), "")
        .await;
    assert_eq!(resumed.data().await, "4");
}

#[tokio::test]
async fn a_gap_is_told_before_what_follows() {
    let hub = hub("", &channel("a", "[channel.history]\nmessages = 1")).await;
    let id = hub.say("a", "1").await;
    hub.say("a", "2").await;
    hub.say("a", "3").await;
    let mut events = hub
        .stream(&format!("/events/a?last-event-id={id}"), "")
        .await;
    let block = events.block().await;
    assert!(
        block.contains("\nevent: reset\n") && block.contains("expired"),
        "{block}"
    );
    assert_eq!(events.data().await, "3");
    let mut foreign = hub.stream("/events/a?last-event-id=foreign:7", "").await;
    let block = foreign.block().await;
    assert!(
        block.contains("\nevent: reset\n") && block.contains("restarted"),
        "{block}"
    );
}

#[tokio::test]
async fn a_silent_stream_gives_signs_of_life() {
    let hub = hub("keep-alive = '20ms'", &channel("a", "")).await;
    let mut events = hub.stream("/events/a", "").await;
    assert_eq!(events.block().await, ":");
    assert_eq!(events.block().await, ":");
    let mut visible = hub.stream("/events/a?keep-alive=event", "").await;
    assert_eq!(visible.block().await, "event: keep-alive\ndata:");
}

#[tokio::test]
async fn a_stream_comes_over_http2() {
    let hub = hub("", &channel("a", "")).await;
    let mut client = Http2::open(&hub.door).await;
    let mut request = Http2::get("/events/a");
    let accept = "text/event-stream".parse().unwrap();
    request.headers_mut().insert("accept", accept);
    let (answer, _) = client.begin(request, true).await;
    let mut body = within("an answer", answer).await.unwrap().into_body();
    let mut text = String::new();
    let id = hub.say("a", "over h2").await;
    while !text.contains("data: over h2\n\n") {
        let piece = within("a piece", body.data()).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(text.contains(&format!("id: {id}\n")));
}

#[tokio::test]
async fn a_stream_ends_in_order_when_the_server_stops() {
    let hub = hub("retry = '3s'", &channel("a", "")).await;
    let events = hub.stream("/events/a", "").await;
    let stopped = hub.door.stop();
    let rest = events.rest().await;
    let retry = rest.trim().strip_prefix("retry: ").unwrap();
    assert!(
        (3000..=6000).contains(&retry.parse::<u64>().unwrap()),
        "{retry}"
    );
    assert_eq!(within("the stop", stopped).await.unwrap().left, 0);
}

#[tokio::test]
async fn a_page_of_another_site_may_not_listen_unless_it_is_named() {
    let hub = hub("origins = ['same', 'https://b.example']", &channel("a", "")).await;
    let ask = |origin: &'static str| {
        let lines = format!("Accept: text/event-stream\r\nOrigin: {origin}\r\n");
        let door = &hub.door;
        async move {
            let mut client = door.tls().await;
            client.send(Door::get("/events/a", &lines)).await;
            client.head().await
        }
    };
    assert_eq!(ask("https://c.example").await.status(), 403);
    let named = ask("https://b.example").await;
    assert_eq!(named.status(), 200);
    assert_eq!(
        named.one("access-control-allow-origin"),
        Some("https://b.example")
    );
    assert_eq!(named.one("access-control-allow-credentials"), Some("true"));
    assert_eq!(ask("https://door.example").await.status(), 200);
}
