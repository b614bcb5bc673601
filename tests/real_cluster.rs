//! Three Norens that are one hub, by a stream of a real RabbitMQ: nodes die, the broker restarts, a network is cut,
//! and every subscriber gets everything once, in one order.

#![allow(
    clippy::disallowed_methods,
    reason = "the tasks and threads of these tests end with them, and their sockets are on this machine"
)]

mod crowd;
mod giving_up;
mod grip;
mod logout;
mod mercure;
mod permissions;
mod postgres;
mod proxy;
mod replaced;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::support::{Rabbit, alone, path, run, scratch, until};
use crowd::Crowd;
use proxy::Proxy;

/// One node, as it is run.
struct Node {
    child: Child,
    directory: tempfile::TempDir,
    port: u16,
}

impl Node {
    /// A node whose broker is at this port.
    #[track_caller]
    fn start(broker: u16) -> Self {
        Self::start_with(broker, "", "")
    }

    /// The same with more keys of `[cluster]`, and more tables.
    #[track_caller]
    fn start_with(broker: u16, keys: &str, tables: &str) -> Self {
        let directory = scratch();
        let file = |name: &str| path(&directory, name);
        let config = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
             [limits]\nconnections-per-address = 0\n[hub]\nretry = \"100ms\"\n\
             [[channel]]\nname = \"c\"\npresence = true\n[channel.history]\nmessages = 100000\nsize = \"64MiB\"\n\
             [cluster]\nurl = \"amqp://127.0.0.1:{broker}\"\nheartbeat = \"5s\"\n{keys}\
             [admin]\nsocket = \"{}\"\n{tables}",
            file("admin.sock")
        );
        fs::write(file("noren.toml"), config).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_noren"))
            .args(["serve", "--config", &file("noren.toml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(file("log")).expect("a log"))
            .spawn()
            .expect("the binary that cargo built for this test");
        let mut node = Self {
            child,
            directory,
            port: 0,
        };
        node.port = until("the node to listen", || {
            let log = node.log();
            let line = log.lines().find(|line| line.contains("listening"))?;
            let (_, address) = line.split_once("address=127.0.0.1:")?;
            address.split_ascii_whitespace().next()?.parse().ok()
        });
        node
    }

    #[track_caller]
    fn caught_up(self) -> Self {
        until("the node to catch up", || {
            self.log()
                .contains("caught up with the cluster")
                .then_some(())
        });
        self
    }

    fn log(&self) -> String {
        fs::read_to_string(path(&self.directory, "log")).unwrap_or_default()
    }

    /// Something that publishes these numbers here, one a line; it ends when all are in the stream.
    fn publishing(&self, numbers: std::ops::Range<u32>) -> Child {
        let mut child = Command::new(env!("CARGO_BIN_EXE_noren"))
            .args([
                "publish",
                "--socket",
                &path(&self.directory, "admin.sock"),
                "c",
            ])
            .stdin(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary that cargo built for this test");
        let mut input = child.stdin.take().expect("standard input is piped");
        for number in numbers {
            writeln!(input, "{number}").expect("it reads");
        }
        child
    }

    #[track_caller]
    fn publish(&self, numbers: std::ops::Range<u32>) {
        let status = self.publishing(numbers).wait().expect("a child");
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// Publishes a text with a key.
    #[track_caller]
    fn say(&self, channel: &str, key: &str, text: &str) {
        let socket = path(&self.directory, "admin.sock");
        let mut publish = Command::new(env!("CARGO_BIN_EXE_noren"));
        publish.args(["publish", "--socket", &socket, "--key", key, channel, text]);
        run(&mut publish).well();
    }

    /// Publishes a text with an id of its publisher; the id of the message.
    #[track_caller]
    fn say_once(&self, own_id: &str, text: &str) -> String {
        let socket = path(&self.directory, "admin.sock");
        let mut publish = Command::new(env!("CARGO_BIN_EXE_noren"));
        publish.args([
            "publish",
            "--socket",
            &socket,
            "--id",
            own_id,
            "--print-id",
            "c",
            text,
        ]);
        run(&mut publish).well().stdout.trim().to_owned()
    }

    /// All of the history, as this node has it.
    #[track_caller]
    fn history(&self, count: usize) -> Vec<(String, String)> {
        self.history_of("c", count)
    }

    /// The same of another channel.
    #[track_caller]
    fn history_of(&self, channel: &str, count: usize) -> Vec<(String, String)> {
        let socket = path(&self.directory, "admin.sock");
        let count = count.to_string();
        let ran = run(Command::new(env!("CARGO_BIN_EXE_noren")).args([
            "subscribe",
            "--socket",
            &socket,
            channel,
            "--from",
            "earliest",
            "--json",
            "--once",
            &count,
        ]))
        .well();
        let each = ran.stdout.lines().map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let text = |name: &str| {
                let text = message.get(name).and_then(serde_json::Value::as_str);
                text.unwrap_or_default().to_owned()
            };
            (text("id"), text("data"))
        });
        each.collect()
    }

    fn get(&self, target: &str) -> String {
        self.ask(&format!("GET {target}"), "")
    }

    /// The answer to a request.
    fn ask(&self, start: &str, lines: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the node");
        let head =
            format!("{start} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Node {
    #[expect(
        clippy::print_stderr,
        reason = "the harness shows it only for a test that fails"
    )]
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the node's log\n{}---", self.log());
        }
    }
}

