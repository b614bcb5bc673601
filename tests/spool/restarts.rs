//! The app goes and comes back: who has asked for nothing yet waits, and nothing happens twice.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::OK;
use crate::harness::{Backend, Door, Wire, pattern, until};

async fn door(socket: &Path, settings: &str) -> Door {
    let url = socket.display();
    Door::open(&format!("[[app]]\nurl = 'unix:{url}'\n{settings}\n")).await
}

/// The app ends: its connection breaks, and its socket is gone.
fn ends(app: Backend, worker: Wire, socket: &Path) {
    // The socket first, as when the process dies: nobody connects after the connection is seen to break.
    drop(app);
    std::fs::remove_file(socket).unwrap();
    drop(worker);
}

fn post(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST /order HTTP/1.1\r\nHost: door.example\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn requests_of_every_kind_wait_for_an_app_that_is_just_starting() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("app");
    let door = door(&socket, "restart-wait = '1m'").await;
    let upload = pattern(1 << 20);
    for request in [
        Door::get("/page", "").into_bytes(),
        post(b"1"),
        post(&upload),
        Door::handshake("/chat", "").into_bytes(),
    ] {
        let mut client = door.plain().await;
        client.send(&request).await;
        // A request that came later has been answered, so the door has tried to connect.
        let later = door.plain().await.ask(&Door::get("/a/../b", "")).await;
        assert_eq!(later.status, 400);
        let app = Backend::unix(&socket);
        let mut worker = app.accept().await;
        let head = worker.head().await;
        assert!(request.starts_with(head.start.as_bytes()));
        if request.ends_with(&upload) {
            assert!(worker.take(upload.len()).await == upload, "all of it");
        }
        worker
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            .await;
        assert_eq!(client.answer().await.text(), "ok");
        ends(app, worker, &socket);
    }
}

#[tokio::test]
async fn an_app_that_stays_away_is_told_of_and_then_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let door = door(&directory.path().join("app"), "restart-wait = '3s'").await;
    let mut first = door.plain().await;
    first.send(Door::get("/", "Accept: text/html\r\n")).await;
    let answer = first.answer().await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.head.one("retry-after"), Some("5"));
    assert!(answer.text().contains("location.reload(), 5 * 1000"));
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        let answer = door.plain().await.ask(&Door::get("/", "")).await;
        assert_eq!(answer.status, 503);
    }
    assert!(
        begun.elapsed().as_secs() < 3,
        "none of them has waited anew"
    );
}

#[tokio::test]
async fn a_post_that_the_app_has_read_is_never_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("app");
    let door = door(&socket, "").await;
    for pooled in [false, true] {
        let app = Backend::unix(&socket);
        let mut client = door.plain().await;
        let mut worker = if pooled {
            client.send(Door::get("/first", "")).await;
            let mut worker = app.accept().await;
            worker.head().await;
            worker.send(OK).await;
            assert_eq!(client.answer().await.text(), "ok");
            client.send(post(b"1")).await;
            worker
        } else {
            client.send(post(b"1")).await;
            app.accept().await
        };
        assert_eq!(worker.head().await.start, "POST /order HTTP/1.1");
        assert_eq!(worker.take(1).await, b"1");
        ends(app, worker, &socket);
        let answer = client.answer().await;
        assert_eq!(answer.status, 502, "pooled: {pooled}");
        assert_eq!(answer.head.one("retry-after"), Some("5"));
        let back = Backend::unix(&socket);
        back.has_nobody().await;
        drop(back);
        std::fs::remove_file(&socket).unwrap();
    }
}

#[tokio::test]
async fn a_get_that_the_app_took_with_it_is_asked_once_more_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("app");
    let door = door(&socket, "restart-wait = '1m'").await;
    let app = Backend::unix(&socket);
    let mut client = door.plain().await;
    client.send(Door::get("/page", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    ends(app, worker, &socket);
    let later = door.plain().await.ask(&Door::get("/a/../b", "")).await;
    assert_eq!(later.status, 400);
    let app = Backend::unix(&socket);
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.start, "GET /page HTTP/1.1");
    // It breaks off again, and is not asked a third time.
    ends(app, worker, &socket);
    assert_eq!(client.answer().await.status, 502);
}

#[tokio::test]
async fn a_socket_that_is_replaced_while_the_door_runs_is_used_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("app");
    let door = door(&socket, "restart-wait = '1m'").await;
    let mut client = door.plain().await;
    for request in [Door::get("/page", "").into_bytes(), post(b"1")] {
        let app = Backend::unix(&socket);
        client.send(Door::get("/first", "")).await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
        // The connection to it is in the pool when the app goes, and another one takes its name.
        ends(app, worker, &socket);
        let app = Backend::unix(&socket);
        client.send(&request).await;
        let mut worker = app.accept().await;
        assert!(request.starts_with(worker.head().await.start.as_bytes()));
        worker
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            .await;
        assert_eq!(client.answer().await.text(), "ok");
        app.has_nobody().await;
        ends(app, worker, &socket);
    }
}

#[tokio::test]
async fn an_app_that_says_it_is_not_well_is_waited_for() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}workers = 1\nhealth-path = '/ready'\nhealth-interval = '50ms'\nrestart-wait = '1m'\n",
        app.app()
    ))
    .await;
    let is_ready = AtomicBool::new(false);
    let questions = AtomicUsize::new(0);
    let serving = async {
        for _ in 0..10_000 {
            let mut worker = app.accept().await;
            let head = worker.head().await;
            let ready = is_ready.load(Ordering::Relaxed);
            if head.start.starts_with("GET /ready ") {
                questions.fetch_add(1, Ordering::Relaxed);
            }
            let said = match head.start.as_str() {
                "GET /ready HTTP/1.1" if !ready => "503 Not Yet",
                // Served before the first answer to the question has come.
                "GET /early HTTP/1.1" | "GET /ready HTTP/1.1" => "200 OK",
                start => {
                    assert!(ready, "{start} came to an app that is not ready");
                    "200 OK"
                }
            };
            let answer =
                format!("HTTP/1.1 {said}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = worker.output.try_send(answer.as_bytes()).await;
        }
    };
    let visiting = async {
        door.plain().await.ask(&Door::get("/early", "")).await;
        // The second question is asked after the answer to the first was taken in.
        until("two questions", || async {
            (questions.load(Ordering::Relaxed) >= 2).then_some(())
        })
        .await;
        let mut client = door.plain().await;
        client.send(Door::get("/page", "")).await;
        let moment = Duration::from_millis(300);
        let early = tokio::time::timeout(moment, client.input.some()).await;
        assert!(early.is_err(), "it waits");
        is_ready.store(true, Ordering::Relaxed);
        assert_eq!(client.answer().await.status, 200);
    };
    tokio::select! {
        () = visiting => {}
        () = serving => panic!("the door asks and asks"),
    }
}
