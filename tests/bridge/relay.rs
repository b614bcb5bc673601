//! Tests of an open WebSocket and its console: the bytes between them, and the ends from either side.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{PATH, console};
use crate::harness::{
    BINARY, CLOSE, CONTINUATION, Door, FIN, Frame, PING, PONG, TEXT, Wire, binary, masked, pattern,
    until,
};

async fn opened(settings: &str) -> (Wire, Wire, Door) {
    let (console, door) = console(settings).await;
    let client = door.websocket(PATH).await;
    (client, console.accept().await, door)
}

fn close(code: u16) -> Vec<u8> {
    masked(FIN | CLOSE, &code.to_be_bytes())
}

#[tokio::test]
async fn bytes_pass_both_ways_as_binary_messages() {
    let (mut client, mut target, _door) = opened("").await;
    client.send(binary(b"keys\0\xff")).await;
    assert_eq!(target.take(6).await, b"keys\0\xff");
    target.send(b"pixels").await;
    let frame = client.frame().await;
    assert_eq!(
        frame,
        Frame {
            opcode: BINARY,
            payload: b"pixels".to_vec()
        }
    );
}

#[tokio::test]
async fn with_base64_each_text_frame_is_one_padded_string_in_both_directions() {
    let (console, door) = console("").await;
    let mut client = door.tls().await;
    client
        .send(Door::handshake(PATH, "Sec-WebSocket-Protocol: base64\r\n"))
        .await;
    assert_eq!(client.head().await.status(), 101);
    let mut target = console.accept().await;
    for (text, bytes) in [
        ("aGVsbG8=", &b"hello"[..]),
        ("AP/+", b"\0\xff\xfe"),
        ("eA==", b"x"),
    ] {
        client.send(masked(FIN | TEXT, text.as_bytes())).await;
        assert_eq!(target.take(bytes.len()).await, bytes);
        target.send(bytes).await;
        let frame = client.frame().await;
        assert_eq!(
            frame,
            Frame {
                opcode: TEXT,
                payload: text.into()
            }
        );
    }
    // In fragments, cut in the middle of a group.
    client.send(masked(TEXT, b"aGV")).await;
    client.send(masked(CONTINUATION, b"sbG")).await;
    client.send(masked(FIN | CONTINUATION, b"8=")).await;
    assert_eq!(target.take(5).await, b"hello");
}

#[tokio::test]
async fn base64_messages_of_any_size_arrive_whole_and_in_order() {
    let (console, door) = console("").await;
    let mut client = door.tls().await;
    client
        .send(Door::handshake(PATH, "Sec-WebSocket-Protocol: base64\r\n"))
        .await;
    assert_eq!(client.head().await.status(), 101);
    let mut target = console.accept().await;
    let sizes = [
        1, 20_000, 0, 90_000, 3, 300_000, 65_536, 2, 16_384, 16_384, 16_384,
    ];
    let bytes = pattern(sizes.iter().sum());
    let (mut sent, mut rest) = (Vec::new(), bytes.as_slice());
    for (number, size) in sizes.into_iter().enumerate() {
        let (message, others) = rest.split_at(size);
        rest = others;
        let text = STANDARD.encode(message);
        let cut = text.len() / 3 * (number % 2);
        if cut > 0 {
            sent.extend(masked(TEXT, &text.as_bytes()[..cut]));
            sent.extend(masked(FIN | CONTINUATION, &text.as_bytes()[cut..]));
        } else {
            sent.extend(masked(FIN | TEXT, text.as_bytes()));
        }
    }
    let ((), taken) = tokio::join!(client.send(sent), target.take(bytes.len()));
    assert!(taken == bytes);
}

#[tokio::test]
async fn a_frame_right_behind_the_handshake_is_not_lost() {
    let (console, door) = console("").await;
    let mut client = door.tls().await;
    let mut sent = Door::handshake(PATH, "").into_bytes();
    sent.extend(binary(b"early"));
    client.send(sent).await;
    let mut target = console.accept().await;
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(target.take(5).await, b"early");
    client.send(binary(b"late")).await;
    assert_eq!(target.take(4).await, b"late");
}

