//! Interim responses of the app (RFC 9110 §15.2).

use std::future::poll_fn;
use std::pin::Pin;
use std::process::Command;
use std::task::Poll;

use bytes::Bytes;
use h2::client::ResponseFuture;
use http::{HeaderMap, Response};

use crate::harness::{Backend, Door, Http2, Wire, read_all, within};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-own\r\n\
                     X-Own: 1\r\nX-Accel-Redirect: /secret\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Asks for hints, and has them before the app has more to say.
async fn gets_hints(app: &Backend, client: &mut Wire) {
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(HINTS).await;
    let head = client.head().await;
    assert_eq!(head.start, "HTTP/1.1 103 Early Hints");
    assert_eq!(head.lines(), ["link: </a.css>; rel=preload"]);
    worker.send("HTTP/1.1 102 Processing\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 102);
    worker.send(HINTS.to_owned() + OK).await;
    assert_eq!(client.head().await.status(), 103);
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn interim_responses_of_the_app_are_passed_on_at_once() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}keep-alive = '0s'\n", app.app())).await;
    for _ in 0..10 {
        let mut plain = door.plain().await;
        let mut secure = door.tls().await;
        for _ in 0..2 {
            gets_hints(&app, &mut plain).await;
            gets_hints(&app, &mut secure).await;
        }
    }
}

#[tokio::test]
async fn no_more_than_a_few_interim_responses_of_a_request_are_passed_on() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let large = format!(
        "HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    worker.send(large + &HINTS.repeat(40) + OK).await;
    let mut hints = 0;
    loop {
        let head = client.head().await;
        if head.status() == 200 {
            assert_eq!(client.input.body(&head).await, b"ok");
            break;
        }
        assert_eq!(head.one("link"), Some("</a.css>; rel=preload"));
        hints += 1;
    }
    assert_eq!(hints, 16);
}

