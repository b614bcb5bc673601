//! Affinity: a visitor's requests find the same address of an app, and nobody else's.

use crate::harness::{Backend, Door, Head};

const APP: &str = "affinity = 'cookie'\n";

/// An address that answers every request with its name, and tells what cookies came.
fn serve(backend: Backend, name: &'static str) {
    tokio::spawn(async move {
        loop {
            let mut worker = backend.accept().await;
            tokio::spawn(async move {
                loop {
                    let head = worker.head().await;
                    let cookie = head.one("cookie").unwrap_or("none");
                    let text = format!("{name}: {cookie}");
                    let length = text.len();
                    let answer =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}");
                    worker.send(answer).await;
                }
            });
        }
    });
}

async fn door(keys: &str) -> Door {
    let mut urls = Vec::new();
    for name in ["a", "b", "c"] {
        let backend = Backend::tcp().await;
        urls.push(format!("'http://{}'", backend.address()));
        serve(backend, name);
    }
    let urls = urls.join(", ");
    Door::open(&format!(
        "[[app]]\nname = 'app'\nurls = [{urls}]\n{keys}[[app]]\nname = 'other'\npath = '/other'\nurls = [{urls}]\n"
    ))
    .await
}

/// The name and value of the cookie that is set, if one is.
fn set(head: &Head) -> Option<String> {
    let cookie = head.one("set-cookie")?;
    Some(cookie.split(';').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_cookie_keeps_a_visitor_at_one_address_and_the_app_never_sees_it() {
    let door = door(APP).await;
    let answer = door
        .tls()
        .await
        .ask(&Door::get("/", "Cookie: s=1\r\n"))
        .await;
    let set_cookie = answer.head.one("set-cookie").unwrap().to_owned();
    assert!(
        set_cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"),
        "{set_cookie}"
    );
    assert!(!set_cookie.contains("127.0.0.1"), "{set_cookie}");
    let first = answer.text().to_owned();
    assert!(first.ends_with(": s=1"), "{first}");
    let cookie = set(&answer.head).unwrap();
    for _ in 0..9 {
        let lines = format!("Cookie: {cookie}; s=1\r\n");
        let answer = door.plain().await.ask(&Door::get("/", &lines)).await;
        assert_eq!(answer.text(), first);
        assert_eq!(answer.head.one("set-cookie"), None, "it has one");
        // Another app does not see it either.
        let other = door.plain().await.ask(&Door::get("/other", &lines)).await;
        assert!(other.text().ends_with(": s=1"), "{}", other.text());
        assert_eq!(other.head.one("set-cookie"), None);
    }
}

#[tokio::test]
async fn a_cookie_that_a_client_made_up_leads_nowhere_else() {
    let door = door(APP).await;
    let secret = Backend::tcp().await;
    let address = secret.address();
    for value in [
        "",
        "0",
        "a",
        address,
        &format!("http://{address}"),
        "127.0.0.1",
        "AAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "%2e%2e%2f",
        "\"x\"",
    ] {
        let lines = format!("Cookie: noren-affinity-app={value}\r\n");
        let answer = door.plain().await.ask(&Door::get("/", &lines)).await;
        assert_eq!(answer.status, 200, "{value}");
        assert!(
            answer.text().ends_with(": none"),
            "{value}: {}",
            answer.text()
        );
        assert!(set(&answer.head).is_some(), "{value}: as without a cookie");
    }
    secret.has_nobody().await;
}

#[tokio::test]
async fn a_visitor_whose_address_is_away_moves_once() {
    let stays = Backend::tcp().await;
    let leaves = Backend::tcp().await;
    let urls = format!(
        "'http://{}', 'http://{}'",
        stays.address(),
        leaves.address()
    );
    let door = Door::open(&format!(
        "[[app]]\nname = 'app'\nurls = [{urls}]\naffinity = 'cookie'\nkeep-alive = '0s'\n"
    ))
    .await;
    serve(stays, "stays");
    let mut client = door.plain().await;
    let cookie = loop {
        client.send(Door::get("/", "")).await;
        tokio::select! {
            answer = client.answer() => assert!(answer.text().starts_with("stays")),
            mut worker = leaves.accept() => {
                worker.head().await;
                worker.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                break set(&client.answer().await.head).unwrap();
            }
        }
    };
    drop(leaves);
    let moved = door
        .plain()
        .await
        .ask(&Door::get("/", &format!("Cookie: {cookie}\r\n")))
        .await;
    assert_eq!((moved.status, moved.text()), (200, "stays: none"));
    let other = set(&moved.head).unwrap();
    assert_ne!(other, cookie);
    let again = door
        .plain()
        .await
        .ask(&Door::get("/", &format!("Cookie: {other}\r\n")))
        .await;
    assert_eq!((again.text(), set(&again.head)), ("stays: none", None));
}

#[tokio::test]
async fn an_address_of_a_client_leads_to_one_address_of_the_app() {
    let door = door("affinity = 'address'\n").await;
    let mut used = std::collections::BTreeSet::new();
    for client in 1..=24 {
        let from = format!("127.0.0.{client}");
        let mut all = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let answer = door.plain_from(&from).await.ask(&Door::get("/", "")).await;
            assert_eq!(answer.head.one("set-cookie"), None);
            all.insert(answer.text().to_owned());
        }
        assert_eq!(all.len(), 1, "{from} moved: {all:?}");
        used.extend(all);
    }
    assert_eq!(used.len(), 3, "{used:?}");
}
