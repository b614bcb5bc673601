//! Text of others on its way to a terminal: by the log in each form, by the commands, and by no other way.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should fail where it stands, and its threads end with it"
)]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use noren::text::escape::is_active;
use serde_json::Value;

use crate::support::{path, run, scratch, until};

/// A control of C1 and marks of direction, as bytes of UTF-8 that stand in paths and headers.
const HOSTILE: &str = "\u{9b}2J\u{202e}\u{2066}";
/// The same as it is shown.
const SHOWN: &str = r"\u{9b}2J\u{202e}\u{2066}";

/// The only places that write to the streams of a process, each with the reason that nothing of others gets through.
const WRITERS: &[(&str, &str)] = &[
    ("cli/output.rs", "escapes all of it"),
    ("cli/status/watch.rs", "escapes each line that it draws"),
    ("cli/replay.rs", "plays what a console has sent, as it was"),
    ("telemetry/log.rs", "hands them to layers that escape"),
    ("telemetry/combined.rs", "escapes what stands in quotes"),
    ("hub/store/kill_tests.rs", "a test"),
];

/// An app that knows every visitor by a name with a mark in it, and answers `/broken` with something else than HTTP.
fn app() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
                    head.extend(byte);
                }
                let answer = if head.starts_with(b"GET /broken") {
                    format!("HTTP/1.1 \x1b[2J{HOSTILE} no\r\n\r\n")
                } else {
                    format!(
                        "HTTP/1.1 200 {HOSTILE}\r\nX-User: co\u{202e}ok\r\nContent-Length: 0\r\n\
                         Connection: close\r\nX-Other: {HOSTILE}\r\n\r\n"
                    )
                };
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    address
}

/// A running door, with what it writes in files.
struct Running {
    child: Child,
    socket: String,
    admin: String,
    log: String,
    output: String,
}

