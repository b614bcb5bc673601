//! Rules for the headers of responses and of requests to the app.

use std::fs;

use crate::harness::{Backend, Door, Head, Http2, Wire};

/// An app's headers about itself, beside one line of 103.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: app/1.0\r\nX-Powered-By: x\r\n\
    Referrer-Policy: unsafe-url\r\nSet-Cookie: a=1\r\nVary: Cookie\r\n\r\nok";

const RULES: &str = "[app.response-headers]\n\
    remove = ['Server', 'X-Powered-By']\n\
    set = { Referrer-Policy = 'no-referrer', Cache-Control = 'max-age=60' }\n\
    add = { Set-Cookie = 'b=2', Vary = ['Origin', 'Accept'] }\n\
    default = { Content-Security-Policy = \"default-src 'self'\", X-Frame-Options = 'SAMEORIGIN' }\n\
    [headers]\n\
    set = { Permissions-Policy = 'camera=()' }\n\
    default = { Referrer-Policy = 'same-origin' }\n";

/// The response of the app to a request of this client.
async fn answered(client: &mut Wire, app: &Backend, response: &str) -> Head {
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(response).await;
    client.answer().await.head
}

#[tokio::test]
async fn a_response_has_the_headers_that_the_rules_of_its_app_and_of_the_door_say() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}{RULES}", app.app())).await;
    let head = answered(&mut door.tls().await, &app, RESPONSE).await;
    let lines: Vec<_> = head.lines().into_iter().collect();
    let mut lines: Vec<_> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| !line.starts_with("date: "))
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "cache-control: max-age=60",
            "content-length: 2",
            "content-security-policy: default-src 'self'",
            "permissions-policy: camera=()",
            "referrer-policy: no-referrer",
            "set-cookie: a=1",
            "set-cookie: b=2",
            "strict-transport-security: max-age=31536000",
            "vary: Accept",
            "vary: Cookie",
            "vary: Origin",
            "x-content-type-options: nosniff",
            "x-frame-options: SAMEORIGIN",
        ]
    );
}

