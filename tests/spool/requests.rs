//! Uploads: complete before the app is asked, with a length, within bounds.

use super::OK;
use crate::harness::{Backend, Door, Http2, pattern, send_all, within};

fn upload(lines: &str) -> String {
    format!("PUT /upload HTTP/1.1\r\nHost: door.example\r\n{lines}\r\n")
}

fn with_length(length: usize) -> String {
    upload(&format!("Content-Length: {length}\r\n"))
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    for piece in body.chunks(50_000) {
        sent.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        sent.extend(piece);
        sent.extend(b"\r\n");
    }
    sent.extend(b"0\r\n\r\n");
    sent
}

async fn door(spool: &str) -> (Backend, Door) {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}workers = 1\n[limits]\nrequest-buffer = '4KiB'\n[spool]\n{spool}\n",
        app.app()
    ))
    .await;
    (app, door)
}

#[tokio::test]
async fn a_large_upload_is_complete_before_the_app_is_asked() {
    let (app, door) = door("").await;
    let body = pattern(3 << 20);
    let (first, second) = body.split_at(body.len() / 2);
    let mut slow = door.plain().await;
    slow.send(with_length(body.len())).await;
    slow.send(first).await;
    // The one worker there is serves another visitor meanwhile.
    let mut other = door.plain().await;
    other.send(Door::get("/other", "")).await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.start, "GET /other HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(other.answer().await.text(), "ok");
    slow.send(second).await;
    let head = worker.head().await;
    assert_eq!(head.start, "PUT /upload HTTP/1.1");
    assert_eq!(head.one("content-length"), Some("3145728"));
    assert!(worker.take(body.len()).await == body, "byte for byte");
    worker.send(OK).await;
    assert_eq!(slow.answer().await.text(), "ok");
}

#[tokio::test]
async fn an_upload_without_a_length_gets_one_whatever_its_size() {
    let (app, door) = door("request-size = '4MiB'").await;
    for size in [5_000, 300_000, 3 << 20] {
        let body = pattern(size);
        let mut client = door.plain().await;
        client.send(upload(CHUNKED)).await;
        client.send(chunked(&body)).await;
        let mut worker = app.accept().await;
        let head = worker.head().await;
        assert_eq!(head.one("content-length"), Some(&*size.to_string()));
        assert_eq!(head.one("transfer-encoding"), None);
        assert!(worker.take(size).await == body, "{size} bytes");
        worker
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            .await;
        assert_eq!(client.answer().await.text(), "ok");
    }
    let body = pattern(4 << 20);
    let mut client = Http2::open(&door).await;
    let mut request = Http2::get("/upload");
    *request.method_mut() = http::Method::POST;
    let (answer, mut stream) = client.begin(request, false).await;
    assert!(send_all(&mut stream, body.clone().into()).await);
    stream.send_data(bytes::Bytes::new(), true).unwrap();
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.one("content-length"), Some("4194304"));
    assert!(worker.take(body.len()).await == body, "over HTTP/2");
    worker.send(OK).await;
    assert_eq!(within("an answer", answer).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_upload_without_a_length_beyond_what_one_may_have_is_a_411() {
    let (app, door) = door("request-size = '1MiB'").await;
    let mut client = door.plain().await;
    client.send(upload(CHUNKED)).await;
    client.send(chunked(&pattern(2 << 20))).await;
    assert_eq!(client.answer().await.status, 411);
    app.has_nobody().await;
}

/// The app is asked in the middle of this upload, and gets all of it.
async fn streams(spool: &str, size: usize) {
    let (app, door) = door(spool).await;
    let body = pattern(size);
    let (first, second) = body.split_at(size / 2);
    let mut client = door.plain().await;
    client.send(with_length(size)).await;
    client.send(first).await;
    let mut worker = app.accept().await;
    assert_eq!(
        worker.head().await.one("content-length"),
        Some(&*size.to_string())
    );
    let (mut input, mut output) = (worker.input, worker.output);
    let ((), got) = tokio::join!(client.send(second), input.take(size));
    assert!(got == body, "with {spool}");
    output.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn an_upload_for_which_there_is_no_room_streams() {
    streams("request-size = '1MiB'", 2 << 20).await;
    // The beginning is on disk already when the spool is full.
    streams("size = '512KiB'", 4 << 20).await;
    streams("size = '0B'", 2 << 20).await;
    streams("directory = '/nonexistent/spool'", 2 << 20).await;
}

#[tokio::test]
async fn an_upload_that_may_not_stream_is_refused_when_the_spool_is_full() {
    for spool in [
        "size = '512KiB'\nwhen-full = 'refuse'",
        "directory = '/nonexistent/spool'\nwhen-full = 'refuse'",
        "size = '512KiB'",
    ] {
        let (app, door) = door(spool).await;
        let body = pattern(2 << 20);
        let mut client = door.plain().await;
        if spool.contains("when-full") {
            client.send(with_length(body.len())).await;
            client.send(&body).await;
        } else {
            client.send(upload(CHUNKED)).await;
            client.send(chunked(&body)).await;
        }
        let answer = client.answer().await;
        assert_eq!(answer.status, 507, "{spool}");
        assert_eq!(answer.head.one("retry-after"), Some("5"));
        app.has_nobody().await;
    }
}

#[tokio::test]
async fn room_that_an_upload_has_taken_is_free_after_it() {
    let (app, door) = door("size = '1MiB'\nwhen-full = 'refuse'").await;
    let body = pattern(900_000);
    for _ in 0..3 {
        let mut client = door.plain().await;
        client.send(with_length(body.len())).await;
        client.send(&body).await;
        let mut worker = app.accept().await;
        worker.head().await;
        assert!(worker.take(body.len()).await == body, "byte for byte");
        worker
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            .await;
        assert_eq!(client.answer().await.text(), "ok");
    }
}

#[tokio::test]
async fn an_upload_on_disk_is_sent_again_when_the_connection_turns_out_to_be_stale() {
    let (app, door) = door("").await;
    let mut client = door.plain().await;
    client.send(Door::get("/first", "")).await;
    let mut stale = app.accept().await;
    stale.head().await;
    stale.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    let body = pattern(1 << 20);
    client.send(with_length(body.len())).await;
    client.send(&body).await;
    assert_eq!(stale.head().await.start, "PUT /upload HTTP/1.1");
    stale.take(300_000).await;
    drop(stale);
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.one("content-length"), Some("1048576"));
    assert!(worker.take(body.len()).await == body, "all of it again");
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}
