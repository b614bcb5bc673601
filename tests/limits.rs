//! The limits: what is cut off, when, with which words; and that the places taken are given back.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

use std::time::Duration;

use tokio::net::TcpStream;

use crate::harness::{Backend, Door, Http2, Wire, binary, pattern, until, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn with_limits(limits: &str) -> (Backend, Door) {
    with_settings(&format!("[limits]\n{limits}\n")).await
}

async fn with_settings(settings: &str) -> (Backend, Door) {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}{settings}", app.app())).await;
    (app, door)
}

/// Neither uploads nor answers wait for the slower side.
const NO_SPOOL: &str = "request-spool = false\nresponse-spool = false\n[limits]\n";

#[tokio::test]
async fn a_client_that_does_not_finish_the_tls_handshake_is_dropped() {
    let (_app, door) = with_limits("handshake = '200ms'").await;
    let mut silent = Wire::new(TcpStream::connect(door.https).await.unwrap());
    let mut slow = Wire::new(TcpStream::connect(door.https).await.unwrap());
    // The beginning of a handshake record that announces more.
    slow.send([22, 3, 1, 2, 0, 1]).await;
    assert_eq!(silent.rest().await, b"");
    assert_eq!(slow.rest().await, b"");
}

#[tokio::test]
async fn a_client_that_says_nothing_on_a_plain_port_is_dropped() {
    let (_app, door) = with_limits("head = '200ms'\nhandshake = '200ms'").await;
    assert_eq!(door.plain().await.rest().await, b"");
    assert_eq!(door.tls().await.rest().await, b"");
}

#[tokio::test]
async fn a_head_that_is_not_complete_in_time_is_a_408() {
    let (_app, door) = with_limits("head = '2s'").await;
    for encrypted in [false, true] {
        // Each in its turn: the other's time would be running meanwhile.
        let mut client = if encrypted {
            door.tls().await
        } else {
            door.plain().await
        };
        client.send("GET / HTTP/1.1\r\nHost: door.exa").await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 408);
        assert_eq!(answer.head.one("connection"), Some("close"));
        assert_eq!(client.rest().await, b"");
    }
}

