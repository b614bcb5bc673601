//! Tests of the request's id: for the app, the error page and the log.

use super::Fixture;
use crate::harness::{Backend, Door};

#[tokio::test]
async fn the_app_gets_an_id_of_ours_and_the_clients_trace() {
    let app = Backend::tcp().await;
    let fixture = Fixture::open(&app.app()).await;
    let mut client = fixture.door.plain().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let lines = format!("X-Request-Id: theirs\r\ntraceparent: {trace}\r\n");
    client.send(Door::get("/", &lines)).await;
    let head = app.accept().await.head().await;
    assert_eq!(head.one("traceparent"), Some(trace));
    let id = head.one("x-request-id").unwrap();
    assert!(
        id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{id}"
    );
}

#[tokio::test]
async fn a_refusal_names_its_request() {
    let fixture = Fixture::open("[[channel]]\nname = 'wok'\n").await;
    let mut client = fixture.door.plain().await;
    let answer = client.ask(&Door::get("/x", "Accept: text/html\r\n")).await;
    let id = answer.head.one("x-request-id").unwrap().to_owned();
    assert!(
        answer.text().contains(&format!("Request {id}")),
        "{}",
        answer.text()
    );
    let answer = client
        .ask(&Door::get("/x", "Accept: application/json\r\n"))
        .await;
    let object = super::object(&answer);
    assert_eq!(object["request"].as_str(), answer.head.one("x-request-id"));
    assert_ne!(object["request"], id);
}
