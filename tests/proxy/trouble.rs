//! Tests of the response when the app is down, busy, slow or broken.

use crate::harness::{Answer, Backend, Door};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn an_app_that_is_down_is_told_in_the_form_the_visitor_prefers() {
    let door = Door::open("[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\n").await;
    for (accept, kind, text) in [
        (
            "Accept: text/html,*/*;q=0.8\r\n",
            "text/html; charset=utf-8",
            "<h1>",
        ),
        (
            "Accept: application/json\r\n",
            "application/json",
            "{\"code\":503,\"reason\":\"",
        ),
        (
            "",
            "text/plain; charset=utf-8",
            "the application is not running",
        ),
    ] {
        let answer = door.tls().await.ask(&Door::get("/", accept)).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.head.one("retry-after"), Some("5"));
        assert_eq!(answer.head.one("content-type"), Some(kind));
        assert_eq!(answer.head.one("cache-control"), Some("no-store"));
        assert!(answer.text().contains(text), "{}", answer.text());
        assert!(
            !answer.text().contains("nonexistent"),
            "paths are for the log"
        );
    }
}

/// The client's response when the app answers with these bytes and leaves.
async fn answer_to(said: &[u8]) -> Answer {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(said).await;
    drop(worker);
    client.answer().await
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_502() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(1000));
    for said in [
        "",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Folded: a\r\n\tb: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
        &many,
    ] {
        let answer = answer_to(said.as_bytes()).await;
        assert_eq!(answer.status, 502, "{said:.60}");
        assert_eq!(
            answer.head.one("retry-after").is_some(),
            !said.contains("chunked")
        );
    }
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_a_502() {
    let said = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let answer = answer_to(said.as_bytes()).await;
    assert_eq!(answer.status, 502);
    assert!(!answer.text().contains("evil"));
}

#[tokio::test]
async fn an_answer_that_is_cut_off_does_not_look_complete() {
    for said in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let app = Backend::tcp().await;
        let door = Door::open(&app.app()).await;
        let mut client = door.plain().await;
        client.send(Door::get("/", "")).await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(said).await;
        drop(worker);
        let got = String::from_utf8_lossy(&client.rest().await).into_owned();
        assert!(!got.ends_with("0\r\n\r\n"), "no end was made up: {got}");
        assert!(
            !got.contains("Content-Length: 4\r\n"),
            "nor another length: {got}"
        );
    }
}

#[tokio::test]
async fn an_app_that_does_not_begin_to_answer_is_a_504() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}response = '200ms'\n", app.app())).await;
    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.head.one("retry-after"), Some("5"));
    assert_eq!(worker.rest().await, b"", "its connection is not used again");
}

#[tokio::test]
async fn an_app_that_sends_interim_answers_without_end_is_a_504() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}response = '300ms'\n", app.app())).await;
    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let babble = async {
        while worker
            .output
            .try_send(b"HTTP/1.1 102 Processing\r\n\r\n")
            .await
            .is_ok()
        {}
    };
    // A few of them are passed on.
    let last = async {
        loop {
            let answer = client.answer().await;
            if answer.status != 102 {
                return answer;
            }
        }
    };
    let ((), answer) = tokio::join!(babble, last);
    assert!(matches!(answer.status, 502 | 504), "{}", answer.status);
}

#[tokio::test]
async fn an_app_that_stops_in_the_middle_of_its_answer_is_cut_off() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}response-idle = '200ms'\n", app.app())).await;
    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        .await;
    let got = client.rest().await;
    assert!(got.ends_with(b"half"));
    assert_eq!(worker.rest().await, b"");
}

#[tokio::test]
async fn requests_beyond_workers_and_queue_are_refused_and_those_within_are_served() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}workers = 1\nqueue = 1\n", app.app())).await;
    let mut first = door.plain().await;
    first.send(Door::get("/first", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    // One of these two waits for the worker, and the other one is refused: which, nobody can say.
    let (mut a, mut b) = (door.plain().await, door.plain().await);
    a.send(Door::get("/waiting", "")).await;
    b.send(Door::get("/waiting", "")).await;
    let (refused, mut waiting) = tokio::select! {
        answer = a.answer() => (answer, b),
        answer = b.answer() => (answer, a),
    };
    assert_eq!(refused.status, 503);
    assert_eq!(refused.head.one("retry-after"), Some("5"));
    app.has_nobody().await;
    worker.send(OK).await;
    assert_eq!(first.answer().await.text(), "ok");
    assert_eq!(worker.head().await.start, "GET /waiting HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(waiting.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_request_that_waits_too_long_for_a_worker_is_refused() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}workers = 1\nqueue-wait = '100ms'\n", app.app())).await;
    let mut first = door.plain().await;
    first.send(Door::get("/first", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let answer = door.plain().await.ask(&Door::get("/second", "")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.head.one("retry-after"), Some("5"));
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_makes_room_in_it() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}workers = 1\nqueue = 1\n", app.app())).await;
    let mut first = door.plain().await;
    first.send(Door::get("/first", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let mut leaver = door.plain().await;
    leaver.send(Door::get("/left", "")).await;
    // The queue is full once another request is refused.
    crate::harness::until("the queue to be full", || async {
        let mut probe = door.plain().await;
        probe.send(Door::get("/probe", "")).await;
        let moment = std::time::Duration::from_millis(50);
        let answer = tokio::time::timeout(moment, probe.answer()).await;
        answer
            .is_ok_and(|answer| answer.status == 503)
            .then_some(())
    })
    .await;
    drop(leaver);
    let mut next = crate::harness::until("room in the queue", || async {
        let mut next = door.plain().await;
        next.send(Door::get("/next", "")).await;
        let moment = std::time::Duration::from_millis(100);
        // Refused at once, or waiting.
        tokio::time::timeout(moment, next.answer())
            .await
            .is_err()
            .then_some(next)
    })
    .await;
    worker.send(OK).await;
    assert_eq!(first.answer().await.text(), "ok");
    assert_eq!(worker.head().await.start, "GET /next HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(next.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_wait_that_is_shorter_than_the_pause_between_two_tries_ends() {
    let door = Door::open("[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '1ms'\n").await;
    for _ in 0..3 {
        let mut client = door.plain().await;
        assert_eq!(client.ask(&Door::get("/", "")).await.status, 503);
    }
}

#[tokio::test]
async fn an_app_whose_queue_is_full_for_a_moment_is_waited_for() {
    // CherryPy's queue has five places. A UNIX socket refuses the sixth at once, where TCP asks again.
    let directory = tempfile::tempdir().unwrap();
    let full = crate::harness::FullBacklog::unix(&directory.path().join("app")).await;
    let door = Door::open(&format!("[[app]]\nurl = '{}'\n", full.address())).await;
    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    // A request that came later has been answered, so the door has tried to connect.
    let later = door.plain().await.ask(&Door::get("/a/../b", "")).await;
    assert_eq!(later.status, 400);
    let app = full.accept_waiting();
    let serving = async {
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(OK).await;
    };
    let answer = tokio::select! {
        answer = client.answer() => answer,
        () = async { serving.await; std::future::pending().await } => unreachable!(),
    };
    assert_eq!(answer.status, 200, "{}", answer.text());
}
