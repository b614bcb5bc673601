//! The app's own WebSockets, over HTTP/1.1 and HTTP/2.

use crate::harness::{Backend, Door, Head, Http2, Wire, until, within};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The app's agreement to the handshake it was sent.
fn agreement(handshake: &Head) -> String {
    let key = handshake.one("sec-websocket-key").unwrap();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: chat\r\nSet-Cookie: a=1\r\n\r\n",
        derive_accept_key(key.as_bytes())
    )
}

/// Bytes pass both ways, and each end can be closed by itself.
async fn talks(client: &mut Wire, app: &mut Wire) {
    client.send("from the client").await;
    assert_eq!(app.take(15).await, b"from the client");
    app.send("from the app").await;
    assert_eq!(client.take(12).await, b"from the app");
    client.output.finish().await;
    assert_eq!(app.rest().await, b"");
    app.send("last words").await;
    app.output.finish().await;
    assert_eq!(client.rest().await, b"last words");
}

#[tokio::test]
async fn a_websocket_of_the_app_passes_over_http1_with_what_is_right_behind_the_handshakes() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.tls().await;
    let handshake = Door::handshake(
        "/chat?x=1",
        "Sec-WebSocket-Protocol: chat\r\nCookie: a=b\r\nX-Forwarded-For: 6.6.6.6\r\n",
    );
    client.send(format!("{handshake}early")).await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    assert_eq!(head.start, "GET /chat?x=1 HTTP/1.1");
    for (name, value) in [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
        ("cookie", "a=b"),
        ("host", "door.example"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
    ] {
        assert_eq!(head.one(name), Some(value), "{name}");
    }
    worker
        .send(format!("{}right behind", agreement(&head)))
        .await;
    let answer = client.head().await;
    assert_eq!(answer.start, "HTTP/1.1 101 Switching Protocols");
    assert_eq!(
        answer.one("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(answer.one("sec-websocket-protocol"), Some("chat"));
    assert_eq!(answer.one("set-cookie"), Some("a=1"));
    assert_eq!(client.take(12).await, b"right behind");
    assert_eq!(worker.take(5).await, b"early");
    talks(&mut client, &mut worker).await;
}

#[tokio::test]
async fn a_websocket_of_the_app_passes_over_http2() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut http2 = Http2::open(&door).await;
    let (mut client, mut worker) = tokio::join!(http2.websocket("/chat?x=1"), async {
        let mut worker = app.accept().await;
        let head = worker.head().await;
        assert_eq!(head.start, "GET /chat?x=1 HTTP/1.1");
        assert_eq!(head.one("upgrade"), Some("websocket"));
        worker
            .send(format!("{}right behind", agreement(&head)))
            .await;
        worker
    });
    assert_eq!(client.take(12).await, b"right behind");
    talks(&mut client, &mut worker).await;
}

#[tokio::test]
async fn a_websocket_of_the_app_inside_http2_is_a_connection_of_its_address() {
    let app = Backend::tcp().await;
    let limit = "[limits]\nconnections-per-address = 2\n";
    let door = Door::open(&format!("{}{limit}", app.app())).await;
    let mut http2 = Http2::open(&door).await;
    let (mut client, mut worker) = tokio::join!(http2.websocket("/chat"), async {
        let mut worker = app.accept().await;
        let head = worker.head().await;
        worker.send(agreement(&head)).await;
        worker
    });
    let (refused, _stream) = http2.connect("/chat").await;
    let refused = within("an answer", refused).await.unwrap();
    assert_eq!(refused.status(), 429);
    app.has_nobody().await;
    talks(&mut client, &mut worker).await;
    until("the place to be free", || async {
        let served = door.plain_from("127.0.0.1").await;
        let mut served = served;
        let asked = served
            .output
            .try_send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        asked.await.ok()?;
        served
            .rest()
            .await
            .starts_with(b"HTTP/1.1 204")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_agreement_to_something_else_is_a_502() {
    let other_key = agreement_with_key("AAAAAAAAAAAAAAAAAAAAAA==");
    for said in [
        other_key.as_str(),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    ] {
        let app = Backend::tcp().await;
        let door = Door::open(&app.app()).await;
        let mut client = door.plain().await;
        client.send(Door::handshake("/chat", "")).await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(said).await;
        assert_eq!(client.answer().await.status, 502, "{said}");
        assert_eq!(worker.rest().await, b"", "the app hears nothing more");
    }
}

fn agreement_with_key(key: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    )
}

#[tokio::test]
async fn a_refusal_of_the_app_is_an_ordinary_answer_and_nothing_behind_it_becomes_a_request() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    let hidden = Door::get("/hidden", "");
    client
        .send(format!("{}{hidden}", Door::handshake("/chat", "")))
        .await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (403, "no"));
    assert_eq!(client.rest().await, b"", "the connection ends");
    assert_eq!(worker.rest().await, b"", "the app hears nothing more");
    app.has_nobody().await;
}

#[tokio::test]
async fn a_malformed_handshake_does_not_reach_the_app() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let good = Door::handshake("/chat", "");
    for (wrong, status) in [
        (good.replace("Version: 13", "Version: 8"), 426),
        (good.replace("Sec-WebSocket-Version: 13\r\n", ""), 426),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400),
        (
            good.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            400,
        ),
        (good.replace("GET", "POST"), 400),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 400),
        (Door::handshake("/chat", "Content-Length: 4\r\n"), 400),
        (
            Door::handshake("/chat", "Transfer-Encoding: chunked\r\n"),
            400,
        ),
        (
            Door::handshake("/chat", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"),
            400,
        ),
    ] {
        let answer = door.plain().await.ask(&wrong).await;
        assert_eq!(answer.status, status, "{wrong}: {}", answer.text());
        if status == 426 {
            assert_eq!(answer.head.one("sec-websocket-version"), Some("13"));
        }
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn an_upgrade_to_anything_else_is_an_ordinary_request() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    let lines =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    client.send(Door::get("/", lines)).await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    for name in ["connection", "upgrade", "http2-settings"] {
        assert!(head.all(name).is_empty(), "{name}");
    }
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn an_extended_connect_for_another_protocol_is_refused() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut http2 = Http2::open(&door).await;
    let mut request = Http2::get("/");
    *request.method_mut() = http::Method::CONNECT;
    request
        .extensions_mut()
        .insert(h2::ext::Protocol::from_static("connect-udp"));
    let (answer, _stream) = http2.begin(request, false).await;
    let answer = within("an answer", answer).await.unwrap();
    assert_eq!(answer.status(), 501);
    app.has_nobody().await;
}
