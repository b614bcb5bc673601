//! Answers: off the worker as fast as the app gives them, whatever the client does, within bounds.

use std::time::Duration;

use h2::client::Builder;

use super::OK;
use crate::harness::{Backend, Door, Http2, Wire, pattern, within};

/// More than the kernel takes for two sockets on loopback.
const LARGE: usize = 32 << 20;

async fn door(app: &str, spool: &str) -> (Backend, Door) {
    let backend = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}workers = 1\n{app}[spool]\n{spool}\n",
        backend.app()
    ))
    .await;
    (backend, door)
}

fn head(lines: &str, length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {length}\r\n\r\n")
}

/// The only worker there is serves somebody else.
async fn serves_another(door: &Door, app: &Backend, worker: Option<&mut Wire>) {
    let mut other = door.plain().await;
    other.send(Door::get("/other", "")).await;
    let mut fresh;
    let worker = if let Some(worker) = worker {
        worker
    } else {
        fresh = app.accept().await;
        &mut fresh
    };
    assert_eq!(worker.head().await.start, "GET /other HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(other.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_no_worker() {
    let (app, door) = door("", "").await;
    let body = pattern(LARGE);
    for mut client in [door.plain().await, door.tls().await] {
        client.send(Door::get("/big", "")).await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(head("", body.len())).await;
        worker.send(&body).await;
        serves_another(&door, &app, Some(&mut worker)).await;
        drop(worker);
        let answer = client.answer().await;
        assert!(answer.body == body, "byte for byte, at the client's pace");
    }
}

#[tokio::test]
async fn an_answer_whose_end_is_not_known_is_kept_too() {
    let (app, door) = door("", "answer-buffer = '64KiB'").await;
    let body = pattern(LARGE);
    let mut client = door.plain().await;
    client.send(Door::get("/big", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    for piece in body.chunks(1 << 20) {
        worker.send(format!("{:x}\r\n", piece.len())).await;
        worker.send(piece).await;
        worker.send("\r\n").await;
    }
    worker.send("0\r\n\r\n").await;
    serves_another(&door, &app, Some(&mut worker)).await;
    assert!(client.answer().await.body == body, "byte for byte");
}

#[tokio::test]
async fn a_stream_whose_window_stays_shut_holds_no_worker() {
    let (app, door) = door("", "").await;
    let mut greedy = Http2::open_with(&door, Builder::new().initial_window_size(0)).await;
    let mut answers = Vec::new();
    for length in [0, 1024, 100_000, 8 << 20] {
        let (answer, _) = greedy.begin(Http2::get("/page"), true).await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(head("Connection: close\r\n", length)).await;
        worker.send(pattern(length)).await;
        answers.push(within("the head of an answer", answer).await.unwrap());
        serves_another(&door, &app, None).await;
    }
    for answer in answers {
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn bytes_keep_their_order_between_memory_and_disk() {
    let (app, door) = door("", "answer-buffer = '100KiB'\nanswer-size = '3MiB'").await;
    let body = pattern(LARGE);
    let mut client = door.plain().await;
    client.send(Door::get("/big", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(head("", body.len())).await;
    let (mut input, mut output) = (client.input, worker.output);
    let reading = async {
        let head = input.head().await;
        assert_eq!(head.one("content-length"), Some("33554432"));
        let mut got = Vec::new();
        // Slower and faster than the app in turns, so that the file is filled, emptied and used again.
        while got.len() < body.len() {
            let pause = if got.len() / (4 << 20) % 2 == 0 {
                40
            } else {
                0
            };
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let next = (body.len() - got.len()).min(700_000);
            got.extend(input.take(next).await);
        }
        got
    };
    let ((), got) = tokio::join!(output.send(&body), reading);
    assert!(got == body, "byte for byte");
}

/// The app is held back by a client that reads nothing, and the answer is complete all the same.
async fn holds_back(app: &str, lines: &str, spool: &str) {
    let (app, door) = door(app, spool).await;
    let body = pattern(LARGE);
    let mut client = door.plain().await;
    client.send(Door::get("/big", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(head(lines, body.len())).await;
    let (mut input, mut output) = (client.input, worker.output);
    let mut sending = Box::pin(output.send(&body));
    let moment = Duration::from_millis(500);
    let sent = tokio::time::timeout(moment, &mut sending).await;
    assert!(sent.is_err(), "{lines}{spool}: the door took it all in");
    let ((), answer) = tokio::join!(sending, input.answer());
    assert!(answer.body == body, "{lines}{spool}: byte for byte");
}

#[tokio::test]
async fn what_must_pass_at_once_and_what_has_no_room_waits_for_the_client_as_ever() {
    holds_back("", "Content-Type: text/event-stream\r\n", "").await;
    holds_back("", "X-Accel-Buffering: no\r\n", "").await;
    holds_back("response-spool = false\n", "", "").await;
    holds_back("", "", "answer-size = '64KiB'").await;
    holds_back("", "", "size = '1MiB'\nmemory = '64KiB'").await;
    holds_back("", "", "size = '0B'\nmemory = '0B'").await;
    holds_back("", "", "directory = '/nonexistent/spool'").await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_an_answer_that_is_being_kept() {
    let (app, door) = door("response-idle = '300ms'\n", "").await;
    let mut client = door.plain().await;
    client.send(Door::get("/endless", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(head("", 1 << 30)).await;
    worker.send(pattern(LARGE)).await;
    drop(client);
    assert_eq!(worker.rest().await, b"", "nobody wants the rest");
    serves_another(&door, &app, None).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_while_it_is_kept_does_not_look_complete() {
    let (app, door) = door("", "").await;
    let mut client = door.plain().await;
    client.send(Door::get("/big", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(head("", LARGE + 1)).await;
    worker.send(pattern(LARGE)).await;
    drop(worker);
    client.head().await;
    let got = client.rest().await;
    assert!(got.len() > LARGE / 2, "what there was");
    assert!(pattern(LARGE).starts_with(&got), "and then the end");
}

#[tokio::test]
async fn an_app_that_stops_in_the_middle_is_cut_off_while_nobody_reads() {
    let (app, door) = door("response-idle = '300ms'\n", "").await;
    let mut client = door.plain().await;
    client.send(Door::get("/big", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(head("", LARGE + 1)).await;
    worker.send(pattern(LARGE)).await;
    assert_eq!(worker.rest().await, b"");
    drop(client);
}
