//! The admin socket: programs of this machine publish, listen and ask.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use noren::{Config, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixStream;

use crate::harness::{Answer, Backend, Door, Wire, until, within};

const CHANNELS: &str = "[hub]\nmessage-size = '1KiB'\n[[channel]]\nname = 'wok'\n[[channel]]\nname = 'job.*'\n\
                        [[channel]]\nname = 'closed'\npublish = ['token']\n";

/// A door with an admin socket.
struct Fixture {
    door: Door,
    socket: PathBuf,
    _directory: TempDir,
}

impl Fixture {
    async fn open() -> Self {
        Self::with("").await
    }

    /// The same with more tables.
    async fn with(tables: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let socket_key = format!("[admin]\nsocket = '{}'\n", socket.display());
        let settings = format!("{CHANNELS}{tables}{socket_key}");
        Self {
            door: Door::open(&settings).await,
            socket,
            _directory: directory,
        }
    }

    async fn connect(&self) -> Wire {
        Wire::new(UnixStream::connect(&self.socket).await.unwrap())
    }

    async fn post(&self, target: &str, kind: &str, body: &str) -> Answer {
        let mut client = self.connect().await;
        let length = body.len();
        client
            .ask(&format!(
                "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
            .await
    }

    async fn get(&self, target: &str) -> Answer {
        self.connect().await.ask(&get(target)).await
    }

    /// Everything a new subscriber can get of a channel, which must be so many events.
    async fn history(&self, channel: &str, count: usize) -> Vec<Value> {
        let target = format!("/events/{channel}?format=json&last-event-id=earliest");
        let mut client = self.connect().await;
        client.send(get(&target)).await;
        assert_eq!(client.head().await.status(), 200);
        let mut text = String::new();
        while text.matches("data: ").count() < count {
            text.push_str(&String::from_utf8(client.input.chunk().await).unwrap());
        }
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn object(answer: &Answer) -> Value {
    serde_json::from_str(answer.text()).unwrap_or_else(|_| panic!("{}", answer.text()))
}

#[tokio::test]
async fn a_message_is_published_as_its_type_says_and_its_id_comes_back() {
    let fixture = Fixture::open().await;
    let answer = fixture
        .post(
            "/publish/wok?event=e+1&key=k%26",
            "text/plain; charset=utf-8",
            "a \"b\"",
        )
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let first = object(&answer)["id"].clone();
    let answer = fixture
        .post("/publish/wok", "application/json", "{\"a\": 1}")
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let answer = fixture
        .post("/publish/wok", "application/octet-stream", "\0")
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let messages = fixture.history("wok", 3).await;
    assert_eq!(messages[0]["id"], first);
    assert_eq!(messages[0]["event"], "e 1");
    assert_eq!(messages[0]["key"], "k&");
    assert_eq!(messages[0]["data"], "a \"b\"");
    assert_eq!(messages[1]["data"], json!({"a": 1}));
    assert_eq!(messages[2]["data"], "AA==");
    assert_eq!(messages[2]["encoding"], "base64");
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_with_the_reason() {
    let fixture = Fixture::open().await;
    let large = "x".repeat(1025);
    let cases = [
        (
            "/publish/none",
            "text/plain",
            "x",
            404,
            "there is wok, job.*, closed",
        ),
        ("/publish/a..b", "text/plain", "x", 404, "a..b"),
        ("/publish/closed", "text/plain", "x", 403, "local"),
        (
            "/publish/wok",
            "text/plain",
            &large,
            413,
            "hub.message-size",
        ),
        ("/publish/wok", "application/json", "{", 400, "JSON"),
        (
            "/publish/wok?event=a%0Ab",
            "text/plain",
            "x",
            400,
            "control",
        ),
        (
            "/publish/wok?event=%f",
            "text/plain",
            "x",
            400,
            "percent-encoded",
        ),
        ("/publish", "text/plain", "x", 404, "POST /publish/CHANNEL"),
        ("/status", "text/plain", "x", 405, "GET"),
    ];
    for (target, kind, body, status, reason) in cases {
        let answer = fixture.post(target, kind, body).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert!(
            answer.text().contains(reason),
            "{target}: {}",
            answer.text()
        );
    }
    assert_eq!(
        object(&fixture.get("/status").await)["channels"][1]["messages"],
        0
    );
}

#[tokio::test]
async fn lines_are_published_as_they_come_over_one_connection() {
    let fixture = Fixture::open().await;
    let mut listener = fixture.connect().await;
    listener.send(get("/events/job.1?format=plain")).await;
    assert_eq!(listener.head().await.status(), 200);
    let opening = String::from_utf8(listener.input.chunk().await).unwrap();
    assert!(
        opening.starts_with("retry: ") && opening.contains("\nid: "),
        "{opening}"
    );
    let mut client = fixture.connect().await;
    client
        .send("POST /publish/job.1?event=all HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n\
               Transfer-Encoding: chunked\r\n\r\n")
        .await;
    for number in 1..=3 {
        let line = format!("{{\"data\":{number}}}\n");
        client.send(format!("{:x}\r\n{line}\r\n", line.len())).await;
        let event = String::from_utf8(listener.input.chunk().await).unwrap();
        assert!(
            event.ends_with(&format!("event: all\ndata: {number}\n\n")),
            "{event}"
        );
    }
    client.send("0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 202);
    assert_eq!(object(&answer)["published"], 3);
    let newest = object(&fixture.get("/status").await)["newest"].clone();
    assert_eq!(object(&answer)["id"], newest);
}

#[tokio::test]
async fn a_bad_line_is_named_and_so_is_what_was_published_before_it() {
    let fixture = Fixture::open().await;
    let body = "{\"data\":1}\n\n{\"data\":2}\nno\n{\"data\":3}\n";
    let answer = fixture
        .post("/publish/wok", "application/x-ndjson", body)
        .await;
    assert_eq!(answer.status, 400);
    let text = answer.text();
    assert!(
        text.starts_with("line 4: ") && text.contains("2 messages were published"),
        "{text}"
    );
    assert_eq!(fixture.history("wok", 2).await.len(), 2);
    // A line that never ends is not kept for ever.
    let endless = "x".repeat(64 * 1024);
    let answer = fixture
        .post("/publish/wok", "application/x-ndjson", &endless)
        .await;
    assert_eq!(answer.status, 413);
    assert!(answer.text().starts_with("line 1: "), "{}", answer.text());
}

#[tokio::test]
async fn a_listener_that_comes_back_gets_what_was_missed() {
    let fixture = Fixture::open().await;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        let answer = fixture.post("/publish/wok", "text/plain", text).await;
        ids.push(object(&answer)["id"].as_str().unwrap().to_owned());
    }
    let mut client = fixture.connect().await;
    let request = format!(
        "GET /events/wok HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {}\r\n\r\n",
        ids[0]
    );
    client.send(request).await;
    assert_eq!(
        client.head().await.one("content-type"),
        Some("text/event-stream")
    );
    client.input.chunk().await;
    let missed = ids.iter().zip(["one", "two", "three"]).skip(1);
    let events: Vec<_> = missed
        .map(|(id, text)| format!("id: {id}\ndata: {text}\n\n"))
        .collect();
    let expected = events.concat();
    let mut received = String::new();
    while received.len() < expected.len() {
        received += &String::from_utf8(client.input.chunk().await).unwrap();
    }
    assert_eq!(received, expected);
    let mut stranger = fixture.connect().await;
    stranger
        .send("GET /events/wok HTTP/1.1\r\nHost: x\r\nLast-Event-ID: other:5\r\n\r\n")
        .await;
    stranger.head().await;
    stranger.input.chunk().await;
    let event = String::from_utf8(stranger.input.chunk().await).unwrap();
    assert!(
        event.contains("\nevent: reset\n") && event.contains("restarted"),
        "{event}"
    );
}

#[tokio::test]
async fn the_status_says_which_apps_are_down_or_silent_since_when_and_why() {
    let (good, silent) = (Backend::tcp().await, Backend::tcp().await);
    let app = |name: &str, url: &str, more: &str| {
        format!(
            "[[app]]\nname = '{name}'\npath = '/{name}'\nurl = '{url}'\nrestart-wait = '0s'\n{more}\n"
        )
    };
    let http = |backend: &Backend| format!("http://{}", backend.address());
    let fixture = Fixture::with(&format!(
        "{}{}{}{}",
        app("good", &http(&good), ""),
        app("idle", &http(&good), ""),
        app("silent", &http(&silent), "response = '50ms'"),
        app("down", "unix:/nonexistent/app", ""),
    ))
    .await;
    let ask = |path: &'static str| {
        let request = Door::get(path, "");
        let door = &fixture.door;
        async move { door.plain().await.ask(&request).await.status }
    };
    let mut client = fixture.door.plain().await;
    client.send(Door::get("/good", "")).await;
    let mut worker = good.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(ask("/silent").await, 504);
    assert_eq!(ask("/down").await, 503);

    let status = object(&fixture.get("/status").await);
    let now = |name: &str| {
        let apps = status["apps"].as_array().unwrap();
        apps.iter().find(|app| app["name"] == name).unwrap().clone()
    };
    for (name, state, answered, error) in [
        ("good", "up", true, None),
        ("idle", "up", false, None),
        ("silent", "silent", false, Some("within 50ms")),
        ("down", "down", false, Some("/nonexistent/app")),
    ] {
        let app = now(name);
        assert_eq!(app["state"], state, "{app}");
        assert!(app["state_since"].as_u64().unwrap() > 0, "{app}");
        assert_eq!(app["last_success"].is_u64(), answered, "{app}");
        let said = app["last_error"].as_str();
        assert_eq!(said.is_some(), error.is_some(), "{app}");
        assert!(
            said.unwrap_or_default().contains(error.unwrap_or_default()),
            "{app}"
        );
        assert_eq!(app["last_error_at"].is_u64(), error.is_some(), "{app}");
    }
    // The certificate of the door is in a file, which has an end.
    let certificates = status["certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 1, "{status}");
    assert!(certificates[0]["expires"].as_u64().unwrap() > status["since"].as_u64().unwrap());
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn the_status_counts_messages_and_listeners() {
    let fixture = Fixture::open().await;
    fixture.post("/publish/wok", "text/plain", "x").await;
    let mut client = fixture.connect().await;
    client.send(get("/events/wok,job.7")).await;
    client.head().await;
    client.input.chunk().await;
    let status = object(&fixture.get("/status").await);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["since"].as_u64().unwrap() > 1_700_000_000_000);
    assert_eq!(status["subscribers"], 1);
    assert_eq!(
        status["channels"],
        json!([
            {"name": "closed", "messages": 0, "subscribers": 0},
            {"name": "job.7", "messages": 0, "subscribers": 1},
            {"name": "wok", "messages": 1, "subscribers": 1},
        ])
    );
    drop(client);
    until("the listener to be gone", || async {
        (object(&fixture.get("/status").await)["subscribers"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_tells_listeners_to_come_back_and_removes_the_socket() {
    let fixture = Fixture::open().await;
    let mut listener = fixture.connect().await;
    listener.send(get("/events/wok")).await;
    listener.head().await;
    listener.input.chunk().await;
    let mut publisher = fixture.connect().await;
    publisher
        .send(
            "POST /publish/wok HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n\
               Transfer-Encoding: chunked\r\n\r\n",
        )
        .await;
    publisher.send("b\r\n{\"data\":1}\n\r\n").await;
    listener.input.chunk().await;
    let stopped = fixture.door.stop();
    let last = String::from_utf8(listener.input.chunk().await).unwrap();
    assert!(last.starts_with("retry: "), "{last}");
    assert_eq!(listener.input.chunk().await, b"");
    let answer = publisher.answer().await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("1 message was published"),
        "{}",
        answer.text()
    );
    assert_eq!(within("the drain", stopped).await.unwrap().left, 0);
    assert!(!fixture.socket.exists());
}

#[tokio::test]
async fn the_socket_has_its_mode_and_a_reload_cannot_move_it() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("a");
    let settings = |mode, channel| {
        format!(
            "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'http'\n[[channel]]\nname = '{channel}'\n\
             [admin]\nsocket = '{}'\nmode = '{mode}'\n",
            socket.display()
        )
    };
    let config = |mode, channel| Config::parse(&settings(mode, channel), "test.toml").unwrap();
    let server = Server::bind(config("0600", "a")).unwrap();
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let handle = server.handle();
    handle.reload(config("0600", "b")).unwrap();
    let error = handle.reload(config("0660", "a")).unwrap_err();
    assert!(error.to_string().starts_with("[admin] "), "{error}");
    let again = Server::bind(config("0600", "a")).unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");
}

#[tokio::test]
async fn one_address_of_several_is_drained_and_put_back() {
    let (one, other) = (Backend::tcp().await, Backend::tcp().await);
    let app = format!(
        "[[app]]\nname = 'web'\nurls = ['http://{}', 'http://{}']\n",
        one.address(),
        other.address()
    );
    let fixture = Fixture::with(&app).await;
    let drain = |address: String| {
        let fixture = &fixture;
        async move {
            let target = format!("/drain/{address}");
            fixture.post(&target, "text/plain", "").await
        }
    };
    let ask = |first: &'static str| {
        let (fixture, one, other) = (&fixture, &one, &other);
        async move {
            let mut client = fixture.door.plain().await;
            client.send(Door::get("/", "")).await;
            let (mut worker, at) = tokio::select! {
                worker = one.accept() => (worker, one.address()),
                worker = other.accept() => (worker, other.address()),
            };
            worker.head().await;
            if first == "held" {
                return (Some((client, worker)), at);
            }
            worker
                .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
                .await;
            assert_eq!(client.answer().await.status, 200);
            (None, at)
        }
    };
    // A request is in progress at one of them, which is then drained.
    let (held, drained) = ask("held").await;
    let done = drain(format!("web?address={drained}")).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert!(done.text().contains("1 are in progress"), "{}", done.text());
    let left = if drained == one.address() {
        other.address()
    } else {
        one.address()
    };
    for _ in 0..3 {
        assert_eq!(ask("served").await.1, left);
    }
    let status = object(&fixture.get("/status").await);
    let shown = |address: &str| {
        let all = status["apps"][0]["addresses"].as_array().unwrap();
        all.iter()
            .find(|one| one["address"] == address)
            .unwrap()
            .clone()
    };
    assert_eq!(shown(drained)["drained"], true, "{status}");
    assert_eq!(
        (&shown(drained)["open"], &shown(drained)["busy"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(
        (&shown(left)["open"], &shown(left)["state"]),
        (&json!(true), &json!("up"))
    );
    let metrics = fixture.get("/metrics").await.text().to_owned();
    for (name, value) in [("drained", 1), ("up", 0), ("workers_busy", 1)] {
        let line =
            format!("noren_app_address_{name}{{app=\"web\",address=\"{drained}\"}} {value}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    // The last one stays, and so does the draining over a reload.
    let last = drain(format!("web?address={left}")).await;
    assert_eq!(last.status, 409);
    assert!(
        last.text().contains("is the only address"),
        "{}",
        last.text()
    );
    let socket = format!("[admin]\nsocket = '{}'\n", fixture.socket.display());
    let text = format!("{}{CHANNELS}{app}workers = 7\n{socket}", fixture.door.base);
    fixture
        .door
        .handle
        .reload(Config::parse(&text, "test.toml").unwrap())
        .unwrap();
    assert_eq!(ask("served").await.1, left);
    // The request in progress ends; and then the address is put back.
    let (mut client, mut worker) = held.unwrap();
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(
        drain(format!("web?address=http://{drained}&undo="))
            .await
            .status,
        200
    );
    let used = until("the address to be used again", || async {
        let at = ask("served").await.1;
        (at == drained).then_some(at)
    });
    assert_eq!(used.await, drained);
    for (target, status, reason) in [
        ("web?address=127.0.0.1:1", 409, "has no address 127.0.0.1:1"),
        ("wok?address=127.0.0.1:1", 404, "there is web"),
        ("web", 400, "name the address"),
    ] {
        let answer = drain(target.to_owned()).await;
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.text().contains(reason), "{}", answer.text());
    }
}
