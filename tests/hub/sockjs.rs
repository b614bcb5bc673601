//! `SockJS`: every transport as it is on the wire, what a session may and may not, and every URL of the protocol.

use serde_json::Value;

use super::{Hub, channel, hub, post};
use crate::harness::{Answer, Backend, Door, FIN, TEXT, Wire, masked, until};

const BASE: &str = "/events/sockjs/a";
const PRELUDE: usize = 2049;

async fn open_hub() -> Hub {
    hub("", &channel("a", "")).await
}

async fn get(hub: &Hub, path: &str, lines: &str) -> Answer {
    hub.door.plain().await.ask(&Door::get(path, lines)).await
}

async fn options(hub: &Hub, path: &str, lines: &str) -> Answer {
    let request = format!("OPTIONS {path} HTTP/1.1\r\nHost: door.example\r\n{lines}\r\n");
    hub.door.plain().await.ask(&request).await
}

/// One answer to a poll.
async fn poll(hub: &Hub, session: &str) -> String {
    let answer = hub.post(&format!("{BASE}/000/{session}/xhr"), "", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

async fn send(hub: &Hub, session: &str, body: &str) -> Answer {
    let path = format!("{BASE}/000/{session}/xhr_send");
    hub.post(&path, "", body).await
}

/// Begins a streaming answer; what came of its head.
async fn begin(hub: &Hub, method: &str, path: &str) -> Wire {
    let mut client = hub.door.plain().await;
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: door.example\r\nContent-Length: 0\r\n\r\n");
    client.send(head).await;
    assert_eq!(client.head().await.status(), 200);
    client
}

/// All until this text has come.
async fn through(client: &mut Wire, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let piece = client.input.chunk().await;
        assert!(!piece.is_empty(), "it ended after {text:?}");
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    text
}

/// The texts of one array frame.
fn texts(frame: &str) -> Vec<Value> {
    let array = frame.trim_end().strip_prefix('a');
    let array = array.unwrap_or_else(|| panic!("no array: {frame:?}"));
    let texts: Vec<String> = serde_json::from_str(array).unwrap();
    let objects = texts.iter().map(|text| serde_json::from_str(text).unwrap());
    objects.collect()
}

fn data(frame: &str) -> Vec<String> {
    let texts = texts(frame);
    let messages = texts.iter().filter(|object| object["type"].is_null());
    messages
        .map(|object| object["data"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_base_greets_and_the_info_is_not_cached() {
    let hub = open_hub().await;
    for path in [BASE.to_owned(), format!("{BASE}/")] {
        let answer = get(&hub, &path, "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text(), "Welcome to SockJS!\n");
        let kind = answer.head.one("content-type");
        assert_eq!(kind, Some("text/plain; charset=UTF-8"));
    }
    let info = format!("{BASE}/info");
    let (first, second) = (get(&hub, &info, "").await, get(&hub, &info, "").await);
    assert_eq!(
        first.head.one("cache-control"),
        Some("no-store, no-cache, no-transform, must-revalidate, max-age=0")
    );
    assert_eq!(
        first.head.one("content-type"),
        Some("application/json; charset=UTF-8")
    );
    let object: Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(object["websocket"], true);
    assert_eq!(object["cookie_needed"], true);
    assert_eq!(object["origins"][0], "*:*");
    assert!(u32::try_from(object["entropy"].as_u64().unwrap()).is_ok());
    assert_ne!(first.body, second.body, "the entropy differs");
}

#[tokio::test]
async fn a_page_of_a_permitted_origin_may_read_and_another_may_not() {
    let origins = "origins = ['same', 'https://pages.example']";
    let hub = hub(origins, &channel("a", "")).await;
    let other = "Origin: https://pages.example\r\n";
    let info = get(&hub, &format!("{BASE}/info"), other).await;
    let allowed = |answer: &Answer| {
        let head = &answer.head;
        assert_eq!(
            head.one("access-control-allow-origin"),
            Some("https://pages.example")
        );
        assert_eq!(head.one("access-control-allow-credentials"), Some("true"));
    };
    allowed(&info);
    let wish = format!("{other}Access-Control-Request-Headers: a, b\r\n");
    for (path, methods) in [
        (format!("{BASE}/info"), "OPTIONS, GET"),
        (format!("{BASE}/0/s/xhr"), "OPTIONS, POST"),
        (format!("{BASE}/0/s/xhr_send"), "OPTIONS, POST"),
        (format!("{BASE}/0/s/xhr_streaming"), "OPTIONS, POST"),
    ] {
        let answer = options(&hub, &path, &wish).await;
        assert_eq!(answer.status, 204);
        allowed(&answer);
        let head = &answer.head;
        assert_eq!(head.one("access-control-allow-methods"), Some(methods));
        assert_eq!(head.one("access-control-allow-headers"), Some("a, b"));
        assert_eq!(head.one("access-control-max-age"), Some("31536000"));
        assert_eq!(head.one("cache-control"), Some("public, max-age=31536000"));
    }
    let path = format!("{BASE}/0/s/xhr");
    let polled = hub.post(&path, other, "").await;
    assert_eq!(polled.text(), "o\n");
    allowed(&polled);
    let denied = "Origin: https://evil.example\r\n";
    assert_eq!(hub.post(&path, denied, "").await.status, 403);
    assert_eq!(options(&hub, &path, denied).await.status, 403);
}

#[tokio::test]
async fn polls_get_o_and_then_every_message_once() {
    let hub = open_hub().await;
    let path = format!("{BASE}/000/s/xhr");
    let answer = hub.post(&path, "", "").await;
    assert_eq!(answer.text(), "o\n");
    assert_eq!(
        answer.head.one("content-type"),
        Some("application/javascript; charset=UTF-8")
    );
    assert!(answer.head.one("cache-control").is_some());
    let opening = texts(&poll(&hub, "s").await);
    assert_eq!(opening[0]["type"], "open");
    assert_eq!(opening[0]["channels"][0], "a");
    hub.say("a", "1").await;
    hub.say("a", "\u{2028}é").await;
    let frame = poll(&hub, "s").await;
    assert!(frame.contains(r"\u2028é"), "{frame}");
    assert_eq!(data(&frame), ["1", "\u{2028}é"]);
    let mut waiting = hub.door.plain().await;
    // Another server's number: it is the same session.
    let request = format!(
        "POST {BASE}/999/s/xhr HTTP/1.1\r\nHost: door.example\r\nContent-Length: 0\r\n\r\n"
    );
    waiting.send(request).await;
    hub.say("a", "3").await;
    assert_eq!(data(waiting.answer().await.text()), ["3"]);
}

#[tokio::test]
async fn a_stream_begins_with_a_prelude_and_ends_when_enough_was_sent() {
    let hub = open_hub().await;
    let path = format!("{BASE}/000/s/xhr_streaming");
    let mut first = begin(&hub, "POST", &path).await;
    let opening = through(&mut first, "]\n").await;
    assert_eq!(&opening[..PRELUDE], format!("{}\n", "h".repeat(2048)));
    assert!(opening[PRELUDE..].starts_with("o\na["), "{opening}");
    for number in 0..3 {
        hub.say("a", &number.to_string().repeat(50_000)).await;
    }
    let mut sent = 0;
    let mut got = Vec::new();
    while got.len() < 3 {
        let frames = through(&mut first, "]\n").await;
        sent += frames.len();
        got.extend(frames.lines().flat_map(data));
    }
    assert!(sent > 128 * 1024);
    assert_eq!(first.input.chunk().await, b"", "the answer ends");
    hub.say("a", "next").await;
    let mut second = begin(&hub, "POST", &path).await;
    let more = through(&mut second, "]\n").await;
    assert_eq!(data(&more[PRELUDE..]), ["next"], "the session goes on");
}

#[tokio::test]
async fn an_event_stream_carries_the_frames_as_data() {
    let hub = open_hub().await;
    let path = format!("{BASE}/000/s/eventsource");
    let mut client = hub.door.plain().await;
    client.send(Door::get(&path, "")).await;
    let head = client.head().await;
    assert_eq!(head.one("content-type"), Some("text/event-stream"));
    let opening = through(&mut client, "]\r\n\r\n").await;
    assert!(
        opening.starts_with("\r\ndata: o\r\n\r\ndata: a["),
        "{opening}"
    );
    hub.say("a", "line\nline").await;
    let event = through(&mut client, "\r\n\r\n").await;
    let frame = event.strip_prefix("data: ").unwrap();
    assert_eq!(data(frame), ["line\nline"]);
}

#[tokio::test]
async fn a_session_has_one_receiver_and_ends_with_a_broken_one() {
    let hub = open_hub().await;
    let path = format!("{BASE}/000/s/xhr_streaming");
    let mut first = begin(&hub, "POST", &path).await;
    through(&mut first, "]\n").await;
    let mut second = hub.post(&path, "", "").await;
    let frame = "c[2010,\"Another connection still open\"]\n";
    assert_eq!(&second.text()[PRELUDE..], frame);
    assert_eq!(poll(&hub, "s").await, frame);
    drop(first);
    second = until("the door to notice", async || {
        let answer = hub.post(&path, "", "").await;
        (!answer.text().contains("2010")).then_some(answer)
    })
    .await;
    let frame = "c[1002,\"Connection interrupted\"]\n";
    assert_eq!(&second.text()[PRELUDE..], frame);
    assert_eq!(send(&hub, "s", "[]").await.status, 404);
}

#[tokio::test]
async fn a_session_belongs_to_the_cookie_it_was_opened_with() {
    let hub = open_hub().await;
    let path = format!("{BASE}/000/s/xhr");
    let (own, other) = ("Cookie: session=7\r\n", "Cookie: session=8\r\n");
    assert_eq!(hub.post(&path, own, "").await.text(), "o\n");
    let sending = format!("{BASE}/000/s/xhr_send");
    for lines in [other, ""] {
        assert_eq!(hub.post(&path, lines, "").await.status, 404);
        assert_eq!(hub.post(&sending, lines, "[]").await.status, 404);
    }
    assert_eq!(hub.post(&sending, own, "[]").await.status, 204);
    // The app may have set another cookie meanwhile.
    let own = "Cookie: new=1; session=7\r\n";
    assert!(
        hub.post(&path, own, "")
            .await
            .text()
            .starts_with("a[\"{\\\"")
    );
}

#[tokio::test]
async fn what_a_page_sends_is_checked_and_answered_where_it_receives() {
    let hub = open_hub().await;
    assert_eq!(send(&hub, "s", "[\"x\"]").await.status, 404);
    assert_eq!(poll(&hub, "s").await, "o\n");
    for (body, said) in [
        ("", "Payload expected."),
        ("[\"x", "Broken JSON encoding."),
        ("[1]", "Broken JSON encoding."),
    ] {
        let answer = send(&hub, "s", body).await;
        assert_eq!((answer.status, answer.text()), (500, said));
    }
    let message = r#"["{\"type\":\"ping\"}","{\"channel\":\"a\",\"data\":1,\"ref\":7}"]"#;
    let taken = send(&hub, "s", message).await;
    assert_eq!(taken.status, 204);
    assert_eq!(
        taken.head.one("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    let answers = texts(&poll(&hub, "s").await);
    assert_eq!(answers[0]["type"], "open");
    assert_eq!(answers[1]["type"], "pong");
    assert_eq!(
        (&answers[2]["status"], &answers[2]["ref"]),
        (&403.into(), &7.into())
    );
    let large = format!("[\"{}\"]", "x".repeat(1 << 20));
    assert_eq!(send(&hub, "s", &large).await.status, 413);
}

#[tokio::test]
async fn a_message_of_a_page_reaches_the_app_over_http_and_websocket() {
    let backend = Backend::tcp().await;
    let chat = "[[channel]]\nname = 'a'\npublish = ['app']\nreceive = '/say'\n";
    let hub = hub("", &format!("{}{chat}", backend.app())).await;
    assert_eq!(poll(&hub, "s").await, "o\n");
    let message = r#"["{\"channel\":\"a\",\"data\":\"hi\"}"]"#;
    let taken = async {
        let mut app = backend.accept().await;
        let head = app.head().await;
        assert_eq!(app.input.body(&head).await, b"hi");
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await;
        app
    };
    let (sent, mut app) = tokio::join!(send(&hub, "s", message), taken);
    assert_eq!(sent.status, 204);
    assert_eq!(texts(&poll(&hub, "s").await)[1]["type"], "sent");
    let mut socket = hub.door.websocket(&format!("{BASE}/000/s/websocket")).await;
    // An old client's empty frame, and two messages in one.
    socket.send(masked(FIN | TEXT, b"")).await;
    let two = r#"["{\"type\":\"ping\"}","{\"channel\":\"a\",\"data\":\"hi\"}"]"#;
    socket.send(masked(FIN | TEXT, two.as_bytes())).await;
    let head = app.head().await;
    assert_eq!(app.input.body(&head).await, b"hi");
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(text(&mut socket).await, "o");
    let mut types = Vec::new();
    for _ in 0..3 {
        types.push(texts(&text(&mut socket).await)[0]["type"].take());
    }
    assert_eq!(types, ["open", "pong", "sent"]);
}

async fn text(socket: &mut Wire) -> String {
    let frame = socket.frame().await;
    assert_eq!(frame.opcode, TEXT, "{frame:?}");
    String::from_utf8(frame.payload).unwrap()
}

#[tokio::test]
async fn a_websocket_carries_frames_and_the_raw_one_envelopes() {
    let hub = open_hub().await;
    let cursor = hub.say("a", "1").await;
    hub.say("a", "2").await;
    let query = format!("?last-event-id={cursor}");
    let mut socket = hub
        .door
        .websocket(&format!("{BASE}/0/s/websocket{query}"))
        .await;
    assert_eq!(text(&mut socket).await, "o");
    assert_eq!(texts(&text(&mut socket).await)[0]["id"], cursor);
    assert_eq!(data(&text(&mut socket).await), ["2"]);
    let mut raw = hub.door.websocket(&format!("{BASE}/websocket")).await;
    assert!(text(&mut raw).await.contains(r#""type":"open""#));
    hub.say("a", "3").await;
    assert_eq!(data(&text(&mut socket).await), ["3"]);
    let envelope: Value = serde_json::from_str(&text(&mut raw).await).unwrap();
    assert_eq!(envelope["data"], "3");
    socket.send(masked(FIN | TEXT, b"[\"a")).await;
    // The protocol: "the server must abruptly terminate the ws connection".
    assert_eq!(socket.rest().await, b"");
}

#[tokio::test]
async fn a_session_begins_where_its_url_says() {
    let hub = open_hub().await;
    let cursor = hub.say("a", "1").await;
    hub.say("a", "2").await;
    let path = format!("{BASE}/000/s/xhr?last-event-id={cursor}");
    assert_eq!(hub.post(&path, "", "").await.text(), "o\n");
    assert_eq!(data(hub.post(&path, "", "").await.text()), ["2"]);
    hub.say("a", "3").await;
    assert_eq!(data(hub.post(&path, "", "").await.text()), ["3"]);
}

#[tokio::test]
async fn what_the_protocol_has_not_is_refused_in_its_way() {
    let hub = open_hub().await;
    for path in [
        "/a",
        "//",
        "/iframe.html",
        "/0/s/jsonp?c=x",
        "/a./s/xhr",
        "/./.",
        "/./s/xhr",
        "/../s/xhr",
        "/%2e/s/xhr",
        "/../../../events/a",
    ] {
        assert_eq!(get(&hub, &format!("{BASE}{path}"), "").await.status, 404);
    }
    assert_eq!(get(&hub, "/events/./a", "").await.status, 400);
    assert_eq!(get(&hub, &format!("{BASE}/./\\"), "").await.status, 400);
    let unknown = "/events/sockjs/unknown/0/s/xhr";
    assert_eq!(hub.post(unknown, "", "").await.status, 404);
    for path in ["xhr", "xhr_send", "xhr_streaming"] {
        let answer = get(&hub, &format!("{BASE}/0/s/{path}"), "").await;
        assert_eq!((answer.status, answer.text()), (405, ""));
        assert_eq!(answer.head.one("allow"), Some("POST, OPTIONS"));
        assert_eq!(answer.head.one("content-type"), None);
    }
    let path = format!("{BASE}/0/s/websocket");
    let answer = get(&hub, &path, "").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.text(), "Can \"Upgrade\" only to \"WebSocket\".\n");
    let lines = "Upgrade: websocket\r\nConnection: close\r\n";
    let answer = get(&hub, &path, lines).await;
    assert_eq!(answer.text(), "\"Connection\" must be \"Upgrade\".\n");
    assert_eq!(hub.post(&path, "", "").await.status, 405);
}

#[tokio::test]
async fn sessions_beyond_the_limit_are_told_when_to_come_back() {
    let hub = hub("subscribers = 1", &channel("a", "")).await;
    assert_eq!(poll(&hub, "s").await, "o\n");
    let mut client = hub.door.plain().await;
    let second = post(&mut client, &format!("{BASE}/0/t/xhr"), "", "").await;
    assert_eq!(second.status, 503);
    assert!(second.head.one("retry-after").is_some());
}

#[tokio::test]
async fn a_server_that_stops_tells_every_transport() {
    let hub = open_hub().await;
    let mut stream = begin(&hub, "POST", &format!("{BASE}/0/s/xhr_streaming")).await;
    through(&mut stream, "]\n").await;
    let mut socket = hub.door.websocket(&format!("{BASE}/0/t/websocket")).await;
    assert_eq!(text(&mut socket).await, "o");
    text(&mut socket).await;
    let stopped = hub.door.stop();
    let end = through(&mut stream, "c[").await;
    assert!(end.ends_with("c[1001,\"the server stops\"]\n"), "{end}");
    assert_eq!(texts(end.lines().next().unwrap())[0]["type"], "closing");
    assert_eq!(texts(&text(&mut socket).await)[0]["type"], "closing");
    assert_eq!(text(&mut socket).await, "c[1001,\"the server stops\"]");
    assert_eq!(socket.close_code().await, 1001);
    drop((stream, socket));
    assert_eq!(stopped.await.unwrap().left, 0);
}