#[tokio::test]
async fn interim_responses_are_not_sent_where_the_protocol_has_no_place_for_them() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client
        .send("GET / HTTP/1.0\r\nHost: door.example\r\n\r\n")
        .await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(HINTS.to_owned() + OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn an_upload_that_waits_for_a_100_gets_that_and_the_hints_in_their_order() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client
        .send("POST / HTTP/1.1\r\nHost: door.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 100);
    client.send("body").await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    worker.input.body_of_request(&head).await;
    worker.send(HINTS.to_owned() + OK).await;
    assert_eq!(client.head().await.status(), 103);
    assert_eq!(client.answer().await.text(), "ok");
}

/// The next interim response over HTTP/2.
async fn interim(answer: &mut ResponseFuture) -> Response<()> {
    let next = within("hints", poll_fn(|cx| answer.poll_informational(cx))).await;
    next.unwrap().unwrap()
}

/// All interim responses, and the final one.
async fn all(mut answer: ResponseFuture) -> (Vec<Response<()>>, Response<h2::RecvStream>) {
    let mut hints = Vec::new();
    let last = poll_fn(|cx| {
        while let Poll::Ready(Some(next)) = answer.poll_informational(cx) {
            hints.push(next.unwrap());
        }
        Pin::new(&mut answer).poll(cx)
    });
    let last = within("an answer", last).await.unwrap();
    (hints, last)
}

fn lines(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let lines = headers.iter();
    lines
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn interim_responses_of_the_app_are_passed_on_at_once_over_http2() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    let mut worker = None;
    for _ in 0..10 {
        let (mut answer, _) = client.begin(Http2::get("/"), true).await;
        let mut app_side: Wire = match worker.take() {
            Some(worker) => worker,
            None => app.accept().await,
        };
        app_side.head().await;
        app_side.send(HINTS).await;
        let hints = interim(&mut answer).await;
        assert_eq!(hints.status(), 103);
        assert_eq!(lines(hints.headers()), [("link", "</a.css>; rel=preload")]);
        app_side.send("HTTP/1.1 102 Processing\r\n\r\n").await;
        assert_eq!(interim(&mut answer).await.status(), 102);
        app_side
            .send("HTTP/1.1 100 Continue\r\n\r\n".to_owned() + HINTS + OK)
            .await;
        let (hints, last) = all(answer).await;
        assert_eq!(hints.len(), 1, "100 is the door's own affair: {hints:?}");
        assert!(!last.headers().contains_key("link"));
        assert_eq!(read_all(last).await, (200, b"ok".to_vec()));
        worker = Some(app_side);
    }
}

#[tokio::test]
async fn no_more_than_a_few_interim_responses_of_a_request_are_passed_on_over_http2() {
    let app = Backend::tcp().await;
    let rules = "[app.response-headers]\nremove = ['Server']\n";
    let door = Door::open(&format!("{}{rules}", app.app())).await;
    let mut client = Http2::open(&door).await;
    let (answer, _) = client.begin(Http2::get("/"), true).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let large = format!(
        "HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let hints = HINTS.replace("Link:", "Server: app/1.0\r\nLink:");
    worker.send(large + &hints.repeat(40) + OK).await;
    let (hints, last) = all(answer).await;
    assert_eq!(hints.len(), 16);
    for hints in hints {
        assert_eq!(lines(hints.headers()), [("link", "</a.css>; rel=preload")]);
    }
    assert_eq!(last.status(), 200);
}

#[tokio::test]
async fn hints_for_a_client_that_gave_up_harm_nobody_else() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    for _ in 0..5 {
        let (given_up, mut stream) = client.begin(Http2::get("/given-up"), true).await;
        let mut worker = app.accept().await;
        worker.head().await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(given_up);
        let _ = worker.output.try_send(HINTS.repeat(40).as_bytes()).await;
        let (answer, _) = client.begin(Http2::get("/"), true).await;
        let mut other = app.accept().await;
        other.head().await;
        other.send(HINTS.to_owned() + OK).await;
        let (hints, last) = all(answer).await;
        assert_eq!((hints.len(), last.status().as_u16()), (1, 200));
    }
}

#[tokio::test]
async fn an_upload_over_http2_that_waits_for_a_100_gets_that_and_the_hints_in_their_order() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[limits]\nbody-size = '64KiB'\n", app.app())).await;
    let mut client = Http2::open(&door).await;
    let mut request = Http2::get("/");
    *request.method_mut() = http::Method::POST;
    let expect = "100-continue".parse().unwrap();
    request.headers_mut().insert("expect", expect);
    let (mut answer, mut stream) = client.begin(request.clone(), false).await;
    assert_eq!(interim(&mut answer).await.status(), 100);
    stream.send_data(Bytes::from_static(b"body"), true).unwrap();
    let mut worker = app.accept().await;
    let head = worker.head().await;
    assert_eq!(head.one("expect"), None);
    assert_eq!(worker.input.body_of_request(&head).await, b"body");
    worker.send(HINTS.to_owned() + OK).await;
    let (hints, last) = all(answer).await;
    assert_eq!((hints.len(), last.status().as_u16()), (1, 200));

    // A body that is refused is not asked for.
    let length = (1_u64 << 30).into();
    request.headers_mut().insert("content-length", length);
    let (answer, _stream) = client.begin(request, false).await;
    let (hints, last) = all(answer).await;
    assert_eq!((hints.len(), last.status().as_u16()), (0, 413));
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_shows_the_hints_of_the_app_in_both_versions_of_http() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for version in ["--http1.1", "--http2"] {
        let url = format!("https://{}/", door.https);
        let asks = tokio::task::spawn_blocking(move || {
            Command::new("curl")
                .args(["-sS", version, "-k", "-i", "-H", "Host: door.example", &url])
                .output()
                .unwrap()
        });
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(HINTS.to_owned() + OK).await;
        let asked = within("curl", asks).await.unwrap();
        let said = String::from_utf8_lossy(&asked.stdout).to_lowercase();
        let (hints, last) = said.split_once("\r\n\r\n").expect(&said);
        assert!(
            hints.starts_with("http/") && hints.contains(" 103"),
            "{said}"
        );
        assert!(hints.contains("\r\nlink: </a.css>; rel=preload"), "{said}");
        assert!(
            last.contains(" 200") && last.ends_with("\r\n\r\nok"),
            "{said}"
        );
    }
}
