//! WebSockets: envelopes, plain data, and pages of Wok's kind.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Socket, channel, hub, object};
use crate::harness::{BINARY, CLOSE, Door, FIN, Http2, PING, TEXT, masked, within};

#[tokio::test]
async fn a_socket_brings_envelopes() {
    let hub = hub("", &channel("a", "")).await;
    let mut socket = hub.socket("/events/a").await;
    let id = hub
        .publish("/events/a?event=e&key=k", "application/json", "[1]")
        .await;
    let message = socket.object().await;
    assert_eq!(message["id"], id);
    assert_eq!(message["channel"], "a");
    assert_eq!(message["event"], "e");
    assert_eq!(message["key"], "k");
    assert_eq!(message["data"], serde_json::json!([1]));
    assert!(message["time"].as_u64().unwrap() > 1_700_000_000_000);
}

#[tokio::test]
async fn a_socket_says_first_where_it_stands() {
    let hub = hub("retry = '1s'", &(channel("a", "") + &channel("b", ""))).await;
    let id = hub.say("a", "before").await;
    let mut wire = hub.door.websocket("/events/a,b").await;
    let open = object(&mut wire.input).await;
    assert_eq!(open["type"], "open");
    assert_eq!(open["id"], id);
    assert_eq!(open["channels"], serde_json::json!(["a", "b"]));
    assert!((1000..=2000).contains(&open["retry"].as_u64().unwrap()));
}

#[tokio::test]
async fn a_socket_goes_on_where_another_transport_was() {
    let hub = hub("", &channel("a", "")).await;
    let mut events = hub.stream("/events/a", "").await;
    hub.say("a", "1").await;
    let (id, _) = events.event().await;
    hub.say("a", "2").await;
    let mut socket = hub.socket(&format!("/events/a?last-event-id={id}")).await;
    assert_eq!(socket.data().await, "2");
}

#[tokio::test]
async fn a_socket_over_http2_is_the_same() {
    let hub = hub("", &channel("a", "")).await;
    let mut client = Http2::open(&hub.door).await;
    let mut socket = Socket(client.websocket("/events/a").await);
    assert_eq!(socket.object().await["type"], "open");
    hub.say("a", "over h2").await;
    assert_eq!(socket.data().await, "over h2");
}

#[tokio::test]
async fn plain_frames_are_the_data() {
    let hub = hub("", &channel("a", "")).await;
    let mut wire = hub.door.websocket("/events/a?format=plain").await;
    hub.say("a", "text").await;
    let frame = wire.input.frame().await;
    assert_eq!((frame.opcode, &frame.payload[..]), (TEXT, &b"text"[..]));
    hub.publish("/events/a", "application/octet-stream", "bytes")
        .await;
    let frame = wire.input.frame().await;
    assert_eq!((frame.opcode, &frame.payload[..]), (BINARY, &b"bytes"[..]));
}

