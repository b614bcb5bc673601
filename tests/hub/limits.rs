//! Tests of the limits on subscribers and publishers.

use super::{TOKEN, channel, hub};
use crate::harness::{Answer, Door, Http2, Wire, until, within};

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
async fn a_client_that_leaves_frees_its_place_at_once_whatever_it_has_sent() {
    let hub = hub("subscribers = 1", &channel("a", "")).await;
    for sent in ["", "GET /events/a HTT", &Door::get("/events/a", "")] {
        let mut events = until("the place to be free", || async {
            let mut client = hub.door.plain().await;
            let accept = "Accept: text/event-stream\r\n";
            client.send(Door::get("/events/a", accept)).await;
            (client.head().await.status() == 200).then_some(client)
        })
        .await;
        events.input.chunk().await;
        events.send(sent).await;
        events.output.finish().await;
        assert_eq!(events.rest().await, b"");
    }
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
async fn one_address_spends_its_part_of_the_rate_and_others_come_in() {
    // Slow enough that nothing comes back while this is tried.
    let hub = hub("connect-rate = 8", &channel("a", "")).await;
    let own = tokio::spawn({
        let mut clients = Vec::new();
        for _ in 0..40 {
            clients.push(hub.door.plain().await);
        }
        async move {
            for client in &mut clients {
                client.send(Door::get("/events/a", "")).await;
            }
            let mut refused = 0;
            for client in &mut clients {
                refused += usize::from(is_own_share(&client.answer().await));
            }
            refused
        }
    });
    assert!(own.await.unwrap() > 0, "one address may spend all of it");
    assert_eq!(from_elsewhere(&hub, "/events/a").await, 200);
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

/// True if a refusal says that this client's own share is used up, and when to come back.
fn is_own_share(answer: &Answer) -> bool {
    let later = answer
        .head
        .one("retry-after")
        .is_some_and(|after| after != "0");
    answer.status == 429 && later && answer.text().contains("address-share")
}

async fn from_elsewhere(hub: &super::Hub, path: &str) -> u16 {
    let mut client = hub.door.plain_from("127.0.0.2").await;
    client.ask(&Door::get(path, "")).await.status
}

#[tokio::test]
async fn one_address_takes_half_of_the_subscribers_by_whatever_way_and_others_find_room() {
    let tables = channel("a", "token = 'page'");
    let hub = hub("subscribers = 16", &tables).await;
    let accept = "Accept: text/event-stream\r\n";
    let sockjs = "/events/sockjs/a/000/session1/xhr_streaming";
    let page = "/websockify?token=page";
    let mut http2 = Http2::open(&hub.door).await;
    // Two of each kind but the poll, which ends at once for who has no cursor.
    let mut open: Vec<Wire> = Vec::new();
    for path in ["/events/a", page] {
        open.push(hub.door.websocket(path).await);
        open.push(http2.websocket(path).await);
    }
    for _ in 0..3 {
        open.push(hub.stream("/events/a", "").await.client);
    }
    let mut session = hub.door.plain().await;
    session
        .send(format!(
            "POST {sockjs} HTTP/1.1\r\nHost: door.example\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
    assert_eq!(session.head().await.status(), 200);
    open.push(session);
    for request in [
        Door::get("/events/a", accept),
        Door::get("/events/a", ""),
        Door::handshake("/events/a", ""),
        Door::handshake("/events/sockjs/a/websocket", ""),
        Door::handshake(page, ""),
        "POST /events/sockjs/a/000/session2/xhr HTTP/1.1\r\nHost: door.example\r\nContent-Length: 0\r\n\r\n".to_owned(),
    ] {
        let refused = hub.door.tls().await.ask(&request).await;
        assert!(is_own_share(&refused), "{request} {} {}", refused.status, refused.text());
    }
    for path in ["/events/a", page] {
        let (refused, _) = http2.connect(path).await;
        assert_eq!(within("an answer", refused).await.unwrap().status(), 429);
    }
    assert_eq!(from_elsewhere(&hub, "/events/a").await, 200);
    drop((open, http2));
    until("the places to be free", || async {
        let answer = hub.poll("/events/a", "").await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_address_makes_half_of_the_channels_of_a_pattern_and_others_find_room() {
    let hub = hub("channels = 16", &channel("job.*", "")).await;
    let mut open = Vec::new();
    for number in 0..8 {
        open.push(hub.stream(&format!("/events/job.n{number}"), "").await);
    }
    let refused = hub.poll("/events/job.another", "").await;
    assert!(
        is_own_share(&refused),
        "{} {}",
        refused.status,
        refused.text()
    );
    assert_eq!(
        hub.poll("/events/job.n1", "").await.status,
        200,
        "it is there"
    );
    assert_eq!(from_elsewhere(&hub, "/events/job.another").await, 200);
    // Whoever may publish by itself is trusted with the names.
    hub.say("job.mine", "x").await;
    drop(open);
    until("the channels to be forgotten", || async {
        let answer = hub.poll("/events/job.other", "").await;
        (answer.status == 200).then_some(())
    })
    .await;
}
