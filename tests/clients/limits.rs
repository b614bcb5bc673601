//! Requests, failed logins and made-up tokens of one address.

use crate::harness::{Answer, Backend, Door, Http2};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An app that answers everything with this.
async fn with_app(answer: &'static str, settings: &str) -> Door {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}{settings}\n", app.app())).await;
    tokio::spawn(async move {
        loop {
            let mut worker = app.accept().await;
            tokio::spawn(async move {
                while worker.input.has(1).await {
                    let head = worker.head().await;
                    worker.input.body_of_request(&head).await;
                    worker.send(answer).await;
                }
            });
        }
    });
    door
}

fn login(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: door.example\r\nContent-Length: 3\r\n\r\na=b")
}

/// The wait a refusal names.
fn wait(answer: &Answer) -> u64 {
    answer.head.one("retry-after").unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_address_with_too_many_requests_is_told_when_to_come_back_and_others_are_served() {
    let door = with_app(OK, "[limits]\nrequest-rate = 1").await;
    let mut client = door.plain_from("127.0.0.2").await;
    let mut refused = None;
    for number in 0..30 {
        let answer = client
            .ask(&Door::get("/", "X-Forwarded-For: 192.0.2.7\r\n"))
            .await;
        if answer.status == 429 {
            assert!(number >= 10, "a burst is ten times the rate");
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 200);
    }
    assert!((1..=2).contains(&wait(&refused.expect("no limit"))));
    let others = door
        .plain_from("127.0.0.3")
        .await
        .ask(&Door::get("/", ""))
        .await;
    assert_eq!(others.status, 200);
}

#[tokio::test]
async fn the_rate_holds_for_streams_of_http2_together() {
    let door = with_app(OK, "[limits]\nrequest-rate = 1").await;
    let mut client = Http2::open(&door).await;
    let mut refused = false;
    for _ in 0..30 {
        refused |= client.status(Http2::get("/")).await == Some(429);
    }
    assert!(refused);
}

#[tokio::test]
async fn an_address_that_fails_to_log_in_is_locked_out_and_no_header_opens() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
    let door = with_app(answer, "server-root = '/wok'\n[limits]\nlogin-failures = 5").await;
    let mut client = door.plain_from("127.0.0.2").await;
    for path in ["/login", "/wok/login", "/login", "/login", "/login"] {
        assert_eq!(client.ask(&login(path)).await.status, 401);
    }
    let answer = client.ask(&login("/login")).await;
    assert_eq!(answer.status, 429);
    assert!((1..=13).contains(&wait(&answer)));
    for line in [
        "X-Forwarded-For: 192.0.2.7",
        "Forwarded: for=192.0.2.7",
        "X-Real-IP: 192.0.2.7",
        "Cookie: a=b",
        "X-HTTP-Method-Override: GET",
    ] {
        let request = login("/login").replace("\r\nContent", &format!("\r\n{line}\r\nContent"));
        assert_eq!(client.ask(&request).await.status, 429, "{line}");
    }
    // Everything else goes on, and so does everybody else.
    assert_eq!(client.ask(&Door::get("/page", "")).await.status, 401);
    let mut other = door.plain_from("127.0.0.3").await;
    assert_eq!(other.ask(&login("/login")).await.status, 401);
}

#[tokio::test]
async fn logins_that_succeed_are_not_counted() {
    let door = with_app(OK, "[limits]\nlogin-failures = 2").await;
    let mut client = door.plain().await;
    for _ in 0..20 {
        assert_eq!(client.ask(&login("/login")).await.status, 200);
    }
}

#[tokio::test]
async fn wrong_basic_credentials_count_and_pages_without_any_do_not() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
    let door = with_app(answer, "[limits]\nlogin-failures = 3").await;
    let mut client = door.plain().await;
    for _ in 0..10 {
        assert_eq!(client.ask(&Door::get("/", "")).await.status, 401);
    }
    let basic = Door::get("/", "Authorization: Basic YTpi\r\n");
    for _ in 0..3 {
        assert_eq!(client.ask(&basic).await.status, 401);
    }
    assert_eq!(client.ask(&basic).await.status, 429);
    assert_eq!(client.ask(&Door::get("/", "")).await.status, 401);
}

#[tokio::test]
async fn a_login_counts_by_every_method_that_an_app_may_take_for_one() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
    let door = with_app(answer, "[limits]\nlogin-failures = 4").await;
    let methods = ["PUT", "PATCH", "DELETE", "GET", "PROPFIND", "QUERY", "BREW"];
    for (number, method) in methods.into_iter().enumerate() {
        let mut client = door.plain_from(&format!("127.0.0.{}", number + 2)).await;
        let request = login("/login?user=cook").replacen("POST", method, 1);
        for _ in 0..4 {
            assert_eq!(client.ask(&request).await.status, 401, "{method}");
        }
        assert_eq!(client.ask(&request).await.status, 429, "{method}");
        assert_eq!(client.ask(&login("/login")).await.status, 429, "{method}");
    }
}

