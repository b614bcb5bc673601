//! A response that breaks off: the client gets the head and the bytes that came, and then knows that it is not whole.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::harness::{Backend, Door, Http2, Wire, within};

/// Responses whose bytes and whose end reach Noren together.
const BROKEN: [&str; 4] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
];
const TIMES: usize = 25;

/// Has the app send a response and close the connection.
async fn break_off(app: &Backend, said: &[u8]) {
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(said).await;
    drop(worker);
}

async fn got(app: &Backend, mut client: Wire, said: &str) -> String {
    client.send(Door::get("/", "")).await;
    break_off(app, said.as_bytes()).await;
    String::from_utf8_lossy(&client.rest().await).into_owned()
}

fn is_told(got: &str, case: &str) {
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{case}: {got:?}");
    let body = got.split_once("\r\n\r\n").unwrap().1;
    assert!(body.contains("half"), "{case}: {got:?}");
    assert!(!body.ends_with("0\r\n\r\n"), "{case}: {got:?}");
}

#[tokio::test]
async fn a_response_that_breaks_off_is_delivered_as_far_as_it_came_over_http1() {
    let app = Backend::tcp().await;
    for spool in [true, false] {
        let door = Door::open(&format!("{}response-spool = {spool}\n", app.app())).await;
        for said in BROKEN {
            for _ in 0..TIMES {
                is_told(&got(&app, door.plain().await, said).await, said);
                is_told(&got(&app, door.tls().await, said).await, said);
            }
        }
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_is_delivered_as_far_as_it_came_over_http2() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    for said in BROKEN {
        for _ in 0..TIMES {
            let (answer, _) = client.begin(Http2::get("/"), true).await;
            break_off(&app, said.as_bytes()).await;
            let answer = within("a head", answer).await;
            let answer = answer.unwrap_or_else(|error| panic!("{said:?}: {error}"));
            assert_eq!(answer.status(), 200, "{said:?}");
            let (body, ended) = read_until_reset(answer).await;
            assert_eq!(body, b"half", "{said:?}");
            assert!(ended.is_reset(), "{said:?}: {ended}");
        }
    }
}

/// The bytes before a reset, and the reset.
async fn read_until_reset(answer: http::Response<h2::RecvStream>) -> (Vec<u8>, h2::Error) {
    let mut stream = answer.into_body();
    let mut body = Vec::new();
    loop {
        match within("more of the answer", stream.data()).await {
            Some(Ok(piece)) => {
                stream.flow_control().release_capacity(piece.len()).unwrap();
                body.extend_from_slice(&piece);
            }
            Some(Err(error)) => return (body, error),
            None => panic!("the response looks complete: {body:?}"),
        }
    }
}

#[tokio::test]
async fn a_response_larger_than_the_window_is_delivered_before_its_stream_is_reset() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    let half = crate::harness::pattern(300_000);
    let said = [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n"[..],
        &half,
    ]
    .concat();
    for _ in 0..5 {
        let (answer, _) = client.begin(Http2::get("/"), true).await;
        break_off(&app, &said).await;
        let answer = within("a head", answer).await.unwrap();
        let (body, ended) = read_until_reset(answer).await;
        assert_eq!(body.len(), half.len());
        assert!(body == half);
        assert!(ended.is_reset(), "{ended}");
    }
}

#[tokio::test]
async fn a_client_that_takes_too_little_does_not_hold_a_broken_response_for_ever() {
    let app = Backend::tcp().await;
    let settings = format!("{}[limits]\nbody-idle = '300ms'\n", app.app());
    let door = Door::open(&settings).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(2);
    let mut client = Http2::open_with(&door, &builder).await;
    let (answer, _) = client.begin(Http2::get("/"), true).await;
    break_off(&app, BROKEN[0].as_bytes()).await;
    let answer = within("a head", answer).await.unwrap();
    let mut stream = answer.into_body();
    let piece = within("the window", stream.data()).await.unwrap().unwrap();
    assert_eq!(piece, "ha"[..]);
    let ended = within("the reset", stream.data()).await.unwrap();
    assert!(ended.is_err_and(|error| error.is_reset()));
}

#[tokio::test]
async fn a_compressed_response_that_breaks_off_is_delivered_as_far_as_it_came() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}compress = ['text/plain']\n", app.app())).await;
    let half = "a line of the half that came\n".repeat(100);
    let said = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n{half}"
    );
    for _ in 0..TIMES {
        let mut client = door.plain().await;
        client
            .send(Door::get("/", "Accept-Encoding: gzip\r\n"))
            .await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(&said).await;
        let head = client.head().await;
        drop(worker);
        assert_eq!(head.one("content-encoding"), Some("gzip"));
        let mut coded = Vec::new();
        while client.input.has(1).await {
            // Chunks as far as they are whole: there must be no last one.
            let piece = client.input.chunk().await;
            assert!(!piece.is_empty(), "the response looks complete");
            coded.extend(piece);
        }
        assert_eq!(gunzip(&coded), half);
    }
}

fn gunzip(coded: &[u8]) -> String {
    let mut gunzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    gunzip.stdin.take().unwrap().write_all(coded).unwrap();
    String::from_utf8(gunzip.wait_with_output().unwrap().stdout).unwrap()
}
