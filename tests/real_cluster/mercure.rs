//! Mercure in a cluster: updates, their cursors and their permissions are the same at every node, and each node knows
//! its own subscribers.

use std::fs;
use std::io;
use std::net::TcpStream;

use serde_json::Value;

use super::Node;
use crate::support::{
    Heard, MERCURE_SECRET, PATIENCE, Rabbit, Updates, alone, mercure_token, path, publish_update,
    scratch, subscriptions_at, until,
};

const ALL: &[&str] = &["*"];
const BOOKS: &[&str] = &["https://example.com/books/{id}"];
const SUBSCRIPTIONS: &[&str] = &["/.well-known/mercure/subscriptions/{topic}/{subscriber}"];

/// The nodes of a cluster, and the files that they share.
struct Fixture {
    rabbit: Rabbit,
    tables: String,
    token: String,
    _directory: tempfile::TempDir,
}

impl Fixture {
    #[track_caller]
    fn open() -> Self {
        let directory = scratch();
        let key = path(&directory, "key");
        fs::write(&key, MERCURE_SECRET).expect("a key");
        let tables = format!(
            "[mercure]\npublisher-keys = ['{key}']\nanonymous = true\nsubscriptions = true\n\
             [mercure.history]\nmessages = 100000\nsize = '64MiB'\n"
        );
        Self {
            rabbit: Rabbit::start(),
            tables,
            token: mercure_token(),
            _directory: directory,
        }
    }

    #[track_caller]
    fn node(&self) -> Node {
        Node::start_with(self.rabbit.port, "", &self.tables).caught_up()
    }

    /// Publishes at a node; the id of the update.
    fn publish(&self, node: &Node, fields: &[(&str, &str)]) -> String {
        publish_update(socket(node), &self.token, fields).expect("an acknowledgement")
    }
}

fn socket(node: &Node) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", node.port)).expect("the node");
    let set = socket.set_read_timeout(Some(PATIENCE));
    set.expect("a socket has this option");
    socket
}

fn subscribe(node: &Node, topics: &[&str], from: Option<&str>, token: &str) -> Updates<TcpStream> {
    Updates::open(socket(node), topics, from, token).expect("a stream")
}

/// The next events of a stream.
fn next(stream: &mut Updates<TcpStream>, count: usize) -> Vec<Heard> {
    let events = (0..count).map(|_| stream.next());
    let events: io::Result<_> = events.collect();
    events.expect("the stream goes on")
}

/// A private update.
fn secret(data: &str) -> [(&str, &str); 3] {
    [("topic", "a"), ("data", data), ("private", "on")]
}

/// The data of the next subscription event.
fn told(stream: &mut Updates<TcpStream>) -> Value {
    let event = stream.next().expect("the stream goes on");
    serde_json::from_str(&event.data).expect("JSON")
}

#[test]
fn updates_of_every_node_reach_all_subscribers_once_and_a_cursor_of_one_resumes_at_another() {
    let _alone = alone();
    let fixture = Fixture::open();
    let nodes = [fixture.node(), fixture.node()];
    let mut readers: Vec<_> = nodes
        .iter()
        .map(|node| subscribe(node, BOOKS, None, &fixture.token))
        .collect();
    let mut public: Vec<_> = nodes
        .iter()
        .map(|node| subscribe(node, BOOKS, None, ""))
        .collect();
    let (mut all, mut open) = (Vec::new(), Vec::new());
    for (number, here) in (0..60).zip(nodes.iter().cycle()) {
        let (data, own) = (format!("update {number}"), format!("urn:example:{number}"));
        let mut fields = vec![("topic", "https://example.com/books/1"), ("data", &data)];
        let is_private = number % 3 == 0;
        if is_private {
            fields.push(("private", "on"));
        }
        if number % 4 < 2 {
            fields.push(("id", &own));
        }
        let id = fixture.publish(here, &fields);
        if number % 4 < 2 {
            assert_eq!(id, own);
            // Its publisher did not hear that it was taken, and tries all nodes.
            for node in &nodes {
                assert_eq!(fixture.publish(node, &fields), own);
            }
        }
        let heard = Heard { id, data };
        all.push(heard.clone());
        if !is_private {
            open.push(heard);
        }
    }
    // Whether something comes twice is seen before this one.
    let last = fixture.publish(
        &nodes[0],
        &[("topic", "https://example.com/books/1"), ("data", "last")],
    );
    for list in [&mut all, &mut open] {
        list.push(Heard {
            id: last.clone(),
            data: "last".to_owned(),
        });
    }
    for stream in &mut readers {
        assert_eq!(next(stream, all.len()), all);
    }
    for stream in &mut public {
        assert_eq!(next(stream, open.len()), open);
    }
    // One that comes later reads all from the stream of the broker.
    let later = fixture.node();
    for node in nodes.iter().chain([&later]) {
        for place in [0, 7, 20, 41] {
            let cursor = &all[place].id;
            let mut stream = subscribe(node, BOOKS, Some(cursor), &fixture.token);
            assert_eq!(stream.cursor.as_ref(), Some(cursor));
            assert_eq!(next(&mut stream, all.len() - place - 1), all[place + 1..]);
        }
        let mut stream = subscribe(node, BOOKS, Some("earliest"), "");
        assert_eq!(next(&mut stream, open.len()), open);
    }
}

