//! Request bodies on their way to the app.

use crate::harness::{Backend, Door, Http2, pattern, send_all, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn upload(length: usize) -> String {
    format!("POST /upload HTTP/1.1\r\nHost: door.example\r\nContent-Length: {length}\r\n\r\n")
}

#[tokio::test]
async fn a_small_body_is_complete_before_the_app_is_asked() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut slow = door.plain().await;
    slow.send(format!("{}half", upload(8))).await;
    let mut other = door.plain().await;
    other.send(Door::get("/other", "")).await;
    let mut worker = app.accept().await;
    assert_eq!(
        worker.head().await.start,
        "GET /other HTTP/1.1",
        "the one that is complete comes first"
    );
    worker.send(OK).await;
    assert_eq!(other.answer().await.text(), "ok");
    slow.send("half").await;
    // It may come on the connection that is free now, or on another.
    let head = worker.head().await;
    assert_eq!(head.start, "POST /upload HTTP/1.1");
    assert_eq!(worker.take(8).await, b"halfhalf");
    worker.send(OK).await;
    assert_eq!(slow.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_large_upload_arrives_while_it_is_still_being_sent() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}request-spool = false\n[limits]\nrequest-buffer = '4KiB'\n",
        app.app()
    ))
    .await;
    let body = pattern(1 << 20);
    let (first, second) = body.split_at(64 * 1024);
    let mut client = door.tls().await;
    client.send(upload(body.len())).await;
    client.send(first).await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.one("content-length"), Some("1048576"));
    assert_eq!(worker.take(first.len()).await, first);
    let (mut input, mut output) = (worker.input, worker.output);
    let ((), rest) = tokio::join!(client.send(second), input.take(second.len()));
    assert!(rest == second, "the bytes are those that were sent");
    output.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_refusal_of_the_app_reaches_a_client_that_is_still_sending() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}request-spool = false\n", app.app())).await;
    let body = pattern(8 << 20);
    let client = door.tls().await;
    let (mut input, mut output) = (client.input, client.output);
    let app_refuses = async {
        let mut worker = app.accept().await;
        worker.head().await;
        worker
            .send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch")
            .await;
        worker
    };
    let client_sends = async {
        output.send(upload(body.len())).await;
        output.send(&body).await;
    };
    let (_worker, (), answer) = tokio::join!(app_refuses, client_sends, input.answer());
    assert_eq!((answer.status, answer.text()), (413, "much"));
}

#[tokio::test]
async fn a_refusal_of_an_app_that_closes_at_once_reaches_a_client_that_is_still_sending() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}request-spool = false\n", app.app())).await;
    let body = pattern(8 << 20);
    let client = door.tls().await;
    let (mut input, mut output) = (client.input, client.output);
    let app_refuses = async {
        let mut worker = app.accept().await;
        worker.head().await;
        worker
            .send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch")
            .await;
        // Closed with most of the body unread: the kernel sends a reset behind the answer.
    };
    let client_sends = async {
        output.send(upload(body.len())).await;
        let _ = output.try_send(&body).await;
    };
    let ((), (), answer) = tokio::join!(app_refuses, client_sends, input.answer());
    assert_eq!((answer.status, answer.text()), (413, "much"));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_frees_the_worker() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}workers = 1\nrequest-spool = false\n[limits]\nrequest-buffer = '1KiB'\n",
        app.app()
    ))
    .await;
    let mut leaver = door.plain().await;
    leaver.send(upload(1 << 20)).await;
    leaver.send(pattern(100_000)).await;
    let mut worker = app.accept().await;
    worker.head().await;
    drop(leaver);
    let seen = worker.rest().await;
    assert!(seen.len() <= 100_000, "the app sees the body end too early");
    let mut next = door.plain().await;
    next.send(Door::get("/next", "")).await;
    let mut worker = app.accept().await;
    assert_eq!(worker.head().await.start, "GET /next HTTP/1.1");
    worker.send(OK).await;
    assert_eq!(next.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_body_that_breaks_its_framing_is_the_clients_fault_and_never_reaches_the_app() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for body in [
        "zz\r\n",
        "5\r\nabc",
        "3\r\nabcd\r\n0\r\n\r\n",
        "-1\r\n",
        "1 x\r\na\r\n0\r\n\r\n",
    ] {
        let mut client = door.plain().await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: door.example\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            ))
            .await;
        client.output.finish().await;
        let said = String::from_utf8_lossy(&client.rest().await).into_owned();
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 400 "),
            "{body:?}: {said}"
        );
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn a_refusal_of_the_door_reaches_a_client_that_reads_only_when_it_has_sent_everything() {
    let console = Backend::tcp().await;
    let door = Door::open(&console.target("vm")).await;
    let body = pattern(8 << 20);
    let lines = format!("Content-Length: {}\r\n", body.len());
    let head = Door::get("/websockify/x", &lines).replacen("GET", "POST", 1);
    for mut client in [door.plain().await, door.tls().await] {
        client.send(&head).await;
        client.send(&body).await;
        assert_eq!(client.answer().await.status, 404);
    }
    let mut client = Http2::open(&door).await;
    let mut request = Http2::get("/websockify/x");
    *request.method_mut() = http::Method::POST;
    let (answer, mut stream) = client.begin(request, false).await;
    let sent = within("the body to be sent", send_all(&mut stream, body.into())).await;
    assert!(sent, "the upload is read to its end");
    stream.send_data(bytes::Bytes::new(), true).unwrap();
    assert_eq!(within("an answer", answer).await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_time_for_an_answer_begins_when_the_upload_has_ended() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}response = '1s'\nrequest-spool = false\n[limits]\nrequest-buffer = '4KiB'\n",
        app.app()
    ))
    .await;
    let body = pattern(20 * 8192);
    let mut client = door.plain().await;
    client.send(upload(body.len())).await;
    let mut worker = None;
    for piece in body.chunks(8192) {
        client.send(piece).await;
        if worker.is_none() {
            let mut accepted = app.accept().await;
            accepted.head().await;
            worker = Some(accepted);
        }
        let worker = worker.as_mut().unwrap();
        assert_eq!(worker.take(piece.len()).await, piece);
        tokio::time::sleep(std::time::Duration::from_millis(75)).await;
    }
    worker.unwrap().send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}
