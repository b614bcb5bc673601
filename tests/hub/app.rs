//! Both directions: what pages send is asked of the app, and its answer may be published.

use super::{channel, hub, post};
use crate::harness::{Backend, FIN, TEXT, Wire, masked};

const CHAT: &str = "[[channel]]\nname = 'chat'\npublish = ['app']\nreceive = '/chat/say'\n";

/// Takes the app's next request: its head and its body.
async fn request(app: &mut Wire) -> (crate::harness::Head, Vec<u8>) {
    let head = app.head().await;
    let body = app.input.body(&head).await;
    (head, body)
}

#[tokio::test]
async fn a_message_of_a_page_is_an_ordinary_request_to_the_app() {
    let backend = Backend::tcp().await;
    let hub = hub("", &format!("{}{CHAT}", backend.app())).await;
    let mut events = hub.stream("/events/chat", "").await;
    let mut client = hub.door.tls().await;
    let lines = "Cookie: session=7\r\nContent-Type: text/plain\r\nX-Real-IP: 1.2.3.4\r\n";
    let (answer, ()) = tokio::join!(
        post(&mut client, "/events/chat?event=e", lines, "hi"),
        async {
            let mut app = backend.accept().await;
            let (head, body) = request(&mut app).await;
            assert_eq!(head.start, "POST /chat/say?channel=chat&event=e HTTP/1.1");
            assert_eq!(head.one("cookie"), Some("session=7"));
            assert_eq!(head.one("x-real-ip"), Some("127.0.0.1"));
            assert_eq!(body, b"hi");
            app.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\nNoren-Publish: chat\r\nNoren-Event: said\r\n\r\nanna: hi\n").await;
        }
    );
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "anna: hi\n");
    assert_eq!(answer.head.one("noren-publish"), None);
    let block = events.block().await;
    assert!(block.contains("event: said\ndata: anna: hi"), "{block}");
}

#[tokio::test]
async fn what_the_app_refuses_is_refused_and_not_published() {
    let backend = Backend::tcp().await;
    let hub = hub(
        "",
        &format!("{}{CHAT}{}", backend.app(), channel("other", "")),
    )
    .await;
    let mut socket = hub.socket("/events/chat,other").await;
    let say = |reference: u8| {
        format!(r#"{{"channel":"chat","data":{{"a":1}},"key":"k","ref":{reference}}}"#)
    };
    socket.0.send(masked(FIN | TEXT, say(1).as_bytes())).await;
    let mut app = backend.accept().await;
    let (head, body) = request(&mut app).await;
    assert_eq!(head.start, "POST /chat/say?channel=chat&key=k HTTP/1.1");
    assert_eq!(head.one("content-type"), Some("application/json"));
    assert_eq!(body, br#"{"a":1}"#);
    app.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        .await;
    let refused = socket.object().await;
    assert_eq!(
        (&refused["type"], &refused["status"], &refused["ref"]),
        (&"error".into(), &403.into(), &1.into())
    );
    socket.0.send(masked(FIN | TEXT, say(2).as_bytes())).await;
    request(&mut app).await;
    app.send(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nNoren-Publish: other\r\nNoren-Key: k\r\n\r\nabc",
    )
    .await;
    let (first, second) = (socket.object().await, socket.object().await);
    let (sent, message) = if first["type"] == "sent" {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!((&sent["status"], &sent["ref"]), (&200.into(), &2.into()));
    assert_eq!(
        (&message["channel"], &message["key"]),
        (&"other".into(), &"k".into())
    );
    socket
        .0
        .send(masked(FIN | TEXT, br#"{"channel":"other","data":1}"#))
        .await;
    assert_eq!(socket.object().await["status"], 403);
}

#[tokio::test]
async fn the_app_is_told_of_the_first_who_listens_and_of_the_last() {
    let backend = Backend::tcp().await;
    let hooks = "[[channel]]\nname = 'a'\non-first-join = '/here'\non-last-leave = '/gone'\n";
    let hub = hub("", &format!("{}{hooks}", backend.app())).await;
    let events = hub.stream("/events/a", "").await;
    let mut app = backend.accept().await;
    let (head, body) = request(&mut app).await;
    assert_eq!(head.start, "POST /here HTTP/1.1");
    assert_eq!(body, br#"{"channel":"a","count":1,"names":[]}"#);
    app.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    app.output.finish().await;
    drop(events);
    let mut app = backend.accept().await;
    let (head, body) = request(&mut app).await;
    assert_eq!(head.start, "POST /gone HTTP/1.1");
    assert_eq!(body, br#"{"channel":"a","count":0,"names":[]}"#);
}
