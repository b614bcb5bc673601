//! Event streams over HTTP/1.1: their framing, the requests behind them, and the end of either side.

use crate::harness::{Backend, Door, Wire, pattern};

const BEGIN: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A client whose event stream has begun, and the app's side of it.
async fn begin(app: &Backend, door: &Door, request: &str) -> (Wire, Wire) {
    let mut client = door.tls().await;
    client.send(request).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(BEGIN).await;
    (client, worker)
}

/// Sends one event, which has to arrive before the next.
async fn event(worker: &mut Wire, client: &mut Wire, text: &str) {
    let event = format!("data: {text}\n\n");
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    worker.send(chunk).await;
    assert_eq!(client.input.chunk().await, event.as_bytes());
}

#[tokio::test]
async fn requests_behind_an_event_stream_are_answered_after_its_end() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let (mut client, mut worker) = begin(&app, &door, &Door::get("/events", "")).await;
    for round in 0..3 {
        let head = client.head().await;
        assert_eq!(head.one("transfer-encoding"), Some("chunked"));
        assert_eq!(head.one("connection"), None);
        event(&mut worker, &mut client, "1").await;
        // The next two requests arrive in pieces, between the events.
        client.send("GET /next HTTP/1.1\r\nHo").await;
        event(&mut worker, &mut client, "2").await;
        client.send("st: door.example\r\n\r\nGET /events").await;
        event(&mut worker, &mut client, "3").await;
        worker.send("0\r\n\r\n").await;
        assert_eq!(client.input.chunk().await, b"");
        let asked = worker.head().await;
        assert!(asked.start.starts_with("GET /next"), "{asked:?}");
        worker
            .send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{round}"
            ))
            .await;
        assert_eq!(client.answer().await.text(), round.to_string());
        client.send(" HTTP/1.1\r\nHost: door.example\r\n\r\n").await;
        worker.head().await;
        worker.send(BEGIN).await;
    }
}

#[tokio::test]
async fn a_large_request_behind_an_event_stream_arrives_whole() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let body = pattern(100_000);
    let (mut client, mut worker) = begin(&app, &door, &Door::get("/events", "")).await;
    client.head().await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: door.example\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send([head.as_bytes(), &body].concat()).await;
    event(&mut worker, &mut client, "1").await;
    worker.send("0\r\n\r\n").await;
    assert_eq!(client.input.chunk().await, b"");
    let head = worker.head().await;
    assert!(worker.input.body_of_request(&head).await == body);
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_connection_that_is_to_be_closed_ends_with_its_event_stream() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let request = Door::get("/events", "Connection: close\r\n");
    let (mut client, mut worker) = begin(&app, &door, &request).await;
    assert_eq!(client.head().await.one("connection"), Some("close"));
    event(&mut worker, &mut client, "1").await;
    worker.send("0\r\n\r\n").await;
    assert_eq!(client.rest().await, b"0\r\n\r\n");
}

#[tokio::test]
async fn an_event_stream_of_http_1_0_has_no_chunks_and_ends_with_its_connection() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let request = Door::get("/events", "").replace("HTTP/1.1", "HTTP/1.0");
    let (mut client, mut worker) = begin(&app, &door, &request).await;
    let head = client.head().await;
    assert_eq!(head.one("transfer-encoding"), None);
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        worker.send(chunk).await;
        assert_eq!(client.take(event.len()).await, event.as_bytes());
    }
    worker.send("0\r\n\r\n").await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn an_event_stream_that_the_app_breaks_off_has_no_last_chunk() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let (mut client, mut worker) = begin(&app, &door, &Door::get("/events", "")).await;
    client.head().await;
    event(&mut worker, &mut client, "1").await;
    worker.send("4\r\nhalf\r\n").await;
    drop(worker);
    assert_eq!(client.rest().await, b"4\r\nhalf\r\n");
}
