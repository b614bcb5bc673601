//! From the address to the open WebSocket: tokens, origins, subprotocols, and what a refusal says.

use std::fs;
use std::os::unix::fs::symlink;

use super::{PATH, console};
use crate::harness::{Backend, Door, binary, within};

/// Opens a WebSocket at `path` and sends one message, which has to arrive at this console.
async fn leads_to(door: &Door, path: &str, console: &Backend) {
    let mut client = door.websocket(path).await;
    let mut target = console.accept().await;
    client.send(binary(b"hello")).await;
    assert_eq!(target.take(5).await, b"hello", "{path}");
}

#[tokio::test]
async fn a_token_is_found_in_every_kind_of_source() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["tokens", "sockets"] {
        fs::create_dir(path(name)).unwrap();
    }
    let by_tcp = Backend::tcp().await;
    let by_unix = Backend::unix(&path("console.sock"));
    let by_name = Backend::unix(&path("sockets/vm one"));
    let by_file = Backend::tcp().await;
    let fixed = Backend::tcp().await;
    let port = by_tcp.address().rsplit(':').next().unwrap().to_owned();
    fs::write(path("tokens/a"), format!("tcp-token: localhost:{port}")).unwrap();
    fs::write(
        path("tokens/b"),
        format!(
            "# a comment\nunix-token: unix_socket:{}",
            path("console.sock").display()
        ),
    )
    .unwrap();
    fs::write(path("file"), format!("in-file: {}\n", by_file.address())).unwrap();
    let source = |kind, name| {
        format!(
            "[[bridge.tokens]]\nsource = '{kind}'\npath = '{}'\n",
            path(name).display()
        )
    };
    let door = Door::open(&format!(
        "{}{}{}{}",
        source("directory", "tokens"),
        source("file", "file"),
        source("sockets", "sockets"),
        fixed.target("woknotifications")
    ))
    .await;
    for (token, console) in [
        ("tcp-token", &by_tcp),
        ("unix-token", &by_unix),
        ("in-file", &by_file),
        ("vm%20one", &by_name),
        (noren::encode_token("vm one").as_str(), &by_name),
        ("woknotifications", &fixed),
        ("d29rbm90aWZpY2F0aW9ucw", &fixed),
    ] {
        leads_to(&door, &format!("/websockify?token={token}"), console).await;
    }
    fs::write(path("tokens/a"), "").unwrap();
    let gone = door
        .tls()
        .await
        .ask(&Door::handshake("/websockify?token=tcp-token", ""))
        .await;
    assert_eq!(gone.status, 404, "nothing is remembered");
}

#[tokio::test]
async fn a_token_file_that_is_just_being_written_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vm");
    fs::write(&file, "").unwrap();
    let console = Backend::tcp().await;
    let door = Door::open(&format!(
        "[bridge]\ntoken-retry = '20s'\n[[bridge.tokens]]\nsource = 'directory'\npath = '{}'\n",
        directory.path().display()
    ))
    .await;
    let mut client = door.tls().await;
    client.send(Door::handshake(PATH, "")).await;
    // A request after it is answered while the first still waits, so the empty file has been seen.
    let other = door.plain().await.ask(&Door::get("/", "")).await;
    assert_eq!(other.status, 404);
    fs::write(&file, format!("vm: {}", console.address())).unwrap();
    assert_eq!(client.answer().await.status, 101);
    console.accept().await;
}

