//! Clients that break RFC 6455, or the subprotocol: the right close code, and no byte for the console.

use super::{PATH, console};
use crate::harness::{
    BINARY, CLOSE, CONTINUATION, Door, FIN, PING, TEXT, binary, masked, unmasked,
};

/// Sends frames; the close code that has to come, and the end of the connection to the console, which must
/// not have got anything.
async fn is_closed_with(code: u16, protocol: &str, name: &str, frames: &[u8]) {
    let (console, door) = console("").await;
    let mut client = door.tls().await;
    client.send(Door::handshake(PATH, protocol)).await;
    assert_eq!(client.head().await.status(), 101);
    let mut target = console.accept().await;
    client.send(frames).await;
    assert_eq!(client.close_code().await, code, "{name}");
    assert_eq!(
        client.rest().await,
        b"",
        "{name}: nothing behind the close frame"
    );
    drop(client);
    assert_eq!(target.rest().await, b"", "{name}: no byte for the console");
}

#[tokio::test]
async fn a_broken_frame_is_closed_with_1002() {
    let close = |payload: &[u8]| masked(FIN | CLOSE, payload);
    let inside = [masked(BINARY, b""), masked(FIN | BINARY, b"x")].concat();
    for (name, frames) in [
        ("not masked", unmasked(FIN | BINARY, b"secret")),
        ("a reserved bit", masked(FIN | 0x40 | BINARY, b"x")),
        ("another reserved bit", masked(FIN | 0x10 | BINARY, b"x")),
        ("a reserved data opcode", masked(FIN | 3, b"x")),
        ("a reserved control opcode", masked(FIN | 0x0b, b"x")),
        ("a ping in fragments", masked(PING, b"x")),
        ("a ping that is too long", masked(FIN | PING, &[0; 126])),
        (
            "a continuation of nothing",
            masked(FIN | CONTINUATION, b"x"),
        ),
        ("a message inside another", inside),
        ("half a close code", close(b"\x03")),
        (
            "a close code that is never sent",
            close(&1005_u16.to_be_bytes()),
        ),
        (
            "a close code that does not exist",
            close(&999_u16.to_be_bytes()),
        ),
        (
            "an impossible length",
            [&[FIN | BINARY, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat(),
        ),
    ] {
        is_closed_with(1002, "", name, &frames).await;
    }
}

#[tokio::test]
async fn a_message_of_the_wrong_kind_is_closed_with_1003() {
    let base64 = "Sec-WebSocket-Protocol: base64\r\n";
    is_closed_with(
        1003,
        "",
        "text without a subprotocol",
        &masked(FIN | TEXT, b"hello"),
    )
    .await;
    let text = masked(FIN | TEXT, b"aGVsbG8=");
    is_closed_with(1003, "Sec-WebSocket-Protocol: binary\r\n", "text", &text).await;
    is_closed_with(1003, base64, "binary", &binary(b"aGVsbG8=")).await;
}

#[tokio::test]
async fn text_that_is_not_padded_base64_is_closed_with_1007() {
    let base64 = "Sec-WebSocket-Protocol: base64\r\n";
    for text in [
        "aGVsbG8",
        "aGVs bG8=",
        "aGVsbG8=aGVsbG8=",
        "a",
        "====",
        "aGV_",
        "aGVsbG8=\n",
        "h\u{e9}",
    ] {
        is_closed_with(1007, base64, text, &masked(FIN | TEXT, text.as_bytes())).await;
    }
    let reason = [&1000_u16.to_be_bytes()[..], b"\xff"].concat();
    is_closed_with(
        1007,
        "",
        "a reason that is not UTF-8",
        &masked(FIN | CLOSE, &reason),
    )
    .await;
}

#[tokio::test]
async fn a_base64_message_that_has_no_end_is_closed_with_1009() {
    let base64 = "Sec-WebSocket-Protocol: base64\r\n";
    let piece = masked(CONTINUATION, &vec![b'A'; 64 * 1024]);
    let mut frames = masked(TEXT, b"AAAA");
    for _ in 0..17 {
        frames.extend(&piece);
    }
    is_closed_with(1009, base64, "a long message", &frames).await;
}

#[tokio::test]
async fn what_came_before_a_violation_still_reaches_the_console() {
    let (console, door) = console("").await;
    let mut client = door.websocket(PATH).await;
    let mut target = console.accept().await;
    client.send(binary(b"good")).await;
    assert_eq!(target.take(4).await, b"good");
    client.send(unmasked(FIN | BINARY, b"bad")).await;
    assert_eq!(client.close_code().await, 1002);
    drop(client);
    assert_eq!(target.rest().await, b"");
}

/// The bytes that the console gets from frames that arrive in one piece and end with a violation.
async fn reaches(protocol: &str, frames: &[u8], code: u16, behind_handshake: bool) -> Vec<u8> {
    let (console, door) = console("").await;
    let mut client = door.tls().await;
    let mut sent = Door::handshake(PATH, protocol).into_bytes();
    if behind_handshake {
        sent.extend_from_slice(frames);
    }
    client.send(sent).await;
    let mut target = console.accept().await;
    assert_eq!(client.head().await.status(), 101);
    if !behind_handshake {
        client.send(frames).await;
    }
    assert_eq!(client.close_code().await, code);
    drop(client);
    target.rest().await
}

#[tokio::test]
async fn what_stands_before_a_violation_reaches_the_console() {
    let base64 = "Sec-WebSocket-Protocol: base64\r\n";
    let text = |text: &str| masked(FIN | TEXT, text.as_bytes());
    let good = [text("aGVs"), text("bG8=")].concat();
    for behind in [false, true] {
        for (bad, code) in [
            (text("no base64!"), 1007),
            (binary(b"x"), 1003),
            (unmasked(FIN | TEXT, b"x"), 1002),
        ] {
            let frames = [&good[..], &bad].concat();
            assert_eq!(reaches(base64, &frames, code, behind).await, b"hello");
        }
        let frames = [binary(b"hel"), binary(b"lo"), text("x")].concat();
        assert_eq!(reaches("", &frames, 1003, behind).await, b"hello");
    }
}
