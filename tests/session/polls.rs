//! Tests of long polls at the end of a session: they are answered at once, and not when they would have been.

use tempfile::TempDir;
use tokio::net::UnixStream;

use super::{COOK, kitchen, log_out};
use crate::harness::{Answer, Door, Wire, until};

const SESSION: &str = "/events/sockjs/news/000/abc";
/// Far beyond the patience of a test.
const WAIT: &str = "&wait=120";

/// A door whose channel is for visitors with a session, and its admin socket, which says how many listen.
struct Fixture {
    app: super::App,
    door: Door,
    directory: TempDir,
}

impl Fixture {
    async fn open(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin");
        let tables = format!(
            "[admin]\nsocket = '{}'\n[[channel]]\nname = 'news'",
            socket.display()
        );
        let (app, _console, door) = kitchen(&format!("{settings}\n{tables}")).await;
        Self {
            app,
            door,
            directory,
        }
    }

    /// Until so many listen.
    async fn listening(&self, count: usize) {
        let wanted = format!("\"subscribers\":{count},");
        until("the listeners", || async {
            let socket = UnixStream::connect(self.directory.path().join("admin")).await;
            let status = Wire::new(socket.unwrap())
                .ask(&Door::get("/status", ""))
                .await;
            status.text().contains(&wanted).then_some(())
        })
        .await;
    }
}

async fn get(door: &Door, path: &str) -> Answer {
    door.tls().await.ask(&Door::get(path, COOK)).await
}

fn post(path: &str) -> String {
    Door::get(path, &format!("Content-Length: 0\r\n{COOK}")).replacen("GET", "POST", 1)
}

/// A poll that waits.
async fn poll(door: &Door) -> Wire {
    let answer = get(door, "/events/news").await;
    let cursor = answer
        .head
        .one("etag")
        .unwrap()
        .trim_matches('"')
        .to_owned();
    let mut client = door.tls().await;
    let path = format!("/events/news?last-event-id={cursor}{WAIT}");
    client.send(Door::get(&path, COOK)).await;
    client
}

/// A `SockJS` session that was opened, and its first message taken.
async fn sockjs(door: &Door) {
    for begin in ["o", "a["] {
        let answer = door.tls().await.ask(&post(&format!("{SESSION}/xhr"))).await;
        assert!(answer.text().starts_with(begin), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_401_by_a_logout() {
    let fixture = Fixture::open("").await;
    let mut waiting = poll(&fixture.door).await;
    fixture.listening(1).await;
    assert_eq!(log_out(&fixture.door, "POST", "/logout", COOK).await, 200);
    let answer = waiting.answer().await;
    assert_eq!(answer.status, 401, "{}", answer.text());
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_401_when_the_app_says_no() {
    let fixture = Fixture::open("interval = '100ms'\nallow-cache = '0s'").await;
    let mut waiting = poll(&fixture.door).await;
    fixture.listening(1).await;
    fixture.app.answers("/tasks", "401 Unauthorized\r\n");
    let answer = waiting.answer().await;
    assert_eq!(answer.status, 401, "{}", answer.text());
}

#[tokio::test]
async fn a_sockjs_poll_that_waits_is_closed_by_a_logout() {
    let fixture = Fixture::open("").await;
    sockjs(&fixture.door).await;
    // Of two at once, one is told so; then the other one is known to wait.
    let (mut one, mut two) = (fixture.door.tls().await, fixture.door.tls().await);
    for client in [&mut one, &mut two] {
        client.send(post(&format!("{SESSION}/xhr"))).await;
    }
    let (told, second) = tokio::select! {
        answer = one.answer() => (answer, true),
        answer = two.answer() => (answer, false),
    };
    assert!(told.text().starts_with("c[2010,"), "{}", told.text());
    assert_eq!(log_out(&fixture.door, "POST", "/logout", COOK).await, 200);
    let answer = if second { two } else { one }.answer().await;
    assert_eq!(answer.text(), "c[4401,\"the session has ended\"]\n");
}

#[tokio::test]
async fn a_sockjs_stream_is_closed_by_a_logout() {
    for (request, ends) in [
        (
            post(&format!("{SESSION}/xhr_streaming")),
            "c[4401,\"the session has ended\"]\n",
        ),
        (
            Door::get(&format!("{SESSION}/eventsource"), COOK),
            "data: c[4401,\"the session has ended\"]\r\n\r\n",
        ),
    ] {
        let fixture = Fixture::open("").await;
        let mut stream = fixture.door.tls().await;
        stream.send(request).await;
        fixture.listening(1).await;
        assert_eq!(log_out(&fixture.door, "POST", "/logout", COOK).await, 200);
        let answer = stream.answer().await;
        assert!(answer.text().ends_with(ends), "{}", answer.text());
        fixture.listening(0).await;
    }
}
