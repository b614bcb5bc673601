//! Other protocols over WebSocket than `binary` and `base64`: negotiated by the configuration, and passed on as bytes.

use super::PATH;
use crate::harness::{BINARY, Backend, Door, FIN, Frame, TEXT, binary, masked};

/// A door with these keys of the bridge, and these of the target behind the token `vm`.
async fn door(bridge: &str, target: &str) -> (Backend, Door) {
    let console = Backend::tcp().await;
    let settings = format!("[bridge]\n{bridge}\n{}{target}\n", console.target("vm"));
    (console, Door::open(&settings).await)
}

fn offer(names: &str) -> String {
    Door::handshake(PATH, &format!("Sec-WebSocket-Protocol: {names}\r\n"))
}

#[tokio::test]
async fn the_first_of_the_configuration_that_is_offered_is_agreed_on() {
    let list = "subprotocols = ['v12.stomp', 'mqtt']";
    for (bridge, target) in [(list, ""), ("", list), ("subprotocols = ['xmpp']", list)] {
        let (console, door) = door(bridge, target).await;
        for (names, expected) in [
            ("mqtt", "mqtt"),
            ("mqtt, v12.stomp", "v12.stomp"),
            ("binary, mqtt", "mqtt"),
            ("mqttv3.1, binary", "binary"),
            ("base64", "base64"),
        ] {
            let mut client = door.tls().await;
            client.send(offer(names)).await;
            let head = client.head().await;
            assert_eq!(head.status(), 101, "{names}");
            assert_eq!(
                head.one("sec-websocket-protocol"),
                Some(expected),
                "{names}"
            );
            console.accept().await;
        }
        for names in ["MQTT", "mqttv3.1", "xmpp", "v11.stomp, v10.stomp"] {
            let answer = door.tls().await.ask(&offer(names)).await;
            assert_eq!(answer.status, 400, "{names}");
            let text = answer.text();
            assert!(
                text.contains("there are v12.stomp, mqtt, binary and base64"),
                "{text}"
            );
        }
        console.has_nobody().await;
    }
}

#[tokio::test]
async fn a_target_without_others_is_not_spoken_to_in_them() {
    let (console, door) = door("subprotocols = ['mqtt']", "subprotocols = []").await;
    let answer = door.tls().await.ask(&offer("mqtt")).await;
    assert_eq!(answer.status, 400);
    console.has_nobody().await;
    // Nor is a token source whose own list is another.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    std::fs::write(&file, format!("vm: {}", console.address())).unwrap();
    let source = format!(
        "[bridge]\nsubprotocols = ['xmpp']\n[[bridge.tokens]]\nsource = 'file'\npath = '{}'\nsubprotocols = ['mqtt']\n",
        file.display()
    );
    let door = Door::open(&source).await;
    assert_eq!(door.tls().await.ask(&offer("xmpp")).await.status, 400);
    let mut client = door.tls().await;
    client.send(offer("mqtt")).await;
    assert_eq!(client.head().await.status(), 101);
    console.accept().await;
}

#[tokio::test]
async fn messages_of_either_kind_reach_the_target_as_their_bytes() {
    let (console, door) = door("", "subprotocols = ['v12.stomp']").await;
    let mut client = door.tls().await;
    client.send(offer("v12.stomp")).await;
    assert_eq!(client.head().await.status(), 101);
    let mut target = console.accept().await;
    client
        .send(masked(FIN | TEXT, "CONNECT\nlogin:é\n\n\0".as_bytes()))
        .await;
    client.send(binary(b"SEND\n\n\xff\0")).await;
    // In two fragments.
    client.send(masked(TEXT, b"DISCON")).await;
    client.send(masked(FIN, b"NECT\n\n\0")).await;
    let expected = b"CONNECT\nlogin:\xc3\xa9\n\n\0SEND\n\n\xff\0DISCONNECT\n\n\0";
    assert_eq!(target.take(expected.len()).await, expected);
    target.send(b"CONNECTED\n\n\0").await;
    let frame = client.frame().await;
    let payload = b"CONNECTED\n\n\0".to_vec();
    assert_eq!(
        frame,
        Frame {
            opcode: BINARY,
            payload
        }
    );
}

#[tokio::test]
async fn a_console_that_rfb_is_spoken_with_has_no_other_subprotocol() {
    for (bridge, target) in [
        ("subprotocols = ['mqtt']", "rfb = { view-only = true }"),
        ("", "rfb = {}\nsubprotocols = ['mqtt']"),
    ] {
        let (console, door) = door(bridge, target).await;
        let answer = door.tls().await.ask(&offer("mqtt")).await;
        assert_eq!(answer.status, 400);
        console.has_nobody().await;
    }
}
