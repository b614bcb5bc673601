//! Draining of one address: what is in progress there, its idle connections, and orders at the same time.

use std::path::PathBuf;

use noren::Config;
use tempfile::TempDir;
use tokio::net::UnixStream;

use crate::harness::{Answer, Backend, Door, Wire};

const CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const ACCEPTS: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A door before several addresses of one app, with an admin socket.
pub(super) struct Fixture {
    pub(super) door: Door,
    pub(super) app: String,
    socket: PathBuf,
    _directory: TempDir,
}

impl Fixture {
    pub(super) async fn open(addresses: &[&str], keys: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let app = format!("{}{keys}", app(addresses));
        let door = Door::open(&format!("{app}[admin]\nsocket = '{}'\n", socket.display())).await;
        Self {
            door,
            app,
            socket,
            _directory: directory,
        }
    }

    async fn admin(&self, method: &str, target: &str) -> Answer {
        let mut client = Wire::new(UnixStream::connect(&self.socket).await.unwrap());
        client
            .ask(&format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await
    }

    pub(super) async fn drain(&self, address: &str) -> Answer {
        let target = format!("/drain/app?address={address}");
        self.admin("POST", &target).await
    }

    pub(super) async fn undo(&self, address: &str) {
        let target = format!("/drain/app?address={address}&undo=");
        assert_eq!(self.admin("POST", &target).await.status, 200);
    }

    pub(super) fn reload(&self, app: &str) {
        let text = format!(
            "{}{app}[admin]\nsocket = '{}'\n",
            self.door.base,
            self.socket.display()
        );
        let config = Config::parse(&text, "test.toml").unwrap();
        self.door.handle.reload(config).unwrap();
    }

    /// Numbers of requests and of WebSockets in progress at an address.
    pub(super) async fn load(&self, address: &str) -> (u64, u64) {
        let status = self.admin("GET", "/status").await;
        let status: serde_json::Value = serde_json::from_str(status.text()).unwrap();
        let all = status["apps"][0]["addresses"].as_array().unwrap();
        let one = all.iter().find(|one| one["address"] == address).unwrap();
        let count = |name: &str| one[name].as_u64().unwrap();
        (count("busy"), count("tunnels"))
    }
}

/// An `[[app]]` with these addresses; further keys of it may follow.
pub(super) fn app(addresses: &[&str]) -> String {
    let urls: Vec<_> = addresses
        .iter()
        .map(|address| format!("'http://{address}'"))
        .collect();
    format!("[[app]]\nname = 'app'\nurls = [{}]\n", urls.join(", "))
}

/// The cookie of a visitor whose requests go to the first of two addresses.
async fn cookie_of(one: &Backend, other: &Backend, door: &Door) -> String {
    loop {
        let mut client = door.plain().await;
        client.send(Door::get("/", "")).await;
        let (mut worker, is_it) = tokio::select! {
            worker = one.accept() => (worker, true),
            worker = other.accept() => (worker, false),
        };
        worker.head().await;
        worker.send(CLOSE).await;
        let answer = client.answer().await;
        let set = answer.head.one("set-cookie").unwrap();
        if is_it {
            return format!("Cookie: {}\r\n", set.split(';').next().unwrap());
        }
    }
}

/// A request that has arrived at an address, which has not answered.
async fn held(door: &Door, at: &Backend, request: &str) -> (Wire, Wire) {
    let mut client = door.plain().await;
    client.send(request).await;
    let mut worker = at.accept().await;
    worker.head().await;
    (client, worker)
}

#[tokio::test]
async fn what_is_in_progress_at_a_drained_address_ends_as_it_would_have_and_is_not_repeated() {
    let (one, other) = (Backend::tcp().await, Backend::tcp().await);
    let keys = "retry-elsewhere = true\naffinity = 'cookie'\nrequest-spool = false\nrestart-wait = '0s'\n\
                [limits]\nrequest-buffer = '1KiB'\n";
    let fixture = Fixture::open(&[one.address(), other.address()], keys).await;
    let cookie = cookie_of(&one, &other, &fixture.door).await;
    let ask = async |request: String| held(&fixture.door, &one, &request).await;
    let (mut reader, mut stream) = ask(Door::get("/stream", &cookie)).await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n";
    stream.send(head).await;
    assert_eq!(reader.head().await.status(), 200);
    assert_eq!(reader.input.chunk().await, b"data: 1\n\n");
    let (mut socket, mut far) = ask(Door::handshake("/ws", &cookie)).await;
    far.send(ACCEPTS).await;
    assert_eq!(socket.head().await.status(), 101);
    let rest = format!("Host: door.example\r\n{cookie}Content-Length");
    let half = "a".repeat(50_000);
    let begun = format!("PUT /up HTTP/1.1\r\n{rest}: 100000\r\n\r\n{half}");
    let (mut sender, mut upload) = ask(begun).await;
    let post = format!("POST /x HTTP/1.1\r\n{rest}: 2\r\n\r\nhi");
    let (mut poster, mut form) = ask(post).await;
    assert_eq!(fixture.drain(one.address()).await.status, 200);
    assert_eq!(fixture.load(one.address()).await, (3, 1));
    // All of it continues.
    stream.send("data: 2\n\n").await;
    assert_eq!(reader.input.chunk().await, b"data: 2\n\n");
    socket.send("up").await;
    assert_eq!(far.take(2).await, b"up");
    sender.send(&half).await;
    assert_eq!(upload.take(100_000).await.len(), 100_000);
    upload.send(CLOSE).await;
    assert_eq!(sender.answer().await.status, 200);
    assert_eq!(fixture.load(one.address()).await, (2, 1));
    // Now the address dies: nothing of this is sent to the other one.
    drop(one);
    stream.output.finish().await;
    far.output.finish().await;
    form.output.finish().await;
    drop((stream, far, upload));
    assert_eq!(poster.answer().await.status, 502);
    assert_eq!(reader.input.chunk().await, b"");
    socket.input.rest().await;
    form.input.rest().await;
    // The status tries the addresses, without a request.
    let moment = std::time::Duration::from_millis(30);
    while let Ok(mut tried) = tokio::time::timeout(moment, other.accept()).await {
        assert!(!tried.input.has(1).await, "a request was repeated");
    }
}

#[tokio::test]
async fn idle_connections_to_an_address_that_a_reload_has_removed_are_closed() {
    let (one, other) = (Backend::tcp().await, Backend::tcp().await);
    let keys = "affinity = 'cookie'\nkeep-alive = '1h'\n";
    let fixture = Fixture::open(&[one.address(), other.address()], keys).await;
    let cookie = cookie_of(&one, &other, &fixture.door).await;
    let request = Door::get("/", &cookie);
    let (mut client, mut late) = held(&fixture.door, &one, &request).await;
    let (mut second, mut idle) = held(&fixture.door, &one, &request).await;
    let ok = CLOSE.replace("Connection: close\r\n", "");
    idle.send(&ok).await;
    assert_eq!(second.answer().await.status, 200);
    fixture.reload(&app(&[other.address()]));
    assert_eq!(idle.rest().await, b"");
    // Of a request that was in progress the connection ends with it.
    late.send(&ok).await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(late.rest().await, b"");
}

#[tokio::test]
async fn a_long_response_keeps_no_idle_connections_of_a_former_configuration_open() {
    let (one, other) = (Backend::tcp().await, Backend::tcp().await);
    let keys = "affinity = 'cookie'\nkeep-alive = '1h'\n";
    let fixture = Fixture::open(&[one.address(), other.address()], keys).await;
    let cookie = cookie_of(&one, &other, &fixture.door).await;
    let (mut reader, mut stream) = held(&fixture.door, &one, &Door::get("/s", &cookie)).await;
    let (mut client, mut idle) = held(&fixture.door, &one, &Door::get("/", &cookie)).await;
    stream
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(reader.head().await.status(), 200);
    idle.send(CLOSE.replace("Connection: close\r\n", "")).await;
    assert_eq!(client.answer().await.status, 200);
    fixture.reload(&fixture.app);
    assert_eq!(idle.rest().await, b"");
    stream.send("data: 1\n\n").await;
    assert_eq!(reader.input.chunk().await, b"data: 1\n\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn orders_at_the_same_time_leave_one_address_in_use() {
    let (one, other) = (Backend::tcp().await, Backend::tcp().await);
    let fixture = Fixture::open(&[one.address(), other.address()], "").await;
    for round in 0..50 {
        let (a, b) = tokio::join!(fixture.drain(one.address()), fixture.drain(other.address()));
        assert!(
            [a.status, b.status].contains(&409),
            "round {round}: {} {}",
            a.text(),
            b.text()
        );
        fixture.undo(one.address()).await;
        fixture.undo(other.address()).await;
    }
}