#[tokio::test]
async fn a_head_that_comes_a_byte_at_a_time_is_a_408_too() {
    let (_app, door) = with_limits("head = '500ms'").await;
    let client = door.plain().await;
    let (mut input, mut output) = (client.input, client.output);
    let drip = async {
        output.send("GET / HTTP/1.1\r\nX: ").await;
        while output.try_send(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::select! {
        answer = input.answer() => answer,
        () = drip => panic!("the connection ended without an answer"),
    };
    assert_eq!(answer.status, 408);
}

#[tokio::test]
async fn the_head_limit_holds_for_the_second_request_too() {
    let (app, door) = with_limits("head = '300ms'").await;
    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    client.send("GET / HT").await;
    assert_eq!(client.answer().await.status, 408);
}

#[tokio::test]
async fn the_head_limit_does_not_hold_for_the_app() {
    let (app, door) = with_limits("head = '100ms'\nkeep-alive = '100ms'").await;
    let mut client = door.tls().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    // Longer than both limits: another connection is dropped meanwhile.
    assert_eq!(door.plain().await.rest().await, b"");
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let (app, door) = with_limits("keep-alive = '200ms'").await;
    let mut client = door.tls().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    assert_eq!(client.rest().await, b"");
    let mut http2 = Http2::open(&door).await;
    assert_eq!(http2.status(Http2::get("/a/../b")).await, Some(400));
    within("the idle HTTP/2 connection to end", http2.connection)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_body_that_stops_coming_is_a_408() {
    let (app, door) = with_settings(&format!(
        "{NO_SPOOL}body-idle = '200ms'\nrequest-buffer = '1KiB'\n"
    ))
    .await;
    for sent in [10, 4096] {
        // Within the buffer the app has not been asked; beyond it, it sees the body break off.
        let mut client = door.plain().await;
        client
            .send("POST / HTTP/1.1\r\nHost: door.example\r\nContent-Length: 100000\r\n\r\n")
            .await;
        client.send(pattern(sent)).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 408, "after {sent} bytes");
        assert_eq!(answer.head.one("connection"), Some("close"));
    }
    let mut worker = app.accept().await;
    worker.head().await;
    assert!(worker.rest().await.len() <= 4096);
    app.has_nobody().await;
}

#[tokio::test]
async fn a_body_that_only_trickles_is_a_408_though_it_never_stops() {
    let limits = "minimum-rate = '100KiB'\nminimum-rate-grace = '500ms'\nbody-idle = '1m'";
    for spool in ["", "request-spool = false\n"] {
        let (app, door) = with_settings(&format!(
            "{spool}[limits]\n{limits}\nrequest-buffer = '1KiB'\n"
        ))
        .await;
        let client = door.plain().await;
        let (mut input, mut output) = (client.input, client.output);
        let trickle = async {
            let head = "POST / HTTP/1.1\r\nHost: door.example\r\nContent-Length: 100000\r\n\r\n";
            output.send(head).await;
            while output.try_send(&[b'x'; 100]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            answer = input.answer() => answer,
            () = trickle => unreachable!(),
        };
        assert_eq!(answer.status, 408, "{spool}");
        assert!(
            answer.text().contains("bytes a second"),
            "{}",
            answer.text()
        );
        if spool.is_empty() {
            app.has_nobody().await;
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_its_answer_in_a_trickle_is_cut_off() {
    let limits = "minimum-rate = '100MiB'\nminimum-rate-grace = '500ms'\nbody-idle = '1m'\n";
    let (app, door) = with_settings(&format!("response-spool = false\n[limits]\n{limits}")).await;
    let mut client = door.plain().await;
    client.send(Door::get("/big", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        .await;
    let piece = pattern(1 << 20);
    let sending = async { while worker.output.try_send(&piece).await.is_ok() {} };
    let reading = async {
        // A megabyte now and then, which is progress, but not enough of it.
        while client.input.has(1 << 20).await {
            client.take(1 << 20).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(sending, reading);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_a_413() {
    let (app, door) = with_limits("body-size = '8KiB'").await;
    for head in [
        "Content-Length: 8193\r\n",
        "Content-Length: 8193\r\nExpect: 100-continue\r\n",
        "Content-Length: 9223372036854775807\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        let mut client = door.plain().await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: door.example\r\n{head}\r\n"
            ))
            .await;
        if head.starts_with('T') {
            client.send("2001\r\n").await;
            client.send(pattern(8193)).await;
        }
        let answer = client.answer().await;
        assert_eq!(answer.status, 413, "{head}");
        assert_eq!(answer.head.one("connection"), Some("close"));
    }
    app.has_nobody().await;
    let mut client = door.plain().await;
    client
        .send("POST / HTTP/1.1\r\nHost: door.example\r\nContent-Length: 8192\r\n\r\n")
        .await;
    client.send(pattern(8192)).await;
    assert_eq!(
        app.accept().await.head().await.one("content-length"),
        Some("8192")
    );
}

#[tokio::test]
async fn the_413_reaches_a_client_that_is_still_sending() {
    let (_app, door) = with_limits("body-size = '8KiB'").await;
    let client = door.tls().await;
    let (mut input, mut output) = (client.input, client.output);
    let sending = async {
        output
            .send("POST / HTTP/1.1\r\nHost: door.example\r\nContent-Length: 8388608\r\n\r\n")
            .await;
        output.send(pattern(8 << 20)).await;
    };
    let ((), answer) = tokio::join!(sending, input.answer());
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn a_large_body_without_a_length_is_a_411() {
    let (app, door) = with_settings(&format!("{NO_SPOOL}request-buffer = '4KiB'\n")).await;
    let mut client = door.plain().await;
    client
        .send("POST / HTTP/1.1\r\nHost: door.example\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n")
        .await;
    client.send(pattern(0x2000)).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 411);
    app.has_nobody().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_a_431() {
    let (app, door) = with_limits("head-size = '8KiB'\nheaders = 20").await;
    let long = Door::get("/", &format!("X: {}\r\n", "x".repeat(16 << 10)));
    let many = Door::get("/", &"X: 1\r\n".repeat(30));
    for request in [long, many] {
        let mut client = door.plain().await;
        let _ = client.output.try_send(request.as_bytes()).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 431);
        assert_eq!(client.rest().await, b"");
    }
    let mut http2 = Http2::open(&door).await;
    let mut request = Http2::get("/");
    let value = "x".repeat(12 << 10).parse().unwrap();
    request.headers_mut().insert("x", value);
    let status = http2.status(request).await;
    assert!(matches!(status, None | Some(431)), "{status:?}");
    app.has_nobody().await;
}

/// True if the door still serves on a new connection of this address.
async fn is_served(door: &Door) -> bool {
    let Ok(socket) = TcpStream::connect(door.http).await else {
        return false;
    };
    let mut client = Wire::new(socket);
    let request = "OPTIONS * HTTP/1.1\r\nHost: door.example\r\nConnection: close\r\n\r\n";
    if client.output.try_send(request.as_bytes()).await.is_err() {
        return false;
    }
    client.rest().await.starts_with(b"HTTP/1.1 204")
}

#[tokio::test]
async fn one_address_cannot_take_more_connections_than_its_share() {
    let (_app, door) = with_limits("connections-per-address = 2").await;
    let first = door.tls().await;
    let _second = door.tls().await;
    let mut third = door.plain().await;
    assert_eq!(third.rest().await, b"", "closed at once");
    assert!(!is_served(&door).await);
    drop(first);
    until("a place to be free", || async {
        is_served(&door).await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let (_app, door) = with_limits("connections = 2\nhead = '1m'").await;
    let first = door.tls().await;
    let _second = door.tls().await;
    let mut waiting = door.plain().await;
    waiting
        .send("OPTIONS * HTTP/1.1\r\nHost: door.example\r\n\r\n")
        .await;
    let moment = Duration::from_millis(100);
    let answer = tokio::time::timeout(moment, waiting.answer()).await;
    assert!(answer.is_err(), "nobody may have accepted it");
    drop(first);
    assert_eq!(waiting.answer().await.status, 204);
}

#[tokio::test]
async fn with_all_places_taken_an_answered_connection_makes_room_for_one_that_waits() {
    let (_app, door) = with_limits("connections = 2\nkeep-alive = '10m'").await;
    let ask = "OPTIONS * HTTP/1.1\r\nHost: door.example\r\n\r\n";
    let mut first = door.plain().await;
    let answer = first.ask(ask).await;
    assert_eq!(answer.head.one("connection"), None, "there is room");
    let _second = door.tls().await;
    let mut waiting = door.plain().await;
    waiting.send(ask).await;
    let answer = first.ask(ask).await;
    assert_eq!(answer.head.one("connection"), Some("close"));
    assert_eq!(waiting.answer().await.status, 204);
}

#[tokio::test]
async fn the_place_of_an_upgraded_connection_is_free_only_when_its_tunnel_ends() {
    let console = Backend::tcp().await;
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}{}[limits]\nconnections-per-address = 1\n",
        app.app(),
        console.target("vm")
    ))
    .await;
    let mut bridged = door.websocket("/websockify?token=vm").await;
    let mut target = console.accept().await;
    assert!(!is_served(&door).await);
    bridged.send(binary(b"open")).await;
    assert_eq!(target.take(4).await, b"open");
    drop(bridged);
    until("the place of the tunnel", || async {
        is_served(&door).await.then_some(())
    })
    .await;
    // The same with a WebSocket of the app.
    let mut passed = until("a connection", || async {
        let mut client = door.plain().await;
        let sent = client
            .output
            .try_send(Door::handshake("/chat", "").as_bytes())
            .await;
        let moment = Duration::from_millis(200);
        let worker = tokio::time::timeout(moment, app.accept()).await;
        (sent.is_ok())
            .then_some(())
            .and(worker.ok())
            .map(|worker| (client, worker))
    })
    .await;
    passed.1.head().await;
    passed
        .1
        .send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nopen",
        )
        .await;
    assert_eq!(passed.0.head().await.status(), 101);
    assert_eq!(passed.0.take(4).await, b"open");
    assert!(!is_served(&door).await);
    drop(passed);
    until("the place of the tunnel", || async {
        is_served(&door).await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_never_reads_a_large_answer_is_cut_off() {
    let (app, door) = with_settings(&format!("{NO_SPOOL}body-idle = '500ms'\n")).await;
    for tls in [false, true] {
        let mut client = if tls {
            door.tls().await
        } else {
            door.plain().await
        };
        client.send(Door::get("/big", "")).await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker
            .send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
            .await;
        let piece = pattern(1 << 20);
        // The app's connection ends when the client is given up, long before all of it was sent.
        let mut sent = 0;
        while worker.output.try_send(&piece).await.is_ok() {
            sent += 1;
            assert!(sent < 1024, "the door took it all in");
        }
        drop(client);
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_cut_off() {
    let (app, door) = with_limits("body-idle = '500ms'").await;
    let mut client = door.plain().await;
    client.send(Door::get("/big", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let body = pattern(12 << 20);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let sending = async {
        worker.send(&answer).await;
        worker.send(&body).await;
    };
    let reading = async {
        client.head().await;
        let mut got = Vec::new();
        // For longer than the limit in all, and never for as long as the limit without a byte.
        for _ in 0..12 {
            got.extend(client.take(1 << 20).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        got
    };
    let ((), got) = tokio::join!(sending, reading);
    assert!(got == body, "the bytes are those that were sent");
}

#[tokio::test]
async fn an_answer_of_the_door_itself_starts_no_head_limit() {
    let console = Backend::tcp().await;
    let door = Door::open(&format!("{}[limits]\nhead = '1s'\n", console.target("vm"))).await;
    let stays = |mut client: Wire| async move {
        let request = Door::get("/websockify/x", "");
        assert_eq!(client.ask(&request).await.status, 404);
        let unasked = tokio::time::timeout(Duration::from_secs(2), client.input.some()).await;
        assert!(unasked.is_err(), "{unasked:?}");
        assert_eq!(client.ask(&request).await.status, 404);
    };
    tokio::join!(stays(door.plain().await), stays(door.tls().await));
}
