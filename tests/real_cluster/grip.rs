//! An app with GRIP behind two nodes: it publishes at one of them, and its clients are held at both.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::Node;
use crate::support::{PATIENCE, Peer, Rabbit, alone, free_port, path, scratch, until};

const KEY: &str = "6b6579206f6620746865206170702c206f66207468697274792d74776f206279";

/// Two nodes, and the Django app behind both, which knows the control endpoint of the first.
struct Fixture {
    nodes: [Node; 2],
    /// The addresses of their control endpoints.
    publishers: [String; 2],
    _app: Peer,
    _rabbit: Rabbit,
    _directory: tempfile::TempDir,
}

impl Fixture {
    #[track_caller]
    fn open() -> Self {
        let rabbit = Rabbit::start();
        let (directory, port) = (scratch(), free_port().to_string());
        let key = path(&directory, "grip.key");
        fs::write(&key, KEY).expect("a key");
        let tables = format!(
            "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'grip'\n[[app]]\nname = 'app'\n\
             url = 'http://127.0.0.1:{port}'\nworkers = 4\nrestart-wait = '20s'\n[app.grip]\nkeys = ['{key}']\n"
        );
        let nodes = [(); 2].map(|()| Node::start_with(rabbit.port, "", &tables));
        let nodes = nodes.map(Node::caught_up);
        let publishers = nodes.each_ref().map(control_endpoint);
        let [first, _] = &publishers;
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/grip/django_app.py");
        let app = Peer::start_in_venv("grip_app.py", &[example, first, KEY, &port]);
        Self {
            nodes,
            publishers,
            _app: app,
            _rabbit: rabbit,
            _directory: directory,
        }
    }

    /// Asks the app for something, through a node.
    #[track_caller]
    fn ask(&self, node: usize, path: &str) -> String {
        let node = self.nodes.get(node).expect("a node");
        let answer = node.ask(&format!("GET {path}"), "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    /// A client that stays at a node.
    fn client(&self, node: usize, path: &str, lines: &str) -> Client {
        let node = self.nodes.get(node).expect("a node");
        let mut stream = TcpStream::connect(("127.0.0.1", node.port)).expect("the node");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        Client {
            stream,
            text: String::new(),
        }
    }
}

/// The address where apps publish at this node.
#[track_caller]
fn control_endpoint(node: &Node) -> String {
    until("the control endpoint", || {
        let log = node.log();
        let mut lines = log.lines();
        let line = lines.find(|line| line.contains("listening") && line.ends_with("=grip"))?;
        let (_, rest) = line.split_once("address=")?;
        Some(rest.split_ascii_whitespace().next()?.to_owned())
    })
}

/// Publishes an item at a control endpoint.
#[track_caller]
fn publish(publishers: &str, item: &Value) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let claims = json!({"iss": "app", "exp": now.expect("a time").as_secs() + 600});
    let key = EncodingKey::from_base64_secret(KEY).expect("a key");
    let token = encode(&Header::default(), &claims, &key).expect("a token");
    let body = json!({"items": [item]}).to_string();
    let mut stream = TcpStream::connect(publishers).expect("the node");
    let request = format!(
        "POST /publish/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A client, and all that it has got.
struct Client {
    stream: TcpStream,
    text: String,
}

impl Client {
    /// Reads until this has come, and returns all that came before it.
    #[track_caller]
    fn gets(&mut self, wanted: &str) -> String {
        loop {
            if let Some((before, rest)) = self.text.split_once(wanted) {
                let (before, rest) = (before.to_owned(), rest.to_owned());
                self.text = rest;
                return before;
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).expect("the stream goes on");
            assert!(count > 0, "{wanted:?} did not come: {}", self.text);
            let piece = bytes.get(..count).unwrap_or_default();
            self.text += &String::from_utf8_lossy(piece);
        }
    }
}

fn event(id: u32) -> String {
    format!("id: time:{id}\ndata: {{\"text\": \"{id}\"}}\n\n")
}

#[test]
fn what_a_grip_app_publishes_at_one_node_reaches_clients_of_all_once() {
    let _alone = alone();
    let fixture = Fixture::open();
    let mut clients = [0, 1, 1].map(|node| {
        let mut client = fixture.client(node, "/updates/", "");
        client.gets("event: stream-open\ndata:\n\n");
        client
    });
    for number in 1..=20_usize {
        // Through either node; the app itself publishes at the first.
        fixture.ask(number % 2, &format!("/send/?text={number}"));
    }
    for client in &mut clients {
        for number in 1..=20 {
            let before = client.gets(&event(number));
            assert!(!before.contains("data: {"), "{before}");
        }
    }
    // A client that was away comes back to the other node, and one that has everything stays.
    let [first, ..] = clients;
    drop(first);
    fixture.ask(0, "/send/?text=21");
    fixture.ask(0, "/send/?text=22");
    let mut back = fixture.client(1, "/updates/", "Last-Event-ID: time:20\r\n");
    back.gets("event: stream-open\ndata:\n\n");
    for number in [21, 22] {
        let before = back.gets(&event(number));
        assert!(!before.contains("data: {"), "{before}");
    }
    fixture.ask(1, "/send/?text=23");
    back.gets(&event(23));
    // One request for each stream, whatever node it was at.
    let requests = fixture.ask(1, "/requests/");
    let streams = requests.matches("GET /updates/").count();
    assert_eq!(streams, 4, "{requests}");
}

#[test]
fn held_responses_and_websockets_of_the_other_node_get_the_message_too() {
    let _alone = alone();
    let fixture = Fixture::open();
    let mut stream = fixture.client(1, "/stream/", "");
    stream.gets("welcome\n");
    let mut socket = fixture.client(
        1,
        "/chat/",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    );
    socket.gets("\r\n\r\n");
    let mut poll = fixture.client(1, "/poll/", "");
    // Until the node holds it, a message is not for it; each attempt reaches the others.
    let mut told = 0;
    until("the held response", || {
        fixture.ask(0, "/tell/?text=hello");
        told += 1;
        let mut byte = [0];
        poll.stream.set_nonblocking(true).expect("a socket");
        let peeked = poll.stream.peek(&mut byte).is_ok();
        poll.stream.set_nonblocking(false).expect("a socket");
        peeked.then_some(())
    });
    poll.gets("hello\n");
    for _ in 0..told {
        stream.gets("hello\n");
        // A text frame of five bytes.
        socket.gets("\u{5}hello");
    }
}

#[test]
fn an_item_that_is_tried_again_at_the_other_node_is_not_sent_twice() {
    let _alone = alone();
    let fixture = Fixture::open();
    let mut streams = [0, 1].map(|node| fixture.client(node, "/stream/", ""));
    for stream in &mut streams {
        stream.gets("welcome\n");
    }
    for number in 0..10 {
        let item = json!({
            "channel": "room", "id": format!("own-{number}"), "http-stream": {"content": format!("<{number}>")},
        });
        // Its publisher has not heard that it was taken.
        for publishers in &fixture.publishers {
            publish(publishers, &item);
        }
    }
    publish(
        &fixture.publishers[1],
        &json!({"channel": "room", "http-stream": {"content": "end"}}),
    );
    for stream in &mut streams {
        let all = stream.gets("end");
        let texts = all.lines().filter(|line| line.starts_with('<'));
        let expected: Vec<_> = (0..10).map(|number| format!("<{number}>")).collect();
        assert_eq!(texts.collect::<Vec<_>>().concat(), expected.concat());
    }
}
