//! Paths: the door decides on what the app will read in them, however they are written, and refuses what could be
//! read in two ways.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands"
)]

mod targets;

use std::fs;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::harness::{Backend, Door, Http2, Wire};

/// Spellings of a guarded path that servers read.
fn spellings() -> Vec<&'static str> {
    let lines = include_str!("paths/spellings.txt").lines();
    let all: Vec<_> = lines.filter(|line| line.starts_with('/')).collect();
    assert!(all.len() > 50);
    all
}

/// An app that tells in its answer which target it was asked for.
fn reporting_to(app: Backend) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let wire = app.accept().await;
            tokio::spawn(tell(wire));
        }
    })
}

async fn tell(mut wire: Wire) {
    loop {
        if !wire.input.has(1).await {
            return;
        }
        let head = wire.head().await;
        wire.input.body_of_request(&head).await;
        let target = head.start.split(' ').nth(1).unwrap().to_owned();
        let length = target.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}");
        wire.send(answer).await;
    }
}

/// An app that is open at `/` and below `/admin/public`, and has users at `/admin`.
fn guarded(app: &Backend, directory: &TempDir, keys: &str) -> String {
    let users = directory.path().join("users");
    fs::write(&users, "cook:wok").unwrap();
    let url = app.address();
    let table = |name: &str, own: &str| {
        format!("[[app]]\nname = '{name}'\nurl = 'http://{url}'\n{own}\n{keys}\n")
    };
    [
        table("open", ""),
        table(
            "admin",
            &format!("path = '/admin'\nusers = '{}'", users.display()),
        ),
        table("public", "path = '/admin/public'"),
    ]
    .concat()
}

const COOK: &str = "Authorization: Basic Y29vazp3b2s=\r\n";