#[tokio::test]
async fn fragments_and_frames_cut_anywhere_are_put_together() {
    let (mut client, mut target, _door) = opened("").await;
    let mut sent = masked(BINARY, b"one ");
    sent.extend(masked(FIN | PING, b"between"));
    sent.extend(masked(CONTINUATION, b""));
    sent.extend(masked(CONTINUATION, b"two "));
    sent.extend(masked(FIN | CONTINUATION, b"three"));
    for byte in sent {
        client.send([byte]).await;
    }
    assert_eq!(target.take(13).await, b"one two three");
    assert_eq!(
        client.frame().await,
        Frame {
            opcode: PONG,
            payload: b"between".to_vec()
        }
    );
}

#[tokio::test]
async fn pings_are_answered_with_what_they_carry() {
    let (mut client, _target, _door) = opened("").await;
    for payload in [&b""[..], b"x", &[7; 125]] {
        client.send(masked(FIN | PING, payload)).await;
        let frame = client.frame().await;
        assert_eq!(
            frame,
            Frame {
                opcode: PONG,
                payload: payload.to_vec()
            }
        );
    }
}

#[tokio::test]
async fn no_frame_is_larger_than_configured_and_none_is_lost() {
    let (mut client, mut target, _door) = opened("frame-size = '1KiB'").await;
    let sent = pattern(100_000);
    target.send(&sent).await;
    let mut got = Vec::new();
    while got.len() < sent.len() {
        let frame = client.frame().await;
        assert!(frame.payload.len() <= 1024);
        got.extend(frame.payload);
    }
    assert!(got == sent, "the bytes are those that were sent");
}

/// Everything the client sends comes back from the console, both directions at once.
async fn echo(client: Wire, target: Wire, frames: Vec<Vec<u8>>, expected: &[u8]) {
    let console = tokio::spawn(async move {
        let Wire {
            mut input,
            mut output,
        } = target;
        loop {
            let piece = input.some().await;
            if piece.is_empty() {
                return;
            }
            output.send(piece).await;
        }
    });
    let Wire {
        mut input,
        mut output,
    } = client;
    let sending = async {
        for frame in frames {
            output.send(frame).await;
        }
    };
    let ((), got) = tokio::join!(sending, input.messages(expected.len()));
    assert!(got == expected, "the bytes are those that were sent");
    console.abort();
}

#[tokio::test]
async fn sixteen_mebibytes_echo_in_full_duplex() {
    let (client, target, _door) = opened("").await;
    let sent = pattern(16 << 20);
    let frames = sent.chunks(64 * 1024).map(binary).collect();
    echo(client, target, frames, &sent).await;
}

#[tokio::test]
async fn one_message_of_sixteen_mebibytes_echoes_in_full_duplex() {
    let (client, target, _door) = opened("").await;
    let sent = pattern(16 << 20);
    echo(client, target, vec![binary(&sent)], &sent).await;
}

#[tokio::test]
async fn a_client_that_stops_reading_can_still_type() {
    let (mut client, target, _door) = opened("").await;
    let Wire {
        mut input,
        mut output,
    } = target;
    // More than all buffers on the way hold: this write does not end while the client does not read.
    let flood = tokio::spawn(async move { output.try_send(&pattern(64 << 20)).await });
    for key in 0..1000_u16 {
        client.send(binary(&key.to_be_bytes())).await;
        assert_eq!(input.take(2).await, key.to_be_bytes());
    }
    assert!(
        !flood.is_finished(),
        "the client has not read, and has typed"
    );
    flood.abort();
}

