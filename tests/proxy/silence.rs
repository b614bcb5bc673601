//! Addresses that answer nothing, and those that only seem so.

use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::addresses::{OK, QUICK_SILENCE, app, question, taken};
use crate::harness::{Backend, Door, Wire, within};

#[tokio::test]
async fn an_address_that_sends_long_responses_is_not_silent_though_its_workers_are_all_busy() {
    let (one, other) = (Backend::tcp().await, Backend::tcp().await);
    let settings = app(&[one.address(), other.address()]);
    let keys = format!("{QUICK_SILENCE}workers = 2\nqueue-wait = '1s'\n");
    let door = Door::open(&format!("{settings}{keys}")).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = door.plain().await;
        client.send(Door::get("/x", "")).await;
        clients.push(client);
    }
    let (mut streams, mut waiting) = (Vec::new(), Vec::new());
    for backend in [&one, &other] {
        let mut stream = taken(backend).await.0;
        stream
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            .await;
        streams.push(stream);
        waiting.push(taken(backend).await);
    }
    let (begun, mut last) = (Instant::now(), Instant::now());
    while begun.elapsed() < Duration::from_millis(2_500) {
        for stream in &mut streams {
            stream.send("data: x\n\n").await;
        }
        let asked = tokio::time::timeout(Duration::from_millis(20), question(&one)).await;
        // On a machine that stands still for so long it would be right to ask.
        let is_steady = last.elapsed() < Duration::from_millis(500);
        assert!(
            asked.is_err() || !is_steady,
            "it was asked for a sign of life"
        );
        last = Instant::now();
    }
    // Without a byte it is.
    drop(question(&one).await);
    drop((clients, waiting));
}

/// A listener whose queue has one place.
fn narrow() -> TcpListener {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let loopback: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&loopback.into()).unwrap();
    listener.listen(0).unwrap();
    listener.set_nonblocking(true).unwrap();
    TcpListener::from_std(listener.into()).unwrap()
}

/// A full queue takes no connection, as a machine that is gone.
#[tokio::test]
async fn an_address_that_is_gone_without_a_word_is_silent() {
    let (gone, live) = (narrow(), Backend::tcp().await);
    let address = gone.local_addr().unwrap();
    let settings = app(&[&address.to_string(), live.address()]);
    let keys = format!("{QUICK_SILENCE}retry-elsewhere = true\nconnect = '300ms'\n");
    let door = Door::open(&format!("{settings}{keys}")).await;
    let mut client = door.plain().await;
    client.send(Door::get("/x", "")).await;
    let mut worker = loop {
        tokio::select! {
            accepted = gone.accept() => break Wire::new(accepted.unwrap().0),
            (mut worker, _) = taken(&live) => {
                worker.send(OK).await;
                assert_eq!(client.answer().await.text(), "ok");
                client.send(Door::get("/x", "")).await;
            }
        }
    };
    let mut waiting = Vec::new();
    let moment = Duration::from_millis(100);
    while let Ok(connected) = tokio::time::timeout(moment, TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
    }
    let (mut other, _) = taken(&live).await;
    other.send(OK).await;
    assert_eq!(within("the answer", client.answer()).await.text(), "ok");
    worker.head().await;
}
