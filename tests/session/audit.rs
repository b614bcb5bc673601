//! The audit: one line for each console, stream and WebSocket that opens, one when it ends, one for each refusal.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{COOK, PATH, kitchen, knock, tunnel};
use crate::harness::{Backend, CLOSE, Door, FIN, Wire, binary, masked, until};

/// The log of a test: everything in the thread of the test, which is where its server runs.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Log {
    audit: Written,
    all: Written,
    _guard: DefaultGuard,
}

impl Log {
    fn begin() -> Self {
        let (audit, all) = (Written::default(), Written::default());
        let writer = |written: &Written| {
            let written = written.clone();
            move || written.clone()
        };
        let json = tracing_subscriber::fmt::layer().json().flatten_event(true);
        let lines = json.with_target(false).with_writer(writer(&audit));
        let lines = lines.with_filter(filter_fn(|event| event.target() == "noren::audit"));
        let text = tracing_subscriber::fmt::layer().with_writer(writer(&all));
        let text = text.with_filter(filter_fn(|event| event.target().starts_with("noren")));
        let both = tracing_subscriber::registry().with(lines).with(text);
        Self {
            audit,
            all,
            _guard: tracing::subscriber::set_default(both),
        }
    }

    /// The lines so far.
    fn lines(&self) -> Vec<Value> {
        let written = self.audit.0.lock().unwrap().clone();
        let text = String::from_utf8(written).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The lines once there are so many.
    async fn wait(&self, count: usize) -> Vec<Value> {
        until("the lines of the audit", || async {
            Some(self.lines()).filter(|lines| lines.len() >= count)
        })
        .await
    }

    fn everything(&self) -> String {
        String::from_utf8(self.all.0.lock().unwrap().clone()).unwrap()
    }
}

/// The fields that a test knows of a line; all others are its time and its peer.
fn fields(line: &Value) -> Value {
    let mut line = line.clone();
    let object = line.as_object_mut().unwrap();
    assert_eq!(object.remove("level"), Some("INFO".into()));
    assert!(object.remove("timestamp").is_some());
    let peer = object.remove("peer").unwrap();
    assert!(peer.as_str().unwrap().starts_with("127.0.0.1:"), "{peer}");
    if let Some(seconds) = object.remove("seconds") {
        assert!(seconds.as_f64().unwrap() < 60.0);
    }
    line
}

async fn bye(client: &mut Wire) {
    client
        .send(masked(FIN | CLOSE, &1000_u16.to_be_bytes()))
        .await;
    client.rest().await;
}

#[tokio::test]
async fn a_console_has_a_line_when_it_opens_and_one_when_it_ends_with_all_that_is_known() {
    let log = Log::begin();
    let settings = "name-header = 'Remote-User'\ntoken-path = '/vms/{vm}'";
    let (app, console, door) = kitchen(settings).await;
    app.answers("/tasks", "200 OK\r\nRemote-User: cook\r\n");
    let (mut client, mut target) = tunnel(&door, &console, COOK).await;
    client.send(binary(b"hello")).await;
    assert_eq!(target.take(5).await, b"hello");
    target.send("hi!").await;
    assert_eq!(client.frame().await.payload, b"hi!");
    let begun = log.lines();
    assert_eq!(begun.len(), 1);
    client
        .send(masked(FIN | CLOSE, &1000_u16.to_be_bytes()))
        .await;
    drop(target);
    let lines = log.wait(2).await;
    let opened = serde_json::json!({
        "message": "opened", "kind": "console", "user": "cook",
        "target": console.address(), "console": "vm",
    });
    assert_eq!(fields(&lines[0]), opened);
    let closed = serde_json::json!({
        "message": "closed", "kind": "console", "user": "cook",
        "target": console.address(), "console": "vm",
        "reason": "the client closed it", "up": 5, "down": 3,
    });
    assert_eq!(fields(&lines[1]), closed);
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn every_way_out_writes_one_line_and_the_reason() {
    let log = Log::begin();
    let (_app, console, door) = kitchen("").await;
    let (mut client, mut target) = tunnel(&door, &console, COOK).await;
    target.output.finish().await;
    client.close_code().await;
    drop((client, target));
    log.wait(2).await;
    let (client, _target) = tunnel(&door, &console, COOK).await;
    drop(client);
    log.wait(4).await;
    let (client, target) = tunnel(&door, &console, COOK).await;
    let lines = log.wait(5).await;
    let logout = Door::get("/logout", &format!("Content-Length: 0\r\n{COOK}"));
    door.tls()
        .await
        .ask(&logout.replacen("GET", "POST", 1))
        .await;
    log.wait(6).await;
    drop((client, target));
    let (_client, _target) = tunnel(&door, &console, COOK).await;
    assert_eq!(lines.len(), 5);
    let _ = door.stop().await.unwrap();
    let lines = log.wait(8).await;
    let reasons: Vec<_> = lines
        .iter()
        .filter_map(|line| line["reason"].as_str())
        .collect();
    assert_eq!(lines.len(), 8);
    assert_eq!(reasons[0], "the target closed it");
    assert!(
        reasons[1].starts_with("the client left") || reasons[1].contains("broke"),
        "{reasons:?}"
    );
    assert_eq!(reasons[2..], ["the session ended", "Noren is stopping"]);
}

#[tokio::test]
async fn every_refusal_has_one_line_without_what_was_tried() {
    let log = Log::begin();
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("users");
    std::fs::write(&users, "cook:s3cret").unwrap();
    let settings = format!(
        "token-path = '/vms/{{vm}}'\n[[channel]]\nname = 'news'\n\
         [[app]]\nname = 'other'\nurl = 'http://127.0.0.1:9'\npath = '/other'\nusers = '{}'\n",
        users.display()
    );
    let (app, console, door) = kitchen(&settings).await;
    app.answers("/vms/vm", "403 Forbidden\r\n");
    let evil = format!("{COOK}Origin: https://evil.example\r\n");
    for (path, lines, status) in [
        (PATH, COOK, 403),
        ("/websockify?token=s3cret", COOK, 404),
        ("/websockify", COOK, 400),
        (PATH, evil.as_str(), 403),
        ("/chat", evil.as_str(), 403),
        ("/events/news", evil.as_str(), 403),
        ("/events/s3cret-channel", COOK, 404),
        ("/other", "Authorization: Basic Y29vazpzM2NyZXQh\r\n", 401),
    ] {
        assert_eq!(knock(&door, path, lines).await.status, status, "{path}");
    }
    app.answers("/tasks", "401 Unauthorized\r\n");
    assert_eq!(
        knock(&door, PATH, "Cookie: wok=s3cret\r\n").await.status,
        401
    );
    console.has_nobody().await;
    let lines = log.lines();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            assert_eq!(line["message"], "refused");
            assert!(
                line["reason"]
                    .as_str()
                    .is_some_and(|reason| !reason.is_empty())
            );
            (
                line["kind"].as_str().unwrap(),
                line["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("console", 403),
            ("console", 404),
            ("console", 400),
            ("console", 403),
            ("websocket", 403),
            ("stream", 403),
            ("stream", 404),
            ("websocket", 401),
            ("console", 401),
        ]
    );
    assert_eq!(lines[0]["console"], "vm");
    let text = log.everything().replace("s3cret-channel", "");
    for secret in ["s3cret", "Y29vazp", "wok=cook"] {
        assert!(!text.contains(secret), "{secret} in:\n{text}");
    }
}

#[tokio::test]
async fn a_stream_has_the_two_lines_in_every_transport_and_a_poll_has_none() {
    let log = Log::begin();
    let settings =
        "name-header = 'Remote-User'\n[[channel]]\nname = 'news'\n[[channel]]\nname = 'b'\n";
    let (app, _console, door) = kitchen(settings).await;
    app.answers("/tasks", "200 OK\r\nRemote-User: cook\r\n");
    let answer = door.tls().await.ask(&Door::get("/events/news", COOK)).await;
    assert_eq!(answer.status, 200);
    let mut socket = door.tls().await;
    let handshake = Door::handshake("/events/news,b", COOK);
    assert_eq!(socket.ask(&handshake).await.status, 101);
    socket.frame().await;
    bye(&mut socket).await;
    log.wait(2).await;
    let mut stream = door.tls().await;
    let lines = format!("{COOK}Accept: text/event-stream\r\n");
    stream.send(Door::get("/events/news", &lines)).await;
    assert!(stream.head().await.start.contains("200"));
    drop(stream);
    log.wait(4).await;
    let sockjs = "/events/sockjs/news/000/abcdefgh/xhr";
    let post = Door::get(sockjs, &format!("{COOK}Content-Length: 0\r\n"));
    let answer = door.tls().await.ask(&post.replacen("GET", "POST", 1)).await;
    assert_eq!(answer.text(), "o\n");
    // The session is forgotten some seconds after its last answer.
    let lines = log.wait(6).await;
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            assert_eq!(
                (&line["kind"], &line["user"]),
                (&"stream".into(), &"cook".into())
            );
            let target = line["target"].as_str().unwrap();
            (line["message"].as_str().unwrap(), target)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("opened", "channel news,b"),
            ("closed", "channel news,b"),
            ("opened", "channel news"),
            ("closed", "channel news"),
            ("opened", "channel news"),
            ("closed", "channel news"),
        ]
    );
    assert_eq!(lines[1]["reason"], "closed by the client");
    assert_eq!(lines[3]["reason"], "the client left");
}

#[tokio::test]
async fn a_websocket_of_the_app_is_counted_however_it_ends() {
    let log = Log::begin();
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.tls().await;
    client.send(Door::handshake("/chat", "")).await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    assert_eq!(
        head.one("sec-websocket-key"),
        Some("dGhlIHNhbXBsZSBub25jZQ==")
    );
    let agreement = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    worker.send(agreement).await;
    assert!(client.head().await.start.contains("101"));
    client.send("12345").await;
    assert_eq!(worker.take(5).await, b"12345");
    worker.send("123").await;
    assert_eq!(client.take(3).await, b"123");
    let _ = door.stop().await.unwrap();
    let lines = log.wait(2).await;
    let closed = serde_json::json!({
        "message": "closed", "kind": "websocket", "target": "app app",
        "reason": "Noren is stopping", "up": 5, "down": 3,
    });
    assert_eq!(fields(&lines[1]), closed);
}
