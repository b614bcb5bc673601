//! Interim responses of the app (RFC 9110 §15.2).

use crate::harness::{Backend, Door, Http2, Wire, within};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-own\r\n\
                     X-Own: 1\r\nX-Accel-Redirect: /secret\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Asks for hints, and has them before the app has more to say.
async fn gets_hints(app: &Backend, client: &mut Wire) {
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(HINTS).await;
    let head = client.head().await;
    assert_eq!(head.start, "HTTP/1.1 103 Early Hints");
    assert_eq!(head.lines(), ["link: </a.css>; rel=preload"]);
    worker.send("HTTP/1.1 102 Processing\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 102);
    worker.send(HINTS.to_owned() + OK).await;
    assert_eq!(client.head().await.status(), 103);
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn interim_responses_of_the_app_are_passed_on_at_once() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}keep-alive = '0s'\n", app.app())).await;
    for _ in 0..10 {
        let mut plain = door.plain().await;
        let mut secure = door.tls().await;
        for _ in 0..2 {
            gets_hints(&app, &mut plain).await;
            gets_hints(&app, &mut secure).await;
        }
    }
}

#[tokio::test]
async fn no_more_than_a_few_interim_responses_of_a_request_are_passed_on() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let large = format!(
        "HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    worker.send(large + &HINTS.repeat(40) + OK).await;
    let mut hints = 0;
    loop {
        let head = client.head().await;
        if head.status() == 200 {
            assert_eq!(client.input.body(&head).await, b"ok");
            break;
        }
        assert_eq!(head.one("link"), Some("</a.css>; rel=preload"));
        hints += 1;
    }
    assert_eq!(hints, 16);
}

#[tokio::test]
async fn interim_responses_are_not_sent_where_the_protocol_has_no_place_for_them() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client
        .send("GET / HTTP/1.0\r\nHost: door.example\r\n\r\n")
        .await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(HINTS.to_owned() + OK).await;
    assert_eq!(client.answer().await.text(), "ok");

    let mut client = Http2::open(&door).await;
    let (answer, _) = client.begin(Http2::get("/"), true).await;
    worker.head().await;
    worker.send(HINTS.to_owned() + OK).await;
    let answer = within("an answer", answer).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn an_upload_that_waits_for_a_100_gets_that_and_the_hints_in_their_order() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client
        .send("POST / HTTP/1.1\r\nHost: door.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 100);
    client.send("body").await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    worker.input.body_of_request(&head).await;
    worker.send(HINTS.to_owned() + OK).await;
    assert_eq!(client.head().await.status(), 103);
    assert_eq!(client.answer().await.text(), "ok");
}
