//! The Mercure hub over real sockets: publishers and subscribers of both versions of the protocol, played by the test.
//! `requirements.md` beside it says which sentence of the specification is held by which test.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod history;
mod one;
mod publishing;
mod requirements;
mod subscribing;
mod subscriptions;

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::harness::{Answer, Door, Head, Wire, within};

/// The secrets of publishers and of subscribers, as an app has them.
const PUBLISHER: &str = "!ChangeThisMercureHubJWTSecretKey!";
const SUBSCRIBER: &str = "!AnotherSecretForThoseWhoSubscribe!";
/// The path of the hub.
const HUB: &str = "/.well-known/mercure";
/// The claims that the versions of the protocol permit everything with.
const ALL: &str = r#"{"mercure": {"publish": ["*"], "subscribe": ["*"]}}"#;
/// The audience and the issuer of tokens of version 1.0.
const URL: &str = "https://hub.example.com/.well-known/mercure";
const ISSUER: &str = "https://issuer.example.com";

/// A door with a Mercure hub.
struct Hub {
    door: Door,
    directory: tempfile::TempDir,
}

/// A form for the publisher, as `http_build_query` writes it.
fn form(fields: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields).finish()
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

/// A token with these claims.
fn signed(secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), claims, &key).unwrap()
}

/// A token of version 0.x with this claim `mercure`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the value in place"
)]
fn token(secret: &str, mercure: Value) -> String {
    signed(secret, &json!({"mercure": mercure}))
}

/// A token of version 1.0 with these authorization details, and with these claims instead of sound ones.
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the values in place"
)]
fn access_token(details: Value, changes: Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "aud": URL, "exp": now() + 60, "sub": "ann", "client_id": ISSUER, "iat": now(), "jti": "1",
        "authorization_details": details,
    });
    let all = claims.as_object_mut().unwrap();
    all.extend(changes.as_object().unwrap().clone());
    all.retain(|_, value| !value.is_null());
    typed("at+jwt", &claims)
}

fn typed(kind: &str, claims: &Value) -> String {
    let header = Header {
        typ: Some(kind.to_owned()),
        ..Header::default()
    };
    let key = EncodingKey::from_secret(PUBLISHER.as_bytes());
    encode(&header, claims, &key).unwrap()
}

/// An authorization detail of version 1.0 for topics of these kinds.
fn detail(actions: &[&str], topics: &[(&str, &str)]) -> Value {
    let topics: Vec<_> = topics
        .iter()
        .map(|(kind, topic)| json!({"match": topic, "match_type": kind}))
        .collect();
    json!({"type": "https://mercure.rocks/authorization-detail", "actions": actions, "topics": topics})
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

impl Hub {
    /// A hub for both versions, with further keys of its table and with other tables.
    async fn open(keys: &str, tables: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, secret: &str| {
            let path = directory.path().join(name);
            // An editor ends the line.
            std::fs::write(&path, format!("{secret}\n")).unwrap();
            path.display().to_string()
        };
        let publisher = file("publisher", PUBLISHER);
        let subscriber = file("subscriber", SUBSCRIBER);
        let settings = format!(
            "[mercure]\npublisher-keys = ['{publisher}']\nsubscriber-keys = ['{subscriber}']\n\
             url = '{URL}'\n{keys}\n[[mercure.issuer]]\nname = '{ISSUER}'\nkeys = ['{publisher}']\n{tables}"
        );
        Self {
            door: Door::open(&settings).await,
            directory,
        }
    }

    async fn anonymous() -> Self {
        Self::open("anonymous = true", "").await
    }

    /// Sends a request with further header lines, and a form if there is one.
    async fn ask(&self, method: &str, target: &str, lines: &str, form: &str) -> Answer {
        let mut client = self.door.plain().await;
        let length = form.len();
        let kind = if form.is_empty() {
            ""
        } else {
            "Content-Type: application/x-www-form-urlencoded\r\n"
        };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{kind}{lines}\r\n{form}"
        );
        client.send(&request).await;
        if method != "HEAD" {
            return client.answer().await;
        }
        let head = client.head().await;
        Answer {
            status: head.status(),
            head,
            body: Vec::new(),
        }
    }

    async fn post(&self, token: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask("POST", HUB, &bearer(token), &form(fields)).await
    }

    /// Publishes an update with the right to everything; returns its id.
    async fn publish(&self, fields: &[(&str, &str)]) -> String {
        let token = signed(PUBLISHER, &serde_json::from_str(ALL).unwrap());
        let answer = self.post(&token, fields).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().to_owned()
    }

    /// Subscribes with this query and these header lines.
    async fn subscribe(&self, query: &str, lines: &str) -> Stream {
        let mut wire = self.door.plain().await;
        wire.send(Door::get(&format!("{HUB}?{query}"), lines)).await;
        let head = wire.head().await;
        assert_eq!(head.status(), 200, "{query} {lines}");
        assert_eq!(head.one("content-type"), Some("text/event-stream"));
        let mut stream = Stream {
            wire,
            head,
            read: String::new(),
        };
        let opening = stream.block().await;
        assert!(opening.starts_with(":\nretry: "), "{opening}");
        stream
    }
}

/// The stream of a subscriber.
struct Stream {
    wire: Wire,
    head: Head,
    read: String,
}

impl Stream {
    /// The text up to the next empty line; `None` at the end of the stream.
    async fn try_block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                return Some(block);
            }
            let piece = within("a piece of the stream", self.wire.input.chunk()).await;
            if piece.is_empty() {
                return None;
            }
            self.read.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn block(&mut self) -> String {
        self.try_block().await.expect("the stream goes on")
    }

    /// The next event, without signs of life.
    async fn event(&mut self) -> String {
        let block = self.block().await;
        let lines = block.lines().filter(|line| *line != ":");
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The data of the next event.
    async fn data(&mut self) -> String {
        let event = self.event().await;
        let data = event.lines().filter_map(|line| line.strip_prefix("data: "));
        data.collect::<Vec<_>>().join("\n")
    }
}
