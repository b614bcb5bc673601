//! Limits per address of one app or directory: 429 with the time to wait, permits that are given back, and one count
//! for a zone.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::harness::{Backend, Door, FIN, Http2, TEXT, Wire, masked, until};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// A request that the app answers.
async fn served(door: &Door, app: &Backend, path: &str) {
    let mut client = door.plain().await;
    client.send(Door::get(path, "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(OK).await;
    assert_eq!(client.answer().await.status, 200, "{path}");
}

/// The status of a request that the app never sees, and its `Retry-After` in seconds.
async fn refused(door: &Door, path: &str) -> (u16, u64) {
    let answer = door.plain().await.ask(&Door::get(path, "")).await;
    let wait = answer.head.one("retry-after").unwrap_or("0");
    (answer.status, wait.parse().unwrap())
}

#[tokio::test]
async fn requests_of_an_address_beyond_the_rate_of_an_app_are_a_429_with_the_time_to_wait() {
    let app = Backend::tcp().await;
    let login = "path = '/login'\nrequest-rate = '2/h'\nrequest-burst = 1\n";
    let door = Door::open(&format!(
        "{}{login}[[app]]\nname = 'rest'\nurl = 'http://{}'\n",
        app.app(),
        app.address()
    ))
    .await;
    served(&door, &app, "/login").await;
    served(&door, &app, "/login/x").await;
    let (status, wait) = refused(&door, "/login").await;
    assert_eq!(status, 429);
    assert!((1700..=1801).contains(&wait), "{wait}");
    // Over HTTP/2 it is the same address, and other apps have no such limit.
    let mut http2 = Http2::open(&door).await;
    assert_eq!(http2.status(Http2::get("/login")).await, Some(429));
    app.has_nobody().await;
    served(&door, &app, "/").await;
}

#[tokio::test]
async fn a_request_of_a_burst_is_held_back_until_its_turn() {
    let app = Backend::tcp().await;
    let keys = "request-rate = '4/s'\nrequest-burst = 5\nrequest-delay-after = 0\n";
    let door = Door::open(&format!("{}{keys}", app.app())).await;
    let begun = Instant::now();
    served(&door, &app, "/1").await;
    served(&door, &app, "/2").await;
    served(&door, &app, "/3").await;
    assert!(begun.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn as_many_requests_of_an_address_are_in_progress_at_an_app_as_may_be() {
    let app = Backend::tcp().await;
    let keys = "requests-per-address = 1\nresponse-spool = false\n";
    let door = Door::open(&format!("{}{keys}", app.app())).await;
    let mut client = door.tls().await;
    client.send(Door::get("/stream", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    // The head of the response is not its end.
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n12")
        .await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(refused(&door, "/").await, (429, 1));
    let mut http2 = Http2::open(&door).await;
    assert_eq!(http2.status(Http2::get("/")).await, Some(429));
    app.has_nobody().await;
    worker.send("34").await;
    assert_eq!(client.take(4).await, b"1234");
    is_free_again(&door, &app).await;
}

/// The response's permit is given back once its last byte is sent.
async fn is_free_again(door: &Door, app: &Backend) {
    until("the permit to be given back", || async {
        let mut client = door.plain().await;
        client.send(Door::get("/", "")).await;
        let answer = client.answer();
        let serve = async {
            let mut worker = app.accept().await;
            worker.head().await;
            worker.send(OK).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = answer => (answer.status == 200).then_some(()),
            () = serve => None,
        }
    })
    .await;
}

#[tokio::test]
async fn a_websocket_of_an_app_is_in_progress_until_it_ends() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}requests-per-address = 1\n", app.app())).await;
    for over_http2 in [false, true] {
        let opened = async {
            if over_http2 {
                let mut http2 = Http2::open(&door).await;
                let client = http2.websocket("/ws").await;
                (client, Some(http2))
            } else {
                (door.websocket("/ws").await, None)
            }
        };
        let agreed = async {
            let mut worker = app.accept().await;
            let head = worker.head().await;
            let key = head.one("sec-websocket-key").unwrap();
            let accept = derive_accept_key(key.as_bytes());
            worker
                .send(format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n"
                ))
                .await;
            worker
        };
        let ((client, http2), worker): ((Wire, _), Wire) = tokio::join!(opened, agreed);
        assert_eq!(refused(&door, "/").await, (429, 1));
        let second = Door::handshake("/ws", "");
        assert_eq!(door.tls().await.ask(&second).await.status, 429);
        drop((client, worker, http2));
        is_free_again(&door, &app).await;
    }
}

#[tokio::test]
async fn an_app_and_files_of_one_zone_count_together() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a"), "a file").unwrap();
    let app = Backend::tcp().await;
    let zone = "request-rate = '1/h'\nrequest-burst = 1\nlimit-zone = 'one'\n";
    let door = Door::open(&format!(
        "{}{zone}[[files]]\npath = '/static'\ndirectory = '{}'\n{zone}",
        app.app(),
        directory.path().display()
    ))
    .await;
    served(&door, &app, "/").await;
    let file = door.plain().await.ask(&Door::get("/static/a", "")).await;
    assert_eq!((file.status, file.text()), (200, "a file"));
    for path in ["/", "/static/a"] {
        assert_eq!(refused(&door, path).await.0, 429, "{path}");
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn messages_of_pages_count_as_requests_to_their_app() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}request-rate = '1/h'\nrequest-burst = 1\n\
         [[channel]]\nname = 'chat'\npublish = ['app']\nreceive = '/say'\n",
        app.app()
    ))
    .await;
    let lines = "Content-Type: text/plain\r\nContent-Length: 0\r\n";
    let request = Door::get("/events/chat", lines).replacen("GET", "POST", 1);
    let mut client = door.tls().await;
    client.send(&request).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
    let mut socket = door.websocket("/events/chat").await;
    let mut says = async |number| say(&mut socket, number).await;
    let serve = async {
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(OK).await;
    };
    let (told, ()) = tokio::join!(says(1), serve);
    assert!(told.contains("\"sent\""), "{told}");
    let told = says(2).await;
    assert!(told.contains("429"), "{told}");
    assert_eq!(client.ask(&request).await.status, 429);
    app.has_nobody().await;
}

/// Sends a message of a page over its WebSocket; what it is told of it.
async fn say(socket: &mut Wire, number: u32) -> String {
    let message = format!("{{\"channel\":\"chat\",\"data\":\"hi\",\"ref\":{number}}}");
    socket.send(masked(FIN | TEXT, message.as_bytes())).await;
    loop {
        let text = String::from_utf8(socket.frame().await.payload).unwrap();
        if text.contains("\"ref\"") {
            return text;
        }
    }
}

#[tokio::test]
async fn messages_of_a_socket_count_with_all_requests_of_their_address() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "[limits]\nrequest-rate = 1\n{}[[channel]]\nname = 'chat'\npublish = ['app']\nreceive = '/say'\n",
        app.app()
    ))
    .await;
    let mut socket = door.websocket("/events/chat").await;
    let serve = async {
        loop {
            let mut worker = app.accept().await;
            worker.head().await;
            worker.send(OK).await;
        }
    };
    let talk = async {
        let mut taken = 0;
        while say(&mut socket, taken).await.contains("\"sent\"") {
            taken += 1;
        }
        let told = say(&mut socket, taken).await;
        assert!(told.contains("429"), "{told}");
        taken
    };
    let taken = tokio::select! {
        () = serve => 0,
        taken = talk => taken,
    };
    assert!(taken >= 5, "ten at once: {taken}");
}
