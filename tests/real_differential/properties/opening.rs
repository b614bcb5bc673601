//! Properties of sessions and logouts: for those lines of a request that the app reads as this session.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::corpus::{Case, cases};
use super::super::exchange::{Reply, connect};
use super::super::subject::{HOSTS, Subject};
use super::failure;
use crate::harness::{PATIENCE, within};

/// Time that a stream may stay open after the logout of its session.
const FAREWELL: Duration = Duration::from_secs(5);

/// Asks for the channel as a long poll, and the app for its own verdict, with the lines of a case.
async fn both(subject: &Subject, case: &Case, session: &str) -> [Reply; 2] {
    let words = [("session", session)];
    let poll = case.with_line("GET /events/lobby HTTP/1.1");
    let question = case.with_line("GET /session HTTP/1.1");
    [
        subject.ask(&poll, &words).await,
        subject.ask(&question, &words).await,
    ]
}

pub(super) async fn sessions(subject: &Subject, failures: &mut Vec<String>) {
    let cases = cases("sessions", 40);
    let bare = cases[0].without_fields();
    let mut opened = 0;
    for case in &cases {
        // A stranger of the same address comes after each of them, with nothing and with what the app does not know.
        for (case, session) in [
            (case, "good"),
            (&bare, "good"),
            (case, "bad"),
            (&bare, "bad"),
            (case, "good"),
        ] {
            let [granted, asked] = both(subject, case, session).await;
            opened += usize::from(granted.status == Some(200));
            if granted.status == Some(200) && asked.status != Some(200) {
                let told = failure("sessions", case, HOSTS[0], &asked);
                failures.push(format!("{told}: let in with {session}"));
            }
        }
    }
    assert!(opened > 10, "only {opened} were let in");
}

/// An open event stream.
struct Stream(TcpStream);

impl Stream {
    /// None if the door lets nobody in with these lines.
    async fn open(subject: &Subject, case: &Case, session: &str) -> Option<Self> {
        let case = case
            .with_line("GET /events/lobby HTTP/1.1")
            .with_field("Accept: text/event-stream");
        let mut stream = connect(subject.door.http, "127.0.0.1").await;
        let bytes = case.bytes(&[("host", HOSTS[0]), ("session", session)]);
        within("the request", stream.write_all(&bytes)).await.ok()?;
        let mut read = [0; 4096];
        let length = timeout(PATIENCE, stream.read(&mut read)).await.ok()?;
        let begin = String::from_utf8_lossy(&read[..length.ok()?]).into_owned();
        begin.starts_with("HTTP/1.1 200").then_some(Self(stream))
    }

    /// True if it ends before this moment, with its last chunk or with the connection.
    async fn ends(mut self, deadline: Instant) -> bool {
        let (mut read, mut piece) = (Vec::new(), [0; 4096]);
        while !read.ends_with(b"\r\n0\r\n\r\n") {
            match timeout_at(deadline, self.0.read(&mut piece)).await {
                Ok(Ok(length @ 1..)) => read.extend_from_slice(&piece[..length]),
                Ok(_) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

pub(super) async fn logouts(subject: &Subject, failures: &mut Vec<String>) {
    let cases = cases("sessions", 40);
    let plain = cases.iter().find(|case| case.name == "as browsers send it");
    let plain = plain.expect("the way in which browsers send a cookie");
    let mut leaving = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        for (opener, leaver) in [(plain, case), (case, plain)] {
            let spelled = std::ptr::eq(leaver, case);
            let session = format!("good{}{at}", if spelled { "a" } else { "b" });
            let Some(stream) = Stream::open(subject, opener, &session).await else {
                continue;
            };
            let words = [("session", session.as_str())];
            // The app's reading of the lines that opened it.
            let question = opener.with_line("GET /session HTTP/1.1");
            let read = subject.ask(&question, &words).await;
            let logout = leaver.with_line("POST /logout HTTP/1.1");
            let logout = logout.with_field("Content-Length: 0");
            let left = subject.ask(&logout, &words).await;
            let logged_out = left.text("page") == Some("logout")
                && left.text("session").is_some()
                && left.text("session") == read.text("session")
                && read.text("authorization").is_none();
            if logged_out {
                let way = if spelled { "logout" } else { "stream" };
                let told = failure("logouts", case, HOSTS[0], &left);
                leaving.push((format!("{told}: stays open ({way})"), stream));
            }
        }
    }
    assert!(
        leaving.len() > 1,
        "only {} sessions were ended",
        leaving.len()
    );
    let deadline = Instant::now() + FAREWELL;
    for (told, stream) in leaving {
        if !stream.ends(deadline).await {
            failures.push(told);
        }
    }
}
