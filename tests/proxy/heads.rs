//! The request head as the app gets it.

use crate::harness::{Backend, Door, Head, Http2, Wire};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Sends a request through the door, answers it as the app, and returns the head the app has seen.
async fn seen_by_app(client: &mut Wire, app: &Backend, request: &str) -> Head {
    client.send(request).await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    worker.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
    head
}

#[tokio::test]
async fn the_app_is_told_who_asks_and_never_what_the_client_claims() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let request = "GET /x HTTP/1.1\r\nHost: door.example:8001\r\n\
        X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: ftp\r\n\
        X-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /evil\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\
        X_Forwarded_For: 6.6.6.6\r\nX.Forwarded.For: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nProxy: evil\r\n\
        X-Original-URL: /admin\r\nX-Accel-Redirect: /etc\r\nX-Sendfile-Type: x\r\n\
        Connection: keep-alive, X-Nominated\r\nX-Nominated: 1\r\nKeep-Alive: timeout=5\r\n\
        Proxy-Connection: close\r\nProxy-Authorization: x\r\nTE: trailers\r\nTrailer: x\r\n\
        Cookie: session=1\r\nWok-Robot: wok-robot\r\nAuthorization: Basic eA==\r\nRange: bytes=0-1\r\n\r\n";
    let head = seen_by_app(&mut door.tls().await, &app, request).await;
    assert_eq!(head.start, "GET /x HTTP/1.1");
    let ours = ["traceparent: ", "x-request-id: "];
    let is_ours = |line: &String| ours.iter().any(|name| line.starts_with(name));
    let (made, lines): (Vec<_>, Vec<_>) = head.lines().into_iter().partition(is_ours);
    assert_eq!(made.len(), 2, "{made:?}");
    assert_eq!(
        lines,
        [
            "authorization: Basic eA==",
            "cookie: session=1",
            "host: door.example:8001",
            "range: bytes=0-1",
            "wok-robot: wok-robot",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: door.example:8001",
            "x-forwarded-proto: https",
            "x-real-ip: 127.0.0.1",
        ]
    );
}

#[tokio::test]
async fn without_tls_the_app_is_told_http() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let head = seen_by_app(&mut door.plain().await, &app, &Door::get("/", "")).await;
    assert_eq!(head.one("x-forwarded-proto"), Some("http"));
    assert_eq!(head.one("host"), Some("door.example"));
}

#[tokio::test]
async fn a_client_cannot_take_end_to_end_headers_from_the_app_by_nominating_them() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let request = Door::get(
        "/",
        "Cookie: a=1\r\nAuthorization: Basic eA==\r\nOrigin: https://door.example\r\n\
         Connection: Cookie, Authorization, Host, Origin, X-Forwarded-For, X-Real-IP\r\n",
    );
    let head = seen_by_app(&mut door.plain().await, &app, &request).await;
    for (name, value) in [
        ("cookie", "a=1"),
        ("authorization", "Basic eA=="),
        ("host", "door.example"),
        ("origin", "https://door.example"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
    ] {
        assert_eq!(head.one(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn path_and_query_reach_the_app_byte_for_byte() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}encoded-slash = true\n", app.app())).await;
    for path in [
        "/a%20b",
        "//double//slash/",
        "/vms/a%2Fb%2fc",
        "/%C3%a9;v=1/...",
        "/q?x=%2F..%00&y=a+b&&z=//\\",
        "/?",
        "/100%25",
    ] {
        let mut client = door.plain().await;
        let head = seen_by_app(&mut client, &app, &Door::get(path, "Connection: close\r\n")).await;
        assert_eq!(head.start, format!("GET {path} HTTP/1.1"));
    }
}

#[tokio::test]
async fn a_request_target_with_scheme_and_host_reaches_the_app_as_a_path() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let request = "GET http://door.example/a//b?c HTTP/1.1\r\nHost: door.example\r\n\r\n";
    let head = seen_by_app(&mut door.plain().await, &app, request).await;
    assert_eq!(head.start, "GET /a//b?c HTTP/1.1");
    assert_eq!(head.one("host"), Some("door.example"));
}

#[tokio::test]
async fn cookies_of_http2_are_joined_into_one_line() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    let mut request = Http2::get("/");
    for crumb in ["session=1", "lang=de", "theme=dark"] {
        request
            .headers_mut()
            .append("cookie", crumb.parse().unwrap());
    }
    let (answer, _) = client.begin(request, true).await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    assert_eq!(
        head.all("cookie"),
        ["session=1; lang=de; theme=dark"],
        "apps read one line"
    );
    assert_eq!(head.start, "GET / HTTP/1.1");
    assert_eq!(head.one("host"), Some("door.example"));
    assert_eq!(head.one("x-forwarded-proto"), Some("https"));
    worker.send(OK).await;
    assert_eq!(answer.await.unwrap().status(), 200);
}

#[tokio::test]
async fn every_body_reaches_the_app_with_a_length() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let chunked = "Transfer-Encoding: chunked\r\nConnection: close\r\n";
    for (method, lines, sent, length, body) in [
        (
            "POST",
            chunked,
            "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            Some("5"),
            "abcde",
        ),
        ("POST", chunked, "0\r\n\r\n", Some("0"), ""),
        (
            "POST",
            chunked,
            "1\r\na\r\n0\r\nX-Admin: 1\r\n\r\n",
            Some("1"),
            "a",
        ),
        ("POST", "", "", Some("0"), ""),
        ("PUT", "", "", Some("0"), ""),
        ("PATCH", "", "", Some("0"), ""),
        ("POST", "Content-Length: 0\r\n", "", Some("0"), ""),
        ("POST", "Content-Length: 4\r\n", "abcd", Some("4"), "abcd"),
        ("GET", chunked, "3\r\nabc\r\n0\r\n\r\n", Some("3"), "abc"),
        ("GET", "Content-Length: 3\r\n", "abc", Some("3"), "abc"),
        ("GET", "", "", None, ""),
        ("DELETE", "", "", None, ""),
        ("GET", "Content-Length: 0\r\n", "", None, ""),
    ] {
        let case = format!("{method} {lines:?} {sent:?}");
        let mut client = door.plain().await;
        let request = format!("{method} / HTTP/1.1\r\nHost: door.example\r\n{lines}\r\n{sent}");
        client.send(request).await;
        let mut worker = app.accept().await;
        let head = worker.head().await;
        assert_eq!(head.one("content-length"), length, "{case}");
        assert!(head.all("transfer-encoding").is_empty(), "{case}");
        assert!(head.all("x-admin").is_empty(), "{case}: a trailer");
        assert_eq!(worker.take(body.len()).await, body.as_bytes(), "{case}");
        worker
            .send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            .await;
        assert_eq!(worker.rest().await, b"", "{case}: nothing follows");
        assert_eq!(client.answer().await.status, 204, "{case}");
    }
}

#[tokio::test]
async fn a_client_that_expects_100_is_told_to_continue_and_the_app_does_not_see_it() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client
        .send(
            "PUT / HTTP/1.1\r\nHost: door.example\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
        )
        .await;
    assert_eq!(client.head().await.start, "HTTP/1.1 100 Continue");
    client.send("body").await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    assert!(head.all("expect").is_empty());
    assert_eq!(worker.take(4).await, b"body");
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn another_expectation_is_refused() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let answer = door
        .plain()
        .await
        .ask(&Door::get("/", "Expect: a-miracle\r\n"))
        .await;
    assert_eq!(answer.status, 417);
    app.has_nobody().await;
}
