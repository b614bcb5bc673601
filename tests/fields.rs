//! Header fields that two programs could read differently: malformed over HTTP/2, folded by gateways, and those
//! that only a proxy may say or see.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};

use crate::harness::{Backend, Door, Head, Http2, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// A GET over HTTP/2 with further fields.
fn with(fields: &[(&str, &[u8])]) -> Request<()> {
    let mut request = Http2::get("/");
    for (name, value) in fields {
        request.headers_mut().append(
            HeaderName::from_lowercase(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value).unwrap(),
        );
    }
    request
}

/// A header line with an address that is a lie.
fn claim(name: &str) -> String {
    format!("{name}: 6.6.6.6\r\n")
}

/// The head that the app gets of a request without TLS.
async fn seen(door: &Door, app: &Backend, request: &str) -> Head {
    let mut client = door.plain().await;
    client.send(request).await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    worker.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
    head
}

#[tokio::test]
async fn malformed_fields_over_http2_are_refused_and_the_connection_goes_on() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    for fields in [
        [("x\"quoted", &b"1"[..])],
        [("x-a", b" 1")],
        [("x-a", b"1 ")],
        [("x-a", b"\t1")],
        [("x-a", b"1\t")],
        [("x-a", b" ")],
        [("cookie", b" a=1")],
    ] {
        let status = client.status(with(&fields)).await;
        assert!(matches!(status, None | Some(400)), "{fields:?}: {status:?}");
    }
    app.has_nobody().await;
    let (answer, _) = client.begin(with(&[("x-a", b"a b")]), true).await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.one("x-a"), Some("a b"));
    worker.send(OK).await;
    assert_eq!(within("an answer", answer).await.unwrap().status(), 200);
}

#[tokio::test]
async fn as_many_header_lines_are_taken_over_http2_as_over_http1() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[limits]\nheaders = 20\n", app.app())).await;
    let mut client = Http2::open(&door).await;
    for name in ["x-a", "cookie"] {
        let many = [(name, &b"a=1"[..]); 21];
        assert_eq!(client.status(with(&many)).await, Some(431), "{name}");
    }
    let lines = "X-A: 1\r\n".repeat(20);
    let mut other = door.plain().await;
    assert_eq!(other.ask(&Door::get("/", &lines)).await.status, 431);
    app.has_nobody().await;
    let (answer, _) = client
        .begin(with(&[("cookie", &b"a=1"[..]); 20]), true)
        .await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.all("cookie").len(), 1);
    worker.send(OK).await;
    assert_eq!(within("an answer", answer).await.unwrap().status(), 200);
}

