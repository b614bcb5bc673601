//! Noren's own signals, which no publisher can forge.

use super::{channel, hub, post};
use crate::harness::{Backend, FIN, TEXT, masked};

/// Event names that a page takes for signals of Noren.
const SIGNALS: [&str; 10] = [
    "*",
    "reset",
    "keep-alive",
    "open",
    "error",
    "presence",
    "noren:closing",
    "%20reset%09",
    "%EF%BB%BFopen",
    "error%E2%80%8B%20",
];

const CHAT: &str = "[[channel]]\nname = 'chat'\npublish = ['app']\nreceive = '/say'\n";

#[tokio::test]
async fn no_publisher_can_name_an_event_like_a_signal_of_the_hub() {
    let hub = hub("", &channel("a", "")).await;
    let mut events = hub.stream("/events/a", "").await;
    let lines = format!(
        "Authorization: Bearer {}\r\nContent-Type: text/plain\r\n",
        super::TOKEN
    );
    for name in SIGNALS {
        let path = format!("/events/a?event={name}");
        let answer = hub.post(&path, &lines, "forged").await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        assert!(answer.text().contains("Noren's own signals"), "{name}");
    }
    hub.publish("/events/a?event=resets", "text/plain", "sound")
        .await;
    let block = events.block().await;
    assert!(block.ends_with("event: resets\ndata: sound"), "{block}");
}

#[tokio::test]
async fn a_page_s_message_named_like_a_signal_is_refused_before_the_app_is_asked() {
    let backend = Backend::tcp().await;
    let hub = hub("", &format!("{}{CHAT}", backend.app())).await;
    let mut client = hub.door.tls().await;
    let answer = post(&mut client, "/events/chat?event=open", "", "hi").await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let mut socket = hub.socket("/events/chat").await;
    let frame = br#"{"channel":"chat","event":"reset","data":"hi","ref":1}"#;
    socket.0.send(masked(FIN | TEXT, frame)).await;
    let refused = socket.object().await;
    assert_eq!(
        (&refused["type"], &refused["status"]),
        (&"error".into(), &400.into())
    );
    let mut framed = hub
        .door
        .websocket("/events/sockjs/chat/000/s/websocket")
        .await;
    let frame = br#"["{\"channel\":\"chat\",\"event\":\"*\",\"data\":\"hi\"}"]"#;
    framed.send(masked(FIN | TEXT, frame)).await;
    let told = loop {
        let text = String::from_utf8(framed.frame().await.payload).unwrap();
        if text.contains("error") {
            break text;
        }
    };
    assert!(told.contains("400"), "{told}");
}

#[tokio::test]
async fn an_answer_of_the_app_named_like_a_signal_is_not_published() {
    let backend = Backend::tcp().await;
    let hub = hub("", &format!("{}{CHAT}", backend.app())).await;
    let mut events = hub.stream("/events/chat", "").await;
    for name in ["keep-alive", "said"] {
        let mut client = hub.door.tls().await;
        let (answer, ()) = tokio::join!(post(&mut client, "/events/chat", "", "hi"), async {
            let mut app = backend.accept().await;
            let head = app.head().await;
            app.input.body(&head).await;
            app.send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\
                              Connection: close\r\nNoren-Publish: chat\r\nNoren-Event: {name}\r\n\r\nok")).await;
        });
        assert_eq!(answer.status, 200);
    }
    let block = events.block().await;
    assert!(block.ends_with("event: said\ndata: ok"), "{block}");
}
