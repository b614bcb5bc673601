//! A reload that is refused changes nothing, whatever else is new in the same file and wherever the fault is.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

use std::fs;

use tokio::net::TcpStream;

use crate::harness::{Backend, Door, Wire};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ADMIN: &str = "[admin]\naddress = '127.0.0.1:0'\n";

/// Tables with a fault that only this machine can show, one for each part of a configuration that is loaded.
const FAULTS: [(&str, &str); 5] = [
    (
        "users",
        "[[app]]\nname = 'extra'\npath = '/extra'\nurl = 'unix:/nonexistent/app'\nusers = '/nonexistent/users'\n",
    ),
    (
        "certificate",
        "[[tls.certificate]]\ncertificate = '/nonexistent/pem'\nkey = '/nonexistent/key'\n",
    ),
    (
        "app with TLS",
        "[[app]]\nname = 'extra'\npath = '/extra'\nurl = 'https://127.0.0.1:1'\ntls = { ca = '/nonexistent/ca' }\n",
    ),
    ("tokens", "[hub.tokens]\nkeys = ['/nonexistent/jwks']\n"),
    (
        "source",
        "[[channel]]\nname = 'extra'\n[[channel.source]]\nsource = 'listen'\n\
         address = 'unix:/nonexistent/deep/source'\n",
    ),
];

/// Asks the door for a reload with other settings and a fault beside them, each fault in turn; all are refused.
fn refused(door: &Door, settings: &str) {
    for (part, fault) in FAULTS {
        let text = format!("{}{settings}{fault}", door.base);
        let config = noren::Config::parse(&text, "test.toml")
            .unwrap_or_else(|error| panic!("{part}: {error}"));
        let said = door.handle.reload(config).unwrap_err().to_string();
        assert!(said.contains("/nonexistent/"), "{part}: {said}");
    }
}

async fn metrics(door: &Door) -> String {
    let stream = TcpStream::connect(door.admin.unwrap()).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    Wire::new(stream).ask(request).await.text().to_owned()
}

async fn status(door: &Door, path: &str) -> u16 {
    door.plain().await.ask(&Door::get(path, "")).await.status
}

#[tokio::test]
async fn a_refused_reload_gives_an_app_neither_more_workers_nor_fewer() {
    let app = Backend::tcp().await;
    let settings = |workers: &str| format!("{ADMIN}{}{workers}\n", app.app());
    let door = Door::open(&settings("workers = 2")).await;
    refused(&door, &settings("workers = 9"));
    let shown = metrics(&door).await;
    assert!(
        shown.contains("noren_app_workers{app=\"app\"} 2\n"),
        "{shown}"
    );
    refused(&door, &settings("workers = 1"));
    let mut first = door.plain().await;
    first.send(Door::get("/first", "")).await;
    let mut second = door.plain().await;
    second.send(Door::get("/second", "")).await;
    let mut workers = [app.accept().await, app.accept().await];
    for worker in &mut workers {
        worker.head().await;
        worker.send(OK).await;
    }
    assert_eq!(first.answer().await.text(), "ok");
    assert_eq!(second.answer().await.text(), "ok");
}

#[tokio::test]
async fn an_app_that_only_a_refused_file_has_is_not_among_the_metrics() {
    let app = Backend::tcp().await;
    let settings = format!("{ADMIN}{}", app.app());
    let door = Door::open(&settings).await;
    refused(&door, &settings);
    let shown = metrics(&door).await;
    assert!(shown.contains("app=\"app\""), "{shown}");
    assert!(!shown.contains("extra"), "{shown}");
}