#[tokio::test]
async fn malformed_trailers_are_refused_before_the_app_is_asked() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[limits]\nheaders = 20\n", app.app())).await;
    for (name, value, count) in [("x\"a", "1", 1), ("x-a", " 1", 1), ("x-a", "1", 21)] {
        let mut client = Http2::open(&door).await;
        let mut request = Http2::get("/upload");
        *request.method_mut() = http::Method::POST;
        let (answer, mut stream) = client.begin(request, false).await;
        stream
            .send_data(Bytes::from_static(b"body"), false)
            .unwrap();
        let mut trailers = http::HeaderMap::new();
        for _ in 0..count {
            trailers.append(
                HeaderName::from_lowercase(name.as_bytes()).unwrap(),
                HeaderValue::from_static(value),
            );
        }
        stream.send_trailers(trailers).unwrap();
        let status = within("an answer", answer).await.ok();
        let status = status.map(|answer| answer.status().as_u16());
        assert!(matches!(status, None | Some(400)), "{name:?}: {status:?}");
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn a_name_that_a_gateway_folds_never_reaches_the_app() {
    let app = Backend::tcp().await;
    let keys = "user-header = 'X-Remote-User'\n";
    let door = Door::open(&format!("{}{keys}", app.app())).await;
    let mut lines = String::new();
    for sign in "!#$%&'*+.^_`|~".chars() {
        for name in [
            "X-Forwarded-For",
            "X-Real-IP",
            "X-Remote-User",
            "Content-Length",
            "X-Any",
        ] {
            let folded = name.replace('-', &sign.to_string());
            lines.push_str(&claim(&folded));
        }
        lines.push_str(&claim(&format!("X-Forwarded{sign}For")));
    }
    for name in [
        "X-Remote-User",
        "X-Forwarded-Ssl",
        "X-Forwarded-Server",
        "X-Client-IP",
        "Client-IP",
        "Client-Cert",
        "X-Original-Host",
        "X-Rewrite-URL",
        "X-Accel-Mapping",
        "X-Sendfile-Type",
        "Noren-Channel",
        "Front-End-Https",
        "X-Script-Name",
    ] {
        lines.push_str(&claim(name));
    }
    let head = seen(&door, &app, &Door::get("/", &(lines + "X-Kept: 1\r\n"))).await;
    let kept: Vec<_> = head
        .lines()
        .into_iter()
        .filter(|line| line.contains("6.6.6.6"))
        .collect();
    assert_eq!(kept, Vec::<String>::new());
    assert_eq!(head.one("x-kept"), Some("1"));
}

#[tokio::test]
async fn only_a_post_may_ask_to_be_another_method() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        let mut client = door.plain().await;
        let request = Door::get("/", &format!("{name}: POST\r\n"));
        assert_eq!(client.ask(&request).await.status, 400, "{name}");
    }
    app.has_nobody().await;
    let request = "POST / HTTP/1.1\r\nHost: door.example\r\nContent-Length: 0\r\nX-HTTP-Method-Override: PUT\r\n\r\n";
    let head = seen(&door, &app, request).await;
    assert_eq!(head.one("x-http-method-override"), Some("PUT"));
}

#[tokio::test]
async fn a_client_never_learns_which_file_an_app_names() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let named = "X-Accel-Redirect: /srv/a\r\nX-Sendfile: /srv/a\r\nX-Lighttpd-Send-File: /srv/a\r\n\
                 X_Accel_Redirect: /srv/a\r\nX-Reproxy-File: /srv/a\r\nX-Accel-Buffering: no\r\n";
    let websocket = Door::handshake("/ws", "Origin: http://door.example\r\n");
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let answer =
        |status| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n");
    for (request, head, status) in [
        (Door::get("/", ""), answer("200 OK"), 200),
        (Door::get("/", ""), answer("403 Forbidden"), 403),
        (websocket.clone(), switched.to_owned(), 101),
        (websocket, answer("404 Not Found"), 404),
    ] {
        let mut client = door.plain().await;
        client.send(request).await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(format!("{head}{named}\r\n")).await;
        let got = client.head().await;
        assert_eq!(got.status(), status);
        let told: Vec<_> = got
            .lines()
            .into_iter()
            .filter(|line| line.contains("/srv"))
            .collect();
        assert_eq!(told, Vec::<String>::new(), "{status}");
        assert_eq!(
            got.one("x-accel-buffering"),
            Some("no"),
            "proxies look for it"
        );
    }
}

#[tokio::test]
async fn a_page_that_has_its_name_lead_here_is_told_nothing_without_tls() {
    let app = Backend::tcp().await;
    let tables =
        "[[channel]]\nname = 'a'\n[[bridge.target]]\ntoken = 't'\naddress = '127.0.0.1:1'\n";
    let door = Door::open(&format!("{}{tables}", app.app())).await;
    let ask = |host: &str, path: &str| {
        let origin = format!("Origin: http://{host}\r\n");
        Door::get(path, &origin).replace("door.example", host)
    };
    for path in [
        "/events/a?wait=0s",
        "/events/-/noren.js",
        "/events/sockjs/a/info",
        "/websockify?token=t",
    ] {
        let handshake = Door::handshake(path, "Origin: http://evil.example\r\n");
        for request in [
            ask("evil.example", path),
            handshake.replace("door.example", "evil.example"),
        ] {
            let answer = door.plain().await.ask(&request).await;
            assert_eq!(answer.status, 421, "{path}");
            assert!(
                answer.text().contains("hosts of [server]"),
                "{}",
                answer.text()
            );
        }
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "door.example",
            "also.example",
            "portal",
        ] {
            let answer = door.plain().await.ask(&ask(host, path)).await;
            assert_ne!(answer.status, 421, "{host} {path}");
        }
    }
    // The app's name is its own affair.
    let head = seen(&door, &app, &ask("elsewhere.example", "/")).await;
    assert_eq!(head.one("host"), Some("elsewhere.example"));
}

