//! The app's answer as the client gets it.

use crate::harness::{Answer, Backend, Door, Http2, within};

/// Sends a GET over TLS, and lets the app say exactly this.
async fn answered(settings: &str, said: &str) -> Answer {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}{settings}", app.app())).await;
    let mut client = door.tls().await;
    client.send(Door::get("/", "Connection: close\r\n")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(said).await;
    drop(worker);
    client.answer().await
}

#[tokio::test]
async fn the_headers_of_the_app_pass_and_those_of_its_connection_do_not() {
    let answer = answered(
        "",
        "HTTP/1.1 201 Made\r\nContent-Length: 2\r\nSet-Cookie: a=1; Secure\r\nSet-Cookie: b=2\r\n\
         WWW-Authenticate: Basic realm=\"x\"\r\nSession-Expires-On: 9\r\nContent-Range: bytes 0-1/9\r\n\
         Cache-Control: no-cache\r\nContent-Security-Policy: default-src 'self'\r\nServer: CherryPy\r\n\
         Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=10\r\n\
         Proxy-Authenticate: x\r\nTrailer: x\r\nUpgrade: h2c\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nok",
    )
    .await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.head.lines(),
        [
            "cache-control: no-cache",
            "connection: close",
            "content-length: 2",
            "content-range: bytes 0-1/9",
            "content-security-policy: default-src 'self'",
            "date: Thu, 01 Jan 1970 00:00:00 GMT",
            "server: CherryPy",
            "session-expires-on: 9",
            "set-cookie: a=1; Secure",
            "set-cookie: b=2",
            "strict-transport-security: max-age=31536000",
            "www-authenticate: Basic realm=\"x\"",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
        ]
    );
    assert_eq!(answer.text(), "ok");
}

#[tokio::test]
async fn security_headers_that_the_app_sets_stay_as_they_are() {
    let answer = answered(
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Frame-Options: SAMEORIGIN\r\n\
         X-Content-Type-Options: other\r\nStrict-Transport-Security: max-age=1\r\n\r\n",
    )
    .await;
    assert_eq!(answer.head.one("x-frame-options"), Some("SAMEORIGIN"));
    assert_eq!(answer.head.one("x-content-type-options"), Some("other"));
    assert_eq!(
        answer.head.one("strict-transport-security"),
        Some("max-age=1")
    );
}

#[tokio::test]
async fn security_headers_are_on_every_answer_of_the_door_itself() {
    let door =
        Door::open("[[app]]\nurl = 'unix:/nonexistent/app'\npath = '/app'\nrestart-wait = '0s'\n")
            .await;
    for (request, status) in [
        (Door::get("/elsewhere", ""), 404),
        (Door::get("/app", ""), 503),
        (Door::get("/app/%2e%2e/", ""), 400),
        (Door::get("/app", "Host: twice.example\r\n"), 400),
        (Door::get("/app", "Expect: x\r\n"), 417),
        (
            "TRACE / HTTP/1.1\r\nHost: door.example\r\n\r\n".to_owned(),
            405,
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: door.example\r\n\r\n".to_owned(),
            204,
        ),
        (
            "GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n".to_owned(),
            421,
        ),
    ] {
        let answer = door.tls().await.ask(&request).await;
        assert_eq!(answer.status, status, "{request}");
        for (name, value) in [
            ("strict-transport-security", "max-age=31536000"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.head.one(name), Some(value), "{request}");
        }
        assert!(answer.status == 204 || !answer.body.is_empty(), "{request}");
    }
    let answer = door.plain().await.ask(&Door::get("/elsewhere", "")).await;
    assert_eq!(answer.head.one("x-frame-options"), Some("DENY"));
    assert_eq!(
        answer.head.one("strict-transport-security"),
        None,
        "RFC 6797 §7.2: not without TLS"
    );
}

#[tokio::test]
async fn a_redirect_that_forgets_the_root_of_the_app_is_repaired() {
    for (location, repaired) in [
        ("/login.html", "/wok/login.html"),
        (
            "https://door.example/login",
            "https://door.example/wok/login",
        ),
        ("/wok/login", "/wok/login"),
        (
            "https://elsewhere.example/login",
            "https://elsewhere.example/login",
        ),
        ("login", "login"),
    ] {
        let said =
            format!("HTTP/1.1 303 See Other\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n");
        let answer = answered("server-root = '/wok'\n", &said).await;
        assert_eq!(answer.head.one("location"), Some(repaired));
    }
}

