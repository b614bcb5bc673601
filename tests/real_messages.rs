//! `noren publish` and `noren subscribe` as they are used in a terminal, with a running Noren.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use crate::support::{Door, PATIENCE, Ran, path, run, scratch};

/// A door with channels and an admin socket, and the arguments that lead to it.
struct Fixture {
    _door: Door,
    socket: String,
    _directory: tempfile::TempDir,
}

impl Fixture {
    #[track_caller]
    fn open() -> Self {
        let directory = scratch();
        let socket = path(&directory, "admin.sock");
        Self {
            _door: Door::open(&tables(&socket)),
            socket,
            _directory: directory,
        }
    }

    fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = noren(&[verb, "--socket", &self.socket]);
        command.args(arguments);
        command
    }

    #[track_caller]
    fn publish(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command("publish", arguments))
    }
}

fn tables(socket: &str) -> String {
    format!(
        "[[channel]]\nname = \"wok\"\n[[channel]]\nname = \"job.*\"\n[admin]\nsocket = \"{socket}\"\n"
    )
}

fn noren(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
    command.args(arguments);
    command
}

/// A command whose lines are read as they come. It ends with the test.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    #[track_caller]
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary that cargo built for this test");
        let output: ChildStdout = child.stdout.take().expect("standard output is piped");
        let (sender, lines) = sync_channel(64);
        std::thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            })
            .expect("a thread");
        Self { child, lines }
    }

    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("another line")
    }

    #[track_caller]
    fn write(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("standard input is piped");
        input.write_all(text.as_bytes()).expect("it reads");
    }

    /// Ends its input, and waits for it.
    #[track_caller]
    fn finish(mut self) -> bool {
        drop(self.child.stdin.take());
        self.child.wait().expect("a child").success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or its test is over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_published_in_one_terminal_appears_in_the_other() {
    let fixture = Fixture::open();
    let ran = fixture.publish(&["wok", "one"]).well();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let listener =
        Running::start(fixture.command("subscribe", &["wok", "job.1", "--from", "earliest"]));
    let first = listener.line();
    assert!(
        first.starts_with("[20") && first.ends_with("Z] wok: one"),
        "{first}"
    );
    fixture
        .publish(&["job.1", "{\"a\":1}", "--json", "--event", "is done"])
        .well();
    let second = listener.line();
    assert!(second.ends_with("] job.1 is done: {\"a\":1}"), "{second}");
}

#[test]
fn each_line_of_standard_input_is_published_as_it_comes() {
    let fixture = Fixture::open();
    let listener = Running::start(fixture.command(
        "subscribe",
        &["wok", "--json", "--once", "3", "--from", "earliest"],
    ));
    let mut publisher =
        Running::start(fixture.command("publish", &["wok", "--key", "k", "--print-id"]));
    let mut last = String::new();
    for text in ["first", "second \"quoted\"", ""] {
        publisher.write(&format!("{text}\n"));
        let message: serde_json::Value = serde_json::from_str(&listener.line()).expect("JSON");
        assert_eq!(message["data"], text);
        assert_eq!(message["key"], "k");
        last = message["id"].as_str().unwrap_or_default().to_owned();
    }
    assert!(listener.finish(), "it ends well after three messages");
    let lines = std::mem::replace(&mut publisher.lines, sync_channel(1).1);
    assert!(publisher.finish());
    assert_eq!(lines.recv_timeout(PATIENCE).expect("an id"), last);
}

#[test]
fn what_is_published_again_with_its_id_is_there_once() {
    let fixture = Fixture::open();
    let ids = |arguments: &[&str]| {
        let ran = fixture.publish(arguments);
        ran.well().stdout
    };
    let one = ids(&["wok", "one", "--id", "a \"b\"", "--print-id"]);
    assert_eq!(ids(&["wok", "one", "--id", "a \"b\"", "--print-id"]), one);
    for _ in 0..2 {
        let mut lines = Running::start(fixture.command("publish", &["wok", "--id", "file"]));
        lines.write("two\nthree\n");
        assert!(lines.finish());
    }
    let all = ["wok", "--from", "earliest", "--once", "3"];
    let heard = run(&mut fixture.command("subscribe", &all)).well().stdout;
    let told: Vec<_> = heard
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .collect();
    let told: Vec<_> = told.iter().map(|(_, text)| *text).collect();
    assert_eq!(told, ["one", "two", "three"]);
    // Nothing is behind them.
    let last = ids(&["wok", "last", "--print-id"]);
    let offset = |id: &str| {
        id.trim()
            .rsplit_once(':')
            .map(|(_, offset)| offset.to_owned())
    };
    assert_eq!(offset(&last).as_deref(), Some("4"));
}

#[test]
fn a_bad_line_ends_publishing_and_those_before_it_are_there() {
    let fixture = Fixture::open();
    let mut publisher = fixture.command("publish", &["wok", "--json"]);
    publisher.stderr(Stdio::piped());
    let mut publisher = Running::start(publisher);
    publisher.write("{\"a\":1}\n\nno\n[]\n");
    let mut errors = publisher
        .child
        .stderr
        .take()
        .expect("standard error is piped");
    assert!(!publisher.finish());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut errors, &mut said).expect("its last words");
    assert!(
        said.starts_with("noren: line 3 of standard input is not JSON"),
        "{said}"
    );
    let ran = run(&mut fixture.command(
        "subscribe",
        &["wok", "--from", "earliest", "--json", "--once", "1"],
    ))
    .well();
    assert!(ran.stdout.contains("\"data\":{\"a\":1}"), "{}", ran.stdout);
}

