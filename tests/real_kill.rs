//! `kill -9` on the whole program, again and again while it is told things: what it has acknowledged is there
//! afterwards, in order and once, for who comes anew and for who comes back.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

mod mercure;

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{PATIENCE, alone, path, pause, scratch, until};

const KILLS: usize = 100;
const PUBLISHERS: usize = 3;

/// The program, its files, and where it is told and heard.
struct Fixture {
    directory: TempDir,
    config: String,
    admin: String,
    door: String,
}

impl Fixture {
    fn new() -> Self {
        Self::with(
            scratch(),
            "[[channel]]\nname = 'log'\n[channel.history]\nstore = 'disk'\nmessages = 1000000\nsize = '256MiB'\n",
        )
    }

    fn with(directory: TempDir, tables: &str) -> Self {
        let fixture = Self {
            config: path(&directory, "noren.toml"),
            admin: path(&directory, "admin.sock"),
            door: path(&directory, "door.sock"),
            directory,
        };
        let settings = format!(
            "[[listener]]\naddress = 'unix:{}'\nprotocol = 'http'\n[admin]\nsocket = '{}'\n\
             [log]\nlevel = 'warn'\n[limits]\nconnections-per-address = 0\nrequest-rate = 0\n[hub]\nstore = '{}'\n\
             {tables}",
            fixture.door,
            fixture.admin,
            path(&fixture.directory, "store")
        );
        std::fs::write(&fixture.config, settings).unwrap();
        fixture
    }

    fn start(&self) -> Program {
        let started = Command::new(env!("CARGO_BIN_EXE_noren"))
            .args(["serve", "--config", &self.config])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Program(started.expect("the binary that cargo built for this test"))
    }

    /// Publishes; the id, once it is acknowledged. Any error is a kill that came before.
    fn publish(&self, text: &str) -> io::Result<String> {
        let answer = ask(
            &self.admin,
            &format!(
                "POST /publish/log HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n\
                 Content-Length: {}\r\n\r\n{text}",
                text.len()
            ),
        )?;
        let object: Value = serde_json::from_str(&answer)?;
        let id = object["id"].as_str();
        Ok(id.ok_or(io::ErrorKind::InvalidData)?.to_owned())
    }

    /// One poll: the cursor behind it, and the texts.
    fn poll(&self, cursor: &str, wait: u8) -> io::Result<(String, Vec<String>)> {
        let answer = ask(
            &self.door,
            &format!(
                "GET /events/log?last-event-id={cursor}&wait={wait} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ),
        )?;
        let object: Value = serde_json::from_str(&answer)?;
        assert_eq!(object["reset"], Value::Null, "{answer}");
        let messages = object["messages"].as_array();
        let messages = messages.ok_or(io::ErrorKind::InvalidData)?.iter();
        let texts = messages.map(|message| message["data"].as_str().unwrap().to_owned());
        Ok((object["id"].as_str().unwrap().to_owned(), texts.collect()))
    }

    /// All there is behind a cursor.
    fn read(&self, mut cursor: String) -> (String, Vec<String>) {
        let mut all = Vec::new();
        loop {
            let (next, texts) = self.poll(&cursor, 0).unwrap();
            cursor = next;
            if texts.is_empty() {
                return (cursor, all);
            }
            all.extend(texts);
        }
    }
}

/// A run of the program, which ends in one way only.
struct Program(Child);

impl Program {
    /// SIGKILL. What has ended already cannot be killed, which is as good.
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Lets the threads of the test end, also when it has failed.
struct Over<'a>(&'a Said);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
        self.0.silent.store(true, Ordering::Relaxed);
    }
}

/// One request on a connection of its own; the body of a good answer.
fn ask(socket: &str, request: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let (mut size, mut line) = (None, String::new());
    while reader.read_line(&mut line)? > 0 && line.trim() != "" {
        if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            size = length.trim().parse().ok();
        }
        line.clear();
    }
    // An answer that the kill cut off is none.
    let mut body = vec![0; size.ok_or(io::ErrorKind::UnexpectedEof)?];
    reader.read_exact(&mut body)?;
    String::from_utf8(body).map_err(io::Error::other)
}

