//! WebSockets whose events are requests to the app.

use serde_json::json;

use super::{Fixture, fixture};
use crate::harness::{Backend, CLOSE, Door, FIN, Frame, Head, TEXT, Wire, masked, within};

/// The next request with events: its head and body, and the app's connection.
async fn events(app: Option<Wire>, backend: &Backend) -> (Head, String, Wire) {
    within("events", async {
        let (head, mut app) = match app {
            None => {
                let mut app = backend.accept().await;
                (app.head().await, app)
            }
            Some(mut app) => tokio::select! {
                head = app.head() => (head, app),
                mut fresh = backend.accept() => (fresh.head().await, fresh),
            },
        };
        let body = app.input.body_of_request(&head).await;
        (head, String::from_utf8(body).unwrap(), app)
    })
    .await
}

async fn answer(app: &mut Wire, lines: &str, body: &str) {
    let lines = format!("Content-Type: application/websocket-events\r\n{lines}");
    super::answer(app, &lines, body).await;
}

/// A client whose WebSocket the app has opened with these header lines and events behind the opening.
async fn open(fixture: &Fixture, lines: &str, more: &str) -> (Wire, Wire, String) {
    let mut client = fixture.door.plain().await;
    client
        .send(Door::handshake(
            "/chat?a=b",
            "Sec-WebSocket-Protocol: chat\r\n",
        ))
        .await;
    let (head, body, mut app) = events(None, &fixture.app).await;
    assert_eq!(head.start, "POST /chat?a=b HTTP/1.1");
    assert_eq!(
        head.one("content-type"),
        Some("application/websocket-events")
    );
    assert_eq!(head.one("sec-websocket-extensions"), Some("grip"));
    assert_eq!(head.one("sec-websocket-protocol"), Some("chat"));
    assert!(head.one("grip-sig").is_some());
    assert_eq!(body, "OPEN\r\n");
    answer(&mut app, lines, &format!("OPEN\r\n{more}")).await;
    let accepted = client.head().await;
    assert_eq!(accepted.status(), 101);
    assert_eq!(
        accepted.one("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(accepted.all("set-meta-user"), [""; 0]);
    (client, app, head.one("connection-id").unwrap().to_owned())
}

fn text(payload: &str) -> Frame {
    Frame {
        opcode: TEXT,
        payload: payload.into(),
    }
}

#[tokio::test]
async fn each_message_is_a_request_and_its_response_goes_to_the_client() {
    let fixture = fixture("", "", "").await;
    let lines = "Set-Meta-User: ann\r\nSec-WebSocket-Protocol: chat\r\n";
    let (mut client, app, id) = open(&fixture, lines, "TEXT 5\r\nhello\r\n").await;
    assert_eq!(client.frame().await, text("hello"));
    client.send(masked(FIN | TEXT, b"one")).await;
    let (head, body, mut app) = events(Some(app), &fixture.app).await;
    assert_eq!(body, "TEXT 3\r\none\r\n");
    assert_eq!(head.one("connection-id"), Some(id.as_str()));
    assert_eq!(head.one("meta-user"), Some("ann"));
    // While the app thinks, more comes, and waits for the next request.
    client.send(masked(FIN | TEXT, b"two")).await;
    client.send(masked(FIN | TEXT, b"three")).await;
    answer(&mut app, "Set-Meta-User:\r\n", "TEXT 8\r\nyou: one\r\n").await;
    assert_eq!(client.frame().await, text("you: one"));
    let (mut seen, mut app) = (String::new(), app);
    while seen != "TEXT 3\r\ntwo\r\nTEXT 5\r\nthree\r\n" {
        let (head, body, next) = events(Some(app), &fixture.app).await;
        assert_eq!(head.all("meta-user"), [""; 0]);
        seen.push_str(&body);
        app = next;
        answer(&mut app, "", "").await;
    }
    client
        .send(masked(FIN | CLOSE, &4096_u16.to_be_bytes()))
        .await;
    let (_, body, mut app) = events(Some(app), &fixture.app).await;
    assert_eq!(body.as_bytes(), b"CLOSE 2\r\n\x10\0\r\n");
    answer(&mut app, "", "CLOSE 2\r\n\x0f\x5f\r\n").await;
    assert_eq!(client.input.close_code().await, 3935);
}

#[tokio::test]
async fn a_socket_listens_to_channels_that_the_app_has_named() {
    let fixture = fixture("", "", "").await;
    let subscribe = r#"c:{"type":"subscribe","channel":"room"}"#;
    let detach = r#"c:{"type":"detach"}"#;
    let frames = [subscribe, "m:hello", "dropped", detach];
    let events = frames.iter();
    let events: Vec<_> = events
        .map(|frame| format!("TEXT {:x}\r\n{frame}\r\n", frame.len()))
        .collect();
    let more = events.concat();
    let (mut client, _app, _) = open(&fixture, "Sec-WebSocket-Extensions: grip\r\n", &more).await;
    assert_eq!(client.frame().await, text("hello"));
    fixture
        .publish(json!({"channel": "room", "ws-message": {"content": "news"}}))
        .await;
    assert_eq!(client.frame().await, text("news"));
    // The app does not want to hear of it any more.
    client.send(masked(FIN | TEXT, b"anybody?")).await;
    fixture
        .publish(json!({"channel": "room", "ws-message": {"action": "close", "code": 4001}}))
        .await;
    assert_eq!(client.input.close_code().await, 4001);
    fixture.app.has_nobody().await;
}

#[tokio::test]
async fn the_app_hears_of_a_client_that_is_gone() {
    let fixture = fixture("", "", "").await;
    let (client, app, _) = open(&fixture, "", "").await;
    drop(client);
    let (_, body, mut app) = events(Some(app), &fixture.app).await;
    assert_eq!(body, "DISCONNECT\r\n");
    answer(&mut app, "", "").await;
}

#[tokio::test]
async fn an_app_that_opens_nothing_refuses_in_its_own_words() {
    let fixture = fixture("", "", "").await;
    let of_events = "Content-Type: application/websocket-events\r\n";
    for (code, lines, body, status) in [
        ("403 Forbidden", "Grip-Own: 1\r\n", "no", 403),
        ("200 OK", "", "no", 200),
        ("200 OK", of_events, "no", 502),
        ("200 OK", of_events, "", 502),
    ] {
        let length = body.len();
        let response = format!(
            "HTTP/1.1 {code}\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
        );
        let mut client = fixture.door.plain().await;
        client.send(Door::handshake("/chat", "")).await;
        let (_, _, mut app) = events(None, &fixture.app).await;
        app.send(&response).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{response}");
        assert_eq!(answer.head.all("grip-own"), [""; 0]);
        drop(app);
    }
}

#[tokio::test]
async fn events_of_a_client_never_reach_the_app() {
    let fixture = fixture("", "", "").await;
    let mut client = fixture.door.plain().await;
    let request = "POST /chat HTTP/1.1\r\nHost: door.example\r\nConnection-Id: 1\r\nContent-Length: 6\r\n\
                   Content-Type: Application/WebSocket-Events; x=y\r\n\r\nOPEN\r\n";
    assert_eq!(client.ask(request).await.status, 403);
    fixture.app.has_nobody().await;
}
