//! Apps that answer with instructions of GRIP, played by the test.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod holds;
mod links;
mod messages;
mod sockets;

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::{Answer, Backend, Door, Wire};

/// The key of the app, as its file has it, and another.
const KEY: &str = "6b6579206f6620746865206170702c206f66207468697274792d74776f206279";
const OTHER_KEY: &str = "6f74686572206b6579206f662074686520746573742c20616c736f2033322042";

/// A door, an app with GRIP behind it, and the app's way to publish.
struct Fixture {
    door: Door,
    app: Backend,
    _directory: tempfile::TempDir,
}

/// A door with further keys of the app, of `[app.grip]` and other tables.
async fn fixture(app_keys: &str, grip_keys: &str, tables: &str) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("grip.key");
    std::fs::write(&key, KEY).unwrap();
    let app = Backend::tcp().await;
    let key = key.display();
    let door = Door::open(&format!(
        "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'grip'\n{}{app_keys}\
         [app.grip]\nkeys = ['{key}']\n{grip_keys}{tables}",
        app.app()
    ))
    .await;
    Fixture {
        door,
        app,
        _directory: directory,
    }
}

/// A publisher's token with these claims.
fn token(key: &str, claims: &Value) -> String {
    let key = EncodingKey::from_base64_secret(key).unwrap();
    encode(&Header::default(), claims, &key).unwrap()
}

fn in_a_minute() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() + 60
}

impl Fixture {
    async fn post(&self, path: &str, token: Option<&str>, body: &str) -> Answer {
        let mut publisher = Wire::new(TcpStream::connect(self.door.others[0]).await.unwrap());
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{body}",
            body.len(),
            authorization.unwrap_or_default()
        );
        publisher.ask(&request).await
    }

    /// Publishes one item.
    async fn publish(&self, item: Value) {
        let token = token(KEY, &json!({"iss": "app", "exp": in_a_minute()}));
        let body = json!({"items": [item]}).to_string();
        let answer = self.post("/publish/", Some(&token), &body).await;
        assert_eq!((answer.status, answer.text()), (200, "Published\n"));
    }

    /// Publishes to streams of the channel `room`.
    async fn say(&self, text: &str) {
        self.publish(json!({"channel": "room", "http-stream": {"content": text}}))
            .await;
    }

    /// Publishes to streams of the channel `room`, with an id that follows the one before.
    async fn say_in_order(&self, id: u32) {
        let previous = id.checked_sub(1).map(|id| id.to_string());
        self.publish(json!({
            "channel": "room", "id": id.to_string(), "prev-id": previous, "http-stream": {"content": format!("<{id}>")}
        }))
        .await;
    }

    /// A client that asks for `/stream`, and the app's connection, which has answered with these lines.
    async fn hold(&self, lines: &str, body: &str) -> (Wire, Wire) {
        let mut client = self.door.plain().await;
        client.send(Door::get("/stream", "")).await;
        let mut app = self.app.accept().await;
        let _ = app.head().await;
        answer(&mut app, lines, body).await;
        (client, app)
    }
}

/// The app's response with these header lines.
async fn answer(app: &mut Wire, lines: &str, body: &str) {
    let length = body.len();
    app.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
    ))
    .await;
}
