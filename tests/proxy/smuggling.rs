//! Requests that two programs could read differently: each is refused, and the app never hears of it.

use std::time::Duration;

use crate::harness::{Backend, Door, Http2};

const HOST: &str = "Host: door.example\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Sends each request on a connection of its own, with a second one hidden behind it. It must be refused with
/// the status, the connection must end, and the first thing the app hears must be what is sent at last.
async fn all_refused(door: &Door, app: &Backend, cases: &[(String, u16)]) {
    let hidden = "GET /hidden HTTP/1.1\r\nHost: door.example\r\n\r\n";
    let mut taken = Vec::new();
    for (request, status) in cases {
        let mut client = door.plain().await;
        let _ = client
            .output
            .try_send(format!("{request}{hidden}").as_bytes())
            .await;
        client.output.finish().await;
        let said = tokio::time::timeout(Duration::from_secs(5), client.rest()).await;
        let said = said.unwrap_or_else(|_| b"nothing: it was passed on".to_vec());
        let said = String::from_utf8_lossy(&said).into_owned();
        let refused = said.starts_with(&format!("HTTP/1.1 {status} "));
        if !refused || said.matches("HTTP/1.1 ").count() > 1 {
            taken.push(format!("{request:?} should be a {status}: {said}"));
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    app.has_nobody().await;
    let mut client = door.plain().await;
    client.send(Door::get("/honest", "")).await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.start, "GET /honest HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_body_with_two_framings_or_none_that_is_known_is_refused() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let post = |lines: &str, body: &str| format!("POST / HTTP/1.1\r\n{HOST}{lines}\r\n{body}");
    let last = "0\r\n\r\n";
    all_refused(
        &door,
        &app,
        &[
            (
                post(
                    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                    last,
                ),
                501,
            ),
            (post("Transfer-Encoding: gzip, chunked\r\n", last), 501),
            (post("Transfer-Encoding: chunked, chunked\r\n", last), 501),
            (post("Transfer-Encoding: identity, chunked\r\n", last), 501),
            (post("Transfer-Encoding: xchunked\r\n", last), 400),
            (post("Transfer-Encoding: chunked, identity\r\n", last), 400),
            (post("Transfer-Encoding: gzip\r\n", last), 400),
            (post("Transfer-Encoding: \"chunked\"\r\n", last), 400),
            (post("Transfer-Encoding: \r\n", last), 400),
            (post("Transfer-Encoding : chunked\r\n", last), 400),
            (post("Transfer-Encoding:\u{b}chunked\r\n", last), 400),
            (post("Transfer-Encoding:\r\n chunked\r\n", last), 400),
            (post("X: y\r\n Transfer-Encoding: chunked\r\n", last), 400),
            (post("Content-Length: 1\r\nContent-Length: 2\r\n", "a"), 400),
            (post("Content-Length: 1, 1\r\n", "a"), 400),
            (post("Content-Length: +1\r\n", "a"), 400),
            (post("Content-Length: -1\r\n", "a"), 400),
            (post("Content-Length: 0x1\r\n", "a"), 400),
            (post("Content-Length: \r\n", "a"), 400),
            (post("Content-Length: 1 1\r\n", "a"), 400),
            (post("Content-Length: 99999999999999999999\r\n", "a"), 400),
            (post("Content-Length : 1\r\n", "a"), 400),
            (
                format!("POST / HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{last}"),
                400,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_request_without_exactly_one_host_is_refused() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let get = |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\n{lines}\r\n");
    all_refused(
        &door,
        &app,
        &[
            (get("/", ""), 400),
            (get("/", "Host: \r\n"), 400),
            (get("/", "Host: a.example\r\nHost: b.example\r\n"), 400),
            (get("/", "Host: a.example\r\nHost: a.example\r\n"), 400),
            (get("/", "Host: a.example, b.example\r\n"), 400),
            (get("/", "Host: user@a.example\r\n"), 400),
            (get("/", "Host: a.example/x\r\n"), 400),
            (get("/", "Host: a example\r\n"), 400),
            (get("/", "Host: a.example:80x\r\n"), 400),
            (get("/", "Host: a.example:99999\r\n"), 400),
            (get("/", "Host: [::1\r\n"), 400),
            (get("/", "Host: b\u{fc}cher.example\r\n"), 400),
            (get("http://a.example/", "Host: b.example\r\n"), 400),
            (get("http://a.example/", ""), 400),
            (get("http://user@a.example/", "Host: a.example\r\n"), 400),
            (
                get("http://user:pw@a.example/", "Host: user:pw@a.example\r\n"),
                400,
            ),
            (get("ftp://a.example/", "Host: a.example\r\n"), 400),
            (get("a.example:80", "Host: a.example:80\r\n"), 400),
            (
                get("/", "X: 1\r\n Host: b.example\r\nHost: a.example\r\n"),
                400,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_method_with_two_readings_or_a_target_that_is_not_known_is_refused() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let request = |line: &str| format!("{line} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n");
    all_refused(
        &door,
        &app,
        &[
            (request("TRACE /"), 405),
            (request("CONNECT door.example:80"), 405),
            (request("CONNECT /"), 405),
            (request("get /"), 501),
            (request("Get /"), 501),
            (request("post /"), 501),
            (request("Propfind /"), 501),
            (request("version-control /"), 501),
            (request("trace /"), 501),
            (request("PRI /"), 501),
            (request(&format!("{} /", "M".repeat(33))), 501),
            (request("BR(EW /"), 400),
            (request("BREW *"), 400),
            (request("BREW ?x"), 400),
            (request("BREW /a/../b"), 400),
            (request("GET *"), 400),
            (request("POST *"), 400),
            (request("GET x"), 400),
            (request("GET ?x"), 400),
            (request("GET "), 400),
            (request("GET /\u{1}"), 400),
            (request("GET /a b"), 400),
            (format!("GET /\r\n{HOST}\r\n"), 400),
            (format!("GET / HTTP/3.0\r\n{HOST}\r\n"), 400),
            (format!("GET / HTTP/1.1\r\n{HOST}X\0: 1\r\n\r\n"), 400),
            (format!("GET / HTTP/1.1\r\n{HOST}X: a\rb\r\n\r\n"), 400),
            (format!("GET / HTTP/1.1\r\n{HOST}: empty\r\n\r\n"), 400),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_path_with_a_second_reading_is_refused() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let cases: Vec<_> = [
        "/a/../b",
        "/..",
        "/.",
        "/a/./b",
        "/%2e%2e/b",
        "/.%2E/b",
        "/a/..;x/b",
        "/a\\..\\b",
        "/a%5cb",
        "/a%5C..%5Cb",
        "/%00",
        "/a%00.html",
        "/a%2fb",
        "/..%2f..%2fetc",
        "/%252e%252e/",
        "/a%252fb",
        "/a%25%32%66b",
        "/a%255cb",
        "/a%2500",
        "/a%2525252561",
        "/a%0d%0ax",
        "/a%0a",
        "/a%7F",
        "/%c0%af",
        "/%C0%AE%C0%AE/",
        "/%e0%80%af",
        "/a/..%20/b",
        "/a/..%3Bx/b",
        "/a/..%3fx",
        "/a%zz",
        "/a%",
        "/a%2",
    ]
    .into_iter()
    .map(|path| (Door::get(path, "Connection: close\r\n"), 400))
    .collect();
    all_refused(&door, &app, &cases).await;
}

#[tokio::test]
async fn options_for_the_server_itself_is_answered_here() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let request = format!("OPTIONS * HTTP/1.1\r\n{HOST}\r\n");
    assert_eq!(door.plain().await.ask(&request).await.status, 204);
    app.has_nobody().await;
}

#[tokio::test]
async fn a_refused_request_ends_its_connection() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for request in [
        format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        Door::get("/a/../b", ""),
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".to_owned(),
    ] {
        let mut client = door.plain().await;
        let answer = client.ask(&request).await;
        assert_eq!(answer.head.one("connection"), Some("close"), "{request:?}");
        assert_eq!(client.rest().await, b"");
    }
}

#[tokio::test]
async fn a_length_beside_a_chunked_body_is_dropped_and_its_connection_ends() {
    // hyper takes the chunks and drops the length, in either order (RFC 9112 §6.3). Another proxy before the
    // door may have believed the length, so what follows on such a connection is never served; and the app
    // gets one framing, ours.
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: CHUNKED\r\n",
    ] {
        let mut client = door.plain().await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\n{HOST}{lines}\r\n1\r\na\r\n0\r\n\r\n"
            ))
            .await;
        client.send(Door::get("/hidden", "")).await;
        let mut worker = app.accept().await;
        let head = worker.head().await;
        assert_eq!(head.start, "POST / HTTP/1.1");
        assert_eq!(head.one("content-length"), Some("1"), "{lines}");
        assert!(head.all("transfer-encoding").is_empty());
        assert_eq!(worker.take(1).await, b"a");
        worker
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.head.one("connection"), Some("close"), "{lines}");
        assert_eq!(client.rest().await, b"");
        assert_eq!(worker.rest().await, b"");
        app.has_nobody().await;
    }
}

#[tokio::test]
async fn a_fragment_does_not_reach_the_app() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    let answer = client.ask(&Door::get("/a?b#/../secret", "")).await;
    assert_eq!(answer.status, 400);
    app.has_nobody().await;
}

#[tokio::test]
async fn a_length_that_is_given_twice_reaches_the_app_once() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    let lines = "Content-Length: 1\r\nContent-Length: 1\r\n";
    client
        .send(format!("POST / HTTP/1.1\r\n{HOST}{lines}\r\na"))
        .await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.all("content-length"), ["1"]);
    assert_eq!(worker.take(1).await, b"a");
}

#[tokio::test]
async fn the_preface_of_http2_means_nothing_where_http1_was_agreed_on() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.tls().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!client.rest().await.starts_with(b"HTTP/1.1 2"));
    app.has_nobody().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_one_after_the_other() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client
        .send(format!("{}{}", Door::get("/1", ""), Door::get("/2", "")))
        .await;
    let mut worker = app.accept().await;
    for path in ["1", "2"] {
        assert_eq!(worker.head().await.start, format!("GET /{path} HTTP/1.1"));
        worker
            .send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{path}"
            ))
            .await;
        assert_eq!(client.answer().await.text(), path);
    }
}

#[tokio::test]
async fn a_host_that_contradicts_the_tls_handshake_is_misdirected() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let get = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = door.tls().await.ask(&get("elsewhere.example")).await;
    assert_eq!(answer.status, 421);
    let (status, _) = Http2::open(&door)
        .await
        .ask(
            http::Request::get("https://elsewhere.example/")
                .body(())
                .unwrap(),
        )
        .await;
    assert_eq!(status, 421);
    app.has_nobody().await;
    // The certificate covers this one too, so a browser may use the connection for both.
    let mut client = door.tls().await;
    client.send(get("also.example")).await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.one("host"), Some("also.example"));
    worker.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
}