#[tokio::test]
async fn no_spelling_of_a_guarded_path_reaches_the_app_without_a_password() {
    let directory = tempfile::tempdir().unwrap();
    let app = Backend::tcp().await;
    for keys in ["", "encoded-slash = true", "case-insensitive = true"] {
        let door = Door::open(&guarded(&app, &directory, keys)).await;
        for path in spellings() {
            for request in [Door::get(path, ""), Door::handshake(path, "")] {
                let answer = door.plain().await.ask(&request).await;
                assert!(
                    matches!(answer.status, 400 | 401),
                    "{path}: {}",
                    answer.text()
                );
            }
            let status = Http2::open(&door).await.status(Http2::get(path)).await;
            assert!(
                matches!(status, Some(400 | 401) | None),
                "{path}: {status:?}"
            );
        }
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn a_guarded_path_asks_for_its_password_in_every_spelling_and_the_app_gets_the_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let app = Backend::tcp().await;
    let settings = guarded(&app, &directory, "encoded-slash = true");
    let door = Door::open(&settings).await;
    let app = reporting_to(app);
    for path in [
        "/admin/x",
        "/%61dmin/x",
        "/a%64min/x",
        "//admin",
        "///admin",
        "/admin;x=1",
        "/;x/admin",
        "/admin%2Fx",
        "/admin/%252F",
    ] {
        let mut client = door.plain().await;
        let answer = client.ask(&Door::get(path, "Connection: close\r\n")).await;
        assert_eq!(answer.status, 401, "{path}");
        let answer = door.plain().await.ask(&Door::get(path, COOK)).await;
        assert_eq!((answer.status, answer.text()), (200, path));
        let mut client = Http2::open(&door).await;
        assert_eq!(client.status(Http2::get(path)).await, Some(401), "{path}");
    }
    // Open paths stay open, byte for byte, however they are written.
    for path in [
        "/",
        "/x",
        "//x",
        "//other.example/x",
        "/x;y=1/z",
        "/caf%C3%A9/%e9",
        "/100%25",
        "/a%2Fb",
        "/administrator",
        "/admin/public/x",
        "/admin/p%75blic",
    ] {
        let answer = door.plain().await.ask(&Door::get(path, "")).await;
        assert_eq!((answer.status, answer.text()), (200, path));
    }
    app.abort();
}

#[tokio::test]
async fn letter_case_is_folded_where_the_app_says_so_and_only_there() {
    let directory = tempfile::tempdir().unwrap();
    let app = Backend::tcp().await;
    let strict = Door::open(&guarded(&app, &directory, "")).await;
    let folding = Door::open(&guarded(&app, &directory, "case-insensitive = true")).await;
    let app = reporting_to(app);
    for path in ["/ADMIN/x", "//Admin", "/%41dmin"] {
        let answer = strict.plain().await.ask(&Door::get(path, "")).await;
        assert_eq!(answer.status, 200, "{path}");
        let answer = folding.plain().await.ask(&Door::get(path, "")).await;
        assert_eq!(answer.status, 401, "{path}");
    }
    app.abort();
}

#[tokio::test]
async fn files_are_found_by_the_decoded_path_and_hidden_ones_are_not() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a b.txt", "a;v.txt", ".secret", "caf\u{e9}.txt", "100%.txt"] {
        fs::write(directory.path().join(name), name).unwrap();
    }
    fs::create_dir(directory.path().join("sub")).unwrap();
    let door = Door::open(&format!(
        "[[files]]\npath = '/static'\ndirectory = '{}'\n",
        directory.path().display()
    ))
    .await;
    for (path, name) in [
        ("/static/a%20b.txt", "a b.txt"),
        ("/%73tatic/a%20b.txt", "a b.txt"),
        ("//static//a;v.txt", "a;v.txt"),
        ("/static/a%3Bv.txt", "a;v.txt"),
        ("/static/caf%C3%A9.txt", "caf\u{e9}.txt"),
        ("/static/100%25.txt", "100%.txt"),
    ] {
        let answer = door.plain().await.ask(&Door::get(path, "")).await;
        assert_eq!((answer.status, answer.text()), (200, name), "{path}");
    }
    for path in [
        "/static/.secret",
        "/static//.secret",
        "/static/%2esecret",
        "/static;x/.secret",
        "/static/%2Esecret",
    ] {
        let answer = door.plain().await.ask(&Door::get(path, "")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    // A directory has a slash at its end; the query goes along, and no host comes of two slashes.
    for (path, location) in [
        ("/static/sub?a=b&c", "/static/sub/?a=b&c"),
        ("//static//sub?x=//y", "/static/sub/?x=//y"),
    ] {
        let answer = door.plain().await.ask(&Door::get(path, "")).await;
        assert_eq!(answer.head.one("location"), Some(location), "{path}");
    }
}

#[tokio::test]
async fn a_channel_has_its_guard_in_every_spelling_of_its_address() {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("users");
    fs::write(&users, "cook:wok").unwrap();
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}[hub]\nusers = '{}'\n[[channel]]\nname = 'lobby'\npresence = true\n",
        app.app(),
        users.display()
    ))
    .await;
    for path in [
        "/events/lobby",
        "/events/%6cobby",
        "//events//lobby",
        "/%65vents/lobby",
        "/events;x/lobby;y",
        "/events/lobby%2Clobby",
        "/events/lobby/presence",
    ] {
        let answer = door.plain().await.ask(&Door::get(path, "")).await;
        assert_eq!(answer.status, 401, "{path}");
        let answer = door.plain().await.ask(&Door::get(path, COOK)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    for (path, status) in [
        ("/events%2Flobby", 400),
        ("/events/lobby%252Clobby", 404),
        ("/events/lobby%2F", 400),
    ] {
        let answer = door.plain().await.ask(&Door::get(path, COOK)).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn every_spelling_of_a_login_counts_as_one() {
    for (keys, root, spellings) in [
        (
            "",
            "",
            &[
                "/login",
                "/login/",
                "//login",
                "/%6cogin",
                "/login;x",
                "/login%3Fx",
                "//a/login",
                "/login/ann",
                "/%6cogin//ann/x",
            ][..],
        ),
        (
            "server-root = '/wok'",
            "",
            &["/wok/login", "/wok//%6Cogin/"],
        ),
        (
            "case-insensitive = true",
            "",
            &["/LOGIN", "/Login/", "/LOG%C4%B1N"],
        ),
        (
            "",
            "login-paths = ['/a/login/']",
            &["/a/login", "/a//login", "/a/login/"],
        ),
    ] {
        for path in spellings {
            let app = Backend::tcp().await;
            let settings = format!(
                "{}{keys}\n[limits]\nlogin-failures = 1\n{root}\n",
                app.app()
            );
            let door = Door::open(&settings).await;
            let denies = tokio::spawn(async move {
                let mut worker = app.accept().await;
                worker.head().await;
                worker
                    .send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
                    .await;
                app
            });
            let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(door.plain().await.ask(&request).await.status, 401, "{path}");
            let app = denies.await.unwrap();
            assert_eq!(door.plain().await.ask(&request).await.status, 429, "{path}");
            app.has_nobody().await;
        }
    }
}

#[tokio::test]
async fn the_bridge_takes_every_spelling_that_pages_send() {
    let (app, console) = (Backend::tcp().await, Backend::tcp().await);
    let settings = format!(
        "{}server-root = '/wok'\n{}[bridge]\npaths = ['/websockify', '/']\n",
        app.app(),
        console.target("vm")
    );
    let door = Door::open(&settings).await;
    for path in [
        "/websockify?token=vm",
        "/websockify/?token=vm",
        "//websockify?token=vm",
        "//websockify/?token=vm",
        "/wok/websockify?token=vm",
        "/wok//websockify?token=vm",
        "//wok/websockify?token=vm",
        "/wokwebsockify?token=vm",
        "//wokwebsockify?token=vm",
        "//wokwebsockify/?token=vm",
        "/%77ebsockify?token=vm",
        "/?token=vm",
        "//?token=vm",
    ] {
        let answer = door.tls().await.ask(&Door::handshake(path, "")).await;
        assert_eq!(answer.status, 101, "{path}: {}", answer.text());
        console.accept().await;
    }
    Http2::open(&door)
        .await
        .websocket("//wokwebsockify?token=vm")
        .await;
    console.accept().await;
    // Pages and the app's own WebSockets stay at the root.
    let app = reporting_to(app);
    for request in [
        Door::get("/", ""),
        Door::get("/?token=vm", ""),
        Door::handshake("/?x=1", ""),
    ] {
        let answer = door.tls().await.ask(&request).await;
        assert_eq!(answer.status, 200, "{request}");
    }
    app.abort();
}