#[tokio::test]
async fn names_are_known_that_the_configuration_says_and_all_of_them_if_it_says_so() {
    for (hosts, status) in [
        ("['b.example']", 421),
        ("['*.example']", 200),
        ("'any'", 200),
    ] {
        let tables = "[[channel]]\nname = 'a'\n";
        let door = Door::open(&format!("[server]\nhosts = {hosts}\n{tables}")).await;
        let request = Door::get("/events/-/noren.js", "").replace("door.example", "a.example");
        assert_eq!(
            door.plain().await.ask(&request).await.status,
            status,
            "{hosts}"
        );
        let request = request.replace("a.example", "b.example");
        assert_eq!(
            door.plain().await.ask(&request).await.status,
            200,
            "{hosts}"
        );
    }
}

/// Asserts that a head has a name in exactly this spelling.
fn spells(head: &Head, name: &str) {
    assert!(
        head.names.iter().any(|own| own == name),
        "{name}: {:?}",
        head.names
    );
}

#[tokio::test]
async fn header_names_keep_their_spelling_over_http1_both_ways() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client
        .send("GET / HTTP/1.1\r\nHOST: door.example\r\nX-cUSTOM: 1\r\nx-small: 1\r\nSOAPAction: 1\r\n\r\n")
        .await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    for name in [
        "HOST",
        "X-cUSTOM",
        "x-small",
        "SOAPAction",
        "X-Forwarded-For",
    ] {
        spells(&head, name);
    }
    worker
        .send("HTTP/1.1 200 OK\r\nETAG: 1\r\nX-oWN: 1\r\nx-low: 1\r\nContent-Length: 2\r\n\r\nok")
        .await;
    let head = client.head().await;
    for name in [
        "ETAG",
        "X-oWN",
        "x-low",
        "Content-Length",
        "Date",
        "X-Frame-Options",
    ] {
        spells(&head, name);
    }
}

#[tokio::test]
async fn what_came_over_http2_is_spelled_as_the_standards_do() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    let (_answer, _) = client
        .begin(with(&[("x-custom", b"1"), ("te", b"trailers")]), true)
        .await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    for name in ["Host", "X-Custom", "X-Forwarded-For", "X-Real-IP"] {
        spells(&head, name);
    }
    let (_answer, _stream) = client.connect("/ws").await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    for name in [
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Upgrade",
        "Connection",
    ] {
        spells(&head, name);
    }
}

#[tokio::test]
async fn the_door_spells_its_own_answers_as_the_standards_do() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[[channel]]\nname = 'a'\n", app.app())).await;
    let mut client = door.plain().await;
    client.send(Door::handshake("/events/a", "")).await;
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    for name in ["Sec-WebSocket-Accept", "Upgrade", "Connection"] {
        spells(&head, name);
    }
    let mut client = door.plain().await;
    client.send(Door::get("/events/-/noren.js", "")).await;
    spells(&client.head().await, "ETag");
    let mut client = door.plain().await;
    client.send(Door::handshake("/ws", "")).await;
    let mut worker = app.accept().await;
    spells(&worker.head().await, "Sec-WebSocket-Key");
    worker
        .send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
               Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        .await;
    spells(&client.head().await, "Sec-WebSocket-Accept");
}