#[tokio::test]
async fn an_error_at_the_paths_of_an_app_has_its_headers_but_is_not_kept() {
    let app = Backend::tcp().await;
    let address = app.address().to_owned();
    drop(app);
    let settings = format!("[[app]]\nurl = 'http://{address}'\nrestart-wait = '0s'\n{RULES}");
    let door = Door::open(&settings).await;
    let answer = door.plain().await.ask(&Door::get("/", "")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.head.one("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.head.one("permissions-policy"), Some("camera=()"));
    assert_eq!(answer.head.one("x-frame-options"), Some("SAMEORIGIN"));
    assert_eq!(answer.head.one("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn what_no_app_answers_has_the_headers_of_the_door() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("x"), "x").unwrap();
    let app = Backend::tcp().await;
    let settings = format!(
        "{}path = '/app'\n{RULES}[headers.own]\nset = {{ Referrer-Policy = 'origin' }}\nremove = ['X-Frame-Options']\n\
         [[channel]]\nname = 'news'\n\
         [[files]]\npath = '/files'\ndirectory = '{}'\n[files.response-headers]\n\
         add = {{ Access-Control-Allow-Origin = '*' }}\n",
        app.app(),
        directory.path().display()
    );
    let door = Door::open(&settings).await;
    for (path, status) in [("/nothing", 404), ("/events/news", 200)] {
        let answer = door.plain().await.ask(&Door::get(path, "")).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.head.one("referrer-policy"), Some("origin"), "{path}");
        assert_eq!(answer.head.one("x-frame-options"), None, "{path}");
        assert_eq!(answer.head.one("permissions-policy"), Some("camera=()"));
        assert_eq!(answer.head.one("content-security-policy"), None, "{path}");
    }
    let answer = door.plain().await.ask(&Door::get("/files/x", "")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.head.one("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.head.one("referrer-policy"), Some("same-origin"));
    assert_eq!(answer.head.one("x-frame-options"), Some("DENY"));
}

#[tokio::test]
async fn an_interim_response_and_a_handshake_do_not_bring_what_is_removed() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}{RULES}", app.app())).await;
    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nServer: app/1.0\r\nReferrer-Policy: unsafe-url\r\n\r\n";
    worker.send(format!("{hints}{RESPONSE}")).await;
    assert_eq!(client.head().await.lines(), ["link: </a.css>"]);
    assert_eq!(client.answer().await.status, 200);

    let mut client = door.plain().await;
    client.send(Door::handshake("/ws", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nServer: app/1.0\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    worker.send(agreed).await;
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.one("server"), None);
    assert_eq!(head.one("referrer-policy"), Some("no-referrer"));
    assert_eq!(
        head.one("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
}

#[tokio::test]
async fn a_request_has_the_headers_that_the_rules_of_its_app_say_whatever_clients_send() {
    let app = Backend::tcp().await;
    let rules = "[app.request-headers]\nremove = ['Accept-Encoding']\n\
        set = { X-Script-Name = '/wok', X-Gateway = 'secret' }\n\
        add = { Via = '1.1 door' }\ndefault = { Accept = 'text/html' }\n";
    let door = Door::open(&format!("{}{rules}", app.app())).await;
    let lines = "X-Script-Name: /evil\r\nX_Script_Name: /evil\r\nX-Gateway: guess\r\nX-Gateway: again\r\n\
        Accept-Encoding: gzip\r\nVia: 1.0 proxy\r\nAccept: image/png\r\n";
    for handshake in [false, true] {
        let mut client = door.plain().await;
        let request = if handshake {
            Door::handshake("/", lines)
        } else {
            Door::get("/", lines)
        };
        client.send(request).await;
        let head = app.accept().await.head().await;
        assert_eq!(head.one("x-script-name"), Some("/wok"));
        assert_eq!(head.one("x-gateway"), Some("secret"));
        assert_eq!(head.one("accept-encoding"), None);
        assert_eq!(head.one("accept"), Some("image/png"));
        let vias = head.lines();
        let vias = vias.iter().filter(|line| line.starts_with("via: "));
        assert_eq!(
            vias.collect::<Vec<_>>(),
            ["via: 1.0 proxy", "via: 1.1 door"]
        );
    }
}

#[tokio::test]
async fn questions_of_the_door_itself_have_the_headers_of_the_app_too() {
    let app = Backend::tcp().await;
    let settings = format!(
        "{}health-path = '/ready'\n[app.request-headers]\nset = {{ X-Gateway = 'secret', Accept = 'text/html' }}\n\
         [session]\npath = '/me'\n[session.headers]\nAccept = 'application/json'\n[[channel]]\nname = 'news'\n",
        app.app()
    );
    let door = Door::open(&settings).await;
    let mut client = door.plain().await;
    client.send(Door::get("/events/news", "")).await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    assert_eq!(head.start, "GET /me HTTP/1.1");
    assert_eq!(head.one("x-gateway"), Some("secret"));
    assert_eq!(head.one("accept"), Some("application/json"));
    drop(worker);

    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    let mut paths = Vec::new();
    for _ in 0..2 {
        let mut worker = app.accept().await;
        let head = worker.head().await;
        assert_eq!(head.one("x-gateway"), Some("secret"), "{}", head.start);
        paths.push(head.start.clone());
        worker
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await;
    }
    paths.sort();
    assert_eq!(paths, ["GET / HTTP/1.1", "GET /ready HTTP/1.1"]);
}

#[tokio::test]
async fn rules_hold_over_http2_and_change_with_a_reload() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}{RULES}", app.app())).await;
    let mut client = Http2::open(&door).await;
    let (answer, _) = client.begin(Http2::get("/"), true).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(RESPONSE).await;
    let response = answer.await.unwrap();
    assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    assert!(!response.headers().contains_key("server"));

    let settings = format!(
        "{}{}[headers]\nremove = ['Referrer-Policy']\n",
        door.base,
        app.app()
    );
    door.handle
        .reload(noren::Config::parse(&settings, "test.toml").unwrap())
        .unwrap();
    let head = answered(&mut door.plain().await, &app, RESPONSE).await;
    assert_eq!(head.one("referrer-policy"), None);
    assert_eq!(head.one("server"), Some("app/1.0"));
}