impl Running {
    fn start(directory: &tempfile::TempDir, log: &str) -> Self {
        let of = |name: &str| path(directory, name);
        let (socket, admin) = (of("door.sock"), of("admin.sock"));
        let config = format!(
            "[log]\n{log}\n[server]\nhosts = 'any'\n[[listener]]\naddress = 'unix:{socket}'\nprotocol = 'http'\n\
             [admin]\nsocket = '{admin}'\n[[app]]\nname = 'app'\nurl = 'http://{}'\n\
             [session]\npath = '/tasks'\nname-header = 'X-User'\n[[channel]]\nname = 'news'\n",
            app()
        );
        fs::write(of("noren.toml"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_noren"))
            .args(["serve", "--config", &of("noren.toml")])
            .stdin(Stdio::null())
            .stdout(File::create(of("output")).unwrap())
            .stderr(File::create(of("log")).unwrap())
            .spawn()
            .unwrap();
        until("the door", || UnixStream::connect(&socket).ok());
        Self {
            child,
            socket,
            admin,
            log: of("log"),
            output: of("output"),
        }
    }

    /// Sends these bytes, and returns the connection when the head of an answer has come.
    fn ask(&self, request: &str) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        stream
    }

    fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
        run(command.args(arguments).args(["--socket", &self.admin]))
            .well()
            .stdout
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that nothing in a text does something instead of being seen.
#[track_caller]
fn is_quiet(text: &str) {
    for line in text.lines() {
        assert!(!line.contains(is_active), "{line:?}");
    }
}

/// Requests with hostile text in all that is shown of them, and a stream that stays open.
fn speak(door: &Running) -> UnixStream {
    let lines = format!("Host: door.example\r\nUser-Agent: {HOSTILE}\"\r\nReferer: {HOSTILE}\r\n");
    let get = |target: &str, more: &str| format!("GET {target} HTTP/1.1\r\n{lines}{more}\r\n");
    door.ask(&get(&format!("/a{HOSTILE}"), ""));
    door.ask(&get(&format!("/broken{HOSTILE}"), ""));
    door.ask(&get(&format!("/events/{HOSTILE}"), ""));
    door.ask(&get(
        "/events/news",
        &format!("Origin: https://{HOSTILE}\r\n"),
    ));
    door.ask(&get("/a", &format!("Authorization: {HOSTILE}, x\r\n")));
    let cookie = format!("Cookie: wok={HOSTILE}\r\n");
    door.ask(&get(
        "/events/news",
        &format!("{cookie}Accept: text/event-stream\r\n"),
    ))
}

#[test]
fn no_text_of_others_commands_the_terminal_by_a_log_of_lines() {
    let directory = scratch();
    let door = Running::start(&directory, "format = 'text'\nlevel = 'debug'");
    let stream = speak(&door);
    let log = until("the lines", || {
        let log = fs::read_to_string(&door.log).ok()?;
        let is_there = log.contains(&format!("/events/{SHOWN}")) && log.contains(r"co\u{202e}ok");
        is_there.then_some(log)
    });
    is_quiet(&log);
    assert!(log.contains(&format!("path=\"/a{SHOWN}\"")), "{log}");
    drop(stream);
}

#[test]
fn no_text_of_others_commands_the_terminal_by_a_log_of_json_which_keeps_its_value() {
    let directory = scratch();
    let door = Running::start(
        &directory,
        "format = 'json'\nlevel = 'debug'\naudit = 'stdout'",
    );
    let stream = speak(&door);
    let values = |file: &str| -> Vec<Value> {
        let text = fs::read_to_string(file).unwrap();
        is_quiet(&text);
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(serde_json::from_str);
        lines.map(Result::unwrap).collect()
    };
    let has = |values: &[Value], key: &str, value: &str| {
        values
            .iter()
            .any(|line| line.get(key).is_some_and(|own| own == value))
    };
    until("the line of a request", || {
        has(&values(&door.log), "path", &format!("/broken{HOSTILE}")).then_some(())
    });
    until("the line of the stream", || {
        has(&values(&door.output), "user", "co\u{202e}ok").then_some(())
    });
    drop(stream);
}

#[test]
fn no_text_of_others_commands_the_terminal_by_the_combined_form() {
    let directory = scratch();
    let door = Running::start(&directory, "access-format = 'combined'");
    let stream = speak(&door);
    let log = until("the lines", || {
        let log = fs::read_to_string(&door.output).ok()?;
        log.contains("/broken").then_some(log)
    });
    is_quiet(&log);
    assert!(log.contains("\"GET /a\\xc2\\x9b2J"), "{log}");
    is_quiet(&fs::read_to_string(&door.log).unwrap());
    drop(stream);
}

#[test]
fn no_text_of_others_commands_the_terminal_by_the_commands() {
    let directory = scratch();
    let door = Running::start(&directory, "");
    let stream = speak(&door);
    let shown = until("the subscriber", || {
        let shown = door.command(&["status"]);
        // In a table a sign takes one place, whatever it is.
        shown.contains("co?ok").then_some(shown)
    });
    is_quiet(&shown);
    let json = door.command(&["status", "--json"]);
    is_quiet(&json);
    assert!(json.contains(r"co\u202eok"), "{json}");
    serde_json::from_str::<Value>(&json).unwrap();
    door.command(&["publish", "news", HOSTILE]);
    for arguments in [&[][..], &["--json"]] {
        let all = [
            &["subscribe", "news", "--from", "earliest", "--once", "1"],
            arguments,
        ];
        is_quiet(&door.command(&all.concat()));
    }
    drop(stream);
}

#[test]
fn nothing_else_writes_to_the_streams_of_the_process() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut waiting = vec![source.clone()];
    let (mut found, mut files) = (Vec::new(), 0);
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            files += 1;
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let name = path.strip_prefix(&source).unwrap().display().to_string();
            let writes = code.filter(|line| writes(line));
            found.extend(writes.map(|line| (name.clone(), line.trim().to_owned())));
        }
    }
    assert!(files > 100, "{files} files");
    for (name, line) in &found {
        assert!(
            WRITERS.iter().any(|(writer, _)| writer == name),
            "src/{name} writes to a stream of the process by itself: {line}; use cli/output.rs or the log"
        );
    }
    for (writer, _) in WRITERS {
        assert!(
            found.iter().any(|(name, _)| name == writer),
            "{writer} writes no more"
        );
    }
}

/// True if a line of code writes to standard output or standard error, or opens a terminal.
fn writes(line: &str) -> bool {
    // A question about the terminal writes nothing.
    let line = line
        .replace("stdout().is_terminal()", "")
        .replace("stderr().is_terminal()", "");
    let ways = [
        "print!(",
        "println!(",
        "eprint!(",
        "eprintln!(",
        "dbg!(",
        "stdout()",
        "stderr()",
        "io::stdout",
        "io::stderr",
        "/dev/tty",
        "/dev/stdout",
        "/dev/stderr",
        "/dev/fd/",
        "/proc/self/fd/",
    ];
    ways.iter().any(|way| line.contains(way))
}
