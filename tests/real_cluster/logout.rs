//! A logout at one node closes what is open at another.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

use futures_util::StreamExt as _;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::Node;
use crate::support::{PATIENCE, Rabbit, alone, path, scratch};

/// An app that says yes to everything.
fn app() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut writer = stream.try_clone().expect("a second handle");
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if line.is_empty() {
                        // The test is over when this fails.
                        let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                    }
                }
            });
        }
    });
    port
}

#[test]
fn a_logout_at_one_node_closes_what_is_open_at_another_at_once() {
    let _alone = alone();
    let rabbit = Rabbit::start();
    let directory = scratch();
    let key = path(&directory, "key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").expect("a key");
    // So long an interval that nothing but the logout can close it.
    let tables = format!(
        "[[app]]\nurl = \"http://127.0.0.1:{}\"\n[session]\npath = \"/tasks\"\ninterval = \"1h\"\n",
        app()
    );
    let keys = format!("key = \"{key}\"\n");
    let node = || Node::start_with(rabbit.port, &keys, &tables).caught_up();
    let (one, two) = (node(), node());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listen = async {
        let url = format!("ws://127.0.0.1:{}/events/c", two.port);
        let mut request = url.into_client_request().expect("a request");
        let cookie = "wok=cook".parse().expect("a value");
        request.headers_mut().insert("cookie", cookie);
        let opened = tokio_tungstenite::connect_async(request).await;
        opened.expect("a WebSocket").0
    };
    let mut socket = runtime.block_on(listen);
    let answer = one.ask("POST /logout", "Cookie: wok=cook\r\nContent-Length: 0\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let closed = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(Some(frame)) = message {
                return u16::from(frame.code);
            }
        }
        0
    };
    let code = runtime.block_on(async { tokio::time::timeout(PATIENCE, closed).await });
    assert_eq!(code, Ok(4401));
}