#[tokio::test]
async fn a_credential_of_any_scheme_counts_when_it_has_failed() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
    let door = with_app(answer, "[limits]\nlogin-failures = 2").await;
    let schemes = [
        "Bearer abc",
        "Digest username=\"a\", realm=\"b\"",
        "bAsIc  YTpi",
        "x",
    ];
    for (number, credential) in schemes.into_iter().enumerate() {
        let mut client = door.plain_from(&format!("127.0.0.{}", number + 2)).await;
        for method in ["GET", "POST"] {
            let lines = format!("Authorization: {credential}\r\nContent-Length: 0\r\n");
            let request = Door::get("/page", &lines).replacen("GET", method, 1);
            assert_eq!(client.ask(&request).await.status, 401, "{credential}");
        }
        let lines = format!("Authorization: {credential}\r\n");
        let request = Door::get("/page", &lines);
        assert_eq!(client.ask(&request).await.status, 429, "{credential}");
        let handshake = Door::handshake("/socket", &lines);
        assert_eq!(client.ask(&handshake).await.status, 429, "{credential}");
        let mut other = door.plain_from(&format!("127.0.0.{}", number + 2)).await;
        assert_eq!(other.ask(&Door::get("/page", "")).await.status, 401);
    }
}

#[tokio::test]
async fn a_wrong_credential_counts_in_the_handshake_of_a_websocket_and_where_a_session_is_asked_for()
 {
    let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
    let settings = "[session]\npath = '/tasks'\nallow-cache = '0s'\n[limits]\nlogin-failures = 2\n\
                    [[channel]]\nname = 'news'\n[[bridge.target]]\ntoken = 'vm'\naddress = '127.0.0.1:1'";
    let door = with_app(answer, settings).await;
    let line = "Authorization: Basic YTpi\r\n";
    let requests = [
        Door::handshake("/socket", line),
        Door::handshake("/websockify?token=vm", line),
        Door::handshake("/events/news", line),
        Door::get("/events/news", line),
        Door::get("/events/news/presence", line),
    ];
    for (number, request) in requests.iter().enumerate() {
        for expected in [401, 401, 429] {
            let mut client = door.plain_from(&format!("127.0.0.{}", number + 2)).await;
            assert_eq!(client.ask(request).await.status, expected, "{request}");
        }
    }
}

#[tokio::test]
async fn a_second_credential_is_refused_wherever_it_stands_and_nobody_sees_it() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let twice = "Authorization: x\r\nAuthorization: Basic YTpi\r\n";
    for lines in [
        twice,
        "Authorization: Basic\tYTpi\r\n",
        "Authorization: Basic \tYTpi\r\n",
        "Authorization: x, Basic YTpi\r\n",
        "Authorization: Basic eDp5, Basic YTpi\r\n",
    ] {
        for request in [Door::get("/", lines), Door::handshake("/socket", lines)] {
            let answer = door.plain().await.ask(&request).await;
            assert_eq!(answer.status, 400, "{lines}");
        }
    }
    let mut http2 = Http2::open(&door).await;
    for values in [
        &["x", "Basic YTpi"][..],
        &["Basic\tYTpi"],
        &["x, Basic YTpi"],
    ] {
        let mut request = Http2::get("/");
        for value in values {
            let value = http::HeaderValue::from_static(value);
            request.headers_mut().append("authorization", value);
        }
        assert_eq!(http2.status(request).await, Some(400), "{values:?}");
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn an_address_that_makes_tokens_up_finds_none_any_more_not_even_the_right_one() {
    let console = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}[limits]\ntoken-failures = 4\n",
        console.target("vm")
    ))
    .await;
    let right = Door::handshake("/websockify?token=vm", "");
    let opened = door.plain_from("127.0.0.2").await.ask(&right).await;
    assert_eq!(opened.status, 101);
    console.accept().await;
    for number in 0..4 {
        let path = format!("/websockify?token=made-up-{number}");
        let mut client = door.plain_from("127.0.0.2").await;
        assert_eq!(client.ask(&Door::handshake(&path, "")).await.status, 404);
    }
    for token in ["made-up", "vm"] {
        let path = format!("/websockify?token={token}");
        let mut client = door.plain_from("127.0.0.2").await;
        let request = Door::handshake(&path, "X-Forwarded-For: 192.0.2.9\r\n");
        let answer = client.ask(&request).await;
        assert_eq!(answer.status, 429, "{token}");
        assert!((1..=16).contains(&wait(&answer)));
    }
    console.has_nobody().await;
    let mut other = door.plain_from("127.0.0.3").await;
    assert_eq!(other.ask(&right).await.status, 101);
}

#[tokio::test]
async fn wrong_publish_tokens_are_counted_too() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "a-token-that-is-long-enough-for-anybody\n").unwrap();
    let door = Door::open(&format!(
        "[[channel]]\nname = 'news'\npublish = ['token']\n[hub]\npublish-token = '{}'\n\
         [limits]\ntoken-failures = 3\n",
        file.display()
    ))
    .await;
    let mut client = door.plain().await;
    let publish = |token: &str| {
        format!(
            "POST /events/news HTTP/1.1\r\nHost: door.example\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx"
        )
    };
    for _ in 0..3 {
        assert_eq!(client.ask(&publish("wrong")).await.status, 401);
    }
    let right = publish("a-token-that-is-long-enough-for-anybody");
    assert_eq!(client.ask(&right).await.status, 429);
    assert_eq!(
        door.plain_from("127.0.0.3").await.ask(&right).await.status,
        202
    );
}

#[tokio::test]
async fn what_was_counted_is_kept_over_a_reload() {
    let app = Backend::tcp().await;
    let settings = format!("{}[limits]\ntoken-failures = 1\n", app.target("vm"));
    let door = Door::open(&settings).await;
    let wrong = Door::handshake("/websockify?token=wrong", "");
    assert_eq!(door.plain().await.ask(&wrong).await.status, 404);
    let config = noren::Config::parse(&format!("{}{settings}", door.base), "test.toml").unwrap();
    door.handle.reload(config).unwrap();
    assert_eq!(door.plain().await.ask(&wrong).await.status, 429);
}
