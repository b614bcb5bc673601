//! Messages that a stream has missed, from the history or from the app's next link.

use serde_json::json;

use super::{answer, fixture};
use crate::harness::{Backend, Door, Wire, within};

/// A stream that continues behind this id, and says where.
fn behind(id: u32) -> String {
    format!(
        "Content-Type: text/plain\r\nGrip-Hold: stream\r\nGrip-Channel: room; prev-id={id}\r\n\
         Grip-Link: </more?x=1>; rel=next\r\n"
    )
}

#[tokio::test]
async fn what_the_door_has_kept_costs_the_app_nothing() {
    let fixture = fixture("", "", "").await;
    for id in 0..4 {
        fixture.say_in_order(id).await;
    }
    let (mut client, _app) = fixture.hold(&behind(1), "start").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.input.chunk().await, b"start");
    for piece in ["<2>", "<3>"] {
        assert_eq!(client.input.chunk().await, piece.as_bytes());
    }
    fixture.say_in_order(4).await;
    assert_eq!(client.input.chunk().await, b"<4>");
    fixture.app.has_nobody().await;
}

/// The next request of the door, on its connection or on a new one.
async fn asked(app: &mut Wire, backend: &Backend) -> (crate::harness::Head, Option<Wire>) {
    within("a request of the door", async {
        tokio::select! {
            head = app.head() => (head, None),
            mut fresh = backend.accept() => {
                let head = fresh.head().await;
                (head, Some(fresh))
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_gap_is_fetched_from_the_next_link_and_the_stream_goes_on() {
    let fixture = fixture("", "", "").await;
    let (mut client, mut app) = fixture.hold(&behind(1), "start").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.input.chunk().await, b"start");
    // The messages 2 and 3 were never published.
    fixture.say_in_order(4).await;
    let (head, fresh) = asked(&mut app, &fixture.app).await;
    let mut app = fresh.unwrap_or(app);
    assert_eq!(head.start, "GET /more?x=1 HTTP/1.1");
    assert_eq!(head.one("grip-last"), Some("room; last-id=1"));
    assert!(head.one("grip-sig").is_some());
    answer(&mut app, &behind(4), "<2><3><4>").await;
    assert_eq!(client.input.chunk().await, b"<2><3><4>");
    fixture.say_in_order(5).await;
    assert_eq!(client.input.chunk().await, b"<5>");
}

#[tokio::test]
async fn a_message_that_is_in_no_order_is_asked_about_once_and_not_for_ever() {
    let fixture = fixture("", "", "").await;
    let (mut client, mut app) = fixture.hold(&behind(1), "start").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.input.chunk().await, b"start");
    fixture
        .publish(json!({"channel": "room", "http-stream": {"action": "close"}}))
        .await;
    let (head, fresh) = asked(&mut app, &fixture.app).await;
    app = fresh.unwrap_or(app);
    assert_eq!(head.one("grip-last"), Some("room; last-id=1"));
    // The app has seen that message, and nothing follows the first.
    answer(&mut app, &behind(1), "same").await;
    assert_eq!(client.input.chunk().await, b"same");
    fixture.say_in_order(2).await;
    assert_eq!(client.input.chunk().await, b"<2>");
    // Nor is it asked about for those who come later.
    drop(app);
    let (mut later, _app) = fixture.hold(&behind(2), "late").await;
    assert_eq!(later.head().await.status(), 200);
    assert_eq!(later.input.chunk().await, b"late");
    fixture.say_in_order(3).await;
    assert_eq!(later.input.chunk().await, b"<3>");
}

#[tokio::test]
async fn a_hint_and_a_response_without_hold_lead_to_the_next_link() {
    let fixture = fixture("", "", "").await;
    let lines = "Grip-Hold: stream\r\nGrip-Channel: room\r\nGrip-Link: <next>; rel=next\r\n";
    let (mut client, mut app) = fixture.hold(lines, "1").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.input.chunk().await, b"1");
    fixture
        .publish(json!({"channel": "room", "http-stream": {"action": "hint"}}))
        .await;
    for (uri, lines, body) in [
        ("/next", "Grip-Link: </last>; rel=next\r\n", "2"),
        ("/last", "", "3"),
    ] {
        let (head, fresh) = asked(&mut app, &fixture.app).await;
        app = fresh.unwrap_or(app);
        assert_eq!(head.start, format!("GET {uri} HTTP/1.1"));
        answer(&mut app, lines, body).await;
        assert_eq!(client.input.chunk().await, body.as_bytes());
    }
    assert_eq!(client.input.chunk().await, b"");
}

#[tokio::test]
async fn a_next_link_that_the_app_refuses_ends_the_stream() {
    let fixture = fixture("", "", "").await;
    let (mut client, mut app) = fixture.hold(&behind(1), "start").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.input.chunk().await, b"start");
    fixture.say_in_order(4).await;
    let (_, fresh) = asked(&mut app, &fixture.app).await;
    app = fresh.unwrap_or(app);
    app.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(client.input.chunk().await, b"");
}

#[tokio::test]
async fn the_app_hears_of_a_client_that_has_left_where_it_wants_to() {
    let fixture = fixture("", "", "").await;
    let lines = "Grip-Hold: stream\r\nGrip-Channel: room\r\nGrip-Link: </gone>; rel=gone\r\n";
    let (mut client, mut app) = fixture.hold(lines, "1").await;
    assert_eq!(client.head().await.status(), 200);
    drop(client);
    let (head, _fresh) = asked(&mut app, &fixture.app).await;
    assert_eq!(head.start, "POST /gone HTTP/1.1");
}

#[tokio::test]
async fn a_message_that_came_too_early_waits_for_the_one_before() {
    let fixture = fixture("", "", "").await;
    fixture.say_in_order(1).await;
    let (mut client, _app) = fixture.hold(&behind(1), "").await;
    assert_eq!(client.head().await.status(), 200);
    fixture.say_in_order(3).await;
    fixture.say_in_order(2).await;
    for piece in ["<2>", "<3>"] {
        assert_eq!(client.input.chunk().await, piece.as_bytes());
    }
    // A publisher that tries again after a lost response.
    fixture.say_in_order(3).await;
    fixture.say_in_order(4).await;
    assert_eq!(client.input.chunk().await, b"<4>");
    fixture.app.has_nobody().await;
}

#[tokio::test]
async fn a_visitor_whose_stream_was_lost_goes_on_without_the_app_if_nothing_else_has_changed() {
    let fixture = fixture("", "resume = '1m'\n", "").await;
    let lines = "Content-Type: text/event-stream\r\nGrip-Hold: stream\r\n\
                 Grip-Channel: room; prev-id=0; filter=build-id\r\n\
                 Grip-Link: </more>; rel=next\r\nGrip-Set-Meta: id_format=\"room:%(room)s\"\r\n";
    let say = |id: u32| {
        json!({
            "channel": "room", "id": id.to_string(), "prev-id": (id - 1).to_string(),
            "http-stream": {"content": "id: %I\n\n", "content-filters": ["build-id"]}
        })
    };
    let (mut client, mut app) = fixture.hold(lines, "start %I").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.input.chunk().await, b"start room:0");
    fixture.publish(say(1)).await;
    assert_eq!(client.input.chunk().await, b"id: room:1\n\n");
    drop(client);
    fixture.publish(say(2)).await;
    fixture.publish(say(3)).await;
    let mut client = fixture.door.plain().await;
    client
        .send(Door::get("/stream", "Last-Event-ID: room:1\r\n"))
        .await;
    let head = client.head().await;
    assert_eq!(
        (head.status(), head.one("content-type")),
        (200, Some("text/event-stream"))
    );
    assert_eq!(client.input.chunk().await, b"id: room:2\n\n");
    assert_eq!(client.input.chunk().await, b"id: room:3\n\n");
    fixture.app.has_nobody().await;
    // Anybody else, and a position that is not there, is for the app to answer.
    for other in [
        "Last-Event-ID: room:1\r\nCookie: a=b\r\n",
        // The app may know its visitors by any header.
        "Last-Event-ID: room:1\r\nX-Api-Key: another\r\n",
        "Last-Event-ID: room:1\r\nAccept-Language: fr\r\n",
        "Last-Event-ID: room:77\r\n",
        "Last-Event-ID: x\r\n",
        "",
    ] {
        let mut client = fixture.door.plain().await;
        client.send(Door::get("/stream", other)).await;
        let (head, fresh) = asked(&mut app, &fixture.app).await;
        app = fresh.unwrap_or(app);
        assert_eq!(head.start, "GET /stream HTTP/1.1", "{other}");
        answer(&mut app, "", "asked").await;
        assert_eq!(client.answer().await.text(), "asked", "{other}");
    }
    let mut roaming = fixture.door.plain_from("127.0.0.9").await;
    roaming
        .send(Door::get("/stream", "Last-Event-ID: room:1\r\n"))
        .await;
    let (_, fresh) = asked(&mut app, &fixture.app).await;
    app = fresh.unwrap_or(app);
    answer(&mut app, "", "asked").await;
    assert_eq!(roaming.answer().await.text(), "asked", "another address");
    // The app has closed it, so nobody resumes it.
    fixture.publish(json!({"channel": "room", "id": "4", "prev-id": "3", "http-stream": {"action": "close"}})).await;
    assert_eq!(client.input.chunk().await, b"");
    let mut client = fixture.door.plain().await;
    client
        .send(Door::get("/stream", "Last-Event-ID: room:3\r\n"))
        .await;
    let (head, _fresh) = asked(&mut app, &fixture.app).await;
    assert_eq!(head.start, "GET /stream HTTP/1.1");
}