#[tokio::test]
async fn a_refused_reload_leaves_the_queue_of_an_app_as_long_as_it_was() {
    let app = Backend::tcp().await;
    let settings = |queue: &str| format!("{}workers = 1\n{queue}\n", app.app());
    let door = Door::open(&settings("queue = 0")).await;
    let mut first = door.plain().await;
    first.send(Door::get("/first", "")).await;
    app.accept().await.head().await;
    refused(&door, &settings("queue = 5"));
    let answer = door.plain().await.ask(&Door::get("/second", "")).await;
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn a_refused_reload_leaves_the_workers_and_the_answers_of_the_session() {
    let app = Backend::tcp().await;
    let console = Backend::tcp().await;
    let settings = |session: &str| {
        format!(
            "{}{}[session]\npath = '/session'\ncookies = ['sid']\nallow-cache = '1h'\n{session}\n",
            app.app(),
            console.target("vm")
        )
    };
    let knock = |number: u32| {
        let cookie = format!("Cookie: sid={number}\r\n");
        Door::handshake("/websockify?token=vm", &cookie)
    };
    let door = Door::open(&settings("workers = 2")).await;
    refused(&door, &settings("workers = 1"));
    let mut clients = [door.tls().await, door.tls().await];
    let mut questions = Vec::new();
    for (number, client) in (1..).zip(&mut clients) {
        client.send(knock(number)).await;
        let mut question = app.accept().await;
        assert_eq!(question.head().await.start, "GET /session HTTP/1.1");
        questions.push(question);
    }
    for (question, client) in questions.iter_mut().zip(&mut clients) {
        question.send(OK).await;
        assert_eq!(client.answer().await.status, 101);
    }
    refused(&door, &settings("workers = 1"));
    // The app is silent from here on, so that only an answer it has given already opens a console.
    let mut again = door.tls().await;
    assert_eq!(again.ask(&knock(1)).await.status, 101);
}

#[tokio::test]
async fn a_refused_reload_leaves_the_spool_its_room() {
    let app = Backend::tcp().await;
    let directory = tempfile::tempdir().unwrap();
    let settings = |spool: &str| {
        format!(
            "{ADMIN}{}[spool]\ndirectory = '{}'\n{spool}\n",
            app.app(),
            directory.path().display()
        )
    };
    let door = Door::open(&settings("")).await;
    refused(&door, &settings("size = 0\nfiles = 1\nmemory = 0"));
    let body = "x".repeat(1_000_000);
    let mut client = door.plain().await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: door.example\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    let mut worker = app.accept().await;
    worker.head().await;
    assert_eq!(worker.take(body.len()).await, body.as_bytes());
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    let shown = metrics(&door).await;
    assert!(shown.contains("noren_spool_requests_total 1\n"), "{shown}");
}

#[tokio::test]
async fn a_refused_reload_leaves_the_limits_of_clients_and_connections() {
    let console = Backend::tcp().await;
    let settings = |limits: &str| format!("{}[limits]\n{limits}\n", console.target("vm"));
    let door = Door::open(&settings("token-failures = 1")).await;
    let wrong = Door::handshake("/websockify?token=wrong", "");
    assert_eq!(door.plain().await.ask(&wrong).await.status, 404);
    refused(
        &door,
        &settings("token-failures = 0\nconnections = 1\nconnections-per-address = 1"),
    );
    let mut first = door.plain().await;
    assert_eq!(first.ask(&wrong).await.status, 429);
    assert_eq!(
        door.plain().await.ask(&wrong).await.status,
        429,
        "beside one that is still open"
    );
}

#[tokio::test]
async fn a_refused_reload_leaves_recordings_where_they_were() {
    let console = Backend::tcp().await;
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let settings = |name: &str, keys: &str| {
        format!(
            "{}[bridge.recording]\ndirectory = '{}'\n{keys}\n",
            console.target("vm"),
            place(name).display()
        )
    };
    let door = Door::open(&settings("old", "")).await;
    refused(&door, &settings("new", ""));
    refused(&door, &settings("old", "total = 0\nsize = 0"));
    let _client = door.websocket("/websockify?token=vm").await;
    assert_eq!(fs::read_dir(place("old")).unwrap().count(), 1);
    assert!(!place("new").exists());
}

#[tokio::test]
async fn a_refused_reload_leaves_no_file_and_no_directory() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path().display();
    fs::write(
        directory.path().join("key"),
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
    )
    .unwrap();
    let app = "[[app]]\nurl = 'unix:/nonexistent/app'\n";
    let door = Door::open(app).await;
    refused(
        &door,
        &format!(
            "{app}[bridge.signed]\nkeys = ['{here}/key']\nstore = '{here}/used'\n\
             [[channel]]\nname = 'news'\n[[channel.source]]\nsource = 'listen'\naddress = 'unix:{here}/publish/news'\n"
        ),
    );
    let left = fs::read_dir(directory.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["key"]);
}

#[tokio::test]
async fn a_refused_reload_leaves_the_channels_and_their_limits() {
    let settings = |hub: &str, name: &str| format!("[hub]\n{hub}\n[[channel]]\nname = '{name}'\n");
    let door = Door::open(&settings("subscribers = 8", "news")).await;
    refused(&door, &settings("subscribers = 1", "other"));
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = door.tls().await;
        let listen = Door::get("/events/news", "Accept: text/event-stream\r\n");
        client.send(listen).await;
        assert_eq!(client.head().await.status(), 200);
        open.push(client);
    }
    assert_eq!(status(&door, "/events/other").await, 404);
    assert_eq!(status(&door, "/events/extra").await, 404);
}