#[test]
fn a_subscriber_that_moves_to_another_node_at_once_hears_nothing_again() {
    let _alone = alone();
    let fixture = Fixture::open();
    let (one, two) = (fixture.node(), fixture.node());
    let mut unknown = Vec::new();
    for number in 0..200 {
        let data = number.to_string();
        let id = fixture.publish(&one, &[("topic", "a"), ("data", &data)]);
        // The load balancer sends it elsewhere, where the update may not have arrived yet.
        let stream = subscribe(&two, ALL, Some(&id), "");
        if stream.cursor.as_ref() != Some(&id) {
            unknown.push(number);
        }
    }
    assert!(
        unknown.is_empty(),
        "all of the history came again: {unknown:?}"
    );
}

#[test]
fn each_node_lists_its_own_subscribers_and_their_events_reach_the_observers_at_all() {
    let _alone = alone();
    let fixture = Fixture::open();
    let (one, two) = (fixture.node(), fixture.node());
    let mut observer = subscribe(&one, SUBSCRIPTIONS, None, &fixture.token);
    assert_eq!(told(&mut observer)["topic"], SUBSCRIPTIONS[0]);
    let stream = subscribe(&two, BOOKS, None, "");
    let begun = told(&mut observer);
    assert_eq!(
        (&begun["topic"], &begun["active"]),
        (&Value::from(BOOKS[0]), &Value::from(true))
    );
    let listed = |node: &Node| {
        let document = subscriptions_at(socket(node), &fixture.token, "").expect("a document");
        let subscriptions = document["subscriptions"].as_array();
        let topics = subscriptions.expect("a list").iter();
        let topics = topics.map(|one| one["topic"].as_str().expect("a topic").to_owned());
        topics.collect::<Vec<_>>()
    };
    assert_eq!(listed(&two), BOOKS);
    assert_eq!(listed(&one), SUBSCRIPTIONS);
    drop(stream);
    let ended = told(&mut observer);
    assert_eq!(
        (&ended["id"], &ended["active"]),
        (&begun["id"], &Value::from(false))
    );
    until("the other node to forget it", || {
        listed(&two).is_empty().then_some(())
    });
}

#[test]
fn a_stream_that_is_made_anew_leaves_no_cursor_of_the_old_one() {
    let _alone = alone();
    let fixture = Fixture::open();
    let node = fixture.node();
    // In the old stream every place has a public update of this topic; in the new one most are private.
    let mut reader = subscribe(&node, &["a"], None, "");
    let mut old = String::new();
    for number in 0..100 {
        old = fixture.publish(&node, &[("topic", "a"), ("data", &number.to_string())]);
    }
    assert_eq!(next(&mut reader, 100).len(), 100);
    // The hub has read all of these cursors.
    assert_eq!(
        subscribe(&node, &["a"], Some(&old), "").cursor,
        Some(old.clone())
    );
    fixture.rabbit.delete_queue("noren");
    let first = until("the node to read the new stream", || {
        let published = publish_update(socket(&node), &fixture.token, &secret("secret 0"));
        let id = published.ok()?;
        let known = Updates::open(socket(&node), &["a"], Some(&id), "").ok()?;
        (node.log().contains("made anew") && known.cursor.as_ref() == Some(&id)).then_some(id)
    });
    for number in 1..50 {
        fixture.publish(&node, &secret(&format!("secret {number}")));
    }
    fixture.publish(&node, &[("topic", "a"), ("data", "open")]);
    let mut stream = subscribe(&node, &["a"], Some(&old), "");
    assert_eq!(stream.cursor.as_deref(), Some("earliest"));
    assert_eq!(next(&mut stream, 1)[0].data, "open");
    let mut stream = subscribe(&node, &["a"], Some(&first), &fixture.token);
    assert_eq!(stream.cursor, Some(first));
    assert_eq!(next(&mut stream, 1)[0].data, "secret 1");
    drop(reader);
}
