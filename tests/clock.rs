//! The clock of the machine is put ahead or back by days while the door is in use: by NTP, by an administrator, or
//! because it was wrong since the start. Nothing that is open may end by it, and nothing that is kept be lost.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should fail where it stands; it plays its clients and its app itself"
)]

mod history;
mod permissions;

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Clock, Door, PATIENCE, Ran, path, run, scratch, until};

/// A door on a machine with a clock of its own, with a plain listener and an admin socket.
struct Fixture {
    door: Door,
    clock: Clock,
    http: SocketAddr,
    directory: TempDir,
}

impl Fixture {
    fn open(tables: &str) -> Self {
        Self::open_in(Clock::new(), scratch(), &[], tables)
    }

    fn open_in(
        clock: Clock,
        directory: TempDir,
        environment: &[(&str, &str)],
        tables: &str,
    ) -> Self {
        let tables = format!(
            "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'http'\n[admin]\nsocket = '{}'\n{tables}",
            path(&directory, "admin.sock")
        );
        let door = Door::by_clock(&clock, environment, &tables);
        Self {
            http: door.plain(),
            door,
            clock,
            directory,
        }
    }

    /// Kills the door, puts the clock, and opens one with the same files.
    fn crash_and_open(self, days: i64, tables: &str) -> Self {
        let Self {
            door,
            clock,
            directory,
            ..
        } = self;
        drop(door);
        clock.set(days);
        Self::open_in(clock, directory, &[], tables)
    }

    fn admin(&self, request: &str) -> Answer {
        let socket = path(&self.directory, "admin.sock");
        let stream = until("the admin socket", || UnixStream::connect(&socket).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Answer::of(stream, request)
    }

    fn get(&self, path: &str, lines: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
        Answer::of(connect(self.http), &request)
    }

    fn noren(&self, verb: &str) -> Ran {
        let socket = path(&self.directory, "admin.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
        run(command.args([verb, "--socket", &socket])).well()
    }

    /// Publishes, and gives the id.
    fn say(&self, channel: &str, text: &str) -> String {
        let answer = self.admin(&format!(
            "POST /publish/{channel} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{text}",
            text.len()
        ));
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// The reason of the gap, if there is one, and the texts that a page gets which comes back with this id.
    fn missed(&self, channel: &str, cursor: &str) -> (Option<String>, Vec<String>) {
        let answer = self.get(
            &format!("/events/{channel}?last-event-id={cursor}&wait=0"),
            "",
        );
        let object = answer.json();
        let texts = object["messages"].as_array().unwrap().iter();
        let texts = texts.map(|message| message["data"].as_str().unwrap().to_owned());
        let reset = object["reset"]["reason"].as_str().map(str::to_owned);
        (reset, texts.collect())
    }

    /// Puts the clock, and proves that the door goes by it: by what it tells its clients, and by its log.
    fn jump(&self, days: i64) {
        self.clock.set(days);
        // The day may end while it answers.
        let before = self.clock.day();
        let marker = format!("/today-{}", self.door.log().len());
        let date = self.get(&marker, "").field("date");
        let after = self.clock.day();
        assert!(
            date.contains(&before[1]) || date.contains(&after[1]),
            "{days} days: {date}, and neither {before:?} nor {after:?}"
        );
        until("its line in the log", || {
            let log = self.door.log();
            let line = log.lines().find(|line| line.contains(&marker))?.to_owned();
            assert!(
                line.starts_with(&before[0]) || line.starts_with(&after[0]),
                "{line}"
            );
            Some(())
        });
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// An answer to a request that is alone on its connection.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(mut stream: impl Read + Write, request: &str) -> Self {
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn field(&self, name: &str) -> String {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found
            .unwrap_or_else(|| panic!("{}", self.head))
            .1
            .to_owned()
    }
}

/// An event stream.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(fixture: &Fixture, target: &str, lines: &str) -> Self {
        let mut stream = connect(fixture.http);
        write!(
            stream,
            "GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{lines}\r\n"
        )
        .unwrap();
        let mut events = Self(BufReader::new(stream));
        let status = events.line().unwrap();
        assert!(status.contains(" 200 "), "{status}");
        // The first block tells where it begins.
        while !events.line().unwrap().starts_with("id: ") {}
        events
    }

    /// None at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).unwrap();
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The data of the next message.
    fn data(&mut self) -> String {
        loop {
            let line = self.line().expect("the stream goes on");
            assert!(!line.contains("reset"), "{line}");
            if let Some(data) = line.strip_prefix("data: ") {
                return data.to_owned();
            }
        }
    }

    /// All that still comes, to the last chunk.
    fn rest(mut self) -> String {
        let mut rest = String::new();
        while let Some(line) = self.line().filter(|line| line != "0") {
            rest.push_str(&line);
            rest.push('\n');
        }
        rest
    }
}

/// An app that says ok; to `/held` only when it is told to.
struct App {
    address: SocketAddr,
    asked: Receiver<()>,
    say: SyncSender<()>,
}

impl App {
    fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = sync_channel(1);
        let (say, wait) = sync_channel(1);
        thread::spawn(move || {
            let wait = Arc::new(Mutex::new(wait));
            for stream in listener.incoming() {
                let (tell, wait) = (tell.clone(), Arc::clone(&wait));
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream.unwrap());
                    let mut line = String::new();
                    while stream.read_line(&mut line).unwrap_or(0) > 0 {
                        if line.starts_with("GET /held ") {
                            tell.send(()).unwrap();
                            wait.lock().unwrap().recv().unwrap();
                        }
                        let ends = line == "\r\n";
                        line.clear();
                        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        if ends && stream.get_mut().write_all(ok).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            address,
            asked,
            say,
        }
    }

    fn table(&self) -> String {
        format!("[[app]]\nurl = 'http://{}'\n", self.address)
    }
}

/// A console that says back what it hears, for one page.
fn echo(socket: &str) {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    });
}

const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: upgrade, close\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A page's console.
struct Console(BufReader<TcpStream>);

impl Console {
    fn open(fixture: &Fixture) -> Self {
        let mut stream = connect(fixture.http);
        write!(
            stream,
            "GET /websockify?token=vm HTTP/1.1\r\nHost: x\r\n{HANDSHAKE}\r\n"
        )
        .unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.contains(" 101 "), "{line}");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
        }
        Self(stream)
    }

    fn says_back(&mut self, byte: u8) {
        let frame = [0x82, 0x81, 0, 0, 0, 0, byte];
        self.0.get_mut().write_all(&frame).unwrap();
        let mut frame = [0; 3];
        self.0.read_exact(&mut frame).unwrap();
        assert_eq!(frame, [0x82, 1, byte]);
    }
}

