//! Sources in the network and by host name, with a small HTTP server in the place of an API.

use std::sync::{Arc, Mutex};

use super::knock;
use crate::harness::{Backend, Door};

/// An API that gives the same answer to everybody, and remembers what it was asked for.
struct Api {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Api {
    /// `answer` is the status line's end, further lines, an empty line and the body; "" is no answer at all.
    async fn answers(answer: impl Into<String>) -> Self {
        let (backend, answer) = (Backend::tcp().await, answer.into());
        let address = backend.address().to_owned();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut silent = Vec::new();
            loop {
                let mut wire = backend.accept().await;
                let line = wire.head().await.start;
                remembered.lock().unwrap().push(line);
                if answer.is_empty() {
                    silent.push(wire);
                } else {
                    wire.send(format!("HTTP/1.1 {answer}")).await;
                }
            }
        });
        Self { address, asked }
    }

    async fn ok(body: &str) -> Self {
        let length = body.len();
        Self::answers(format!("200 OK\r\nContent-Length: {length}\r\n\r\n{body}")).await
    }

    fn settings(&self, allow: &str) -> String {
        format!(
            "[[bridge.tokens]]\nsource = 'http'\nurl = 'http://{}/c/{{token}}?x=1'\n\
             timeout = '300ms'\nallow = [{allow}]\n",
            self.address
        )
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn an_http_api_leads_to_the_console_it_names_as_text_or_json() {
    let console = Backend::tcp().await;
    let (host, port) = console.address().split_once(':').unwrap();
    for body in [
        format!("{host}:{port}\n"),
        format!("{{\"host\": \"{host}\", \"port\": {port}}}"),
        format!("{{\"host\": \"{host}\", \"port\": \"{port}\"}}"),
    ] {
        let api = Api::ok(&body).await;
        let door = Door::open(&api.settings("'127.0.0.1:*'")).await;
        assert_eq!(knock(&door, "vm").await.status, 101, "{body}");
        console.accept().await;
        assert_eq!(api.asked(), ["GET /c/vm?x=1 HTTP/1.1"]);
    }
}

#[tokio::test]
async fn a_token_reaches_the_api_percent_encoded_or_not_at_all() {
    let api = Api::answers("404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let door = Door::open(&api.settings("'127.0.0.1:*'")).await;
    for token in ["a%2F..%2F..%2Fb", "a%26b%3Dc", "..", "%2E%2E", "a%3Fb"] {
        assert_eq!(knock(&door, token).await.status, 404, "{token}");
    }
    let asked = api.asked();
    let tokens: Vec<_> = asked
        .iter()
        .map(|line| line.strip_prefix("GET /c/").unwrap())
        .collect();
    assert_eq!(
        tokens,
        [
            "a%2F..%2F..%2Fb?x=1 HTTP/1.1",
            "a%26b%3Dc?x=1 HTTP/1.1",
            "a%3Fb?x=1 HTTP/1.1"
        ]
    );
}

#[tokio::test]
async fn an_api_names_only_what_is_allowed() {
    let console = Backend::tcp().await;
    let port = console.address().rsplit_once(':').unwrap().1;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vm");
    let socket = Backend::unix(&path);
    let inside = format!("'unix:{}'", directory.path().display());
    let unix = format!("unix_socket:{}", path.display());
    let (here, name) = (format!("127.0.0.1:{port}"), format!("localhost:{port}"));
    let tcp = |rule: &str| format!("'{rule}'");
    for (body, allow, status) in [
        (&here, tcp("10.0.0.0/8:*"), 404),
        (&here, tcp("0.0.0.0/0:*"), 404),
        (&here, tcp("127.0.0.1:1"), 404),
        (&here, inside.clone(), 404),
        (&name, tcp("other:*"), 404),
        // Any name may resolve into a network, so this shows only when it has.
        (&name, tcp("10.0.0.0/8:*"), 502),
        (&name, tcp("*:*"), 502),
        (&name, tcp("localhost:*"), 101),
        (&name, tcp("127.0.0.0/8:*"), 101),
        (&unix, tcp("127.0.0.0/8:*"), 404),
        (&unix, "'unix:/run/elsewhere'".to_owned(), 404),
        (&unix, inside.clone(), 101),
    ] {
        let door = Door::open(&Api::ok(body).await.settings(&allow)).await;
        assert_eq!(knock(&door, "vm").await.status, status, "{body} {allow}");
        match (status, body.starts_with("unix")) {
            (101, true) => drop(socket.accept().await),
            (101, false) => drop(console.accept().await),
            _ => {
                console.has_nobody().await;
                socket.has_nobody().await;
            }
        }
    }
}

#[tokio::test]
async fn an_api_that_is_broken_opens_nothing_and_waits_for_nobody() {
    let elsewhere = Backend::tcp().await;
    let redirect = format!(
        "302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n",
        elsewhere.address()
    );
    let endless = format!("200 OK\r\n\r\n{}", "1".repeat(100_000));
    for answer in [
        "",
        "500 Oh\r\nContent-Length: 0\r\n\r\n",
        "401 No\r\nContent-Length: 0\r\n\r\n",
        "200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        "200 OK\r\nContent-Length: 50\r\n\r\nshort",
        "nonsense\r\n\r\n",
        &redirect,
        &endless,
    ] {
        let door = Door::open(&Api::answers(answer).await.settings("'127.0.0.1:*'")).await;
        let answered = knock(&door, "vm").await;
        let begin = answer.get(..40).unwrap_or(answer);
        assert_eq!(answered.status, 502, "{begin}");
        assert!(
            answered.text().starts_with("the tokens cannot be read"),
            "{begin}"
        );
    }
    elsewhere.has_nobody().await;
}

#[tokio::test]
async fn the_next_source_is_asked_when_an_api_does_not_know_the_token() {
    let console = Backend::tcp().await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("vm"), console.address()).unwrap();
    let api = Api::answers("404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let door = Door::open(&format!(
        "{}[[bridge.tokens]]\nsource = 'file-name'\npath = '{}'\n",
        api.settings("'127.0.0.1:*'"),
        directory.path().display()
    ))
    .await;
    assert_eq!(knock(&door, "vm").await.status, 101);
    console.accept().await;
}

