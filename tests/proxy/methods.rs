//! Request methods: any token reaches the app, but for what no app may get or what an app does not list.

use bytes::Bytes;

use crate::harness::{Backend, Door, Http2, Wire, within};

const HOST: &str = "Host: door.example\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Methods of RFC 9110, of `WebDAV` and its relatives, of a cache, and of nobody.
const METHODS: [&str; 26] = [
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "ACL",
    "MKCALENDAR",
    "VERSION-CONTROL",
    "BIND",
    "QUERY",
    "PURGE",
    "M-SEARCH",
    "BREW",
    "brew",
    "A!#$%&'*+-.^_`|~9",
    "MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM",
];

#[tokio::test]
async fn any_method_reaches_the_app_with_its_body_over_both_versions() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut first = door.plain().await;
    let mut second = Http2::open(&door).await;
    for method in METHODS {
        let request = format!("{method} /x HTTP/1.1\r\n{HOST}Content-Length: 4\r\n\r\nbody");
        first.send(request).await;
        let mut worker = app.accept().await;
        gets_body(&mut worker, method).await;
        assert_eq!(first.answer().await.text(), "ok", "{method}");
        drop(worker);

        let mut request = Http2::get("/x");
        *request.method_mut() = method.parse().unwrap();
        let (answer, mut stream) = second.begin(request, false).await;
        stream.send_data(Bytes::from_static(b"body"), true).unwrap();
        let mut worker = app.accept().await;
        gets_body(&mut worker, method).await;
        let answer = within("an answer", answer).await.unwrap();
        assert_eq!(answer.status(), 200, "{method}");
    }
}

/// Asserts that this is the request with a body of four bytes, and answers it.
async fn gets_body(worker: &mut Wire, method: &str) {
    let head = worker.head().await;
    assert_eq!(head.start, format!("{method} /x HTTP/1.1"));
    assert_eq!(head.one("content-length"), Some("4"), "{method}");
    assert_eq!(worker.take(4).await, b"body", "{method}");
    let close = OK.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    worker.send(close).await;
}

#[tokio::test]
async fn a_method_that_may_have_a_body_tells_the_app_that_there_is_none() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for (method, length) in [
        ("GET", None),
        ("HEAD", None),
        ("DELETE", None),
        ("OPTIONS", None),
        ("POST", Some("0")),
        ("PROPFIND", Some("0")),
        ("BREW", Some("0")),
    ] {
        let mut client = door.plain().await;
        client
            .send(format!("{method} / HTTP/1.1\r\n{HOST}\r\n"))
            .await;
        let mut worker = app.accept().await;
        assert_eq!(
            worker.head().await.one("content-length"),
            length,
            "{method}"
        );
        worker
            .send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.status, 204, "{method}");
    }
}

#[tokio::test]
async fn a_safe_method_of_webdav_is_sent_once_more_when_its_connection_was_stale() {
    for method in ["PROPFIND", "REPORT", "SEARCH", "QUERY"] {
        let app = Backend::tcp().await;
        let door = Door::open(&format!("{}keep-alive = '10m'\n", app.app())).await;
        let mut client = door.plain().await;
        client.send(Door::get("/first", "")).await;
        let mut stale = app.accept().await;
        stale.head().await;
        stale.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
        let request = format!("{method} / HTTP/1.1\r\n{HOST}\r\n");
        client.send(request).await;
        stale.head().await;
        drop(stale);
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(OK).await;
        assert_eq!(client.answer().await.status, 200, "{method}");
    }
}

#[tokio::test]
async fn an_app_gets_only_the_methods_it_lists_however_they_are_asked_for() {
    let app = Backend::tcp().await;
    let settings = format!("{}methods = ['GET', 'POST', 'REPORT']\n", app.app());
    let door = Door::open(&settings).await;
    for (method, lines) in [
        ("PUT", ""),
        ("PROPFIND", ""),
        ("DELETE", ""),
        ("OPTIONS", ""),
        ("BREW", ""),
        ("brew", ""),
        ("POST", "X-HTTP-Method-Override: DELETE\r\n"),
        ("POST", "X-HTTP-Method: delete\r\n"),
        ("POST", "X-Method-Override: POST, DELETE\r\n"),
        ("POST", "X-HTTP-Method: POST\r\nX-Method-Override: PUT\r\n"),
    ] {
        let mut client = door.plain().await;
        let request = format!("{method} / HTTP/1.1\r\n{HOST}{lines}Content-Length: 4\r\n\r\nbody");
        let answer = client.ask(&request).await;
        assert_eq!(answer.status, 405, "{method} {lines}");
        let allow = answer.head.one("allow");
        assert_eq!(allow, Some("GET, POST, REPORT, HEAD"), "{method} {lines}");
    }
    app.has_nobody().await;
    for (method, lines) in [
        ("GET", ""),
        ("REPORT", ""),
        ("POST", "X-HTTP-Method-Override: report\r\n"),
    ] {
        let mut client = door.plain().await;
        let request = format!("{method} / HTTP/1.1\r\n{HOST}{lines}Content-Length: 0\r\n\r\n");
        client.send(request).await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            .await;
        assert_eq!(client.answer().await.status, 200, "{method} {lines}");
    }
}

#[tokio::test]
async fn a_websocket_over_both_versions_is_the_get_of_a_list() {
    let app = Backend::tcp().await;
    for (methods, status) in [("GET", 101), ("POST", 405)] {
        let settings = format!("{}methods = ['{methods}']\n", app.app());
        let door = Door::open(&settings).await;
        let mut client = door.plain().await;
        let handshake = Door::handshake("/ws", "Origin: http://door.example\r\n");
        client.send(handshake).await;
        if status == 101 {
            let mut worker = app.accept().await;
            worker.head().await;
            worker
                .send(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                )
                .await;
        }
        assert_eq!(client.answer().await.status, status, "{methods}");
    }
}