/// A channel that takes messages with this token, a webhook, and a Mercure hub; `{DIR}` has their files.
const HANDLERS: &str = "
[hub]
publish-token = '{DIR}/token'
[[channel]]
name = 'a'
publish = ['token']
[[channel.source]]
source = 'webhook'
path = '/hooks/x'
signature = 'github'
secrets = ['{DIR}/token']
[mercure]
publisher-keys = ['{DIR}/token']
anonymous = true
[[files]]
path = '/static'
directory = '{DIR}'
";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn at(path: &str, method: &str, fields: &[(&str, &[u8])]) -> Request<()> {
    let mut request = with(fields);
    *request.uri_mut() = format!("https://door.example{path}").parse().unwrap();
    *request.method_mut() = method.parse().unwrap();
    request
}

#[tokio::test]
async fn noren_s_own_handlers_refuse_malformed_fields_over_http2_too() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), TOKEN).unwrap();
    let settings = HANDLERS.replace("{DIR}", &directory.path().display().to_string());
    let door = Door::open(&settings).await;
    let mut client = Http2::open(&door).await;
    let paths = [
        ("/events/a", "GET"),
        ("/events/a", "POST"),
        ("/events/a/presence", "GET"),
        ("/events/-/noren.js", "GET"),
        ("/events/sockjs/a/info", "GET"),
        ("/.well-known/mercure?topic=x", "GET"),
        ("/.well-known/mercure", "POST"),
        ("/hooks/x", "POST"),
        ("/static/token", "GET"),
    ];
    for (path, method) in paths {
        for fields in [
            [("x\"quoted", &b"1"[..])],
            [("x-a", b" 1")],
            [("x-a", b"1\t")],
        ] {
            let status = client.status(at(path, method, &fields)).await;
            assert!(
                matches!(status, None | Some(400)),
                "{method} {path} {fields:?}: {status:?}"
            );
        }
        let mut socket = at(path, "CONNECT", &[("x-a", b"1 ")]);
        socket
            .extensions_mut()
            .insert(h2::ext::Protocol::from_static("websocket"));
        let status = client.status(socket).await;
        assert!(
            matches!(status, None | Some(400)),
            "CONNECT {path}: {status:?}"
        );
    }
    let status = client
        .status(at("/static/token", "GET", &[("x-a", b"a b")]))
        .await;
    assert_eq!(status, Some(200));
}

#[tokio::test]
async fn a_message_with_malformed_trailers_is_published_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), TOKEN).unwrap();
    let settings = HANDLERS.replace("{DIR}", &directory.path().display().to_string());
    let door = Door::open(&settings).await;
    let mut reader = door.plain().await;
    reader
        .send(Door::get("/events/a", "Accept: text/event-stream\r\n"))
        .await;
    assert_eq!(reader.head().await.status(), 200);
    let bearer = format!("Bearer {TOKEN}");
    let fields = [
        ("authorization", bearer.as_bytes()),
        ("content-type", &b"text/plain"[..]),
    ];
    for (name, value, text, expected) in [
        ("x\"a", "1", "bad", &[0, 400][..]),
        ("x-a", " 1", "bad", &[0, 400]),
        ("x-a", "1", "good", &[202]),
    ] {
        let mut client = Http2::open(&door).await;
        let (answer, mut stream) = client.begin(at("/events/a", "POST", &fields), false).await;
        stream
            .send_data(Bytes::from_static(text.as_bytes()), false)
            .unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.append(
            HeaderName::from_lowercase(name.as_bytes()).unwrap(),
            HeaderValue::from_static(value),
        );
        stream.send_trailers(trailers).unwrap();
        let answer = within("an answer", answer).await.ok();
        let status = answer.map_or(0, |answer| answer.status().as_u16());
        assert!(expected.contains(&status), "{name}: {status}");
    }
    let mut seen = String::new();
    while !seen.contains("good") {
        seen += &String::from_utf8_lossy(&reader.input.some().await);
    }
    assert!(!seen.contains("bad"), "{seen}");
}
