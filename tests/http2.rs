//! HTTP/2: requests that mean two things, streams that are given up, and clients that take nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::Builder;
use http::Request;

use crate::harness::{Backend, Door, Http2, Wire, pattern, send_all, within};

/// A method of 33 letters.
const LONG: &str = "AVERYVERYVERYVERYVERYVERYLONGTOKE";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_request_with_two_meanings_is_refused_and_the_others_go_on() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    let with = |name: &'static str, values: &[&'static str]| {
        let mut request = Http2::get("/");
        for value in values {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    };
    let method = |method: &str| {
        let mut request = Http2::get("/");
        *request.method_mut() = method.parse().unwrap();
        request
    };
    let uri = |uri: &str| Request::get(uri).body(()).unwrap();
    for (name, request, status) in [
        ("another host", with("host", &["evil.example"]), 400),
        (
            "two hosts",
            with("host", &["door.example", "door.example"]),
            400,
        ),
        ("an empty host", with("host", &[""]), 400),
        ("two lengths", with("content-length", &["0", "0"]), 400),
        ("an empty length", with("content-length", &[""]), 400),
        ("an expectation", with("expect", &["a-miracle"]), 417),
        ("user information", uri("https://user@door.example/"), 400),
        ("another name", uri("https://elsewhere.example/"), 421),
        ("a strange scheme", uri("ftp://door.example/"), 400),
        ("a lower-case method", method("get"), 501),
        (
            "a small letter in a method of WebDAV",
            method("pROPFIND"),
            501,
        ),
        ("a long method", method(LONG), 501),
        ("trace", method("TRACE"), 405),
        ("a plain connect", method("CONNECT"), 405),
        ("a dot segment", Http2::get("/a/../b"), 400),
        ("an encoded NUL", Http2::get("/%00"), 400),
        ("an encoded slash", Http2::get("/a%2fb"), 400),
        ("double encoding", Http2::get("/%252e%252e/"), 400),
    ] {
        // h2 may reset such a stream by itself, which is as good.
        let answer = client.status(request).await;
        assert!(
            answer.is_none_or(|answer| answer == status),
            "{name}: {answer:?}"
        );
    }
    app.has_nobody().await;
    let (answer, _) = client.begin(with("host", &["door.example"]), true).await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.all("host"), ["door.example"]);
    worker.send(OK).await;
    assert_eq!(within("an answer", answer).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_without_a_length_reaches_the_app_with_one_and_its_trailers_do_not() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    let mut request = Http2::get("/upload");
    *request.method_mut() = http::Method::POST;
    let (answer, mut stream) = client.begin(request, false).await;
    stream
        .send_data(Bytes::from_static(b"body"), false)
        .unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-admin", "1".parse().unwrap());
    stream.send_trailers(trailers).unwrap();
    let mut worker = app.accept().await;
    let head = worker.head().await;
    assert_eq!(head.one("content-length"), Some("4"));
    assert!(head.all("transfer-encoding").is_empty());
    assert_eq!(worker.take(4).await, b"body");
    worker
        .send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(worker.rest().await, b"", "nothing follows the body");
    assert_eq!(within("an answer", answer).await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_never_looks_complete_to_the_app() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for (length, body) in [("2", "four"), ("9", "four")] {
        let mut client = Http2::open(&door).await;
        let mut request = Http2::get("/upload");
        *request.method_mut() = http::Method::POST;
        request
            .headers_mut()
            .insert("content-length", length.parse().unwrap());
        let (answer, mut stream) = client.begin(request, false).await;
        let _ = stream.send_data(Bytes::from(body), true);
        let status = within("an answer", answer)
            .await
            .ok()
            .map(|answer| answer.status().as_u16());
        assert!(matches!(status, None | Some(400)), "{length}: {status:?}");
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    let mut answers = Vec::new();
    for number in 0..20 {
        answers.push(
            client
                .begin(Http2::get(&format!("/{number}")), true)
                .await
                .0,
        );
    }
    // All of them are at the app at once, in any order.
    let mut workers = Vec::new();
    for _ in 0..20 {
        let mut worker = app.accept().await;
        let path = worker
            .head()
            .await
            .start
            .split(' ')
            .nth(1)
            .unwrap()
            .to_owned();
        workers.push((worker, path));
    }
    for (mut worker, path) in workers {
        worker
            .send(format!(
                "HTTP/1.1 200 OK\r\nX-Path: {path}\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
    }
    for (number, answer) in answers.into_iter().enumerate() {
        let answer = within("an answer", answer).await.unwrap();
        assert_eq!(answer.headers()["x-path"], format!("/{number}"));
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_the_queue_of_the_app() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}workers = 1\nqueue = 1\n", app.app())).await;
    let mut client = Http2::open(&door).await;
    let (first, _) = client.begin(Http2::get("/first"), true).await;
    let mut worker = app.accept().await;
    worker.head().await;
    // Each of these waits in the queue of one, and makes room when it is given up.
    for _ in 0..20 {
        let (answer, mut stream) = client.begin(Http2::get("/given-up"), true).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
    }
    let last = crate::harness::until("room in the queue", || {
        let mut requests = client.requests.clone();
        async move {
            let (mut answer, _) = requests.send_request(Http2::get("/last"), true).unwrap();
            let moment = std::time::Duration::from_millis(100);
            // Refused at once, or waiting.
            tokio::time::timeout(moment, &mut answer)
                .await
                .is_err()
                .then_some(answer)
        }
    })
    .await;
    worker.send(OK).await;
    assert_eq!(within("an answer", first).await.unwrap().status(), 200);
    assert_eq!(worker.head().await.start, "GET /last HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(within("an answer", last).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_whose_window_stays_shut_does_not_keep_a_worker_of_the_app() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}workers = 1\n[limits]\nbody-idle = '1s'\n",
        app.app()
    ))
    .await;
    // The connection answers pings and settings, and takes no byte of any answer.
    let mut greedy = Http2::open_with(&door, Builder::new().initial_window_size(0)).await;
    let (answer, _) = greedy.begin(Http2::get("/big"), true).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let flood = tokio::spawn(async move {
        worker
            .send("HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n")
            .await;
        let _ = worker.output.try_send(&pattern(32 << 20)).await;
    });
    let _answer = within("an answer", answer).await.unwrap();
    let mut other = door.plain().await;
    other.send(Door::get("/other", "")).await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.start, "GET /other HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(other.answer().await.text(), "ok");
    flood.abort();
}

#[tokio::test]
async fn an_upload_over_http2_arrives_while_it_is_still_being_sent() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}request-spool = false\n[limits]\nrequest-buffer = '4KiB'\n",
        app.app()
    ))
    .await;
    let body = pattern(4 << 20);
    let mut client = Http2::open(&door).await;
    let mut request = Http2::get("/upload");
    *request.method_mut() = http::Method::PUT;
    request
        .headers_mut()
        .insert("content-length", body.len().into());
    let (answer, mut stream) = client.begin(request, false).await;
    let (first, second) = body.split_at(64 * 1024);
    assert!(send_all(&mut stream, Bytes::copy_from_slice(first)).await);
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.one("content-length"), Some("4194304"));
    assert_eq!(worker.take(first.len()).await, first);
    let sending = async {
        assert!(send_all(&mut stream, Bytes::copy_from_slice(second)).await);
        stream.send_data(Bytes::new(), true).unwrap();
    };
    let ((), rest) = tokio::join!(sending, worker.input.take(second.len()));
    assert!(rest == second, "the bytes are those that were sent");
    worker.send(OK).await;
    assert_eq!(within("an answer", answer).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_refused_upload_does_not_end_the_connection_of_the_others() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[limits]\nbody-size = '64KiB'\n", app.app())).await;
    let mut client = Http2::open(&door).await;
    let mut request = Http2::get("/upload");
    *request.method_mut() = http::Method::POST;
    request
        .headers_mut()
        .insert("content-length", (1_u64 << 30).into());
    let (answer, mut stream) = client.begin(request, false).await;
    assert_eq!(within("an answer", answer).await.unwrap().status(), 413);
    // The rest of the upload is not wanted, beyond what is read so that the answer arrives.
    assert!(!send_all(&mut stream, Bytes::from(pattern(64 << 20))).await);
    let _ = poll_fn(|cx| stream.poll_reset(cx)).await;
    let (answer, _) = client.begin(Http2::get("/next"), true).await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.start, "GET /next HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(within("an answer", answer).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_that_gives_up_every_request_is_cut_off_though_each_was_seen() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}workers = 1\n", app.app())).await;
    let mut client = Http2::open(&door).await;
    // The first is at the app, so that all others wait; the ping behind each shows that the door has seen it.
    let (_first, _) = client.begin(Http2::get("/first"), true).await;
    let _worker = app.accept().await;
    for given_up in 0.. {
        assert!(given_up < 2000, "the door takes all of them");
        let mut requests = client.requests.clone();
        let Ok(()) = poll_fn(|cx| requests.poll_ready(cx)).await else {
            break;
        };
        let Ok((answer, mut stream)) = requests.send_request(Http2::get("/given-up"), true) else {
            break;
        };
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
    }
    let _ = within("the connection to end", client.connection).await;
}

