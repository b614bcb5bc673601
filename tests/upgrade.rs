//! Reload and upgrade of the program as it runs: by its admin socket, while it is in use.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should fail where it stands; it plays its clients on threads"
)]

mod drained;
mod kept;
mod shared;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::{Door, PATIENCE, Process, Ran, path, pause, run, scratch, until};

/// A door with an admin socket and a plain listener beside that of every door.
struct Fixture {
    door: Door,
    socket: String,
    http: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn open(tables: &str) -> Self {
        let directory = scratch();
        let socket = path(&directory, "admin.sock");
        let door = Door::open(&format!(
            "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'http'\n[admin]\nsocket = '{socket}'\n{tables}"
        ));
        let http = door.plain();
        until("the admin socket", || {
            fs::exists(&socket).unwrap().then_some(())
        });
        Self {
            door,
            socket,
            http,
            _directory: directory,
        }
    }

    fn noren(&self, arguments: &[&str]) -> Ran {
        let (command, rest) = arguments.split_first().unwrap();
        run(Command::new(env!("CARGO_BIN_EXE_noren"))
            .arg(command)
            .args(["--socket", &self.socket])
            .args(rest))
    }

    /// The next process takes the sockets, and then fails at one of its own.
    fn upgrade_that_fails(&self) -> Ran {
        let file = self.door.file("noren.toml");
        let good = fs::read_to_string(&file).unwrap();
        let blocked = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = blocked.local_addr().unwrap();
        let more = format!("{good}[[listener]]\naddress = '{address}'\nprotocol = 'http'\n");
        fs::write(&file, more).unwrap();
        let refused = self.noren(&["upgrade"]);
        fs::write(&file, good).unwrap();
        refused
    }

    fn ask(&self, head: &str) -> BufReader<TcpStream> {
        ask(self.http, head)
    }
}

fn ask(address: SocketAddr, head: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{head}\r\nHost: x\r\n\r\n").unwrap();
    BufReader::new(stream)
}

fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_reload_says_what_is_wrong_and_changes_nothing_or_that_it_is_in_force() {
    let fixture = Fixture::open("[[channel]]\nname = 'old'\n");
    let file = fixture.door.file("noren.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        good.replace("'old'", "'new'").replace("[admin]", "[admim]"),
    )
    .unwrap();
    let refused = fixture.noren(&["reload"]);
    assert_eq!(refused.status.code(), Some(78), "{}", refused.stderr);
    assert!(refused.stderr.contains("noren.toml:"), "{}", refused.stderr);
    assert!(refused.stderr.contains("admim"), "{}", refused.stderr);
    let _ = fixture.noren(&["publish", "old", "still here"]).well();

    fs::write(&file, good.replace("'127.0.0.1:0'", "'127.0.0.1:1'")).unwrap();
    let refused = fixture.noren(&["reload"]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(
        refused
            .stderr
            .contains("[[listener]] cannot be changed by a reload"),
        "{}",
        refused.stderr
    );

    fs::write(&file, good.replace("'old'", "'new'")).unwrap();
    let taken = fixture.noren(&["reload"]).well();
    assert_eq!(taken.stdout, "the configuration is in force\n");
    let _ = fixture.noren(&["publish", "new", "here"]).well();
    assert!(!fixture.noren(&["publish", "old", "gone"]).status.success());
}

#[test]
fn a_storm_of_reloads_loses_no_request() {
    let app = App::serve();
    let fixture = Fixture::open(&app.table());
    let load = Load::on(fixture.http);
    for _ in 0..30 {
        let _ = fixture.noren(&["reload"]).well();
    }
    load.go_on_until(30);
    let (asked, lost) = load.end();
    assert!(lost.is_empty(), "of {asked}: {lost:?}");
}

#[test]
fn an_upgrade_under_load_loses_no_request_no_console_and_no_message() {
    let app = App::serve();
    let directory = scratch();
    let echo = path(&directory, "vm");
    echo_server(&echo);
    let fixture = Fixture::open(&format!(
        "{}[[bridge.target]]\ntoken = 'vm'\naddress = 'unix:{echo}'\n[[channel]]\nname = 'news'\n",
        app.table()
    ));
    let mut console = fixture.ask(
        "GET /websockify?token=vm HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    );
    assert!(line(&mut console).contains("101"));
    while line(&mut console) != "\r\n" {}
    says_back(&mut console, b'1');
    let heard = Subscriber::listen(fixture.http);
    let load = Load::on(fixture.http);
    for number in 0..20 {
        say(&fixture, number);
    }

    // By the signal first: the old process stays for its console, so it can be asked for its child.
    let old = fixture.door.process();
    let _ = run(Command::new("kill").args(["-USR2", &old.to_string()])).well();
    let next = until("the second process", || {
        let serves = fixture.door.log().contains("another process serves now");
        serves.then(|| children_of(old))?.first().copied()
    });
    let _end = Process(next);
    for number in 20..40 {
        say(&fixture, number);
    }
    heard.until_all(40);
    says_back(&mut console, b'2');
    assert!(
        running(fixture.door.process()),
        "the old process keeps the console"
    );
    // And once more, by the command: the new one is as good as the old.
    let third = Process::after_upgrade(&fixture.noren(&["upgrade"]).well());
    load.go_on_until(100);
    let (asked, lost) = load.end();
    assert!(lost.is_empty(), "of {asked}: {lost:?}");
    says_back(&mut console, b'3');
    drop(console);
    until("the old process to end with its last tunnel", || {
        (!running(fixture.door.process())).then_some(())
    });
    assert!(running(third.0));
}

#[test]
fn an_old_process_that_is_ended_closes_its_consoles_and_the_new_one_serves_on() {
    let directory = scratch();
    let echo = path(&directory, "vm");
    echo_server(&echo);
    let fixture = Fixture::open(&format!(
        "[[bridge.target]]\ntoken = 'vm'\naddress = 'unix:{echo}'\n"
    ));
    let mut console = fixture.ask(
        "GET /websockify?token=vm HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    );
    assert!(line(&mut console).contains("101"));
    while line(&mut console) != "\r\n" {}
    says_back(&mut console, b'1');
    let old = fixture.door.process();
    let upgraded = fixture.noren(&["upgrade"]).well();
    assert!(
        upgraded.stdout.contains(&format!("process {old} stays")),
        "{}",
        upgraded.stdout
    );
    let new = Process::after_upgrade(&upgraded);
    says_back(&mut console, b'2');
    let _ = run(Command::new("kill").arg(old.to_string())).well();
    let mut head = next_head(&mut console);
    assert_eq!(head[0], 0x88);
    console.read_exact(&mut head).unwrap();
    assert_eq!(head, 1001_u16.to_be_bytes());
    drop(console);
    until("the old process to end", || (!running(old)).then_some(()));
    assert!(running(new.0));
    fixture.noren(&["status"]).well();
}

#[test]
fn an_upgrade_loses_nothing_of_a_history_on_disk_and_neither_does_one_that_fails() {
    let directory = scratch();
    let store = path(&directory, "histories");
    let fixture = Fixture::open(&format!(
        "[hub]\nstore = '{store}'\n[[channel]]\nname = 'news'\n[channel.history]\nstore = 'disk'\nmessages = 100\n"
    ));
    let heard = Subscriber::listen(fixture.http);
    for number in 0..10 {
        say(&fixture, number);
    }
    let refused = fixture.upgrade_that_fails();
    assert!(
        refused.stderr.contains("did not begin to serve"),
        "{}",
        refused.stderr
    );
    for number in 10..20 {
        say(&fixture, number);
    }
    let mut served = Vec::new();
    for round in 2..5 {
        served.push(Process::after_upgrade(&fixture.noren(&["upgrade"]).well()));
        for number in round * 10..round * 10 + 10 {
            say(&fixture, number);
        }
    }
    heard.until_all(50);
    // The last process has it from the disk: histories there are not handed over.
    let heard = fixture.noren(&[
        "subscribe",
        "news",
        "--from",
        "earliest",
        "--json",
        "--once",
        "50",
    ]);
    let heard = heard.well().stdout;
    let kept: Vec<serde_json::Value> = heard
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kept: Vec<_> = kept.iter().map(|message| &message["data"]).collect();
    let said: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(kept, said.iter().collect::<Vec<_>>());
}

#[test]
fn a_program_that_cannot_take_over_leaves_the_old_one_serving() {
    let app = App::serve();
    let fixture = Fixture::open(&format!("{}[[channel]]\nname = 'news'\n", app.table()));
    let file = fixture.door.file("noren.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{good}nonsense = 1\n")).unwrap();
    let refused = fixture.noren(&["upgrade"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        refused.stderr.contains("did not come up"),
        "{}",
        refused.stderr
    );
    fs::write(&file, good).unwrap();
    let refused = fixture.upgrade_that_fails();
    assert!(
        refused.stderr.contains("did not begin to serve"),
        "{}",
        refused.stderr
    );
    assert!(
        fixture.door.log().contains("another program listens"),
        "its reason is in the log"
    );
    let _ = fixture.noren(&["publish", "news", "still here"]).well();
    assert!(line(&mut fixture.ask("GET / HTTP/1.1")).contains("200"));
}

fn say(fixture: &Fixture, number: usize) {
    // For a moment the messages are on their way to the other process; whoever publishes is told. The id makes a second
    // try harmless, should only the answer be lost.
    let number = number.to_string();
    until("a message taken", || {
        let said = fixture.noren(&["publish", "--id", &number, "news", &number]);
        said.status.success().then_some(())
    });
}

/// Sends one masked binary frame to an echo and reads the answer.
fn says_back(console: &mut BufReader<TcpStream>, byte: u8) {
    console
        .get_mut()
        .write_all(&[0x82, 0x81, 0, 0, 0, 0, byte])
        .unwrap();
    let head = next_head(console);
    let mut payload = [0];
    console.read_exact(&mut payload).unwrap();
    assert_eq!((head, payload), ([0x82, 1], [byte]));
}

/// The first two bytes of the next frame that is no ping: on a slow machine Noren pings in between.
fn next_head(console: &mut BufReader<TcpStream>) -> [u8; 2] {
    let mut head = [0x89, 0];
    while head == [0x89, 0] {
        console.read_exact(&mut head).unwrap();
    }
    head
}

fn echo_server(path: &str) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    });
}