#[tokio::test]
async fn the_host_name_is_the_token_where_it_is_asked_for() {
    let console = Backend::tcp().await;
    let target = console.target("vm1.example");
    let door = Door::open(&format!("[bridge]\nhost-token = true\n{target}")).await;
    for (host, status) in [
        ("vm1.example:8001", 101),
        ("VM1.example", 101),
        ("vm2.example", 404),
        ("[::1]", 400),
    ] {
        let handshake = Door::handshake("/websockify?token=vm1.example", "");
        let handshake = handshake.replace("Host: door.example", &format!("Host: {host}"));
        let answer = door.plain().await.ask(&handshake).await;
        assert_eq!(answer.status, status, "{host}");
        if status == 101 {
            console.accept().await;
        }
    }
}

#[tokio::test]
async fn an_address_of_this_machine_or_of_a_translator_is_named_or_closed() {
    let out = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Without a network this machine has no other address than loopback.
    if out.connect("198.51.100.1:9").is_err() {
        return;
    }
    let own = out.local_addr().unwrap().ip().to_string();
    let console = tokio::net::TcpListener::bind((own.as_str(), 0))
        .await
        .unwrap();
    let port = console.local_addr().unwrap().port();
    for (host, allow, status) in [
        (own.clone(), "*:*".to_owned(), 404),
        (own.clone(), "0.0.0.0/0:*".to_owned(), 404),
        (format!("::ffff:{own}"), "*:*".to_owned(), 404),
        (format!("64:ff9b::{own}"), "*:*".to_owned(), 404),
        ("2002:7f00:1::".to_owned(), "[::/0]:*".to_owned(), 404),
        ("fd00:ec2::254".to_owned(), "*:*".to_owned(), 404),
        (own.clone(), format!("{own}:*"), 101),
    ] {
        let api = Api::ok(&format!("{{\"host\": \"{host}\", \"port\": {port}}}")).await;
        let door = Door::open(&api.settings(&format!("'{allow}'"))).await;
        let answer = knock(&door, "vm").await;
        assert_eq!(answer.status, status, "{host} {allow}");
    }
}
