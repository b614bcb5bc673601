//! The hub: what is published reaches everybody, in every transport, once and in order, over any loss.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod app;
mod kept;
mod limits;
mod polls;
mod repeats;
mod signals;
mod sockets;
mod sockjs;
mod streams;
mod tokens;
mod wok;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Door, Input, Wire, within};

const TOKEN: &str = "0123456789abcdef";

/// A door with channels, and a way to publish.
struct Hub {
    door: Door,
    _directory: TempDir,
}

/// Keys of `[hub]`, then any other tables.
async fn hub(settings: &str, tables: &str) -> Hub {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("publish-token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let file = file.display();
    let door = Door::open(&format!(
        "[hub]\npublish-token = '{file}'\n{settings}\n{tables}"
    ))
    .await;
    Hub {
        door,
        _directory: directory,
    }
}

/// A channel to which the test may publish.
fn channel(name: &str, keys: &str) -> String {
    format!("[[channel]]\nname = '{name}'\npublish = ['token']\n{keys}\n")
}

impl Hub {
    /// Publishes a text; its id.
    async fn say(&self, channel: &str, text: &str) -> String {
        self.publish(&format!("/events/{channel}"), "text/plain", text)
            .await
    }

    /// Publishes a body of any type; its id.
    async fn publish(&self, path: &str, kind: &str, body: &str) -> String {
        let lines = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: {kind}\r\n");
        let answer = self.post(path, &lines, body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let object: Value = serde_json::from_slice(&answer.body).unwrap();
        object["id"].as_str().unwrap().to_owned()
    }

    async fn post(&self, path: &str, lines: &str, body: &str) -> crate::harness::Answer {
        post(&mut self.door.plain().await, path, lines, body).await
    }

    /// An open event stream, its opening block taken.
    async fn stream(&self, path: &str, lines: &str) -> Events {
        let mut client = self.door.tls().await;
        let accept = format!("Accept: text/event-stream\r\n{lines}");
        client.send(Door::get(path, &accept)).await;
        let head = client.head().await;
        assert_eq!(head.status(), 200, "{head:?}");
        let mut events = Events {
            client,
            text: String::new(),
        };
        let opening = events.block().await;
        assert!(opening.starts_with("retry: "), "{opening}");
        events
    }

    /// An open WebSocket, its first object taken.
    async fn socket(&self, path: &str) -> Socket {
        let mut socket = Socket(self.door.websocket(path).await);
        let open = socket.object().await;
        assert_eq!(open["type"], "open");
        socket
    }

    /// One long poll without a body.
    async fn poll(&self, path: &str, lines: &str) -> crate::harness::Answer {
        self.door.plain().await.ask(&Door::get(path, lines)).await
    }
}

async fn post(client: &mut Wire, path: &str, lines: &str, body: &str) -> crate::harness::Answer {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: door.example\r\nContent-Length: {length}\r\n{lines}\r\n"
    );
    client.ask(&format!("{head}{body}")).await
}

/// A client of an event stream.
struct Events {
    client: Wire,
    text: String,
}

impl Events {
    /// The next block, without the empty line that ends it.
    async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return block;
            }
            let piece = self.client.input.chunk().await;
            assert!(!piece.is_empty(), "the stream ended after {:?}", self.text);
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    /// The next event's id and data; comments are skipped.
    async fn event(&mut self) -> (String, String) {
        loop {
            let block = self.block().await;
            let field = |name: &str| {
                let mut lines = block.lines();
                let line = lines.find_map(|line| line.strip_prefix(name));
                line.map(|value| value.trim().to_owned())
            };
            if let (Some(id), Some(data)) = (field("id:"), field("data:")) {
                return (id, data);
            }
        }
    }

    async fn data(&mut self) -> String {
        self.event().await.1
    }

    /// Reads the rest until the server ends the stream.
    async fn rest(mut self) -> String {
        loop {
            let piece = self.client.input.chunk().await;
            if piece.is_empty() {
                return self.text;
            }
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

/// A WebSocket whose frames are JSON.
struct Socket(Wire);

impl Socket {
    async fn object(&mut self) -> Value {
        object(&mut self.0.input).await
    }

    /// The data of the next message.
    async fn data(&mut self) -> Value {
        self.object().await["data"].take()
    }
}

async fn object(input: &mut Input) -> Value {
    let frame = within("a frame", input.frame()).await;
    assert_eq!(frame.opcode, crate::harness::TEXT, "{frame:?}");
    serde_json::from_slice(&frame.payload).unwrap()
}
