//! Tests of the response on a connection that is told to close.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Backend, Door, Wire, until, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OPTIONS: &str = "OPTIONS * HTTP/1.1\r\nHost: door.example\r\n\r\n";

/// Waits until nobody listens at an address.
async fn until_closed(address: std::net::SocketAddr) {
    until("the listener to be closed", || async {
        let refused = TcpStream::connect(address).await;
        refused
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
            .then_some(())
    })
    .await;
}

/// A connection that has served a request.
async fn used(door: &Door) -> Wire {
    let mut client = door.plain().await;
    assert_eq!(client.ask(OPTIONS).await.status, 204);
    client
}

#[tokio::test]
async fn a_request_that_crosses_a_stop_is_answered_and_told_that_it_was_the_last() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[server]\ndrain = '1h'\n", app.app())).await;
    let (address, mut clients) = (door.http, Vec::new());
    for _ in 0..5 {
        clients.push(used(&door).await);
    }
    let mut secure = door.tls().await;
    assert_eq!(secure.ask(OPTIONS).await.status, 204);
    let stopped = door.stop();
    until_closed(address).await;
    for client in clients.iter_mut().chain([&mut secure]) {
        let answer = client.ask(OPTIONS).await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.head.one("connection"), Some("close"));
        assert_eq!(client.rest().await, b"");
    }
    assert_eq!(within("the drain", stopped).await.unwrap().left, 0);
}

#[tokio::test]
async fn a_head_that_has_begun_to_come_before_a_stop_is_answered() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[server]\ndrain = '1h'\n", app.app())).await;
    let mut idle = used(&door).await;
    let mut client = used(&door).await;
    client.send("GET /late HTTP/1.1\r\nHo").await;
    // Bytes that were sent are there before those that follow on another connection.
    let mut other = used(&door).await;
    assert_eq!(other.ask(OPTIONS).await.status, 204);
    let stopped = door.stop();
    assert_eq!(idle.rest().await, b"", "an idle connection is closed");
    client.send("st: door.example\r\n\r\n").await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(OK).await;
    let answer = client.answer().await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.head.one("connection"), Some("close"));
    assert_eq!(within("the drain", stopped).await.unwrap().left, 0);
}

#[tokio::test]
async fn a_connection_that_waits_for_a_place_when_the_server_stops_is_served() {
    let app = Backend::tcp().await;
    let settings = format!(
        "{}[server]\ndrain = '1h'\n[limits]\nconnections = 1\n",
        app.app()
    );
    let door = Door::open(&settings).await;
    let address = door.http;
    let mut first = used(&door).await;
    let mut second = door.plain().await;
    second.send(OPTIONS).await;
    let stopped = door.stop();
    until_closed(address).await;
    drop(std::mem::replace(&mut first, Wire::new(tokio::io::empty())));
    assert_eq!(second.answer().await.status, 204);
    assert_eq!(within("the drain", stopped).await.unwrap().left, 0);
}

#[tokio::test]
async fn what_a_client_still_sends_does_not_destroy_the_last_response() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for _ in 0..20 {
        let mut client = door.plain_socket().await;
        let last = Door::get("/", "Connection: close\r\n");
        client.write_all(last.as_bytes()).await.unwrap();
        let mut worker = app.accept().await;
        worker.head().await;
        client.write_all(&vec![b'x'; 100_000]).await.unwrap();
        worker.send(OK).await;
        let mut got = Vec::new();
        let read = within("the end", client.read_to_end(&mut got)).await;
        assert!(read.is_ok(), "{read:?}");
        assert!(got.ends_with(b"ok"));
        // Still open for what is on the way.
        client.write_all(b"more").await.unwrap();
    }
}

#[tokio::test]
async fn a_malformed_request_gets_its_400_though_more_of_it_is_on_the_way() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for _ in 0..20 {
        let mut client = door.plain_socket().await;
        client.write_all(b"NONSENSE\r\n\r\n").await.unwrap();
        client.write_all(&vec![b'x'; 100_000]).await.unwrap();
        let mut got = Vec::new();
        let read = within("the end", client.read_to_end(&mut got)).await;
        assert!(read.is_ok(), "{read:?}");
        assert!(got.starts_with(b"HTTP/1.1 400 "));
    }
}

#[tokio::test]
async fn a_connection_of_http2_that_says_nothing_is_closed_after_the_limit_for_a_head() {
    let app = Backend::tcp().await;
    let settings = format!("{}[limits]\nhead = '200ms'\n", app.app());
    let door = Door::open(&settings).await;
    for begun in [
        &b""[..],
        b"PRI * HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = door.tls_stream("h2").await;
        client.write_all(begun).await.unwrap();
        let mut said = Vec::new();
        let _ = within("the end", client.read_to_end(&mut said)).await;
    }
}
