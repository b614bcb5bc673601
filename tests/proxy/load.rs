//! Several addresses of an app under load: drains, reloads, and an address that is killed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::draining::{Fixture, app};
use crate::harness::{Door, Wire, until, within};

/// The requests that the addresses have got, each with how often.
type Seen = Arc<Mutex<BTreeMap<String, usize>>>;

/// One address that answers every request a moment later, until it is killed.
struct Node {
    address: String,
    end: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Node {
    async fn start(seen: &Seen) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (end, mut ended) = oneshot::channel();
        let seen = Arc::clone(seen);
        let running = tokio::spawn(async move {
            let mut workers = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        workers.spawn(serve(accepted.unwrap().0, Arc::clone(&seen)));
                    }
                    _ = &mut ended => break,
                }
            }
            // As the kernel does it for a process that was killed.
            drop(listener);
            workers.shutdown().await;
        });
        Self {
            address,
            end,
            running,
        }
    }

    async fn kill(self) {
        let _ = self.end.send(());
        within("the end of the address", self.running)
            .await
            .unwrap();
    }
}

async fn serve(socket: TcpStream, seen: Seen) {
    let mut worker = Wire::new(socket);
    while worker.input.has(1).await {
        let head = worker.head().await;
        let body = worker.input.body_of_request(&head).await;
        let start = head.start.replace(" HTTP/1.1", "");
        *seen.lock().unwrap().entry(start.clone()).or_default() += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
        let length = start.len() + body.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{start}");
        let answer = [head.as_bytes(), &body].concat();
        if worker.output.try_send(&answer).await.is_err() {
            return;
        }
    }
}

/// A visitor that sends GETs and POSTs, all different, until it is told to stop; returns those that were not answered
/// as they should be.
async fn visit(http: SocketAddr, name: usize, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let mut cookie = String::new();
    let (mut count, mut bad) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        // A new connection now and then, as browsers do it.
        let mut client = Wire::new(TcpStream::connect(http).await.unwrap());
        for _ in 0..8 {
            count += 1;
            let lines = format!("Host: door.example\r\n{cookie}");
            let (start, rest) = if count % 2 == 0 {
                (format!("GET /{name}-{count}"), "")
            } else {
                (format!("POST /{name}-{count}"), "Content-Length: 2\r\n")
            };
            let body = if rest.is_empty() { "" } else { "hi" };
            let request = format!("{start} HTTP/1.1\r\n{lines}{rest}\r\n{body}");
            let answer = client.ask(&request).await;
            if let Some(set) = answer.head.one("set-cookie") {
                cookie = format!("Cookie: {}\r\n", set.split(';').next().unwrap());
            }
            if answer.status != 200 || answer.text() != format!("{start}{body}") {
                bad.push(format!("{start}: {}", answer.status));
            }
            if answer.head.one("connection") == Some("close") {
                break;
            }
        }
    }
    (count, bad)
}

/// Visitors beside an operator; when that is done, the requests that did not go well.
async fn under_load(door: &Door, operator: impl Future<Output = ()>) -> Vec<String> {
    let stop = Arc::new(AtomicBool::new(false));
    let visitors: Vec<_> = (0..12)
        .map(|name| tokio::spawn(visit(door.http, name, Arc::clone(&stop))))
        .collect();
    operator.await;
    stop.store(true, Ordering::Relaxed);
    let (mut count, mut bad) = (0, Vec::new());
    for visitor in visitors {
        let (own, not_well) = within("a visitor", visitor).await.unwrap();
        count += own;
        bad.extend(not_well);
    }
    assert!(count > 100, "{count}");
    bad
}

fn requests(seen: &Seen) -> usize {
    seen.lock().unwrap().values().sum()
}

async fn until_served(seen: &Seen, more: usize) {
    let all = requests(seen) + more;
    until("more requests", || async {
        (requests(seen) >= all).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn drains_and_reloads_under_load_cost_no_visitor_anything() {
    for affinity in ["none", "cookie", "address"] {
        let seen = Seen::default();
        let (a, b, c) = (
            Node::start(&seen).await,
            Node::start(&seen).await,
            Node::start(&seen).await,
        );
        let all = [&*a.address, &*b.address, &*c.address];
        let keys = format!("workers = 6\naffinity = '{affinity}'\n");
        let fixture = Fixture::open(&all, &keys).await;
        let operator = async {
            for round in 0..4 {
                for (at, address) in all.iter().enumerate() {
                    assert_eq!(fixture.drain(address).await.status, 200);
                    if round == 2 {
                        fixture.reload(&fixture.app);
                    }
                    until("nothing to be in progress there", || async {
                        (fixture.load(address).await == (0, 0)).then_some(())
                    })
                    .await;
                    until_served(&seen, 30).await;
                    assert_eq!(fixture.load(address).await, (0, 0), "{at}");
                    fixture.undo(address).await;
                }
                // The same by reload, of one address after the other.
                for left in 0..3 {
                    let rest: Vec<_> = (0..3).filter(|at| *at != left).map(|at| all[at]).collect();
                    fixture.reload(&format!("{}{keys}", app(&rest)));
                    until_served(&seen, 30).await;
                }
                fixture.reload(&fixture.app);
            }
        };
        let bad = under_load(&fixture.door, operator).await;
        assert!(bad.is_empty(), "{affinity}: {bad:?}");
        let twice: Vec<_> = seen
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(start, _)| start.clone())
            .collect();
        assert!(twice.is_empty(), "{affinity}: {twice:?}");
    }
}

/// Kills one of three addresses under load, `drained` before or not; `retry-elsewhere` is on.
async fn killed_under_load(affinity: &str, drained: bool) {
    let seen = Seen::default();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::start(&seen).await);
    }
    let all: Vec<_> = nodes.iter().map(|node| node.address.clone()).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let keys = format!("workers = 6\naffinity = '{affinity}'\nretry-elsewhere = true\n");
    let fixture = Fixture::open(&all, &keys).await;
    let operator = async {
        until_served(&seen, 100).await;
        for _ in 0..2 {
            let node = nodes.pop().unwrap();
            if drained {
                assert_eq!(fixture.drain(&node.address).await.status, 200);
            }
            node.kill().await;
            until_served(&seen, 100).await;
        }
    };
    let bad = under_load(&fixture.door, operator).await;
    // A POST that was in progress there may have run, and is answered so.
    let wrong: Vec<_> = bad
        .iter()
        .filter(|one| !(one.starts_with("POST") && one.ends_with(": 502")))
        .collect();
    assert!(wrong.is_empty(), "{affinity} {drained}: {wrong:?}");
    assert!(bad.len() <= 2 * 6, "{bad:?}");
    let seen = seen.lock().unwrap();
    for (start, count) in seen.iter() {
        let most = if start.starts_with("POST") { 1 } else { 2 };
        assert!(*count <= most, "{start}: {count}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn visitors_see_nothing_of_an_address_that_dies_under_load_but_posts_in_progress() {
    for affinity in ["none", "cookie", "address"] {
        for drained in [false, true] {
            killed_under_load(affinity, drained).await;
        }
    }
}
