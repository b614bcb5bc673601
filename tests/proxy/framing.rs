//! The end of a response as its client finds it: lengths, responses without a body, and persistent connections.

use std::process::Command;

use crate::harness::{Backend, Door, Http2, read_all, within};

/// Has the app answer one request, and returns the end of its head line.
async fn says(app: &Backend, said: &str) {
    let mut worker = app.accept().await;
    worker.head().await;
    worker.send(said).await;
}

#[tokio::test]
async fn an_http_1_0_client_is_promised_what_is_kept() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    // With keep-alive and a length the connection goes on; without a length its end is the end of the response.
    for (asks, said, persists) in [
        (
            "Connection: keep-alive\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            true,
        ),
        (
            "Connection: keep-alive\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
            false,
        ),
        (
            "Connection: keep-alive\r\n",
            "HTTP/1.1 200 OK\r\n\r\nok",
            false,
        ),
        (
            "Connection: keep-alive\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            true,
        ),
        (
            "Connection: keep-alive\r\n",
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nok",
            false,
        ),
        (
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
            false,
        ),
        (
            "",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            false,
        ),
    ] {
        let mut client = door.plain().await;
        client
            .send(format!(
                "GET / HTTP/1.0\r\nHost: door.example\r\n{asks}\r\n"
            ))
            .await;
        let mut worker = app.accept().await;
        worker.head().await;
        worker.send(said).await;
        let head = client.head().await;
        let promised = head.all("connection").concat().to_ascii_lowercase();
        assert_eq!(
            promised.contains("keep-alive"),
            persists,
            "{said:?}: {promised}"
        );
        assert!(
            !(persists && promised.contains("close")),
            "{said:?}: {promised}"
        );
        if persists {
            let length = head
                .one("content-length")
                .map_or(0, |length| length.parse().unwrap());
            client.take(length).await;
            let again =
                "OPTIONS * HTTP/1.0\r\nHost: door.example\r\nConnection: keep-alive\r\n\r\n";
            assert_eq!(client.ask(again).await.status, 204, "{said:?}");
        } else {
            if said.contains("chunked") && !said.ends_with("0\r\n\r\n") {
                worker.send("0\r\n\r\n").await;
            }
            drop(worker);
            assert_eq!(client.rest().await, b"ok", "{said:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_on_http_1_0_promises_nothing_that_is_not_kept() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    let asks = "GET /%00 HTTP/1.0\r\nHost: door.example\r\nConnection: keep-alive\r\n\r\n";
    let answer = client.ask(asks).await;
    assert_eq!(answer.status, 400);
    let promised = answer.head.all("connection").concat();
    assert!(!promised.contains("keep-alive"), "{promised}");
    assert_eq!(client.rest().await, b"");
}

/// Responses that have no body, whatever the app says of one.
const EMPTY: [&str; 4] = [
    "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\nETag: \"1\"\r\n\r\n",
];

#[tokio::test]
async fn a_response_without_a_body_has_no_length_over_any_protocol() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for said in EMPTY {
        let mut client = door.plain().await;
        client.send(Door::get("/", "")).await;
        says(&app, said).await;
        let head = client.head().await;
        assert_eq!(head.one("content-length"), None, "{said}");
        assert_eq!(head.one("transfer-encoding"), None, "{said}");

        let mut client = Http2::open(&door).await;
        let (answer, _) = client.begin(Http2::get("/"), true).await;
        says(&app, said).await;
        let answer = within("an answer", answer).await.unwrap();
        assert_eq!(answer.headers().get("content-length"), None, "{said}");
        assert_eq!(read_all(answer).await.1, b"", "{said}");
    }
}

#[tokio::test]
async fn a_response_to_head_has_the_length_and_no_body_over_any_protocol() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    // The app's, and one of Noren's own.
    for path in ["/", "/%00"] {
        let mut lengths = Vec::new();
        let mut client = door.plain().await;
        client
            .send(format!(
                "HEAD {path} HTTP/1.1\r\nHost: door.example\r\nConnection: close\r\n\r\n"
            ))
            .await;
        if path == "/" {
            says(&app, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").await;
        }
        let head = client.head().await;
        lengths.push(head.one("content-length").unwrap().to_owned());
        assert_eq!(client.rest().await, b"");

        let mut client = Http2::open(&door).await;
        let mut request = Http2::get(path);
        *request.method_mut() = http::Method::HEAD;
        let (answer, _) = client.begin(request, true).await;
        if path == "/" {
            says(&app, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").await;
        }
        let answer = within("an answer", answer).await.unwrap();
        lengths.push(
            answer.headers()["content-length"]
                .to_str()
                .unwrap()
                .to_owned(),
        );
        assert_eq!(read_all(answer).await.1, b"");
        assert_eq!(lengths[0], lengths[1]);
        assert_ne!(lengths[0], "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_takes_a_204_with_a_length_over_http2() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let url = format!("https://{}/", door.https);
    let asks = tokio::task::spawn_blocking(move || {
        Command::new("curl")
            .args(["-sS", "--http2", "-k", "-H", "Host: door.example"])
            .args([
                "-o",
                "/dev/null",
                "-w",
                "%{http_code} %{http_version}",
                &url,
            ])
            .output()
            .unwrap()
    });
    says(&app, EMPTY[0]).await;
    let asked = within("curl", asks).await.unwrap();
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert_eq!(said, "204 2", "{}", String::from_utf8_lossy(&asked.stderr));
}

#[tokio::test]
async fn chunks_that_may_not_be_transformed_stay_as_they_are() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let said = |line: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{line}\r\n\
             1\r\no\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        )
    };
    let mut client = door.plain().await;
    client.send(Door::get("/", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send(said("Cache-Control: no-store, No-Transform\r\n"))
        .await;
    let head = client.head().await;
    assert_eq!(head.one("content-length"), None);
    assert_eq!(head.one("transfer-encoding"), Some("chunked"));
    for piece in ["o", "one", "two", ""] {
        assert_eq!(client.input.chunk().await, piece.as_bytes());
    }
    // Any other response that is complete has a length.
    client.send(Door::get("/", "")).await;
    worker.head().await;
    worker.send(said("")).await;
    let answer = client.answer().await;
    assert_eq!(answer.head.one("content-length"), Some("7"));
    assert_eq!(answer.text(), "oonetwo");
}

#[tokio::test]
async fn an_upgrade_with_another_method_is_an_ordinary_request() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = door.plain().await;
    client
        .send(
            "POST /0/0/websocket HTTP/1.1\r\nHost: door.example\r\nUpgrade: WebSocket\r\n\
               Connection: Upgrade\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    assert_eq!(head.one("upgrade"), None);
    worker
        .send("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 405);
}
