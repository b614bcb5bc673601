//! `channel-path`: the app is asked about each channel, with the visitor's own session.

use super::{App, COOK, kitchen, knock, log_out};
use crate::harness::{CLOSE, Door, Wire};

const SETTINGS: &str = "allow-cache = '0s'\ninterval = '10ms'\nchannel-path = '/may/{channel}'\n\
    [[channel]]\nname = 'nova.*'\npresence = true\n";

async fn fixture() -> (App, Door) {
    let (app, _console, door) = kitchen(SETTINGS).await;
    app.answers("/may/nova.theirs", "403 Forbidden\r\n");
    app.answers("/may/nova.unknown", "404 Not Found\r\n");
    (app, door)
}

#[tokio::test]
async fn a_visitor_listens_to_what_the_app_grants_and_to_nothing_beside_it() {
    let (app, door) = fixture().await;
    for (path, status) in [
        ("/events/nova.mine", 101),
        ("/events/nova.theirs", 403),
        ("/events/nova.unknown", 403),
        ("/events/nova.mine,nova.theirs", 403),
        ("/events/nova.theirs,nova.mine", 403),
        ("/events/sockjs/nova.theirs/websocket", 403),
    ] {
        assert_eq!(knock(&door, path, COOK).await.status, status, "{path}");
    }
    for (path, status) in [
        ("/events/nova.mine", 200),
        ("/events/nova.theirs", 403),
        ("/events/nova.theirs/presence", 403),
    ] {
        for accept in ["text/event-stream", "text/html", "*/*"] {
            let mut wire = door.tls().await;
            wire.send(Door::get(path, &format!("{COOK}Accept: {accept}\r\n")))
                .await;
            assert_eq!(wire.head().await.status(), status, "{path} {accept}");
        }
    }
    assert!(app.asked("/may/nova.mine") > 0);
}

#[tokio::test]
async fn without_a_session_no_channel_is_asked_about() {
    let (app, door) = fixture().await;
    app.answers("/tasks", "401 Unauthorized\r\n");
    assert_eq!(knock(&door, "/events/nova.mine", COOK).await.status, 401);
    assert_eq!(app.asked("/may/nova.mine"), 0);
}

/// The next text that holds these words, or the code with which the socket is closed.
async fn told(client: &mut Wire, words: &str) -> Result<String, u16> {
    loop {
        let frame = client.frame().await;
        let text = String::from_utf8_lossy(&frame.payload).into_owned();
        match frame.opcode {
            CLOSE => return Err(u16::from_be_bytes([frame.payload[0], frame.payload[1]])),
            _ if text.contains(words) => return Ok(text),
            _ => {}
        }
    }
}

async fn listener(door: &Door, path: &str) -> Wire {
    let mut client = door.tls().await;
    let handshake = Door::handshake(path, COOK);
    assert_eq!(client.ask(&handshake).await.status, 101);
    client
}

#[tokio::test]
async fn a_channel_that_is_not_granted_any_more_ends_alone_and_is_named() {
    let (app, door) = fixture().await;
    let mut client = listener(&door, "/events/nova.a,nova.b").await;
    let mut single = listener(&door, "/events/nova.b?format=plain").await;
    app.answers("/may/nova.b", "403 Forbidden\r\n");
    let text = told(&mut client, "refused").await.unwrap();
    assert!(text.contains(r#""channel":"nova.b""#), "{text}");
    assert!(text.contains(r#""status":403"#), "{text}");
    assert_eq!(told(&mut single, "refused").await, Err(4403));
    // The other one is still listened to, and ends by itself.
    app.answers("/may/nova.a", "403 Forbidden\r\n");
    let text = told(&mut client, "refused").await.unwrap();
    assert!(text.contains(r#""channel":"nova.a""#), "{text}");
    assert_eq!(told(&mut client, "refused").await, Err(4403));
}

#[tokio::test]
async fn the_end_of_the_session_is_told_as_that_also_where_a_channel_is_refused_for_it() {
    let (app, door) = fixture().await;
    for refusal in ["403 Forbidden\r\n", "401 Unauthorized\r\n"] {
        app.answers("/may/nova.a", "200 OK\r\n");
        app.answers("/tasks", "200 OK\r\n");
        let mut client = listener(&door, "/events/nova.a").await;
        app.answers("/tasks", "401 Unauthorized\r\n");
        app.answers("/may/nova.a", refusal);
        assert_eq!(told(&mut client, "refused").await, Err(4401));
        assert_eq!(knock(&door, "/events/nova.a", COOK).await.status, 401);
    }
}

#[tokio::test]
async fn an_event_stream_is_told_of_the_channel_and_goes_on() {
    let (app, door) = fixture().await;
    let mut wire = door.tls().await;
    let lines = format!("{COOK}Accept: text/event-stream\r\n");
    wire.send(Door::get("/events/nova.a,nova.b", &lines)).await;
    assert_eq!(wire.head().await.status(), 200);
    let until_told = async |wire: &mut Wire, words: &str| {
        let mut text = String::new();
        while !text.contains(words) {
            let chunk = wire.input.chunk().await;
            assert!(!chunk.is_empty(), "the stream ended after {text:?}");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    app.answers("/may/nova.b", "404 Not Found\r\n");
    until_told(
        &mut wire,
        "event: noren:refused\ndata: {\"channel\":\"nova.b\"",
    )
    .await;
    app.answers("/may/nova.a", "403 Forbidden\r\n");
    until_told(&mut wire, ": the app does not permit this channel any more").await;
}

#[tokio::test]
async fn a_switch_is_asked_about_at_once_and_nothing_from_before_is_believed() {
    let settings = SETTINGS
        .replace("'0s'", "'60s'")
        .replace("'10ms'", "'60s'\nswitch = ['/auth/switch']");
    let (app, _console, door) = kitchen(&settings).await;
    app.answers("/may/nova.beta", "403 Forbidden\r\n");
    let mut client = listener(&door, "/events/nova.alpha,nova.common").await;
    assert_eq!(knock(&door, "/events/nova.beta", COOK).await.status, 403);
    app.answers("/may/nova.alpha", "403 Forbidden\r\n");
    app.answers("/may/nova.beta", "200 OK\r\n");
    // Believed for a minute, until something that may change it has passed.
    assert_eq!(knock(&door, "/events/nova.alpha", COOK).await.status, 101);
    app.answers("/auth/switch/beta", "302 Found\r\nLocation: /\r\n");
    log_out(&door, "GET", "/auth/switch/beta", COOK).await;
    let text = told(&mut client, "refused").await.unwrap();
    assert!(text.contains(r#""channel":"nova.alpha""#), "{text}");
    assert_eq!(knock(&door, "/events/nova.alpha", COOK).await.status, 403);
    assert_eq!(knock(&door, "/events/nova.beta", COOK).await.status, 101);
}
