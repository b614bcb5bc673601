//! The session: who the app is asked about, what its answer opens, and what ends it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod asking;
mod audit;
mod channels;
mod consoles;
mod ending;
mod members;
mod named;
mod page;
mod polls;
mod refusals;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::harness::{Answer, Backend, Door, Head, Wire};

/// The address of the console `vm`.
const PATH: &str = "/websockify?token=vm";
/// A visitor who is logged in.
const COOK: &str = "Cookie: wok=cook\r\n";

/// An app that answers by itself: 200, or what the test has set for a path. It remembers all it was asked.
#[derive(Clone)]
struct App(Arc<State>);

struct State {
    settings: String,
    heads: Mutex<Vec<Head>>,
    answers: Mutex<HashMap<&'static str, &'static str>>,
    open: watch::Sender<bool>,
}

impl App {
    async fn start() -> Self {
        let backend = Backend::tcp().await;
        let app = Self(Arc::new(State {
            settings: backend.app(),
            heads: Mutex::default(),
            answers: Mutex::default(),
            open: watch::Sender::new(true),
        }));
        let served = app.clone();
        tokio::spawn(async move {
            loop {
                let wire = backend.accept().await;
                tokio::spawn(served.clone().serve(wire));
            }
        });
        app
    }

    async fn serve(self, mut wire: Wire) {
        let mut open = self.0.open.subscribe();
        loop {
            let head = wire.head().await;
            let path = head.start.split(' ').nth(1).unwrap().to_owned();
            self.0.heads.lock().unwrap().push(head);
            open.wait_for(|open| *open).await.unwrap();
            let answer = self.answer(&path);
            if answer.is_empty() {
                return;
            }
            wire.send(format!("HTTP/1.1 {answer}Content-Length: 2\r\n\r\n[]"))
                .await;
        }
    }

    fn answer(&self, path: &str) -> &'static str {
        let answers = self.0.answers.lock().unwrap();
        answers.get(path).copied().unwrap_or("200 OK\r\n")
    }

    /// Sets the app's further responses: the end of the status line and more lines. Empty: it breaks off.
    fn answers(&self, path: &'static str, answer: &'static str) {
        self.0.answers.lock().unwrap().insert(path, answer);
    }

    /// Lets it answer, or makes it keep what it is asked to itself.
    fn open(&self, open: bool) {
        self.0.open.send_replace(open);
    }

    /// Number of requests for this path.
    fn asked(&self, path: &str) -> usize {
        let heads = self.0.heads.lock().unwrap();
        let asked = heads.iter().filter(|head| {
            let asked = head.start.split(' ').nth(1);
            asked == Some(path)
        });
        asked.count()
    }

    /// The last head it got.
    fn last(&self) -> Head {
        self.0.heads.lock().unwrap().pop().unwrap()
    }
}

/// An app that is asked at `/tasks`, a console behind the token `vm`, and the door before both. Keys of
/// `[session]`, or tables, may be given.
async fn kitchen(settings: &str) -> (App, Backend, Door) {
    let app = App::start().await;
    let console = Backend::tcp().await;
    let door = Door::open(&configuration(&app, &console, settings)).await;
    (app, console, door)
}

fn configuration(app: &App, console: &Backend, settings: &str) -> String {
    format!(
        "{}{}[session]\npath = '/tasks'\n{settings}\n",
        app.0.settings,
        console.target("vm")
    )
}

/// The answer to a handshake with these lines.
async fn knock(door: &Door, path: &str, lines: &str) -> Answer {
    door.tls().await.ask(&Door::handshake(path, lines)).await
}

/// An open tunnel: the client's side and the console's.
async fn tunnel(door: &Door, console: &Backend, lines: &str) -> (Wire, Wire) {
    let mut client = door.tls().await;
    let answer = client.ask(&Door::handshake(PATH, lines)).await;
    assert_eq!(answer.status, 101, "{}", answer.text());
    (client, console.accept().await)
}

/// Asks the app to end the session with this cookie; the status.
async fn log_out(door: &Door, method: &str, path: &str, lines: &str) -> u16 {
    let request = Door::get(path, &format!("Content-Length: 0\r\n{lines}"));
    let mut client = door.tls().await;
    client.ask(&request.replacen("GET", method, 1)).await.status
}
