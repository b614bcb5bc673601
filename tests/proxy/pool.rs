//! Connections to the app: used again, replaced when stale, and never shared by two exchanges.

use crate::harness::{Answer, Backend, Door, Wire};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One exchange, after which the door has an idle connection to the app.
async fn warmed_up(door: &Door, app: &Backend) -> (Wire, Wire) {
    let mut client = door.plain().await;
    client.send(Door::get("/first", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    (client, worker)
}

async fn served(worker: &mut Wire, client: &mut Wire, start: &str) -> Answer {
    assert_eq!(worker.head().await.start, start);
    worker.send(OK).await;
    client.answer().await
}

#[tokio::test]
async fn two_requests_use_one_connection() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let (_client, mut worker) = warmed_up(&door, &app).await;
    let mut other = door.plain().await;
    other.send(Door::get("/second", "")).await;
    let answer = served(&mut worker, &mut other, "GET /second HTTP/1.1").await;
    assert_eq!(answer.text(), "ok");
    app.has_nobody().await;
}

#[tokio::test]
async fn an_app_that_wants_its_connection_closed_gets_a_new_one() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    for _ in 0..2 {
        client.send(Door::get("/", "")).await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            .await;
        assert_eq!(client.answer().await.text(), "ok");
        assert_eq!(worker.rest().await, b"");
    }
}

#[tokio::test]
async fn a_get_on_a_stale_connection_is_sent_once_more_on_a_new_one() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let (mut client, mut stale) = warmed_up(&door, &app).await;
    client.send(Door::get("/second", "")).await;
    assert_eq!(stale.head().await.start, "GET /second HTTP/1.1");
    drop(stale);
    let mut worker = app.accept().await;
    let answer = served(&mut worker, &mut client, "GET /second HTTP/1.1").await;
    assert_eq!(answer.text(), "ok");
}

#[tokio::test]
async fn a_request_that_is_sent_again_has_the_names_and_the_body_that_came() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let (mut client, mut stale) = warmed_up(&door, &app).await;
    client
        .send("PUT /second HTTP/1.1\r\nHost: a\r\nX-oWN: 1\r\nContent-Length: 4\r\n\r\nbody")
        .await;
    let first = stale.head().await;
    drop(stale);
    let mut worker = app.accept().await;
    let again = worker.head().await;
    assert_eq!(again.names, first.names);
    assert!(again.names.iter().any(|name| name == "X-oWN"));
    assert_eq!(worker.take(4).await, b"body");
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_get_is_not_sent_a_third_time() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let (mut client, mut stale) = warmed_up(&door, &app).await;
    client.send(Door::get("/second", "")).await;
    stale.head().await;
    drop(stale);
    let mut worker = app.accept().await;
    worker.head().await;
    drop(worker);
    assert_eq!(client.answer().await.status, 502);
    app.has_nobody().await;
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let (mut client, mut stale) = warmed_up(&door, &app).await;
    client
        .send("POST /order HTTP/1.1\r\nHost: door.example\r\nContent-Length: 1\r\n\r\n1")
        .await;
    assert_eq!(stale.head().await.start, "POST /order HTTP/1.1");
    drop(stale);
    let answer = client.answer().await;
    assert_eq!(answer.status, 502);
    app.has_nobody().await;
}

#[tokio::test]
async fn a_connection_that_the_app_has_closed_is_not_used_for_a_post() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let (mut client, stale) = warmed_up(&door, &app).await;
    drop(stale);
    client
        .send("POST /order HTTP/1.1\r\nHost: door.example\r\nContent-Length: 1\r\n\r\n1")
        .await;
    let mut worker = app.accept().await;
    let answer = served(&mut worker, &mut client, "POST /order HTTP/1.1").await;
    assert_eq!(answer.text(), "ok");
}

#[tokio::test]
async fn bytes_behind_an_answer_never_become_the_next_answer() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for together in [true, false] {
        let app = Backend::tcp().await;
        let door = Door::open(&app.app()).await;
        let mut client = door.plain().await;
        client.send(Door::get("/first", "")).await;
        let mut poisoned = app.accept().await;
        poisoned.head().await;
        if together {
            poisoned.send(format!("{OK}{evil}")).await;
        } else {
            poisoned.send(OK).await;
        }
        assert_eq!(client.answer().await.text(), "ok");
        if !together {
            let _ = poisoned.output.try_send(evil.as_bytes()).await;
        }
        client.send(Door::get("/second", "")).await;
        let mut worker = app.accept().await;
        let answer = served(&mut worker, &mut client, "GET /second HTTP/1.1").await;
        assert_eq!(answer.text(), "ok", "together: {together}");
        assert_eq!(
            poisoned.rest().await,
            b"",
            "nothing was sent on the poisoned connection"
        );
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_before_the_app_closes_it() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}keep-alive = '100ms'\n", app.app())).await;
    let (_client, mut worker) = warmed_up(&door, &app).await;
    assert_eq!(worker.rest().await, b"", "it ends by itself");
}

#[tokio::test]
async fn the_rest_of_an_answer_nobody_waits_for_does_not_reach_the_next_client() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut leaver = door.plain().await;
    leaver.send(Door::get("/long", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning")
        .await;
    leaver.head().await;
    drop(leaver);
    assert_eq!(
        worker.rest().await,
        b"",
        "the connection ends with its exchange"
    );
    let mut next = door.plain().await;
    next.send(Door::get("/next", "")).await;
    let mut worker = app.accept().await;
    let answer = served(&mut worker, &mut next, "GET /next HTTP/1.1").await;
    assert_eq!(answer.text(), "ok");
}
