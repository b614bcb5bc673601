//! A client that leaves, and an app that notices: `ignore-client-abort = false`.

use std::io::ErrorKind::{BrokenPipe, ConnectionReset};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Backend, Door, Http2, until, within};

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/javascript\r\n\
                      Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";

/// An app with one worker that is told when its client leaves.
async fn door(app: &Backend, keys: &str) -> Door {
    Door::open(&format!(
        "{}workers = 1\nignore-client-abort = false\n{keys}",
        app.app()
    ))
    .await
}

/// Reads what the door has sent until a blank line.
async fn read_head(worker: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("the request", worker.read_u8()).await.unwrap());
    }
}

/// Waits until the app can see that its connection was closed.
async fn is_told(worker: &mut TcpStream) {
    let read = within("the end of the app's connection", worker.read(&mut [0])).await;
    assert!(matches!(read, Ok(0)), "{read:?}");
}

#[tokio::test]
async fn an_app_with_a_silent_long_poll_is_told_at_once_that_its_client_has_left() {
    let app = Backend::tcp().await;
    for keys in ["response-spool = true\n", "response-spool = false\n"] {
        let door = door(&app, keys).await;
        let mut client = door.plain().await;
        client.send(Door::get("/poll", "")).await;
        let mut worker = app.accept_tcp().await;
        read_head(&mut worker).await;
        drop(client);
        is_told(&mut worker).await;

        let mut http2 = Http2::open(&door).await;
        drop(worker);
        let (answer, _) = http2.begin(Http2::get("/poll"), true).await;
        let mut worker = app.accept_tcp().await;
        read_head(&mut worker).await;
        drop(answer);
        is_told(&mut worker).await;
    }
}

#[tokio::test]
async fn an_app_that_has_begun_a_stream_is_told_at_once_and_cannot_go_on_writing() {
    let app = Backend::tcp().await;
    for keys in ["response-spool = true\n", "response-spool = false\n"] {
        let door = door(&app, keys).await;
        let mut client = door.plain().await;
        client.send(Door::get("/stream", "")).await;
        let mut worker = app.accept_tcp().await;
        read_head(&mut worker).await;
        worker.write_all(STREAM.as_bytes()).await.unwrap();
        client.head().await;
        assert_eq!(client.input.chunk().await, b"half");
        drop(client);
        is_told(&mut worker).await;
        // An app that does not read finds out by writing.
        let refused = until("a write to fail", || {
            let tried = worker.try_write(b"4\r\nmore\r\n");
            async move { tried.err() }
        })
        .await;
        assert!(matches!(refused.kind(), BrokenPipe | ConnectionReset));
    }
}

#[tokio::test]
async fn the_worker_of_a_client_that_has_left_is_busy_until_the_app_has_noticed() {
    let app = Backend::tcp().await;
    let door = door(&app, "").await;
    let mut client = door.plain().await;
    client.send(Door::get("/first", "")).await;
    let mut worker = app.accept_tcp().await;
    read_head(&mut worker).await;
    drop(client);
    is_told(&mut worker).await;
    let mut next = door.plain().await;
    next.send(Door::get("/second", "")).await;
    app.has_nobody().await;
    // It has noticed.
    drop(worker);
    let mut worker = app.accept().await;
    assert!(worker.head().await.start.starts_with("GET /second "));
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(next.answer().await.text(), "ok");
}

#[tokio::test]
async fn an_app_that_is_not_to_be_told_keeps_its_connection() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}workers = 1\n", app.app())).await;
    let mut client = door.plain().await;
    client.send(Door::get("/first", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    drop(client);
    let mut next = door.plain().await;
    next.send(Door::get("/second", "")).await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    let head = worker.head().await;
    assert!(
        head.start.starts_with("GET /second "),
        "on the same connection"
    );
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(next.answer().await.text(), "ok");
}
