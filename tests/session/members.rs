//! For whom a channel is: the users and groups that it lists, as the app names them; and tokens beside a session.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::{App, COOK, kitchen, knock};
use crate::harness::{Answer, CLOSE, Door};

const SETTINGS: &str = "allow-cache = '0s'\ninterval = '10ms'\nname-header = 'X-User'\n\
    groups-header = 'X-Groups'\n\
    [[channel]]\nname = 'jobs'\nsubscribers = ['ann', 'group:kitchen']\npresence = true\n\
    [[channel]]\nname = 'chat'\npublish = ['app']\nreceive = '/chat'\npublishers = ['ann']\n";

async fn fixture() -> (App, Door) {
    let (app, _console, door) = kitchen(SETTINGS).await;
    (app, door)
}

async fn get(door: &Door, path: &str, accept: &str) -> u16 {
    let mut wire = door.tls().await;
    wire.send(Door::get(path, &format!("{COOK}Accept: {accept}\r\n")))
        .await;
    wire.head().await.status()
}

async fn post(door: &Door, path: &str) -> Answer {
    let request = Door::get(path, &format!("Content-Length: 0\r\n{COOK}"));
    let mut client = door.tls().await;
    client.ask(&request.replacen("GET", "POST", 1)).await
}

#[tokio::test]
async fn only_the_users_and_groups_of_a_channel_may_listen_to_it() {
    let (app, door) = fixture().await;
    for (answer, listens) in [
        ("200 OK\r\nX-User: ann\r\n", true),
        (
            "200 OK\r\nX-User: bob\r\nX-Groups: guests, kitchen\r\n",
            true,
        ),
        ("200 OK\r\nX-User: bob\r\n", false),
        ("200 OK\r\nX-User: bob\r\nX-Groups: ann\r\n", false),
        ("200 OK\r\nX-User: kitchen\r\n", false),
        ("200 OK\r\n", false),
    ] {
        app.answers("/tasks", answer);
        let status = |open| if listens { open } else { 403 };
        for path in [
            "/events/jobs",
            "/events/chat,jobs",
            "/events/sockjs/jobs/websocket",
        ] {
            assert_eq!(
                knock(&door, path, COOK).await.status,
                status(101),
                "{answer}"
            );
        }
        for path in ["/events/jobs", "/events/jobs/presence"] {
            for accept in ["text/event-stream", "text/html", "*/*"] {
                assert_eq!(get(&door, path, accept).await, status(200), "{answer}");
            }
        }
        assert_eq!(knock(&door, "/events/chat", COOK).await.status, 101);
    }
}

#[tokio::test]
async fn who_loses_a_group_loses_what_it_has_opened() {
    let (app, door) = fixture().await;
    app.answers("/tasks", "200 OK\r\nX-User: bob\r\nX-Groups: kitchen\r\n");
    let mut client = door.tls().await;
    let handshake = Door::handshake("/events/jobs", COOK);
    assert_eq!(client.ask(&handshake).await.status, 101);
    app.answers("/tasks", "200 OK\r\nX-User: bob\r\n");
    let last = loop {
        let frame = client.frame().await;
        if frame.opcode == CLOSE {
            break frame;
        }
    };
    assert_eq!(last.payload[..2], 4401_u16.to_be_bytes());
    assert_eq!(knock(&door, "/events/jobs", COOK).await.status, 403);
}

#[tokio::test]
async fn of_those_who_listen_only_publishers_may_say_something() {
    let (app, door) = fixture().await;
    app.answers("/tasks", "200 OK\r\nX-User: bob\r\n");
    assert_eq!(post(&door, "/events/chat").await.status, 403);
    assert_eq!(app.asked("/chat?channel=chat"), 0);
    app.answers("/tasks", "200 OK\r\nX-User: ann\r\n");
    assert_eq!(post(&door, "/events/chat").await.status, 200);
    assert_eq!(app.asked("/chat?channel=chat"), 1);
}

#[tokio::test]
async fn where_either_will_do_a_session_or_a_token_opens_a_channel_and_nothing_less() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, noren::encode_token(SECRET)).unwrap();
    let settings = format!(
        "allow-cache = '0s'\nname-header = 'X-User'\n[hub.tokens]\nkeys = ['{}']\n\
         [[channel]]\nname = 'news'\nsubscribers = ['ann']\n\
         [[channel]]\nname = 'app'\nneeds = 'session'\n",
        file.display()
    );
    let (app, _console, door) = kitchen(&settings).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let token = |exp: u64, sub: &str| {
        let claims = json!({"mercure": {"subscribe": ["*"]}, "exp": exp, "sub": sub});
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        encode(&Header::default(), &claims, &key).unwrap()
    };
    let good = token(now.as_secs() + 60, "ann");
    for (session, token, name, status) in [
        ("200 OK\r\nX-User: ann\r\n", "", "news", 101),
        ("200 OK\r\nX-User: bob\r\n", "", "news", 403),
        ("401 Unauthorized\r\n", "", "news", 401),
        ("401 Unauthorized\r\n", good.as_str(), "news", 101),
        (
            "401 Unauthorized\r\n",
            &token(now.as_secs() + 60, "bob"),
            "news",
            403,
        ),
        ("401 Unauthorized\r\n", &token(1, "ann"), "news", 401),
        ("401 Unauthorized\r\n", "guess", "news", 401),
        ("200 OK\r\nX-User: ann\r\n", &token(1, "ann"), "news", 101),
        ("401 Unauthorized\r\n", &good, "app", 401),
        ("200 OK\r\n", &good, "app", 101),
    ] {
        app.answers("/tasks", session);
        let path = format!("/events/{name}?access_token={token}");
        let answer = knock(&door, &path, COOK).await;
        assert_eq!(answer.status, status, "{session} {name}: {}", answer.text());
    }
}