#[test]
fn ids_and_histories_are_the_same_on_every_node_also_on_one_that_comes_later() {
    let _alone = alone();
    let rabbit = Rabbit::start();
    let (one, two) = (Node::start(rabbit.port), Node::start(rabbit.port));
    let (one, two) = (one.caught_up(), two.caught_up());
    one.publish(0..5);
    two.publish(5..10);
    let expected: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let history = one.history(10);
    let data: Vec<_> = history.iter().map(|(_, data)| data.clone()).collect();
    assert_eq!(data, expected);
    assert_eq!(two.history(10), history);
    drop(one);
    let late = Node::start(rabbit.port).caught_up();
    assert_eq!(late.history(10), history);
}

#[test]
fn a_node_dies_the_broker_restarts_and_a_network_heals_and_nobody_misses_or_doubles_a_message() {
    let _alone = alone();
    let mut rabbit = Rabbit::start();
    let proxy = Proxy::to(rabbit.port);
    let one = Node::start(rabbit.port).caught_up();
    let two = Node::start(proxy.port).caught_up();
    let three = Node::start(rabbit.port).caught_up();
    let crowd = Crowd::of(1_000, &[one.port, two.port, three.port]);
    one.publish(0..50);
    three.publish(50..100);
    crowd.until_all_have(100);

    // A node is killed while messages come; its subscribers go on at the others.
    let mut publishing = one.publishing(100..1_000);
    drop(three);
    assert!(publishing.wait().expect("a child").success());
    crowd.until_all_have(1_000);

    // A node is cut off: it hears nothing, keeps what is published there, and catches up.
    proxy.cut();
    one.publish(1_000..1_050);
    let mut waiting = two.publishing(1_050..1_060);
    assert!(waiting.try_wait().expect("a child").is_none());
    proxy.heal();
    assert!(waiting.wait().expect("a child").success());
    crowd.until_all_have(1_060);

    // The broker restarts while something is published.
    rabbit.stop();
    let mut waiting = one.publishing(1_060..1_100);
    rabbit.begin();
    assert!(waiting.wait().expect("a child").success());
    two.publish(1_100..1_110);
    crowd.until_all_have(1_110);
    crowd.heard_the_same(1_110);
}

#[test]
fn a_message_with_an_id_of_its_publisher_is_there_once_at_whatever_node_it_is_tried_again() {
    let _alone = alone();
    let mut rabbit = Rabbit::start();
    let one = Node::start(rabbit.port).caught_up();
    let two = Node::start(rabbit.port).caught_up();
    let first: Vec<_> = (0..5)
        .map(|number| one.say_once(&format!("own-{number}"), &number.to_string()))
        .collect();
    let again = |node: &Node| {
        for (number, id) in first.iter().enumerate() {
            let tried = node.say_once(&format!("own-{number}"), "again");
            assert_eq!(tried, *id, "it is the same message");
        }
    };
    again(&one);
    again(&two);
    // A node that reads all from the stream knows the ids too, and the stream is there after a restart of the broker.
    drop(one);
    let later = Node::start(rabbit.port).caught_up();
    again(&later);
    rabbit.stop();
    rabbit.begin();
    again(&two);
    two.publish(5..6);
    let expected: Vec<String> = (0..6).map(|number| number.to_string()).collect();
    for node in [&two, &later] {
        let history = node.history(6);
        let data: Vec<_> = history.iter().map(|(_, data)| data.clone()).collect();
        assert_eq!(data, expected);
    }
}

#[test]
fn of_the_messages_with_one_key_every_node_keeps_the_newest() {
    let _alone = alone();
    let rabbit = Rabbit::start();
    let tables = "[[channel]]\nname = \"progress\"\nslow = \"conflate\"\n";
    let one = Node::start_with(rabbit.port, "", tables).caught_up();
    let other = Node::start_with(rabbit.port, "", tables).caught_up();
    for number in 0..50 {
        for key in ["job-1", "job-2"] {
            one.say("progress", key, &format!("{key}: {number}"));
        }
    }
    one.say("progress", "end", "end");
    let newest = ["job-1: 49", "job-2: 49", "end"];
    // One that comes later reads all of the stream, and keeps the same of it.
    let later = Node::start_with(rabbit.port, "", tables).caught_up();
    for node in [&one, &other, &later] {
        until("the last message", || {
            let all = node.get("/events/progress?last-event-id=earliest&format=json");
            all.contains("\"end\"").then_some(())
        });
        let history = node.history_of("progress", newest.len());
        let data: Vec<_> = history.iter().map(|(_, data)| data.as_str()).collect();
        assert_eq!(data, newest);
    }
}

#[test]
fn presence_is_that_of_all_nodes() {
    let _alone = alone();
    let rabbit = Rabbit::start();
    let one = Node::start(rabbit.port).caught_up();
    let two = Node::start(rabbit.port).caught_up();
    let _crowd = Crowd::of(7, &[one.port, two.port, one.port]);
    for node in [&one, &two] {
        until("both nodes to know of all", || {
            node.get("/events/c/presence")
                .contains("\"count\":7")
                .then_some(())
        });
    }
    drop(two);
    // Those of the node that is gone come to the other.
    until("the rest to be counted once", || {
        one.get("/events/c/presence")
            .contains("\"count\":7")
            .then_some(())
    });
}

#[test]
fn a_node_that_has_not_read_the_stream_serves_nobody_yet() {
    let _alone = alone();
    // Nothing listens there.
    let node = Node::start(1);
    let answer = node.get("/events/c");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.to_lowercase().contains("retry-after"), "{answer}");
}