#[tokio::test]
async fn files_and_channels_say_which_methods_they_have() {
    let directory = tempfile::tempdir().unwrap();
    let settings = format!(
        "[[files]]\npath = '/static'\ndirectory = '{}'\n[[channel]]\nname = 'news'\n",
        directory.path().display()
    );
    let door = Door::open(&settings).await;
    std::fs::write(directory.path().join("a.txt"), "a").unwrap();
    for (path, allow) in [
        ("/static/a.txt", "GET, HEAD"),
        ("/events/news", "GET, HEAD, POST"),
    ] {
        for method in ["PROPFIND", "BREW", "QUERY"] {
            let mut client = door.plain().await;
            let request = format!("{method} {path} HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n");
            let answer = client.ask(&request).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.head.one("allow"), Some(allow), "{method} {path}");
        }
    }
}

/// A configuration with a handler of every kind; `{DIR}` is a directory with a file, `{APP}` an app.
const EVERY_HANDLER: &str = "
[[app]]
name = 'listed'
path = '/listed'
methods = ['GET', 'REPORT']
url = '{APP}'

[[app]]
name = 'any'
path = '/any'
url = '{APP}'

[[files]]
path = '/static'
directory = '{DIR}'

[[channel]]
name = 'news'
presence = true
[[channel.source]]
source = 'webhook'
path = '/hooks/x'
signature = 'github'
secrets = ['{DIR}/secret']

[[bridge.tokens]]
source = 'sockets'
path = '{DIR}'
";

/// A path of each handler, its methods in `Allow`, and one that it does not have.
const ALLOWED: [(&str, &str); 12] = [
    ("/listed/x", "GET, REPORT, HEAD"),
    ("/any/x", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    ("/static/a.txt", "GET, HEAD"),
    ("/events/news", "GET, HEAD, POST"),
    ("/events/news,other", "GET, HEAD, POST"),
    ("/events/news/presence", "GET, HEAD"),
    ("/events/-/noren.js", "GET, HEAD"),
    ("/events/sockjs/news/0/s/xhr_send", "POST, OPTIONS"),
    ("/events/sockjs/news/info", "GET, OPTIONS"),
    ("/hooks/x", "POST"),
    ("/websockify", "GET"),
    ("/nowhere", ""),
];

#[tokio::test]
async fn trace_and_connect_are_refused_with_the_methods_of_what_they_ask_for() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.txt"), "a").unwrap();
    std::fs::write(directory.path().join("secret"), "x".repeat(40)).unwrap();
    let app = Backend::tcp().await;
    let url = app.app();
    let url = url
        .lines()
        .find_map(|line| line.strip_prefix("url = "))
        .unwrap();
    let settings = EVERY_HANDLER
        .replace("'{APP}'", url)
        .replace("{DIR}", &directory.path().display().to_string());
    let door = Door::open(&settings).await;
    let mut second = Http2::open(&door).await;
    for (path, allow) in ALLOWED {
        let mut client = door.plain().await;
        let answer = client
            .ask(&format!("TRACE {path} HTTP/1.1\r\n{HOST}\r\n"))
            .await;
        assert_eq!(answer.status, 405, "{path}");
        assert_eq!(answer.head.one("allow"), Some(allow), "{path}");
        let mut request = Http2::get(path);
        *request.method_mut() = http::Method::TRACE;
        let (answer, _) = second.begin(request, true).await;
        let answer = within("an answer", answer).await.unwrap();
        assert_eq!(answer.headers()["allow"], allow, "{path}");
        if allow.is_empty() || path.starts_with("/any") || path.contains("sockjs") {
            continue;
        }
        // The same as for any other method that it does not have.
        let mut client = door.plain().await;
        let request = format!("BREW {path} HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n");
        let answer = client.ask(&request).await;
        assert_eq!(answer.status, 405, "{path}");
        assert_eq!(answer.head.one("allow"), Some(allow), "{path}");
    }
    for (target, host, allow) in [
        ("door.example:443", "door.example:443", ""),
        ("elsewhere.example:25", "elsewhere.example:25", ""),
    ] {
        let mut client = door.plain().await;
        let answer = client
            .ask(&format!(
                "CONNECT {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"
            ))
            .await;
        assert_eq!(answer.status, 405, "{target}");
        assert_eq!(answer.head.one("allow"), Some(allow), "{target}");
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn connect_is_refused_with_the_methods_of_the_root_of_its_host() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}hosts = ['door.example']\nmethods = ['GET', 'PUT']\n",
        app.app()
    ))
    .await;
    for (target, allow) in [
        ("door.example:443", "GET, PUT, HEAD"),
        ("other.example:443", ""),
    ] {
        let mut client = door.plain().await;
        let answer = client
            .ask(&format!(
                "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
            ))
            .await;
        assert_eq!(answer.status, 405, "{target}");
        assert_eq!(answer.head.one("allow"), Some(allow), "{target}");
    }
    let mut client = Http2::open(&door).await;
    let connect = http::Request::connect("door.example:443").body(()).unwrap();
    let (answer, _) = client.begin(connect, true).await;
    let answer = within("an answer", answer).await.unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["allow"].to_str().unwrap()
        ),
        (405, "GET, PUT, HEAD")
    );
    app.has_nobody().await;
}
