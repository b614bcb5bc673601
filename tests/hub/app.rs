//! Both directions: what pages send is asked of the app, and its answer may be published.

use super::{channel, hub, post};
use crate::harness::{Backend, Door, FIN, Http2, TEXT, Wire, masked};

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
            app.send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\
                      Noren-Publish: chat\r\nNoren-Event: said\r\n\r\nanna: hi\n",
            )
            .await;
        }
    );
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "anna: hi\n");
    assert_eq!(answer.head.one("noren-publish"), None);
    let block = events.block().await;
    assert!(block.contains("event: said\ndata: anna: hi"), "{block}");
}

#[tokio::test]
async fn what_the_app_is_told_of_a_message_is_out_of_reach_for_the_client() {
    let backend = Backend::tcp().await;
    let hub = hub("", &format!("{}{CHAT}", backend.app())).await;
    let forged = "Noren-Channel: kitchen\r\nNoren_Channel: kitchen\r\nNoren.Channel: kitchen\r\n\
                  Noren-Key: kitchen\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    for (query, told) in [
        ("?channel=kitchen", "channel=chat"),
        ("?channel=kitchen&channel=kitchen", "channel=chat"),
        ("?%63hannel=kitchen;channel=kitchen", "channel=chat"),
        ("?channel[]=kitchen&Channel=kitchen", "channel=chat"),
        ("?x=1%26channel=kitchen", "channel=chat"),
        (
            "?channel=kitchen&event=e%26channel%3Dkitchen",
            "channel=chat&event=e%26channel%3Dkitchen",
        ),
    ] {
        let mut client = hub.door.tls().await;
        let path = format!("/events/chat{query}");
        let (answer, ()) =
            tokio::join!(post(&mut client, &path, forged, "channel=kitchen"), async {
                let mut app = backend.accept().await;
                let (head, body) = request(&mut app).await;
                assert_eq!(head.start, format!("POST /chat/say?{told} HTTP/1.1"));
                assert_eq!(head.all("noren-channel"), ["chat"], "{query}");
                let lines = head.lines();
                let own = lines.iter().filter(|line| line.starts_with("noren"));
                let event = usize::from(told.contains("event"));
                assert_eq!(own.count(), 1 + event, "{lines:?}");
                // Some apps take the fields of a form for parameters.
                assert_eq!(head.one("content-type"), Some("text/plain; charset=utf-8"));
                assert_eq!(body, b"channel=kitchen");
                app.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                    .await;
                app.output.finish().await;
            });
        assert_eq!(answer.status, 204, "{query}");
    }
}

#[tokio::test]
async fn no_client_reaches_a_path_by_which_the_app_is_told_of_channels() {
    let backend = Backend::tcp().await;
    let other = format!(
        "[[app]]\nname = 'other'\nurl = 'http://{}'\nhosts = ['also.example']\n",
        backend.address()
    );
    let hooks = "on-first-join = '/here'\non-last-leave = '/gone'\n";
    let hub = hub("", &format!("{}{other}{CHAT}{hooks}", backend.app())).await;
    for path in [
        "/chat/say",
        "/chat/say?channel=kitchen",
        "/chat/say/kitchen",
        "/chat/say.json",
        "/here",
        "/chat/s%61y",
        "//chat/say",
        "/chat//say/",
        "/chat/say;x=1",
        "/chat;x=1/say",
        "/chat/say/%6bitchen",
        "/gone",
    ] {
        for method in ["POST", "GET", "PUT"] {
            let lines = "Noren-Channel: chat\r\nContent-Length: 0\r\n";
            let request = Door::get(path, lines).replacen("GET", method, 1);
            for host in ["door.example", "also.example"] {
                let request = request.replacen("door.example", host, 1);
                let answer = hub.door.plain().await.ask(&request).await;
                assert_eq!(answer.status, 403, "{request}");
            }
        }
        let handshake = Door::handshake(path, "");
        assert_eq!(hub.door.tls().await.ask(&handshake).await.status, 403);
        let mut http2 = Http2::open(&hub.door).await;
        assert_eq!(http2.status(Http2::get(path)).await, Some(403), "{path}");
    }
    backend.has_nobody().await;
    let mut client = hub.door.plain().await;
    client.send(Door::get("/chat/sayings", "")).await;
    backend.accept().await.head().await;
}

#[tokio::test]
async fn what_noren_and_an_app_say_to_each_other_passes_neither_way() {
    let backend = Backend::tcp().await;
    let hub = hub("", &format!("{}{CHAT}", backend.app())).await;
    let lines = "Noren-Channel: chat\r\nNOREN-PUBLISH: chat\r\nnoren_channel: chat\r\n";
    let answer = "Connection: close\r\nContent-Length: 0\r\nNoren-Publish: chat\r\n\
                  Noren-Event: e\r\nNoren-Key: k\r\nNoren-Channel: x\r\n\r\n";
    for request in [Door::get("/", lines), Door::handshake("/socket", lines)] {
        let mut client = hub.door.tls().await;
        client.send(&request).await;
        let mut app = backend.accept().await;
        let head = app.head().await;
        assert!(
            !head.lines().iter().any(|line| line.starts_with("noren")),
            "{request}"
        );
        app.send(format!("HTTP/1.1 200 OK\r\n{answer}")).await;
        let answer = client.answer().await;
        assert!(
            !answer
                .head
                .lines()
                .iter()
                .any(|line| line.starts_with("noren")),
            "{request}"
        );
    }
    let mut http2 = Http2::open(&hub.door).await;
    let mut request = Http2::get("/");
    let chat = http::HeaderValue::from_static("chat");
    request.headers_mut().insert("noren-channel", chat);
    let (_answer, _) = http2.begin(request, true).await;
    let head = backend.accept().await.head().await;
    assert_eq!(head.one("noren-channel"), None);
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
    assert_eq!(head.one("noren-channel"), Some("chat"));
    assert_eq!(head.one("noren-key"), Some("k"));
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
    assert_eq!(head.one("noren-channel"), Some("a"));
    assert_eq!(body, br#"{"channel":"a","count":1,"names":[]}"#);
    app.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        .await;
    app.output.finish().await;
    drop(events);
    let mut app = backend.accept().await;
    let (head, body) = request(&mut app).await;
    assert_eq!(head.start, "POST /gone HTTP/1.1");
    assert_eq!(body, br#"{"channel":"a","count":0,"names":[]}"#);
}