#[test]
fn what_is_in_the_way_is_said_with_the_remedy() {
    let fixture = Fixture::open();
    let ran = fixture.publish(&["nothing", "x"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(ran.stderr.contains("there is wok, job.*"), "{}", ran.stderr);
    let ran = fixture.publish(&["wok", "x", "--event", "reset"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(ran.stderr.contains("own signals"), "{}", ran.stderr);
    let ran = run(&mut fixture.command("subscribe", &["nothing"]));
    assert_eq!(ran.status.code(), Some(1));
    assert!(ran.stderr.contains("there is wok, job.*"), "{}", ran.stderr);
    let directory = scratch();
    let missing = path(&directory, "none.sock");
    let ran = run(&mut noren(&["publish", "--socket", &missing, "wok", "x"]));
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        ran.stderr.contains(&missing) && ran.stderr.contains("Is Noren running"),
        "{}",
        ran.stderr
    );
    let file = path(&directory, "noren.toml");
    std::fs::write(&file, "[[channel]]\nname = \"wok\"\n").expect("a file");
    let ran = run(&mut noren(&["publish", "--config", &file, "wok", "x"]));
    assert_eq!(ran.status.code(), Some(78));
    assert!(ran.stderr.contains("[admin]"), "{}", ran.stderr);
    let ran = run(&mut noren(&[
        "publish", "--config", &file, "wok", "{", "--json",
    ]));
    assert!(ran.stderr.contains("TEXT is not JSON"), "{}", ran.stderr);
}

#[test]
fn the_configuration_names_the_socket() {
    let fixture = Fixture::open();
    let directory = scratch();
    let file = path(&directory, "noren.toml");
    std::fs::write(&file, tables(&fixture.socket)).expect("a file");
    let ran = run(&mut noren(&[
        "publish",
        "--config",
        &file,
        "wok",
        "x",
        "--print-id",
    ]))
    .well();
    assert!(ran.stdout.trim_end().ends_with(":1"), "{}", ran.stdout);
}

#[test]
fn a_listener_comes_back_after_a_restart_and_says_that_messages_may_be_missed() {
    let directory = scratch();
    let socket = path(&directory, "admin.sock");
    let settings = format!("[hub]\nretry = \"10ms\"\n{}", tables(&socket));
    let first = Door::open(&settings);
    run(&mut noren(&[
        "publish", "--socket", &socket, "wok", "before",
    ]))
    .well();
    let errors = std::fs::File::create(path(&directory, "errors")).expect("a file");
    let mut listener = noren(&[
        "subscribe",
        "--socket",
        &socket,
        "--from",
        "earliest",
        "wok",
    ]);
    listener.stderr(errors);
    let listener = Running::start(listener);
    assert!(listener.line().ends_with("wok: before"));
    drop(first);
    // It was killed and has left its socket behind, which the next one takes over.
    let _second = Door::open(&settings);
    run(&mut noren(&[
        "publish", "--socket", &socket, "wok", "after",
    ]))
    .well();
    assert!(listener.line().ends_with("wok: after"));
    let said = std::fs::read_to_string(path(&directory, "errors")).expect("its errors");
    assert!(
        said.contains("; again in ") && said.contains("has been restarted"),
        "{said}"
    );
}

#[test]
fn a_url_is_asked_only_if_its_certificate_is_trusted() {
    let door = Door::open("[[channel]]\nname = \"wok\"\n");
    let url = door.url("/nothing/here");
    let ran = run(&mut noren(&["subscribe", &url]));
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        ran.stderr.contains("--ca FILE") && ran.stderr.contains("--insecure"),
        "{}",
        ran.stderr
    );
    let authority = door.file("ca.pem");
    for trust in [&["--insecure"][..], &["--ca", &authority]] {
        let ran = run(noren(&["subscribe", &url]).args(trust));
        assert_eq!(ran.status.code(), Some(1));
        assert!(ran.stderr.contains("404"), "{}", ran.stderr);
    }
}