#[tokio::test]
async fn pings_are_answered_and_other_words_are_told_what_is_wrong() {
    let hub = hub("", &channel("a", "")).await;
    let mut socket = hub.socket("/events/a").await;
    socket.0.send(masked(FIN | PING, b"there?")).await;
    let pong = socket.0.input.frame().await;
    assert_eq!((pong.opcode, &pong.payload[..]), (10, &b"there?"[..]));
    let mut ask = async |text: &str| {
        socket.0.send(masked(FIN | TEXT, text.as_bytes())).await;
        socket.object().await
    };
    assert_eq!(ask(r#"{"type":"ping"}"#).await["type"], "pong");
    assert_eq!(ask("junk").await["status"], 400);
    assert_eq!(ask(r#"{"channel":"a"}"#).await["status"], 400);
    let refused = ask(r#"{"channel":"a","data":1,"ref":{"n":7}}"#).await;
    assert_eq!(refused["type"], "error");
    assert_eq!(refused["status"], 403);
    assert_eq!(refused["ref"], serde_json::json!({"n": 7}));
}

#[tokio::test]
async fn a_socket_that_breaks_the_rules_is_closed_with_the_reason() {
    let hub = hub("message-size = '1KiB'", &channel("a", "")).await;
    let large = masked(FIN | TEXT, &vec![b'x'; 8 << 10]);
    for (frame, code) in [
        (masked(FIN | BINARY, b"x"), 1003),
        (masked(FIN | TEXT, b"\xff"), 1007),
        (large, 1009),
    ] {
        let mut socket = hub.socket("/events/a").await;
        socket.0.send(frame).await;
        let close = socket.0.input.frame().await;
        assert_eq!(close.opcode, CLOSE);
        assert_eq!(
            u16::from_be_bytes([close.payload[0], close.payload[1]]),
            code
        );
    }
}

#[tokio::test]
async fn a_socket_that_does_not_answer_pings_is_closed() {
    let hub = hub("heartbeat = '20ms'", &channel("a", "")).await;
    let mut socket = hub.socket("/events/a").await;
    for _ in 0..2 {
        assert_eq!(socket.0.input.frame().await.opcode, PING);
    }
    let close = socket.0.input.frame().await;
    assert_eq!(
        (close.opcode, &close.payload[..2]),
        (CLOSE, &1001_u16.to_be_bytes()[..])
    );
}

#[tokio::test]
async fn sockets_are_told_to_come_back_when_the_server_stops() {
    let hub = hub("retry = '1s'", &channel("a", "")).await;
    let mut socket = hub.socket("/events/a").await;
    let stopped = hub.door.stop();
    let closing = socket.object().await;
    assert_eq!(closing["type"], "closing");
    assert!(closing["retry"].as_u64().unwrap() >= 1000);
    let close = socket.0.input.frame().await;
    assert_eq!(
        (close.opcode, &close.payload[..2]),
        (CLOSE, &1001_u16.to_be_bytes()[..])
    );
    drop(socket);
    assert_eq!(within("the stop", stopped).await.unwrap().left, 0);
}

const WOK: &str = "/websockify?token=d29rbm90aWZpY2F0aW9ucw";

#[tokio::test]
async fn a_page_of_woks_kind_is_served_from_the_channel() {
    let hub = hub("", &channel("wok", "token = 'woknotifications'")).await;
    let mut base64 = hub.door.tls().await;
    let offer = "Sec-WebSocket-Protocol: base64\r\n";
    let answer = base64.ask(&Door::handshake(WOK, offer)).await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.head.one("sec-websocket-protocol"), Some("base64"));
    let mut binary = hub
        .door
        .websocket("/websockify?token=woknotifications")
        .await;
    base64
        .send(masked(FIN | TEXT, STANDARD.encode("heartbeat").as_bytes()))
        .await;
    let id = hub.say("wok", "POST:/wok/login").await;
    let frame = base64.input.frame().await;
    assert_eq!(frame.opcode, TEXT);
    assert_eq!(
        STANDARD.decode(&frame.payload).unwrap(),
        b"POST:/wok/login//EOM//"
    );
    let frame = binary.input.frame().await;
    assert_eq!(
        (frame.opcode, &frame.payload[..]),
        (BINARY, &b"POST:/wok/login//EOM//"[..])
    );
    hub.say("wok", "missed").await;
    let mut back = hub
        .door
        .websocket(&format!("{WOK}&last-event-id={id}"))
        .await;
    assert_eq!(back.input.frame().await.payload, b"missed//EOM//");
}

#[tokio::test]
async fn other_sites_may_not_open_a_socket() {
    let hub = hub("", &channel("a", "token = 'woknotifications'")).await;
    for path in ["/events/a", WOK] {
        let lines = "Origin: https://evil.example\r\n";
        let answer = hub
            .door
            .tls()
            .await
            .ask(&Door::handshake(path, lines))
            .await;
        assert_eq!(answer.status, 403, "{path}");
    }
}

#[tokio::test]
async fn a_socket_without_an_origin_is_refused_over_http2_too_where_one_is_required() {
    let hub = hub("missing-origin = false", &channel("a", "")).await;
    let mut client = Http2::open(&hub.door).await;
    for path in [
        "/events/a",
        "/events/sockjs/a/websocket",
        "/events/sockjs/a/0/s/websocket",
    ] {
        let (answer, _stream) = client.connect(path).await;
        assert_eq!(
            within("an answer", answer).await.unwrap().status(),
            403,
            "{path}"
        );
        let mut plain = hub.door.plain().await;
        assert_eq!(
            plain.ask(&Door::handshake(path, "")).await.status,
            403,
            "{path}"
        );
        let origin = [("origin", "https://door.example")];
        let (answer, _stream) = client.connect_with(path, &origin).await;
        assert_eq!(
            within("an answer", answer).await.unwrap().status(),
            200,
            "{path}"
        );
    }
}