/// Messages that were acknowledged, and those that were only sent: `publisher:number`.
#[derive(Default)]
struct Said {
    acknowledged: Mutex<Vec<String>>,
    tried: AtomicUsize,
    /// Nothing more is to be said.
    over: AtomicBool,
    /// Nothing more will be said: the last publisher has its last answer.
    silent: AtomicBool,
}

/// Says one thing after the other, whether or not somebody listens.
fn speak(fixture: &Fixture, publisher: usize, said: &Said) {
    let mut number = 0;
    while !said.over.load(Ordering::Relaxed) {
        let text = format!("{publisher}:{number}");
        number += 1;
        said.tried.fetch_add(1, Ordering::Relaxed);
        match fixture.publish(&text) {
            Ok(_) => said.acknowledged.lock().unwrap().push(text),
            Err(_) => pause(Duration::from_millis(2)),
        }
    }
}

/// A page that comes back again and again with the last id it saw.
fn listen(fixture: &Fixture, from: String, said: &Said) -> Vec<String> {
    let (mut cursor, mut heard) = (from, Vec::new());
    while !said.silent.load(Ordering::Relaxed) {
        match fixture.poll(&cursor, 1) {
            Ok((next, texts)) => {
                cursor = next;
                heard.extend(texts);
            }
            Err(_) => pause(Duration::from_millis(2)),
        }
    }
    heard.extend(fixture.read(cursor).1);
    heard
}

/// Each publisher waits for its answers, so what it said must come in the order of its numbers, and nothing twice.
fn is_in_order_and_once(heard: &[String]) {
    let mut next = [0; PUBLISHERS];
    for text in heard {
        let (publisher, number) = text.split_once(':').unwrap();
        let (publisher, number): (usize, usize) =
            (publisher.parse().unwrap(), number.parse().unwrap());
        assert!(number >= next[publisher], "{text} is late, or came twice");
        next[publisher] = number + 1;
    }
}

#[test]
fn a_hundred_kills_while_publishing_lose_nothing_that_was_acknowledged() {
    let _alone = alone();
    let (fixture, said) = (Fixture::new(), Said::default());
    let mut program = fixture.start();
    let begin = until("a first cursor", || fixture.poll("earliest", 0).ok()).0;
    let heard = std::thread::scope(|scope| {
        let (fixture, said) = (&fixture, &said);
        let over = Over(said);
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| scope.spawn(move || speak(fixture, publisher, said)))
            .collect();
        let page = scope.spawn(move || listen(fixture, begin, said));
        for kill in 0..KILLS {
            let before = said.acknowledged.lock().unwrap().len();
            until("something to be acknowledged", || {
                (said.acknowledged.lock().unwrap().len() > before + kill % 17).then_some(())
            });
            program.kill();
            program = fixture.start();
        }
        until("it to be there once more", || {
            fixture.poll("earliest", 0).ok()
        });
        // Only then the page: what it reads at its end is all there will be.
        said.over.store(true, Ordering::Relaxed);
        for publisher in publishers {
            publisher.join().unwrap();
        }
        drop(over);
        page.join().unwrap()
    });
    let (_, kept) = fixture.read("earliest".to_owned());
    drop(program);

    let acknowledged = said.acknowledged.into_inner().unwrap();
    let tried = said.tried.into_inner();
    assert!(acknowledged.len() > KILLS && tried > acknowledged.len());
    for list in [&kept, &heard] {
        is_in_order_and_once(list);
        let all: BTreeSet<_> = list.iter().collect();
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|text| !all.contains(text))
            .collect();
        assert!(
            lost.is_empty(),
            "of {} acknowledged: {lost:?}",
            acknowledged.len()
        );
    }
    // Messages that are not kept were shown to nobody, and the page has received all that are.
    assert_eq!(heard, kept);
}
