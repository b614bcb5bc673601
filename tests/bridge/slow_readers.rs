//! Clients that read more slowly than their console writes: none is given up, and nothing is lost for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use super::PATH;
use crate::harness::{
    BINARY, Backend, CLOSE, Door, FIN, Input, Output, PING, PONG, Wire, binary, masked, pattern,
    until,
};

/// A console on a UNIX socket, of which nothing is on its way that the door does not have; and a client whose
/// kernel takes little.
async fn opened(settings: &str) -> (Wire, Wire, Door, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let console = Backend::unix(&directory.path().join("console"));
    let door = Door::open(&format!("[bridge]\n{settings}\n{}", console.target("vm"))).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut client = Wire::new(socket.connect(door.http).await.unwrap());
    client.send(Door::handshake(PATH, "")).await;
    assert_eq!(client.head().await.status(), 101);
    (client, console.accept().await, door, directory)
}

/// Lets the console send all of this, and says how much of it has left.
fn pour(mut console: Output, bytes: Vec<u8>) -> (JoinHandle<Output>, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let pouring = tokio::spawn(async move {
        for piece in bytes.chunks(16 * 1024) {
            console.send(piece).await;
            count.fetch_add(piece.len(), Ordering::Relaxed);
        }
        console
    });
    (pouring, sent)
}

/// Waits until nothing more goes into the buffers on the way, with some of `all` left.
async fn full(sent: &AtomicUsize, all: usize) {
    let mut last = 0;
    let mut same = 0;
    until("the buffers to be full", || {
        let now = sent.load(Ordering::Relaxed);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        let is_full = now > 0 && same > 40;
        async move { is_full.then_some(()) }
    })
    .await;
    assert!(last < all, "all of it has left");
}

/// Collects everything up to the close frame: payload, pongs, and the code.
async fn to_the_close(input: &mut Input, payload: &mut Vec<u8>) -> (Vec<Vec<u8>>, u16) {
    let mut pongs = Vec::new();
    loop {
        let frame = input.frame().await;
        match frame.opcode {
            BINARY => payload.extend(frame.payload),
            PONG => pongs.push(frame.payload),
            CLOSE => {
                let code = u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
                return (pongs, code);
            }
            PING => {}
            opcode => panic!("opcode {opcode}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_and_answers_pings_stays() {
    let (mut client, target, _door, _directory) = opened("heartbeat = '300ms'").await;
    let Wire {
        mut input, output, ..
    } = target;
    let all = 256 << 20;
    let (pouring, sent) = pour(output, vec![7; all]);
    let mut pings = 0;
    while pings < 8 {
        let frame = client.frame().await;
        match frame.opcode {
            PING => {
                pings += 1;
                client.send(masked(FIN | PONG, &frame.payload)).await;
            }
            BINARY => tokio::time::sleep(Duration::from_millis(5)).await,
            _ => panic!("after {pings} pings: {frame:?}"),
        }
    }
    assert!(
        sent.load(Ordering::Relaxed) < all,
        "there was always more to read"
    );
    client.send(binary(b"still here")).await;
    assert_eq!(input.take(10).await, b"still here");
    pouring.abort();
}

#[tokio::test]
async fn the_latest_ping_of_a_client_for_which_much_waits_is_answered() {
    let (mut client, target, _door, _directory) = opened("").await;
    let Wire {
        mut input, output, ..
    } = target;
    let bytes = pattern(16 << 20);
    let (pouring, sent) = pour(output, bytes.clone());
    full(&sent, bytes.len()).await;
    for ping in 0..=100_u8 {
        client.send(masked(FIN | PING, &[ping])).await;
    }
    client.send(binary(b"key")).await;
    assert_eq!(input.take(3).await, b"key", "what came before was read too");
    let mut got = Vec::new();
    let mut pongs = Vec::new();
    while got.len() < bytes.len() {
        let frame = client.frame().await;
        match frame.opcode {
            BINARY => got.extend(frame.payload),
            PONG => pongs.push(frame.payload),
            opcode => panic!("opcode {opcode}"),
        }
    }
    assert_eq!(pongs.last(), Some(&vec![100]), "{pongs:?}");
    assert!(got == bytes, "the bytes are those that were sent");
    drop(pouring);
}

#[tokio::test]
async fn a_console_that_closes_while_the_client_types_is_heard_to_the_end() {
    let (mut client, target, _door, _directory) = opened("").await;
    let bytes = pattern(8 << 20);
    let (pouring, _) = pour(target.output, bytes.clone());
    let mut got = Vec::new();
    while !pouring.is_finished() {
        got.extend(client.input.messages(1).await);
    }
    // Both halves: the socket is closed, with nothing unread on it.
    drop((pouring.await.unwrap(), target.input));
    for _ in 0..200 {
        client.send(binary(b"x")).await;
        let frame = client.frame().await;
        assert_eq!(frame.opcode, BINARY, "{frame:?}");
        got.extend(frame.payload);
        if got.len() == bytes.len() {
            break;
        }
    }
    let (_, code) = to_the_close(&mut client.input, &mut got).await;
    assert_eq!(code, 1000);
    assert!(got == bytes, "the bytes are those that were sent");
}

#[tokio::test]
async fn a_flood_of_pings_while_the_end_waits_does_not_lose_it() {
    let (client, target, _door, _directory) = opened("").await;
    let Wire {
        mut input,
        mut output,
    } = client;
    let bytes = pattern(8 << 20);
    let (pouring, _) = pour(target.output, bytes.clone());
    let mut got = Vec::new();
    while !pouring.is_finished() {
        got.extend(input.messages(1).await);
    }
    drop((pouring.await.unwrap(), target.input));
    let flood = masked(FIN | PING, b"").repeat(200_000);
    let pinging = tokio::spawn(async move {
        // The door may have closed before it has taken the last of them.
        let _ = output.try_send(&flood).await;
        output
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (pongs, code) = to_the_close(&mut input, &mut got).await;
    assert_eq!(code, 1000);
    assert!(got == bytes, "the bytes are those that were sent");
    assert!(pongs.len() < 1000, "{} pongs", pongs.len());
    pinging.abort();
}