/// A service manager's notification socket.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(socket: &str) -> Self {
        Self(UnixDatagram::bind(socket).unwrap())
    }

    /// The next sign of life from now on.
    fn hears_the_watchdog(&self) {
        let mut message = [0; 256];
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut message).is_ok() {}
        until("a sign of life", || {
            let length = self.0.recv(&mut message).ok()?;
            message[..length].starts_with(b"WATCHDOG=1").then_some(())
        });
    }
}

/// The moments in a status: since when each thing is.
fn moments(status: &Value) -> Vec<u64> {
    let mut moments = vec![status["since"].as_u64().unwrap()];
    for list in ["tunnels", "subscriptions", "sources"] {
        let rows = status[list].as_array().unwrap();
        assert!(!rows.is_empty(), "{list}");
        moments.extend(rows.iter().map(|row| row["since"].as_u64().unwrap()));
    }
    moments
}

/// No part of this test takes as long, and no jump is as short.
const HOUR: u64 = 60 * 60 * 1000;

#[test]
fn ten_days_ahead_and_ten_days_back_end_nothing_and_lose_nothing() {
    let (directory, app) = (scratch(), App::serve());
    let file = |name: &str| path(&directory, name);
    echo(&file("vm"));
    let manager = Manager::listen(&file("manager"));
    let environment = [
        ("NOTIFY_SOCKET", file("manager")),
        ("WATCHDOG_USEC", "1000000".to_owned()),
    ];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let tables = format!(
        "{}[limits]\nconnections = 1000\n[bridge]\nidle = '1h'\n\
         [[bridge.target]]\ntoken = 'vm'\naddress = 'unix:{}'\n\
         [[channel]]\nname = 'news'\n[[channel.source]]\nsource = 'listen'\naddress = 'unix:{}'\n\
         [[channel]]\nname = 'short'\n[channel.history]\nage = '1s'\n",
        app.table(),
        file("vm"),
        file("source"),
    );
    let fixture = Fixture::open_in(Clock::new(), scratch(), &environment, &tables);

    let mut console = Console::open(&fixture);
    let begin = fixture.say("news", "first");
    let mut page = Events::open(&fixture, "/events/news", "");
    let mut kept_alive = BufReader::new(connect(fixture.http));
    let mut said = Vec::new();
    for (number, days) in (b'a'..).zip([0, 10, -10, 0]) {
        let _ = fixture.say("short", "from before");
        let mut waiting = connect(fixture.http);
        let held = b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        waiting.write_all(held).unwrap();
        app.asked.recv_timeout(PATIENCE).unwrap();

        fixture.jump(days);

        app.say.send(()).unwrap();
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{days}: {answer}");
        assert!(answers(&mut kept_alive), "{days}");
        console.says_back(number);
        let text = format!("{days} days, {number}");
        let last = said.last().cloned();
        let id = fixture.say("news", &text);
        assert_eq!(page.data(), text);
        said.push((id, text));
        manager.hears_the_watchdog();

        // Once what is old by the true time is gone, old messages have been looked for since the jump.
        let _ = fixture.say("short", "from after");
        until("the short history to be empty", || {
            fixture
                .missed("short", "earliest")
                .1
                .is_empty()
                .then_some(())
        });
        let texts: Vec<_> = said.iter().map(|(_, text)| text.clone()).collect();
        assert_eq!(fixture.missed("news", &begin), (None, texts));
        if let Some((cursor, _)) = last {
            let resume = format!("Last-Event-ID: {cursor}\r\n");
            let mut again = Events::open(&fixture, "/events/news", &resume);
            assert_eq!(again.data(), said.last().unwrap().1);
        }
        let now = fixture.clock.milliseconds();
        let status = fixture.admin("GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        for moment in moments(&status.json()) {
            assert!(now.abs_diff(moment) < HOUR, "{days}: {moment}, now {now}");
        }
    }
    let log = fixture.door.log();
    assert!(!log.contains("tunnel closed"), "{log}");
    assert!(!log.contains(" ERROR ") && !log.contains(" WARN "), "{log}");
    let _ = fs::metadata(file("source")).unwrap();
}

/// A request on a connection that was there before.
fn answers(stream: &mut BufReader<TcpStream>) -> bool {
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.get_mut().write_all(request).unwrap();
    let (mut line, mut good) = (String::new(), false);
    while line != "\r\n" {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "it was closed");
        good |= line.starts_with("HTTP/1.1 200 ");
    }
    let mut body = [0; 2];
    stream.read_exact(&mut body).unwrap();
    good && &body == b"ok"
}