#[tokio::test]
async fn every_spelling_of_the_address_that_old_pages_use_leads_to_the_bridge() {
    let console = Backend::tcp().await;
    let door = Door::open(&format!(
        "[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\nserver-root = '/wok'\n{}",
        console.target("vm")
    ))
    .await;
    for path in [
        "/websockify",
        "//websockify",
        "/wok/websockify",
        "/wokwebsockify",
    ] {
        leads_to(&door, &format!("{path}?token=vm"), &console).await;
        leads_to(&door, &format!("{path}?x=1&token=vm&token=other"), &console).await;
    }
    let answer = door
        .plain()
        .await
        .ask(&Door::handshake("/websockify/host/127.0.0.1/port/22", ""))
        .await;
    assert_eq!(answer.status, 404, "no client names a host and a port");
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong_before_any_upgrade() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("sockets")).unwrap();
    fs::write(path("sockets/file"), "").unwrap();
    let outside = Backend::unix(&path("outside"));
    symlink(path("outside"), path("sockets/link")).unwrap();
    let console = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}[[bridge.target]]\ntoken = 'dead'\naddress = 'unix:{}'\n\
         [[bridge.tokens]]\nsource = 'sockets'\npath = '{}'\n",
        console.target("vm"),
        path("nobody").display(),
        path("sockets").display()
    ))
    .await;
    let long = format!("/websockify?token={}", "x".repeat(4097));
    for (path, lines, status, text) in [
        (
            "/websockify",
            "",
            400,
            "the address has no token= parameter",
        ),
        ("/websockify?token=", "", 400, "the token is empty"),
        ("/websockify?token=%zz", "", 400, "the token has a %"),
        (
            "/websockify?token=a%0ab",
            "",
            400,
            "the token contains a control character",
        ),
        (
            long.as_str(),
            "",
            400,
            "the token is longer than 4096 bytes",
        ),
        (
            "/websockify?token=unknown",
            "",
            404,
            "this token is not known here",
        ),
        (
            "/websockify?token=..%2Foutside",
            "",
            404,
            "this token is not known here",
        ),
        (
            "/websockify?token=link",
            "",
            404,
            "this token does not lead to a socket",
        ),
        (
            "/websockify?token=file",
            "",
            404,
            "this token does not lead to a socket",
        ),
        (
            "/websockify?token=dead",
            "",
            502,
            "the console behind this token is not running",
        ),
        (
            PATH,
            "Origin: https://evil.example\r\n",
            403,
            "the page comes from https://evil.example",
        ),
        (
            PATH,
            "Origin: http://door.example\r\n",
            403,
            "the page comes from http://door.example",
        ),
        (
            PATH,
            "Origin: https://door.example:1\r\n",
            403,
            "the page comes from",
        ),
        (
            PATH,
            "Origin: null\r\n",
            403,
            "the page has no origin of its own",
        ),
        (
            PATH,
            "Sec-WebSocket-Protocol: chat, mqtt\r\n",
            400,
            "none of the offered subprotocols",
        ),
    ] {
        let answer = door.tls().await.ask(&Door::handshake(path, lines)).await;
        assert_eq!(answer.status, status, "{path} {lines}: {}", answer.text());
        assert!(
            answer.text().starts_with(text),
            "{path} {lines}: {}",
            answer.text()
        );
        assert_eq!(answer.head.one("x-frame-options"), Some("DENY"));
    }
    outside.has_nobody().await;
    for (request, status, text) in [
        (
            Door::get(PATH, ""),
            426,
            "only WebSockets are served at this address",
        ),
        (
            Door::handshake(PATH, "").replace("Version: 13", "Version: 8"),
            426,
            "the only version",
        ),
        (
            Door::handshake(PATH, "").replace("GET", "POST"),
            405,
            "POST is not allowed here",
        ),
        (
            Door::handshake(PATH, "Content-Length: 1\r\n"),
            400,
            "a WebSocket handshake has no body",
        ),
    ] {
        let answer = door.tls().await.ask(&request).await;
        assert_eq!(answer.status, status, "{request}");
        assert!(answer.text().starts_with(text), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_refused_handshake_does_not_touch_the_console() {
    let (console, door) = console("").await;
    for (lines, status) in [
        ("Origin: https://evil.example\r\n", 403),
        ("Sec-WebSocket-Protocol: chat\r\n", 400),
    ] {
        let answer = door.tls().await.ask(&Door::handshake(PATH, lines)).await;
        assert_eq!(answer.status, status);
        // Some consoles accept one connection and no second.
        console.has_nobody().await;
    }
}

#[tokio::test]
async fn the_console_is_connected_exactly_once_for_each_accepted_upgrade() {
    let (console, door) = console("").await;
    for _ in 0..3 {
        let mut client = door.websocket(PATH).await;
        let mut target = console.accept().await;
        console.has_nobody().await;
        target.send("x").await;
        assert_eq!(client.frame().await.payload, b"x");
    }
}

#[tokio::test]
async fn a_console_that_does_not_accept_in_time_is_a_504() {
    let backlog = crate::harness::FullBacklog::tcp().await;
    let door = Door::open(&format!(
        "[bridge]\nconnect = '200ms'\n[[bridge.target]]\ntoken = 'vm'\naddress = '{}'\n",
        backlog.address()
    ))
    .await;
    let answer = door.tls().await.ask(&Door::handshake(PATH, "")).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert!(
        answer
            .text()
            .starts_with("the console behind this token did not respond in time")
    );
}

#[tokio::test]
async fn origins_are_permitted_as_the_configuration_says() {
    for (settings, origin, status) in [
        ("", "", 101),
        ("", "Origin: https://door.example\r\n", 101),
        ("", "Origin: HTTPS://DOOR.example:443\r\n", 101),
        ("missing-origin = false", "", 403),
        (
            "missing-origin = false",
            "Origin: https://door.example\r\n",
            101,
        ),
        (
            "origins = ['https://a.example']",
            "Origin: https://a.example\r\n",
            101,
        ),
        (
            "origins = ['https://a.example']",
            "Origin: https://door.example\r\n",
            403,
        ),
        (
            "origins = ['https://a.example']",
            "Origin: https://a.example.evil\r\n",
            403,
        ),
        ("origins = ['any']", "Origin: https://evil.example\r\n", 101),
        (
            "",
            "Origin: https://door.example\r\nOrigin: https://evil.example\r\n",
            403,
        ),
    ] {
        let (_console, door) = console(settings).await;
        let mut client = door.tls().await;
        client.send(Door::handshake(PATH, origin)).await;
        assert_eq!(client.head().await.status(), status, "{settings} {origin}");
    }
}

#[tokio::test]
async fn the_subprotocol_is_binary_before_base64_and_none_if_none_is_offered() {
    let (console, door) = console("").await;
    for (lines, chosen) in [
        ("", None),
        ("Sec-WebSocket-Protocol: binary\r\n", Some("binary")),
        ("Sec-WebSocket-Protocol: base64\r\n", Some("base64")),
        ("Sec-WebSocket-Protocol: base64,binary\r\n", Some("binary")),
        (
            "Sec-WebSocket-Protocol:  base64 , binary \r\n",
            Some("binary"),
        ),
        (
            "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: base64\r\n",
            Some("base64"),
        ),
    ] {
        let mut client = door.tls().await;
        client.send(Door::handshake(PATH, lines)).await;
        let head = client.head().await;
        assert_eq!(head.status(), 101);
        assert_eq!(head.one("sec-websocket-protocol"), chosen, "{lines}");
        assert_eq!(head.one("sec-websocket-extensions"), None);
        console.accept().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_does_not_keep_the_console() {
    let (console, door) = console("").await;
    let mut client = door.plain().await;
    client.send(Door::handshake(PATH, "")).await;
    drop(client);
    let mut target = console.accept().await;
    assert_eq!(within("the end", target.rest()).await, b"");
}