#[tokio::test]
async fn a_client_that_gives_up_as_many_as_it_lets_be_answered_is_served() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    for _ in 0..300 {
        assert_eq!(client.status(Http2::get("/a/../b")).await, Some(400));
        let (answer, mut stream) = client.begin(Http2::get("/events"), true).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
    }
    assert_eq!(client.status(Http2::get("/a/../b")).await, Some(400));
}

#[tokio::test]
async fn a_flood_of_pings_or_settings_ends_the_connection() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let unknown = [0, 0, 0, 99, 0, 0, 0, 0, 0];
    for frame in [&ping[..], &settings, &unknown] {
        let mut client = Wire::new(door.tls_stream("h2").await);
        client
            .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await;
        let flood = frame.repeat(100);
        let (mut input, mut output) = (client.input, client.output);
        let sending = async {
            let mut sent = 0;
            while output.try_send(&flood).await.is_ok() {
                sent += 100;
                assert!(sent < 1_000_000, "the door answers without end: {frame:?}");
            }
        };
        tokio::join!(sending, input.rest());
    }
}

#[tokio::test]
async fn pings_keep_an_idle_connection_alive_only_as_long_as_another() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[limits]\nkeep-alive = '1s'\n", app.app())).await;
    let stream = door.tls_stream("h2").await;
    let opened = within("the HTTP/2 preface", h2::client::handshake(stream)).await;
    let (_requests, mut connection) = opened.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let connection = tokio::spawn(connection);
    let pinging = async {
        while pings.ping(h2::Ping::opaque()).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    within("the connection to end", async {
        tokio::select! {
            ended = connection => ended.unwrap().unwrap(),
            () = async { pinging.await; std::future::pending().await } => {}
        }
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_only_trickles_is_a_408_over_http2_too() {
    let app = Backend::tcp().await;
    let limits = "minimum-rate = '100KiB'\nminimum-rate-grace = '500ms'\nbody-idle = '1m'\n";
    let door = Door::open(&format!("{}[limits]\n{limits}", app.app())).await;
    let mut client = Http2::open(&door).await;
    let mut request = Http2::get("/upload");
    *request.method_mut() = http::Method::PUT;
    let (answer, mut stream) = client.begin(request, false).await;
    let trickle = async {
        while send_all(&mut stream, Bytes::from_static(&[b'x'; 100])).await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        answer = within("an answer", answer) => answer.unwrap(),
        () = trickle => unreachable!(),
    };
    assert_eq!(answer.status(), 408);
    app.has_nobody().await;
}

#[tokio::test]
async fn a_stream_that_takes_its_answer_in_a_trickle_is_cut_off_and_the_others_are_not() {
    let app = Backend::tcp().await;
    let limits = "minimum-rate = '100MiB'\nminimum-rate-grace = '500ms'\nbody-idle = '1s'\n";
    let door = Door::open(&format!(
        "{}response-spool = false\n[limits]\n{limits}",
        app.app()
    ))
    .await;
    let mut client = Http2::open(&door).await;
    let (answer, _) = client.begin(Http2::get("/big"), true).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let sending = tokio::spawn(async move {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
        worker.send(head).await;
        let piece = pattern(1 << 20);
        while worker.output.try_send(&piece).await.is_ok() {}
    });
    let mut body = within("an answer", answer).await.unwrap().into_body();
    // A piece now and then, which is progress, but not enough of it.
    let cut = loop {
        match within("a piece, or the end", body.data()).await {
            Some(Ok(piece)) => body.flow_control().release_capacity(piece.len()).unwrap(),
            Some(Err(error)) => break error,
            None => panic!("a gibibyte arrived"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(cut.is_reset(), "{cut}");
    within("the app to be let go", sending).await.unwrap();
    let (answer, _) = client.begin(Http2::get("/small"), true).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(OK).await;
    assert_eq!(within("an answer", answer).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_stream_that_takes_little_of_a_short_answer_is_cut_off_too() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[limits]\nbody-idle = '1s'\n", app.app())).await;
    let mut client = Http2::open_with(&door, Builder::new().initial_window_size(1)).await;
    let (answer, _) = client.begin(Http2::get("/"), true).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let body = pattern(100_000);
    worker
        .send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ))
        .await;
    worker.output.try_send(&body).await.unwrap();
    let mut body = within("an answer", answer).await.unwrap().into_body();
    let first = within("a byte", body.data()).await.unwrap().unwrap();
    assert_eq!(first.len(), 1);
    let cut = within("the end", body.data()).await.unwrap().unwrap_err();
    assert!(cut.is_reset(), "{cut}");
}

/// A frame of the first stream but for those that belong to none.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![0, high, low, kind, flags, 0, 0, 0, stream];
    frame.extend(payload);
    frame
}

/// The head of a POST for `https://door.example/a`, whose `:path` is the newest entry of the dynamic table.
fn post_head() -> Vec<u8> {
    [
        &[0x83, 0x87, 0x01, 12][..],
        b"door.example",
        &[0x44, 2],
        b"/a",
    ]
    .concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn a_pseudo_header_in_trailers_ends_the_connection_before_the_app_is_asked() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let literal = [&[0x00, 5][..], b":path", &[1], b"/"].concat();
    let long = [&[0x00, 3][..], b"x-a", &[1], b"1", &[0x84]].concat();
    let head = post_head();
    for (name, trailers) in [
        ("an index of the static table", frame(1, 5, 1, &[0x84])),
        ("its name", frame(1, 5, 1, &[0x04, 1, b'b'])),
        ("a literal", frame(1, 5, 1, &literal)),
        (
            "one never indexed",
            frame(1, 5, 1, &[&[0x10], &literal[1..]].concat()),
        ),
        (
            "Huffman code",
            frame(1, 5, 1, &[0, 0x84, 0xb9, 0x58, 0xd3, 0x3f, 1, b'/']),
        ),
        ("the dynamic table", frame(1, 5, 1, &[0xbe])),
        ("a name of it", frame(1, 5, 1, &[0x7e, 1, b'c'])),
        ("behind another field", frame(1, 5, 1, &long)),
        ("padding", frame(1, 0xd, 1, &[2, 0x84, 0, 0])),
        ("a priority", frame(1, 0x25, 1, &[0, 0, 0, 0, 9, 0x84])),
        (
            "two frames",
            [frame(1, 1, 1, &literal[..4]), frame(9, 4, 1, &literal[4..])].concat(),
        ),
    ] {
        let mut client = Wire::new(door.tls_stream("h2").await);
        client.send(PREFACE).await;
        client.send(frame(1, 4, 1, &head)).await;
        client.send(frame(0, 0, 1, b"body")).await;
        client.send(trailers).await;
        // Without an end, a test that waits in vain would fail here.
        let rest = client.rest().await;
        assert!(!rest.windows(2).any(|two| two == b"ok"), "{name}");
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn a_push_of_a_client_ends_the_connection() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Wire::new(door.tls_stream("h2").await);
    client.send(PREFACE).await;
    client.send(frame(1, 4, 1, &post_head())).await;
    // h2 refuses this one alone, because of its header, and would answer the next request.
    let promised = [&[0, 0, 0, 2, 0x00, 10][..], b"connection", &[1], b"x"].concat();
    let push = frame(5, 4, 1, &promised);
    let request = frame(1, 5, 3, &post_head());
    client.send([push, request].concat()).await;
    client.rest().await;
    app.has_nobody().await;
}

#[tokio::test]
async fn ordinary_trailers_and_two_hundred_requests_with_tables_pass() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    let mut worker = None;
    for number in 0..200 {
        let mut request = Http2::get(&format!("/{}", number % 7));
        *request.method_mut() = http::Method::POST;
        let value = "v".repeat(number * 13 % 700).parse().unwrap();
        request.headers_mut().insert("x-value", value);
        let (answer, mut stream) = client.begin(request, false).await;
        stream
            .send_data(Bytes::from_static(b"body"), false)
            .unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-path", format!("/{}", number % 5).parse().unwrap());
        stream.send_trailers(trailers).unwrap();
        let mut app_side: Wire = match worker.take() {
            Some(worker) => worker,
            None => app.accept().await,
        };
        app_side.head().await;
        assert_eq!(app_side.take(4).await, b"body");
        app_side.send(OK).await;
        assert_eq!(within("an answer", answer).await.unwrap().status(), 200);
        worker = Some(app_side);
    }
}

#[tokio::test]
async fn a_client_whose_streams_are_all_broken_is_cut_off() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Wire::new(door.tls_stream("h2").await);
    client.send(PREFACE).await;
    // A header of the connection breaks its stream alone (RFC 9113 §8.2.2).
    let head = [&post_head()[..], &[0x00, 10], b"connection", &[1], b"x"].concat();
    let (mut input, mut output) = (client.input, client.output);
    let sending = async {
        for number in 0_u32.. {
            assert!(number < 100_000, "the door resets without end");
            let mut broken = frame(1, 5, 0, &head);
            broken[5..9].copy_from_slice(&(2 * number + 1).to_be_bytes());
            if output.try_send(&broken).await.is_err() {
                break;
            }
        }
    };
    let ((), rest) = tokio::join!(sending, input.rest());
    // A GOAWAY with ENHANCE_YOUR_CALM, unless the client wrote so much that the end came as a reset of the connection.
    let calm = [0, 0, 0, 11];
    assert!(
        rest.is_empty() || rest.windows(4).any(|four| four == calm),
        "{rest:?}"
    );
    app.has_nobody().await;
}

#[tokio::test]
async fn a_request_that_comes_while_an_idle_connection_is_closing_is_answered() {
    const GOAWAY: u8 = 7;
    const PING: u8 = 6;
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[limits]\nkeep-alive = '1s'\n", app.app())).await;
    let mut client = Wire::new(door.tls_stream("h2").await);
    client.send(PREFACE).await;
    // The door says that it closes, and asks by a ping whether the client has heard of it (RFC 9113 §6.8).
    let mut is_closing = false;
    let ping = loop {
        let head = client.take(9).await;
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = client.take(length).await;
        is_closing |= head[3] == GOAWAY;
        if is_closing && head[3] == PING {
            break payload;
        }
    };
    client.send(frame(1, 5, 1, &post_head())).await;
    client.send(frame(PING, 1, 0, &ping)).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(OK).await;
    let rest = client.rest().await;
    assert!(rest.windows(2).any(|two| two == b"ok"), "{rest:?}");
}

#[tokio::test]
async fn a_handshake_that_says_its_version_or_key_twice_is_refused_over_http2_too() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    for twice in [
        &[("sec-websocket-version", "13")][..],
        &[("sec-websocket-key", "a"), ("sec-websocket-key", "b")],
    ] {
        let (answer, _sender) = client.connect_with("/socket", twice).await;
        let answer = within("an answer", answer).await.unwrap();
        assert_eq!(answer.status(), 400, "{twice:?}");
    }
    app.has_nobody().await;
}