#[tokio::test]
async fn when_the_client_closes_the_console_hears_the_end_and_its_last_words_arrive() {
    let (mut client, mut target, _door) = opened("").await;
    client.send(binary(b"bye")).await;
    client.send(close(1000)).await;
    assert_eq!(target.rest().await, b"bye");
    target.send("last words").await;
    drop(target);
    assert_eq!(client.frame().await.payload, b"last words");
    assert_eq!(client.close_code().await, 1000);
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn when_the_console_closes_the_client_gets_the_rest_and_its_own_last_words_arrive() {
    let (mut client, mut target, _door) = opened("").await;
    target.send("the rest").await;
    target.output.finish().await;
    assert_eq!(client.frame().await.payload, b"the rest");
    assert_eq!(client.close_code().await, 1000);
    client.send(binary(b"typed before I saw it")).await;
    client.send(close(1000)).await;
    assert_eq!(target.rest().await, b"typed before I saw it");
}

#[tokio::test]
async fn a_client_that_vanishes_ends_the_connection_to_the_console() {
    let (mut client, mut target, _door) = opened("").await;
    client.send(binary(b"x")).await;
    drop(client);
    assert_eq!(target.rest().await, b"x");
}

#[tokio::test]
async fn a_console_that_resets_its_connection_closes_the_websocket_with_1011() {
    let (console, door) = console("").await;
    let mut client = door.websocket(PATH).await;
    let target = console.accept_tcp().await;
    target.set_zero_linger().ok();
    drop(target);
    assert_eq!(client.close_code().await, 1011);
}

#[tokio::test]
async fn two_pings_without_an_answer_end_the_websocket() {
    let (mut client, mut target, _door) = opened("heartbeat = '100ms'").await;
    for _ in 0..2 {
        assert_eq!(client.frame().await.opcode, PING);
    }
    assert_eq!(client.close_code().await, 1001);
    drop(client);
    assert_eq!(target.rest().await, b"");
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    let (mut client, mut target, _door) = opened("heartbeat = '100ms'").await;
    for _ in 0..6 {
        let ping = client.frame().await;
        assert_eq!(ping.opcode, PING);
        client.send(masked(FIN | PONG, &ping.payload)).await;
    }
    client.send(binary(b"still here")).await;
    assert_eq!(target.take(10).await, b"still here");
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_is_said_is_closed_after_the_idle_limit() {
    // The heartbeat is answered, and still nothing is said.
    let (client, mut target, _door) = opened("idle = '400ms'\nheartbeat = '150ms'").await;
    let Wire {
        mut input,
        mut output,
    } = client;
    loop {
        let frame = input.frame().await;
        if frame.opcode != PING {
            assert_eq!(
                (frame.opcode, &frame.payload[..2]),
                (CLOSE, &1001_u16.to_be_bytes()[..])
            );
            break;
        }
        output.send(masked(FIN | PONG, &frame.payload)).await;
    }
    output.finish().await;
    assert_eq!(target.rest().await, b"");
}

#[tokio::test]
async fn every_frame_ends_on_a_whole_message_where_a_boundary_is_set() {
    let console = crate::harness::Backend::tcp().await;
    let door = Door::open(&format!(
        "{}[bridge.boundaries]\nvm = '//EOM//'\n",
        console.target("vm")
    ))
    .await;
    let mut client = door.websocket(PATH).await;
    let mut target = console.accept().await;
    let sent = b"POST:/wok/login//EOM//METHOD:/kimchi/vms//EOM//DELETE:/a//EOM//";
    for byte in sent {
        target.send([*byte]).await;
    }
    let mut got = Vec::new();
    while got.len() < sent.len() {
        let payload = client.frame().await.payload;
        assert!(
            payload.ends_with(b"//EOM//"),
            "{}",
            String::from_utf8_lossy(&payload)
        );
        got.extend(payload);
    }
    assert_eq!(got, sent);
}

#[tokio::test]
async fn a_server_that_stops_says_so_in_the_websocket() {
    let (mut client, mut target, door) = opened("").await;
    let stopped = door.stop();
    assert_eq!(client.close_code().await, 1001);
    client.send(close(1001)).await;
    drop(client);
    assert_eq!(target.rest().await, b"");
    assert_eq!(
        crate::harness::within("the drain", stopped)
            .await
            .map(|drained| drained.left)
            .ok(),
        Some(0)
    );
}

#[tokio::test]
async fn a_host_that_says_nothing_is_probed_so_that_its_end_is_noticed() {
    let (console, door) = console("").await;
    let _client = door.websocket(PATH).await;
    let host = console.accept_tcp().await;
    let port = |address: std::net::SocketAddr| format!(":{:04X}", address.port());
    let (theirs, ours) = (
        port(host.local_addr().unwrap()),
        port(host.peer_addr().unwrap()),
    );
    // The sixth column is the timer of a socket; 02 is that of the keep-alive (proc_net_tcp of the kernel).
    until("the timer", || async {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows
            .find(|row| row[1].ends_with(&ours) && row[2].ends_with(&theirs))
            .unwrap();
        row[5].starts_with("02:").then_some(())
    })
    .await;
}