fn running(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

/// Children of all threads of a process.
fn children_of(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let children =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let numbers: Vec<String> = children.collect();
    let numbers = numbers.iter().flat_map(|line| line.split_whitespace());
    numbers.filter_map(|child| child.parse().ok()).collect()
}

/// An app that says ok to everything.
struct App(SocketAddr);

impl App {
    fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(|| answer(BufReader::new(stream.unwrap())));
            }
        });
        Self(address)
    }

    fn table(&self) -> String {
        format!("[[app]]\nurl = 'http://{}'\n", self.0)
    }
}

fn answer(mut stream: BufReader<TcpStream>) {
    let mut head = String::new();
    while stream.read_line(&mut head).unwrap_or(0) > 2 {}
    if !head.is_empty() {
        let _ = stream
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
}

/// New connections, one after the other, with a request each.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    workers: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Load {
    fn on(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicUsize::new(0));
        let worker = |_| {
            let (stop, begun) = (Arc::clone(&stop), Arc::clone(&asked));
            thread::spawn(move || {
                let (mut asked, mut lost) = (0, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    asked += 1;
                    begun.fetch_add(1, Ordering::Relaxed);
                    match get(address) {
                        Ok(text) if text.starts_with("HTTP/1.1 200 ") && text.ends_with("ok") => {}
                        other => lost.push(format!("{other:?}")),
                    }
                }
                (asked, lost)
            })
        };
        let workers = (0..2).map(worker).collect();
        let load = Self {
            stop,
            asked,
            workers,
        };
        load.go_on_until(20);
        load
    }

    fn go_on_until(&self, count: usize) {
        until("requests of the load", || {
            (self.asked.load(Ordering::Relaxed) > count).then_some(())
        });
    }

    /// Number of requests sent, and the responses other than a whole 200.
    fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.workers
            .into_iter()
            .fold((0, Vec::new()), |(asked, mut lost), worker| {
                let (more, others) = worker.join().unwrap();
                lost.extend(others);
                (asked + more, lost)
            })
    }
}

fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// An event stream that comes back with its last id, as a browser does.
struct Subscriber(Arc<std::sync::Mutex<Heard>>);

/// The events of a subscriber, and their connections.
#[derive(Debug, Default)]
struct Heard {
    /// The data of all events.
    data: Vec<String>,
    /// Everything that the current connection brought, and the ends of those before, for a test that fails.
    connections: Vec<String>,
}

impl Subscriber {
    fn listen(address: SocketAddr) -> Self {
        let heard = Arc::new(std::sync::Mutex::new(Heard::default()));
        let (own, ready) = (Arc::clone(&heard), Arc::new(AtomicBool::new(false)));
        let open = Arc::clone(&ready);
        let note = move |text: &str| own.lock().unwrap().connections.push(text.to_owned());
        let own = Arc::clone(&heard);
        thread::spawn(move || {
            let mut last = String::new();
            // Until the test and its doors have ended.
            loop {
                if let Err(error) = TcpStream::connect(address) {
                    return note(&format!("no connection: {error}"));
                }
                let mut stream = ask(
                    address,
                    &format!("GET /events/news HTTP/1.1\r\nAccept: text/event-stream{last}"),
                );
                own.lock().unwrap().connections.push(String::new());
                let (mut text, mut id, mut data) = (String::new(), None, None);
                loop {
                    match stream.read_line(&mut text) {
                        Ok(0) => break note("closed"),
                        Err(error) => break note(&error.to_string()),
                        // The last chunk: a browser does not wait until the connection is closed.
                        Ok(_) if text == "0\r\n" => break note("ended"),
                        Ok(_) => {}
                    }
                    // Chunks have their length between them.
                    if let Some(value) = text.strip_prefix("id: ") {
                        id = Some(value.trim().to_owned());
                    } else if let Some(value) = text.strip_prefix("data: ") {
                        data = Some(value.trim().to_owned());
                    } else if text == "\n" {
                        // Only a whole event counts: one that breaks off comes again.
                        if let Some(id) = id.take() {
                            last = format!("\r\nLast-Event-ID: {id}");
                            open.store(true, Ordering::Relaxed);
                        }
                        own.lock().unwrap().data.extend(data.take());
                    }
                    own.lock()
                        .unwrap()
                        .connections
                        .last_mut()
                        .unwrap()
                        .push_str(&text);
                    text.clear();
                }
            }
        });
        until("the subscriber", || {
            ready.load(Ordering::Relaxed).then_some(())
        });
        Self(heard)
    }

    /// Waits until the numbers from 0 to this have come, once and in order.
    fn until_all(&self, count: usize) {
        let begin = Instant::now();
        loop {
            let so_far = self.so_far();
            let expected: Vec<String> =
                (0..so_far.len()).map(|number| number.to_string()).collect();
            assert_eq!(so_far, expected);
            if so_far.len() == count {
                return;
            }
            let heard = self.0.lock().unwrap();
            assert!(begin.elapsed() < PATIENCE, "{count} messages in {heard:#?}");
            drop(heard);
            pause(Duration::from_millis(20));
        }
    }

    fn so_far(&self) -> Vec<String> {
        self.0.lock().unwrap().data.clone()
    }
}
