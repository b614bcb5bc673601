//! The line of each request: how long it waited and why it ended, also when nobody was left to answer.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

use std::process::{Child, Stdio};
use std::time::Duration;

use crate::harness::Backend;
use crate::support::{Door, Peer, alone, ask, run, until};

/// The line of this path, when it has been written.
struct Line(String);

impl Line {
    fn of(door: &Door, path: &str) -> Self {
        let wanted = format!("path=\"{path}\"");
        until("the access line", || {
            let log = door.log();
            let mut lines = log.lines();
            let line = lines.find(|line| line.contains(" request ") && line.contains(&wanted));
            line.map(|line| Self(format!("{line} ")))
        })
    }

    /// The value of a field, from its name to the next blank.
    fn field(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.0.split_once(&format!(" {name}="))?;
        rest.split(' ').next()
    }

    fn number(&self, name: &str) -> f64 {
        let value = self.field(name);
        let number = value.and_then(|value| value.parse().ok());
        number.unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }
}

fn door(app: &Backend) -> Door {
    Door::open(&format!("{}workers = 1\n", app.app()))
}

/// curl, asking for this, without waiting for it.
fn begin(door: &Door, path: &str, options: &[&str]) -> Child {
    let mut command = ask(door, path).into_command();
    let output = command
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    output
        .spawn()
        .expect("curl; tests/run installs what the tests need")
}

#[tokio::test]
async fn a_line_says_how_long_a_request_waited_and_how_long_the_app_took() {
    let app = Backend::tcp().await;
    let door = door(&app);
    let mut first = begin(&door, "/first", &[]);
    let mut worker = app.accept().await;
    worker.head().await;
    let mut second = begin(&door, "/second", &["--data", "12345"]);
    // The app takes its time.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes";
    worker.send(answer).await;
    let head = worker.head().await;
    worker.input.body_of_request(&head).await;
    worker.send(answer).await;
    let asked = Line::of(&door, "/first");
    assert_eq!(
        (asked.field("status"), asked.field("bytes")),
        (Some("200"), Some("3"))
    );
    assert!(asked.number("app") >= 300.0, "{}", asked.0);
    assert!(asked.number("queued") + asked.number("app") <= asked.number("milliseconds") + 1.0);
    assert_eq!(asked.field("cause"), None);
    let asked = Line::of(&door, "/second");
    assert_eq!(asked.field("received"), Some("5"));
    assert!(asked.number("milliseconds") >= asked.number("queued"));
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
}

#[tokio::test]
async fn a_request_whose_client_has_left_has_a_line_too() {
    let app = Backend::tcp().await;
    let door = door(&app);
    let mut left = begin(&door, "/left", &["--max-time", "20"]);
    let mut worker = app.accept().await;
    worker.head().await;
    left.kill().unwrap();
    let asked = Line::of(&door, "/left").0;
    assert!(asked.contains(" status=499 "), "{asked}");
    assert!(
        asked.contains("cause=\"the client left before there was an answer\""),
        "{asked}"
    );
    assert!(!left.wait().unwrap().success());
}

#[tokio::test]
async fn a_line_says_who_broke_an_answer_off() {
    let app = Backend::tcp().await;
    let door = door(&app);
    let mut client = begin(&door, "/broken", &[]);
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        .await;
    drop(worker);
    let asked = Line::of(&door, "/broken").0;
    let cause = "cause=\"the app broke off in the middle of its answer";
    assert!(asked.contains(cause), "{asked}");
    assert!(!client.wait().unwrap().success());
}

#[test]
fn requests_beyond_the_rate_do_not_fill_the_log_and_none_goes_uncounted() {
    let _alone = alone();
    let app = Peer::start("app.py", &[]);
    let door = Door::open(&format!(
        "[limits]\nrequest-rate = 1\n[[app]]\nurl = 'http://{}'\n",
        app.address
    ));
    let asked = run(ask(&door, "/[1-200]").into_command().args([
        "--write-out",
        "%{http_code}\n",
        "--output",
        "/dev/null",
    ]))
    .well();
    let refused = asked.stdout.lines().filter(|line| *line == "429").count();
    assert!(refused > 100, "only {refused} were refused");
    // The next one in turn tells of those before it.
    let told = until("a line that tells of the others", || {
        ask(&door, "/").send();
        let log = door.log();
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.contains("status=429"))
            .collect();
        let suppressed = |line: &str| {
            let (_, rest) = line.split_once("suppressed=")?;
            rest.split(' ').next()?.parse::<usize>().ok()
        };
        let untold: usize = lines.iter().filter_map(|line| suppressed(line)).sum();
        (untold > 0).then_some((lines.len(), untold))
    });
    assert!(told.0 < refused, "each of them has a line");
    assert!(told.0 + told.1 > refused, "some are in no line: {told:?}");
}

#[test]
fn a_reload_changes_the_level_of_the_log() {
    let _alone = alone();
    let app = Peer::start("app.py", &[]);
    let door = Door::open(&format!("[[app]]\nurl = 'http://{}'\n", app.address));
    let knock = || {
        // No TLS at all: a line for those who look for faults.
        let url = format!("http://localhost:{}/", door.port);
        ask(&door, &url).send();
    };
    knock();
    ask(&door, "/told").send();
    Line::of(&door, "/told");
    let file = door.file("noren.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n[log]\nlevel = 'debug'\n")).unwrap();
    let process = door.process().to_string();
    run(std::process::Command::new("kill").args(["-HUP", &process])).well();
    until("the reload", || {
        door.log().contains("configuration reloaded").then_some(())
    });
    knock();
    until("a line of the new level", || {
        door.log()
            .contains("the TLS handshake failed")
            .then_some(())
    });
    assert_eq!(door.log().matches("the TLS handshake failed").count(), 1);
}
