//! Uploads: complete before the app is asked, with a length, within bounds.

use super::OK;
use crate::harness::{Backend, Door, Http2, Wire, pattern, send_all, within};

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

/// A door with one worker. The client may have all of the spool; its share has tests of its own.
async fn door(spool: &str) -> (Backend, Door) {
    with_limits(
        "workers = 1",
        "request-buffer = '4KiB'\naddress-share = 100",
        spool,
    )
    .await
}

/// Keys of the app, of `[limits]` and of `[spool]`.
async fn with_limits(app_keys: &str, limits: &str, spool: &str) -> (Backend, Door) {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}{app_keys}\n[limits]\n{limits}\n[spool]\n{spool}\n",
        app.app()
    ))
    .await;
    (app, door)
}

/// An upload of which so much is still to come.
async fn unfinished(door: &Door, address: &str, length: usize, left: usize) -> Wire {
    let mut client = door.plain_from(address).await;
    client.send(with_length(length)).await;
    client.send(&pattern(length)[..length - left]).await;
    client
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

#[tokio::test]
async fn an_address_that_fills_its_share_of_the_spool_streams_nothing_and_others_find_room() {
    let (app, door) = with_limits("workers = 1", "request-buffer = '4KiB'", "size = '4MiB'").await;
    let mut first = unfinished(&door, "127.0.0.1", 1_500_000, 10).await;
    let mut second = unfinished(&door, "127.0.0.1", 1_500_000, 10).await;
    // The one that comes to the end of the share: that they were sent one after the other does not say that they
    // are read so.
    let refused = tokio::select! {
        refused = first.answer() => refused,
        refused = second.answer() => refused,
    };
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.head.one("retry-after"), Some("5"));
    app.has_nobody().await;
    let mut other = unfinished(&door, "127.0.0.2", 900_000, 0).await;
    let mut worker = app.accept().await;
    worker.head().await;
    assert!(worker.take(900_000).await == pattern(900_000));
    worker.send(OK).await;
    assert_eq!(other.answer().await.text(), "ok");
}

#[tokio::test]
async fn request_bodies_have_a_budget_of_memory_and_an_address_its_share_of_it() {
    let limits = "request-memory = '1MiB'";
    let (app, door) = with_limits("", limits, "size = '0B'").await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(unfinished(&door, "127.0.0.1", 110_000, 10_000).await);
    }
    let mut sixth = unfinished(&door, "127.0.0.1", 110_000, 10_000).await;
    let refused = sixth.answer().await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.head.one("retry-after").is_some());
    app.has_nobody().await;
    let mut other = unfinished(&door, "127.0.0.2", 110_000, 0).await;
    let mut worker = app.accept().await;
    worker.head().await;
    assert!(worker.take(110_000).await == pattern(110_000));
    worker.send(OK).await;
    assert_eq!(other.answer().await.text(), "ok");
}

#[tokio::test]
async fn bodies_that_find_no_memory_go_to_disk_and_arrive_whole() {
    let limits = "request-memory = '1MiB'";
    let (app, door) = with_limits("workers = 1", limits, "").await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(unfinished(&door, "127.0.0.1", 110_000, 10_000).await);
    }
    app.has_nobody().await;
    let mut worker = None;
    for mut client in held {
        client.send(&pattern(110_000)[100_000..]).await;
        let mut open = match worker.take() {
            Some(open) => open,
            None => app.accept().await,
        };
        open.head().await;
        assert!(open.take(110_000).await == pattern(110_000));
        open.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
        worker = Some(open);
    }
}

#[tokio::test]
async fn uploads_that_stream_hold_half_of_the_workers_at_most() {
    let keys = "workers = 4\nqueue-wait = '200ms'";
    let limits = "request-buffer = '4KiB'";
    let (app, door) = with_limits(keys, limits, "request-size = '8KiB'").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let client = unfinished(&door, "127.0.0.1", 100_000, 10).await;
        held.push((client, app.accept().await));
    }
    let mut third = unfinished(&door, "127.0.0.2", 100_000, 10).await;
    let refused = third.answer().await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    let mut visitor = door.plain().await;
    visitor.send(Door::get("/page", "")).await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.start, "GET /page HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(visitor.answer().await.text(), "ok");
    // One that ends makes room.
    let (mut client, mut worker) = held.remove(0);
    client.send(&pattern(100_000)[99_990..]).await;
    worker.head().await;
    worker.take(100_000).await;
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    let _fourth = unfinished(&door, "127.0.0.2", 100_000, 10).await;
    assert!(worker.head().await.start.starts_with("PUT /upload"));
}
