//! Answers that are compressed, and those that never are.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{Answer, Backend, Door, pattern};

const SETTINGS: &str = "compress = ['text/html', 'application/json']\n";

/// A page with something to save.
fn page() -> String {
    "<p>the same again and again\n".repeat(400)
}

async fn answered(settings: &str, asked: &str, said: &str, body: &[u8]) -> Answer {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}{settings}", app.app())).await;
    let mut client = door.tls().await;
    client.send(Door::get("/", asked)).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let length = body.len();
    worker
        .send(format!(
            "HTTP/1.1 200 OK\r\n{said}Content-Length: {length}\r\n\r\n"
        ))
        .await;
    worker.send(body).await;
    client.answer().await
}

fn gunzip(body: &[u8]) -> Vec<u8> {
    let mut gunzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = gunzip.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // Both pipes at once, or each side would wait for the other.
        scope.spawn(move || input.write_all(body).unwrap());
        gunzip.wait_with_output().unwrap().stdout
    })
}

const HTML: &str = "Content-Type: text/html; charset=utf-8\r\n";

#[tokio::test]
async fn named_types_are_compressed_for_who_takes_it() {
    let said = format!("{HTML}ETag: \"1\"\r\nVary: Cookie\r\n");
    let body = page();
    for (accept, coding) in [
        ("gzip", Some("gzip")),
        ("gzip, deflate, br", Some("br")),
        ("zstd", Some("zstd")),
        ("br;q=0.5, gzip;q=0.8, *;q=0.1", Some("gzip")),
        ("gzip, identity;q=0", None),
        ("deflate", None),
        ("", None),
    ] {
        let asked = format!("Accept-Encoding: {accept}\r\n");
        let answer = answered(SETTINGS, &asked, &said, body.as_bytes()).await;
        assert_eq!(answer.head.one("content-encoding"), coding, "{accept}");
        if coding.is_some() {
            assert!(answer.body.len() < 1000, "{accept}");
            assert_eq!(answer.head.one("etag"), Some("W/\"1\""));
            assert_eq!(answer.head.all("vary"), ["Cookie", "accept-encoding"]);
        } else {
            assert_eq!(answer.text(), body);
        }
        if coding == Some("gzip") {
            assert_eq!(gunzip(&answer.body), body.as_bytes());
        }
    }
}

#[tokio::test]
async fn secrets_streams_and_what_is_not_named_are_not_compressed() {
    let body = page();
    for (settings, asked, said) in [
        ("", "", HTML),
        (SETTINGS, "", "Content-Type: text/plain\r\n"),
        (SETTINGS, "", ""),
        (SETTINGS, "Cookie: a=1\r\n", HTML),
        (SETTINGS, "Authorization: Basic x\r\n", HTML),
        (
            SETTINGS,
            "",
            "Content-Type: text/html\r\nSet-Cookie: a=1\r\n",
        ),
        (
            SETTINGS,
            "",
            "Content-Type: text/html\r\nCache-Control: max-age=1, no-transform\r\n",
        ),
        (
            SETTINGS,
            "",
            "Content-Type: text/html\r\nCache-Control: private\r\n",
        ),
        (
            SETTINGS,
            "",
            "Content-Type: text/html\r\nContent-Encoding: br\r\n",
        ),
        (
            SETTINGS,
            "",
            "Content-Type: text/html\r\nX-Accel-Buffering: no\r\n",
        ),
    ] {
        let asked = format!("{asked}Accept-Encoding: gzip\r\n");
        let answer = answered(settings, &asked, said, body.as_bytes()).await;
        assert_eq!(answer.text(), body, "{asked}{said}");
        assert_ne!(answer.head.one("content-encoding"), Some("gzip"));
    }
    let small = answered(SETTINGS, "Accept-Encoding: gzip\r\n", HTML, b"<p>small").await;
    assert_eq!(small.text(), "<p>small");
}

#[tokio::test]
async fn what_is_private_is_compressed_where_that_is_allowed() {
    let settings = format!("{SETTINGS}compress-private = true\n");
    let asked = "Accept-Encoding: gzip\r\nCookie: a=1\r\n";
    let answer = answered(&settings, asked, HTML, page().as_bytes()).await;
    assert_eq!(answer.head.one("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn a_large_answer_is_compressed_as_it_comes() {
    let body = pattern(4 << 20);
    let answer = answered(SETTINGS, "Accept-Encoding: gzip\r\n", HTML, &body).await;
    assert_eq!(answer.head.one("content-encoding"), Some("gzip"));
    assert!(gunzip(&answer.body) == body, "byte for byte");
}