#[tokio::test]
async fn interim_answers_of_the_app_do_not_hide_its_answer() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        )
        .await;
    let hints = client.answer().await;
    assert_eq!(hints.status, 103, "100 is the door's own affair");
    assert_eq!(hints.head.one("link"), Some("</a>"));
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(answer.head.one("link"), None);
}

#[tokio::test]
async fn head_stays_head_and_its_length_passes_without_a_body() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client
        .send("HEAD /big HTTP/1.1\r\nHost: door.example\r\n\r\n")
        .await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.start, "HEAD /big HTTP/1.1");
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(head.one("content-length"), Some("1000"));
    client.send(Door::get("/next", "")).await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.answer().await.text(), "ok", "both connections go on");
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_arrives_whole() {
    let answer = answered(
        "",
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end",
    )
    .await;
    assert_eq!(answer.text(), "until the end");
}

#[tokio::test]
async fn trailers_of_the_app_are_dropped() {
    let answer = answered(
        "",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: evil=1\r\n\r\n",
    )
    .await;
    assert_eq!(answer.text(), "ok");
}

#[tokio::test]
async fn each_part_of_an_answer_arrives_before_the_app_sends_the_next() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.tls().await;
    client.send(Door::get("/events", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 200, "before any of the body");
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        worker
            .send(format!("{:x}\r\n{event}\r\n", event.len()))
            .await;
        assert_eq!(client.input.chunk().await, event.as_bytes());
    }
    worker.send("0\r\n\r\n").await;
    assert_eq!(client.input.chunk().await, b"");
}

#[tokio::test]
async fn each_part_of_an_answer_arrives_in_time_over_http2_too() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    let (answer, _) = client.begin(Http2::get("/events"), true).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nConnection: X-Private\r\nX-Private: 1\r\n\r\n")
        .await;
    let answer = answer.await.unwrap();
    assert!(!answer.headers().contains_key("x-private"));
    assert!(!answer.headers().contains_key("connection"));
    let mut body = answer.into_body();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        worker.send(event).await;
        let piece = within("an event", body.data()).await;
        assert_eq!(piece.unwrap().unwrap(), event);
    }
    drop(worker);
    while let Some(piece) = within("the end", body.data()).await {
        assert_eq!(piece.unwrap(), "", "an empty last frame");
    }
}

#[tokio::test]
async fn a_list_of_lengths_is_a_502() {
    let answer = answered("", "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc").await;
    assert_eq!(answer.status, 502);
}

#[tokio::test]
async fn an_answer_may_have_more_than_a_hundred_headers_but_not_without_end() {
    let lines = |count: usize| {
        let cookies = "Set-Cookie: c=1\r\n".repeat(count);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{cookies}\r\n")
    };
    let answer = answered("", &lines(200)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.head.all("set-cookie").len(), 200);
    assert_eq!(answered("", &lines(300)).await.status, 502);
}

#[tokio::test]
async fn a_head_of_the_app_without_end_is_a_502() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.tls().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let endless = async {
        worker.send("HTTP/1.1 200 OK\r\nX: ").await;
        while worker.output.try_send(&[b'x'; 16 * 1024]).await.is_ok() {}
    };
    let ((), answer) = tokio::join!(endless, client.answer());
    assert_eq!(answer.status, 502);
}

#[tokio::test]
async fn the_version_and_the_reason_of_the_app_are_its_own_affair() {
    for version in ["1.0", "1.1"] {
        let said = format!("HTTP/{version} 200 Fine\r\nContent-Length: 2\r\n\r\nok");
        let app = Backend::tcp().await;
        let door = Door::open(&app.app()).await;
        let mut client = door.tls().await;
        client.send(Door::get("/", "")).await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(said).await;
        let answer = client.answer().await;
        assert!(answer.head.start.starts_with("HTTP/1.1 200 "));
        // The connection to the client goes on, whatever that of the app does.
        assert_eq!(client.ask(&Door::get("/a/../b", "")).await.status, 400);
    }
}
