//! Admission: never more requests at the app than it has workers, whoever leaves and whatever is reloaded; and
//! whose turn it is when all of them are busy.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

use std::time::Duration;

use crate::harness::{Backend, Door, Http2, Wire, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn with_app(settings: &str) -> (Backend, Door) {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}{settings}\n", app.app())).await;
    (app, door)
}

/// Sends a request, and waits until it can be taken to be in the queue.
async fn waiting(door: &Door, address: &str, path: &str) -> Wire {
    let mut client = door.plain_from(address).await;
    client.send(Door::get(path, "")).await;
    settle(door).await;
    client
}

/// Lets the door read what has been sent to it: what came later has been answered. From outside nothing else shows
/// that a request waits, hence the moments between.
async fn settle(door: &Door) {
    for _ in 0..2 {
        let answer = door.plain().await.ask(&Door::get("/a/../b", "")).await;
        assert_eq!(answer.status, 400);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The paths in the order in which the one worker gets them.
async fn order(worker: &mut Wire, requests: usize) -> Vec<String> {
    let mut paths = Vec::new();
    for _ in 0..requests {
        let start = worker.head().await.start;
        paths.push(start.split(' ').nth(1).unwrap().to_owned());
        worker.send(OK).await;
    }
    paths
}

#[tokio::test]
async fn a_worker_that_runs_for_a_client_that_has_left_is_still_busy() {
    let (app, door) = with_app("workers = 1").await;
    let mut leaver = door.plain().await;
    leaver.send(Door::get("/slow", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    drop(leaver);
    let mut next = door.plain().await;
    next.send(Door::get("/next", "")).await;
    settle(&door).await;
    app.has_nobody().await;
    // The app has not been told of it, and its connection can be used again.
    worker.send(OK).await;
    assert_eq!(worker.head().await.start, "GET /next HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(next.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_worker_that_runs_for_a_given_up_stream_is_still_busy() {
    let (app, door) = with_app("workers = 1").await;
    let mut client = Http2::open(&door).await;
    let (answer, mut stream) = client.begin(Http2::get("/slow"), true).await;
    let mut worker = app.accept().await;
    worker.head().await;
    stream.send_reset(h2::Reason::CANCEL);
    drop(answer);
    let (next, _) = client.begin(Http2::get("/next"), true).await;
    settle(&door).await;
    app.has_nobody().await;
    worker.send(OK).await;
    assert_eq!(worker.head().await.start, "GET /next HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(within("an answer", next).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_answer_is_read_to_its_end_though_its_client_has_left() {
    let (app, door) = with_app("workers = 1").await;
    let mut leaver = door.plain().await;
    leaver.send(Door::get("/slow", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\nbegun")
        .await;
    assert_eq!(leaver.head().await.status(), 200);
    drop(leaver);
    let mut next = door.plain().await;
    next.send(Door::get("/next", "")).await;
    settle(&door).await;
    app.has_nobody().await;
    worker.send(crate::harness::pattern(2_000_000 - 5)).await;
    assert_eq!(worker.head().await.start, "GET /next HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(next.answer().await.text(), "ok");
}

#[tokio::test]
async fn an_event_stream_whose_client_leaves_is_closed_at_once() {
    let (app, door) = with_app("workers = 1").await;
    let mut leaver = door.plain().await;
    leaver.send(Door::get("/events", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: hello\n\n")
        .await;
    assert_eq!(leaver.head().await.status(), 200);
    drop(leaver);
    // The app is told by its connection, without a byte of its own.
    assert_eq!(worker.rest().await, b"");
    assert_eq!(
        door.plain()
            .await
            .ask(&Door::get("/a/../b", ""))
            .await
            .status,
        400
    );
    let mut next = door.plain().await;
    next.send(Door::get("/next", "")).await;
    assert_eq!(app.accept().await.head().await.start, "GET /next HTTP/1.1");
}

#[tokio::test]
async fn workers_stay_counted_over_a_reload() {
    let (app, door) = with_app("workers = 1").await;
    let mut first = door.plain().await;
    first.send(Door::get("/first", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let settings = format!("{}{}workers = 2\n", door.base, app.app());
    let config = noren::Config::parse(&settings, "test.toml").unwrap();
    door.handle.reload(config).unwrap();
    let mut second = door.plain().await;
    second.send(Door::get("/second", "")).await;
    let mut other = app.accept().await;
    assert_eq!(other.head().await.start, "GET /second HTTP/1.1");
    let mut third = door.plain().await;
    third.send(Door::get("/third", "")).await;
    settle(&door).await;
    app.has_nobody().await;
    // The connection of the configuration before is not used again, its worker is.
    worker.send(OK).await;
    assert_eq!(app.accept().await.head().await.start, "GET /third HTTP/1.1");
}

#[tokio::test]
async fn one_address_with_many_requests_does_not_keep_the_others_waiting() {
    let (app, door) = with_app("workers = 1").await;
    let mut first = door.plain().await;
    first.send(Door::get("/first", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let mut clients = Vec::new();
    for number in 0..5 {
        clients.push(waiting(&door, "127.0.0.2", &format!("/greedy/{number}")).await);
    }
    clients.push(waiting(&door, "127.0.0.3", "/modest").await);
    worker.send(OK).await;
    let order = order(&mut worker, 6).await;
    assert_eq!(order[1], "/modest", "{order:?}");
}

#[tokio::test]
async fn one_address_cannot_fill_the_queue() {
    let (app, door) = with_app("workers = 1\nqueue = 4").await;
    let mut first = door.plain().await;
    first.send(Door::get("/first", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let mut greedy = Vec::new();
    for number in 0..4 {
        greedy.push(waiting(&door, "127.0.0.2", &format!("/greedy/{number}")).await);
    }
    let mut modest = door.plain_from("127.0.0.3").await;
    modest
        .send(Door::get("/modest", "Accept: text/html\r\n"))
        .await;
    // The latest of the greedy client's makes room.
    let answer = greedy.pop().unwrap().answer().await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.head.one("retry-after"), Some("5"));
    // A page says that it comes back by itself, and does.
    let mut fifth = door.plain_from("127.0.0.2").await;
    let answer = fifth
        .ask(&Door::get("/greedy/5", "Accept: text/html\r\n"))
        .await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.head.one("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(answer.text().contains("location.reload(), 5 * 1000"));
    worker.send(OK).await;
    let order = order(&mut worker, 4).await;
    assert_eq!(order[1], "/modest", "{order:?}");
    assert_eq!(modest.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_visitor_the_app_knows_goes_before_strangers() {
    let app = Backend::tcp().await;
    let console = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}workers = 1\n{}[session]\npath = '/session'\ncookies = ['sid']\n",
        app.app(),
        console.target("vm")
    ))
    .await;
    // A question of a console is what the door knows the visitor by.
    let mut page = door.tls().await;
    page.send(Door::handshake("/websockify?token=vm", "Cookie: sid=1\r\n"))
        .await;
    let mut asked = app.accept().await;
    assert_eq!(asked.head().await.start, "GET /session HTTP/1.1");
    asked.send(OK).await;
    assert_eq!(page.head().await.status(), 101);
    let mut first = door.plain().await;
    first.send(Door::get("/first", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let mut clients = Vec::new();
    for number in 0..3 {
        clients.push(waiting(&door, "127.0.0.2", &format!("/stranger/{number}")).await);
    }
    let mut known = door.plain_from("127.0.0.3").await;
    known
        .send(Door::get("/known", "Cookie: a=b; sid=1\r\n"))
        .await;
    settle(&door).await;
    let mut made_up = door.plain_from("127.0.0.4").await;
    made_up
        .send(Door::get("/made-up", "Cookie: sid=2\r\n"))
        .await;
    settle(&door).await;
    worker.send(OK).await;
    let order = order(&mut worker, 3).await;
    assert_eq!(order, ["/known", "/stranger/0", "/made-up"]);
}
