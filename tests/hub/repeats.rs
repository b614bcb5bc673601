//! A publisher's own id of a message makes a second try harmless.

use super::{channel, hub, post};
use crate::harness::{Backend, FIN, TEXT, masked};

const DISK: &str = "[channel.history]\nstore = 'disk'\nids = 100";

fn lines(id: &str) -> String {
    format!(
        "Authorization: Bearer {}\r\nContent-Type: text/plain\r\nIdempotency-Key: {id}\r\n",
        super::TOKEN
    )
}

/// Everything in a channel, by one long poll.
async fn all(hub: &super::Hub, channel: &str) -> Vec<String> {
    let path = format!("/events/{channel}?last-event-id=earliest&wait=0");
    let answer = hub.poll(&path, "").await;
    let object: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let messages = object["messages"].as_array().unwrap().iter();
    let texts = messages.map(|message| message["data"].as_str().unwrap().to_owned());
    texts.collect()
}

#[tokio::test]
async fn a_message_that_is_published_twice_with_one_id_is_there_once_and_gets_the_same_answer() {
    let directory = tempfile::tempdir().unwrap();
    let settings = format!("store = '{}'", directory.path().display());
    let tables = channel("memory", "") + &channel("disk", DISK);
    let hub = hub(&settings, &tables).await;
    for name in ["memory", "disk"] {
        let path = format!("/events/{name}");
        let first = hub.post(&path, &lines("\"a-1\""), "one").await;
        let second = hub.post(&path, &lines("a-1"), "one").await;
        let other = hub.post(&path, &lines("\"a-2\""), "two").await;
        for answer in [&first, &second, &other] {
            assert_eq!(answer.status, 202, "{}", answer.text());
        }
        assert_eq!(first.text(), second.text());
        assert_ne!(first.text(), other.text());
        assert_eq!(all(&hub, name).await, ["one", "two"]);
        // Two at once, of which neither is there yet.
        let id = lines("a-3");
        let (one, two) = tokio::join!(hub.post(&path, &id, "3"), hub.post(&path, &id, "3"));
        assert_eq!((one.status, one.text()), (202, two.text()));
        assert_eq!(all(&hub, name).await, ["one", "two", "3"]);
        let long = "x".repeat(257);
        for wrong in ["", "\"", long.as_str()] {
            let refused = hub.post(&path, &lines(wrong), "x").await;
            assert_eq!(refused.status, 400, "{wrong}");
        }
        let twice = lines("b") + "Idempotency-Key: c\r\n";
        assert_eq!(hub.post(&path, &twice, "x").await.status, 400);
    }
}

#[tokio::test]
async fn a_channel_on_disk_knows_the_ids_after_a_restart_also_of_messages_that_are_gone() {
    let directory = tempfile::tempdir().unwrap();
    let settings = format!("store = '{}'", directory.path().display());
    let tables = channel("a", &format!("{DISK}\nmessages = 1"));
    let first = hub(&settings, &tables).await;
    let answer = first.post("/events/a", &lines("one"), "1").await;
    first.say("a", "2").await;
    let second = super::kept::restarted(first, &settings, &tables).await;
    let again = second.post("/events/a", &lines("one"), "1").await;
    assert_eq!((again.status, again.text()), (202, answer.text()));
    assert_eq!(all(&second, "a").await, ["2"]);
}

#[tokio::test]
async fn so_many_ids_are_remembered_and_no_more() {
    let tables = channel("a", "[channel.history]\nids = 2");
    let hub = hub("", &tables).await;
    for id in ["1", "2", "3", "2", "1"] {
        assert_eq!(hub.post("/events/a", &lines(id), id).await.status, 202);
    }
    assert_eq!(all(&hub, "a").await, ["1", "2", "3", "1"]);
}

#[tokio::test]
async fn a_message_of_a_page_that_comes_twice_is_published_once_and_no_visitor_takes_another_s_id()
{
    let backend = Backend::tcp().await;
    let chat = "[[channel]]\nname = 'chat'\npublish = ['app']\nreceive = '/say'\n";
    let hub = hub("", &format!("{}{chat}", backend.app())).await;
    let mut app = None;
    for visitor in ["ann", "ann", "bob"] {
        let lines = format!(
            "Cookie: session={visitor}\r\nContent-Type: text/plain\r\nIdempotency-Key: 1\r\n"
        );
        let mut client = hub.door.tls().await;
        let asked = post(&mut client, "/events/chat", &lines, visitor);
        let (answer, ()) = tokio::join!(asked, async {
            let mut taken = match app.take() {
                Some(app) => app,
                None => backend.accept().await,
            };
            let head = taken.head().await;
            assert_eq!(head.one("noren-id"), Some("1"));
            taken.input.body(&head).await;
            taken
                .send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\
                     Noren-Publish: chat\r\n\r\n{visitor}"
                ))
                .await;
            app = Some(taken);
        });
        assert_eq!(answer.status, 200);
    }
    assert_eq!(all(&hub, "chat").await, ["ann", "bob"]);
    // By its WebSocket, and the app has an id of its own.
    let mut socket = hub.socket("/events/chat").await;
    let mut app = app.unwrap();
    for _ in 0..2 {
        let frame = br#"{"channel":"chat","data":"hi","id":"7","ref":1}"#;
        socket.0.send(masked(FIN | TEXT, frame)).await;
        let head = app.head().await;
        assert_eq!(head.one("noren-id"), Some("7"));
        app.input.body(&head).await;
        app.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nNoren-Publish: chat\r\n\
                  Noren-Id: from-the-app\r\n\r\nhi").await;
        // The message itself comes once, the outcome each time.
        while socket.object().await["type"] != "sent" {}
    }
    assert_eq!(all(&hub, "chat").await, ["ann", "bob", "hi"]);
}
