//! Persistent connections over an upgrade: what is sent on them is answered.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{App, Fixture};
use crate::support::{PATIENCE, Process, path, scratch, until};

/// A response: its status, whether the connection ends with it, and when to come back.
struct Response {
    status: u16,
    closes: bool,
    retry_after: bool,
}

/// One request and its response on an open connection.
fn exchange<S: Read + Write>(stream: &mut BufReader<S>, request: &str) -> io::Result<Response> {
    stream.get_mut().write_all(request.as_bytes())?;
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let field = |name: &str| {
        let mut lines = head.iter();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let length = field("content-length").map_or(0, |length| length.parse().unwrap());
    stream.read_exact(&mut vec![0; length])?;
    Ok(Response {
        status: head[0].split(' ').nth(1).unwrap().parse().unwrap(),
        closes: field("connection").is_some_and(|value| value == "close"),
        retry_after: field("retry-after").is_some(),
    })
}

/// Clients that keep their connections until they are told to close them.
struct Clients {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    workers: Vec<JoinHandle<Vec<String>>>,
}

impl Clients {
    fn new() -> Self {
        Self {
            stop: Arc::default(),
            answered: Arc::default(),
            workers: Vec::new(),
        }
    }

    /// One more client, with a pause between two requests.
    fn add<S: Read + Write + 'static>(
        &mut self,
        open: impl Fn() -> io::Result<S> + Send + 'static,
        request: String,
        pause: Duration,
    ) {
        let (stop, answered) = (Arc::clone(&self.stop), Arc::clone(&self.answered));
        self.workers.push(thread::spawn(move || {
            let mut lost = Vec::new();
            let mut kept: Option<BufReader<S>> = None;
            while !stop.load(Ordering::Relaxed) {
                let mut stream = kept
                    .take()
                    .unwrap_or_else(|| BufReader::new(open().unwrap()));
                match exchange(&mut stream, &request) {
                    Ok(response) => {
                        answered.fetch_add(1, Ordering::Relaxed);
                        if response.status == 503 && !response.retry_after {
                            lost.push("a 503 without Retry-After".to_owned());
                        } else if !matches!(response.status, 200 | 202 | 503) {
                            lost.push(format!("status {}", response.status));
                        }
                        kept = (!response.closes).then_some(stream);
                    }
                    Err(error) => lost.push(error.to_string()),
                }
                thread::sleep(pause);
            }
            lost
        }));
    }

    /// Waits until so many more requests were answered.
    fn go_on(&self, more: usize) {
        let from = self.answered.load(Ordering::Relaxed);
        until("more answers", || {
            (self.answered.load(Ordering::Relaxed) >= from + more).then_some(())
        });
    }

    /// The requests that were not answered.
    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    }
}

#[test]
fn upgrades_and_reloads_answer_every_request_and_every_publish_on_persistent_connections() {
    let app = App::serve();
    let fixture = Fixture::open(&format!("{}[[channel]]\nname = 'news'\n", app.table()));
    let mut clients = Clients::new();
    let (address, socket) = (fixture.http, fixture.socket.clone());
    let dial = move || {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    let admin = move || {
        // The next process opens the file of the socket anew.
        let stream = until("the admin socket", || UnixStream::connect(&socket).ok());
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    let publish =
        "POST /publish/news HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".to_owned();
    for pause in [0, 7, 40] {
        let pause = Duration::from_millis(pause);
        clients.add(dial, "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), pause);
        clients.add(admin.clone(), publish.clone(), pause);
    }
    let mut served = Vec::new();
    for _ in 0..4 {
        clients.go_on(100);
        served.push(Process::after_upgrade(&fixture.noren(&["upgrade"]).well()));
        clients.go_on(100);
        let _ = fixture.noren(&["reload"]).well();
    }
    clients.go_on(100);
    let lost = clients.end();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn a_subscriber_that_still_comes_to_the_old_process_is_sent_to_the_new_one() {
    let directory = scratch();
    let echo = path(&directory, "vm");
    super::echo_server(&echo);
    let fixture = Fixture::open(&format!(
        "[[bridge.target]]\ntoken = 'vm'\naddress = 'unix:{echo}'\n[[channel]]\nname = 'news'\n"
    ));
    // It keeps the old process alive: without a tunnel, that would end and take the subscriber along.
    let _console = fixture.ask(
        "GET /websockify?token=vm HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    );
    let stream = TcpStream::connect(fixture.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut early = BufReader::new(stream);
    let page = "GET /events/news HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n";
    assert_eq!(exchange(&mut early, page).unwrap().status, 200);
    let _end = Process::after_upgrade(&fixture.noren(&["upgrade"]).well());
    let listen = "GET /events/news HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    early.get_mut().write_all(listen.as_bytes()).unwrap();
    let (mut answer, begun) = (String::new(), Instant::now());
    while early.read_line(&mut answer).unwrap() > 0 {
        // Comments keep a stream alive for ever, so the patience is with all of it.
        assert!(begun.elapsed() < PATIENCE, "it goes on: {answer}");
    }
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("retry: "), "{answer}");
}
