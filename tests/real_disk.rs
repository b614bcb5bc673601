//! A history on a disk that fills up, is full from the start, or is full while the program is upgraded: what is
//! taken is kept, what is refused was seen by nobody, and when there is room again all goes on by itself. A recording
//! ends there with a whole record.
//!
//! A limit on the size of files is a full disk that needs no rights.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

mod webhooks;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{PATIENCE, Process, Ran, mount_namespace, path, run, scratch, until};

/// The program on a disk of its own, and where it is told and heard.
struct Fixture {
    directory: TempDir,
    program: Child,
}

/// A response: its status, its head and its body.
struct Response(u16, String, String);

impl Fixture {
    /// Its files cannot be larger than this.
    fn open(most: &str) -> Self {
        let directory = scratch();
        let secret = path(&directory, "secret");
        fs::write(&secret, "a secret of some length\n").unwrap();
        let settings = format!(
            "[[listener]]\naddress = 'unix:{}'\nprotocol = 'http'\n[admin]\nsocket = '{}'\n\
             [limits]\nconnections-per-address = 0\nrequest-rate = 0\n\
             [hub]\nstore = '{}'\n\
             [[channel]]\nname = 'log'\n[channel.history]\nstore = 'disk'\nsize = '64MiB'\n\
             [[channel]]\nname = 'live'\n\
             [[channel]]\nname = 'lines'\n[channel.history]\nstore = 'disk'\n[[channel.source]]\n\
             source = 'listen'\naddress = 'unix:{}'\n\
             [[channel]]\nname = 'hooks'\n[channel.history]\nstore = 'disk'\nsize = '64MiB'\n[[channel.source]]\n\
             source = 'webhook'\npath = '/hooks/gitlab'\nsignature = 'gitlab'\nsecrets = ['{secret}']\n\
             data = '{{/text}}'\n",
            path(&directory, "door.sock"),
            path(&directory, "admin.sock"),
            path(&directory, "store"),
            path(&directory, "lines.sock"),
        );
        fs::write(path(&directory, "noren.toml"), settings).unwrap();
        let program = Self::start(&directory, most);
        Self { directory, program }
    }

    fn start(directory: &TempDir, most: &str) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(path(directory, "log"))
            .unwrap();
        let child = Command::new("prlimit")
            .arg(format!("--fsize={most}:unlimited"))
            .args([env!("CARGO_BIN_EXE_noren"), "serve", "--config"])
            .arg(path(directory, "noren.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Through a pipe: the log is no file of the program.
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the binary that cargo built for this test");
        let mut errors = child.stderr.take().unwrap();
        std::thread::Builder::new()
            .spawn(move || std::io::copy(&mut errors, &mut &log))
            .unwrap();
        child
    }

    fn until_it_serves(&self) {
        until("the door to open", || {
            self.ask("admin.sock", "GET", "/status", "").ok()
        });
    }

    fn kill(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }

    fn restart(&mut self, most: &str) {
        self.kill();
        self.program = Self::start(&self.directory, most);
        self.until_it_serves();
    }

    /// The disk is as full as that, or has room again.
    fn limit(process: u32, most: &str) {
        let limit = format!("--fsize={most}:unlimited");
        let set = run(Command::new("prlimit").args([&limit, "--pid", &process.to_string()]));
        let _ = set.well();
    }

    /// No file can grow.
    fn fill(&self, process: u32) {
        let file = fs::metadata(path(&self.directory, "store/history.redb")).unwrap();
        Self::limit(process, &file.len().to_string());
    }

    fn ask(
        &self,
        socket: &str,
        method: &str,
        target: &str,
        body: &str,
    ) -> std::io::Result<Response> {
        let kind = "Content-Type: text/plain\r\n";
        self.ask_with(socket, &format!("{method} {target}"), kind, body)
    }

    fn ask_with(
        &self,
        socket: &str,
        start: &str,
        lines: &str,
        body: &str,
    ) -> std::io::Result<Response> {
        let mut stream = UnixStream::connect(path(&self.directory, socket))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{start} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text
            .split_once("\r\n\r\n")
            .ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(Response(status, head.to_owned(), body.to_owned()))
    }

    fn publish(&self, channel: &str, text: &str) -> Response {
        self.ask("admin.sock", "POST", &format!("/publish/{channel}"), text)
            .unwrap()
    }

    /// All there is in a history.
    fn history(&self, channel: &str) -> Vec<String> {
        let target = format!("/events/{channel}?last-event-id=earliest&wait=0");
        let (mut texts, mut target) = (Vec::new(), target);
        loop {
            let answer = self.ask("door.sock", "GET", &target, "").unwrap();
            assert_eq!(answer.0, 200, "{}", answer.2);
            let object: Value = serde_json::from_str(&answer.2).unwrap();
            let messages = object["messages"].as_array().unwrap();
            if messages.is_empty() {
                return texts;
            }
            texts.extend(
                messages
                    .iter()
                    .map(|message| label(message["data"].as_str().unwrap())),
            );
            target = format!(
                "/events/{channel}?last-event-id={}&wait=0",
                object["id"].as_str().unwrap()
            );
        }
    }

    fn trouble(&self, channel: &str) -> Option<String> {
        let answer = self.ask("admin.sock", "GET", "/status", "").unwrap();
        let status: Value = serde_json::from_str(&answer.2).unwrap();
        let mut channels = status["channels"].as_array().unwrap().iter();
        let row = channels.find(|row| row["name"] == channel).unwrap();
        row["trouble"].as_str().map(str::to_owned)
    }

    fn metrics(&self) -> String {
        self.ask("admin.sock", "GET", "/metrics", "").unwrap().2
    }

    /// Publishes until the disk refuses; what was taken before.
    fn publish_until_refused(&self) -> Vec<String> {
        let mut taken = Vec::new();
        for number in 0.. {
            let Response(status, _, body) = self.publish("log", &text(number));
            if status != 202 {
                assert_eq!(status, 503, "{body}");
                break;
            }
            taken.push(number.to_string());
        }
        taken
    }

    fn upgrade(&self) -> Ran {
        run(Command::new(env!("CARGO_BIN_EXE_noren")).args([
            "upgrade",
            "--socket",
            &path(&self.directory, "admin.sock"),
        ]))
    }

    fn log(&self) -> String {
        fs::read_to_string(path(&self.directory, "log")).unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "{}", self.log());
        }
    }
}

/// A message of 8 KiB.
fn text(number: usize) -> String {
    format!("{number} {}", "x".repeat(8 << 10))
}

fn label(text: &str) -> String {
    text.split(' ').next().unwrap().to_owned()
}

/// A page of a channel: the messages it has received, by one long poll after the other.
struct Page(String, Vec<String>);

impl Page {
    fn hear(&mut self, fixture: &Fixture) {
        let target = format!("/events/log,live?last-event-id={}&wait=0", self.0);
        let answer = fixture.ask("door.sock", "GET", &target, "").unwrap();
        let object: Value = serde_json::from_str(&answer.2).unwrap();
        assert_eq!(object["reset"], Value::Null, "{}", answer.2);
        object["id"].as_str().unwrap().clone_into(&mut self.0);
        let messages = object["messages"].as_array().unwrap();
        self.1.extend(
            messages
                .iter()
                .map(|message| label(message["data"].as_str().unwrap())),
        );
    }
}

#[test]
fn what_a_full_disk_refuses_was_seen_by_nobody_and_with_room_all_goes_on() {
    let mut fixture = Fixture::open("unlimited");
    fixture.until_it_serves();
    let mut page = Page("earliest".to_owned(), Vec::new());
    assert_eq!(fixture.publish("log", "first").0, 202);
    fixture.fill(fixture.program.id());
    let mut taken = vec!["first".to_owned()];
    taken.extend(fixture.publish_until_refused());

    let Response(status, head, refusal) = fixture.publish("log", &text(0));
    assert_eq!(status, 503, "{refusal}");
    assert!(head.to_lowercase().contains("retry-after"), "{head}");
    assert!(
        refusal.contains("full") && !refusal.contains('/'),
        "{refusal}"
    );
    assert!(fixture.trouble("log").unwrap().contains("history.redb"));
    assert_eq!(fixture.trouble("live"), None);
    assert!(fixture.metrics().contains("noren_channel_disk_trouble 1"));
    assert!(fixture.log().contains("make room on the disk of hub.store"));
    // A channel in memory does not need the disk.
    assert_eq!(fixture.publish("live", "live").0, 202);
    let mut lines = UnixStream::connect(path(&fixture.directory, "lines.sock")).unwrap();
    lines
        .write_all(format!("{}\n", "y".repeat(60_000)).as_bytes())
        .unwrap();
    until("the source to say that its message was dropped", || {
        let status = fixture.ask("admin.sock", "GET", "/status", "").unwrap().2;
        let status: Value = serde_json::from_str(&status).unwrap();
        (status["sources"][0]["refused"] == 1).then_some(())
    });
    page.hear(&fixture);
    taken.push("live".to_owned());
    assert_eq!(page.1, taken);

    Fixture::limit(fixture.program.id(), "unlimited");
    until("the trouble to end by itself", || {
        fixture.trouble("log").is_none().then_some(())
    });
    assert_eq!(fixture.publish("log", "again").0, 202);
    page.hear(&fixture);
    taken.push("again".to_owned());
    assert_eq!(page.1, taken);
    fixture.restart("unlimited");
    taken.retain(|text| text != "live");
    assert_eq!(fixture.history("log"), taken);
}

#[test]
fn lines_that_a_full_disk_refuses_are_told_from_those_that_it_took() {
    let fixture = Fixture::open("unlimited");
    fixture.until_it_serves();
    assert_eq!(fixture.publish("log", "first").0, 202);
    fixture.fill(fixture.program.id());
    let lines: Vec<_> = (0..400)
        .map(|number| format!("{{\"data\":\"{}\"}}\n", text(number)))
        .collect();
    let Response(status, _, told) = fixture
        .ask_with(
            "admin.sock",
            "POST /publish/log",
            "Content-Type: application/x-ndjson\r\n",
            &lines.concat(),
        )
        .unwrap();
    assert_eq!(status, 503, "{told}");
    let mut kept = fixture.history("log");
    assert_eq!(kept.remove(0), "first");
    let number = |before: &str, after: &str| -> usize {
        let (_, rest) = told.split_once(before).expect(&told);
        rest.split_once(after).expect(&told).0.parse().expect(&told)
    };
    let (line, before) = (number("line ", ":"), number("again later; ", " message"));
    assert_eq!(line, before + 1, "{told}");
    let behind = if told.contains("of those behind it") {
        number("before it, and ", " of those")
    } else {
        0
    };
    assert_eq!(kept.len(), before + behind, "{told}");
    let first: Vec<_> = (0..before).map(|number| number.to_string()).collect();
    assert_eq!(kept.get(..before), Some(&*first), "{told}");
}

/// A disk in a mount of its own, which can only be read until a file says otherwise.
const READ_ONLY: &str = "mount -t tmpfs -o ro tmpfs \"$DISK\" || exit 1; \
    (until [ -e writable ]; do sleep 0.05; done; mount -o remount,rw \"$DISK\") & exec \"$@\"";

#[test]
fn with_a_disk_that_can_only_be_read_noren_starts_and_writes_once_it_can() {
    let Some(mut inside) = mount_namespace("a disk that can only be read") else {
        return;
    };
    let mut fixture = Fixture::open("unlimited");
    fixture.until_it_serves();
    fixture.kill();
    let store = path(&fixture.directory, "store");
    fixture.program = inside
        .args(["sh", "-c", READ_ONLY, "sh"])
        .args([env!("CARGO_BIN_EXE_noren"), "serve", "--config"])
        .arg(path(&fixture.directory, "noren.toml"))
        .env("DISK", &store)
        .current_dir(fixture.directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("unshare, of util-linux");
    fixture.until_it_serves();
    let Response(status, _, refusal) = fixture.publish("log", "refused");
    assert_eq!(status, 503, "{refusal}");
    assert!(
        refusal.contains("can only be read") && !refusal.contains('/'),
        "{refusal}"
    );
    assert!(fixture.trouble("log").is_some());
    let Response(status, _, ready) = fixture.ask("admin.sock", "GET", "/readyz", "").unwrap();
    assert_eq!(status, 200, "{ready}");
    assert!(
        ready.starts_with("ok\n") && ready.contains("can only be read"),
        "{ready}"
    );
    assert_eq!(fixture.publish("live", "live").0, 202);
    fs::write(path(&fixture.directory, "writable"), "").unwrap();
    until("the trouble to end by itself", || {
        fixture.trouble("log").is_none().then_some(())
    });
    assert_eq!(fixture.publish("log", "taken").0, 202);
    assert_eq!(fixture.history("log"), ["taken"]);
    assert_eq!(
        fixture.ask("admin.sock", "GET", "/readyz", "").unwrap().2,
        "ok\n"
    );
}

#[test]
fn with_a_full_disk_noren_starts_and_its_channels_on_disk_wait_for_room() {
    let fixture = Fixture::open("0");
    fixture.until_it_serves();
    assert!(fixture.trouble("log").is_some());
    let Response(status, _, refusal) = fixture.publish("log", "refused");
    assert_eq!(status, 503, "{refusal}");
    assert!(!refusal.contains('/'), "{refusal}");
    assert_eq!(fixture.publish("live", "live").0, 202);
    assert_eq!(fixture.history("log"), [""; 0]);
    assert!(!fixture.upgrade().status.success());
    assert_eq!(fixture.publish("log", "refused").0, 503);
    Fixture::limit(fixture.program.id(), "unlimited");
    until("the trouble to end by itself", || {
        fixture.trouble("log").is_none().then_some(())
    });
    assert_eq!(fixture.publish("log", "taken").0, 202);
    assert_eq!(fixture.history("log"), ["taken"]);
}

#[test]
fn with_a_full_disk_a_first_start_serves_a_certificate_that_it_cannot_keep() {
    let directory = scratch();
    let (door, certs) = (path(&directory, "door.sock"), path(&directory, "certs"));
    let settings = format!(
        "[[listener]]\naddress = 'unix:{door}'\nprotocol = 'https'\n[tls]\nself-signed = '{certs}'\n\
         [admin]\nsocket = '{}'\n[server]\nwelcome = true\n",
        path(&directory, "admin.sock"),
    );
    fs::write(path(&directory, "noren.toml"), settings).unwrap();
    let program = Fixture::start(&directory, "0");
    let fixture = Fixture { directory, program };
    fixture.until_it_serves();
    let page = run(Command::new("curl").args([
        "--silent",
        "--insecure",
        "--unix-socket",
        &door,
        "https://localhost/",
    ]));
    assert!(page.well().stdout.contains("no app behind it yet"));
    let log = fixture.log();
    assert!(
        log.contains("the self-signed certificate cannot be kept"),
        "{log}"
    );
}

#[test]
fn a_history_that_was_there_is_shown_though_the_disk_is_full_after_a_kill() {
    let mut fixture = Fixture::open("unlimited");
    fixture.until_it_serves();
    fixture.publish("log", "first");
    fixture.fill(fixture.program.id());
    let mut taken = vec!["first".to_owned()];
    taken.extend(fixture.publish_until_refused());
    let size = fs::metadata(path(&fixture.directory, "store/history.redb"))
        .unwrap()
        .len();
    fixture.restart(&size.to_string());
    assert_eq!(fixture.publish("log", &text(0)).0, 503);
    let found = until("the history", || {
        let answer = fixture.ask(
            "door.sock",
            "GET",
            "/events/log?last-event-id=earliest&wait=0",
            "",
        );
        (answer.unwrap().0 == 200).then(|| fixture.history("log"))
    });
    assert_eq!(found, taken);
    Fixture::limit(fixture.program.id(), "unlimited");
    until("the trouble to end by itself", || {
        fixture.trouble("log").is_none().then_some(())
    });
    assert_eq!(fixture.publish("log", "again").0, 202);
    taken.push("again".to_owned());
    fixture.restart("unlimited");
    assert_eq!(fixture.history("log"), taken);
}

#[test]
fn an_upgrade_on_a_full_disk_leaves_no_process_that_takes_what_it_does_not_keep() {
    let mut fixture = Fixture::open("unlimited");
    fixture.until_it_serves();
    fixture.publish("log", "first");
    fixture.fill(fixture.program.id());
    let mut taken = vec!["first".to_owned()];
    taken.extend(fixture.publish_until_refused());
    // One that fails at something else, with the histories in its hands.
    let file = path(&fixture.directory, "noren.toml");
    let good = fs::read_to_string(&file).unwrap();
    let bad = "[[listener]]\naddress = '192.0.2.1:1'\nprotocol = 'http'\n";
    fs::write(&file, format!("{good}{bad}")).unwrap();
    assert!(!fixture.upgrade().status.success());
    fs::write(&file, good).unwrap();
    let answer = fixture.publish("log", &text(0));
    assert_eq!(answer.0, 503, "{}", answer.2);
    let reload = run(Command::new(env!("CARGO_BIN_EXE_noren")).args([
        "reload",
        "--socket",
        &path(&fixture.directory, "admin.sock"),
    ]));
    let _ = reload.well();
    // And one that may succeed.
    let upgraded = fixture.upgrade();
    let next = upgraded
        .status
        .success()
        .then(|| Process::after_upgrade(&upgraded));
    let process = next.as_ref().map_or(fixture.program.id(), |next| next.0);
    let answer = fixture.publish("log", &text(0));
    assert_eq!(answer.0, 503, "{}", answer.2);
    Fixture::limit(process, "unlimited");
    for number in 0..12 {
        until("the message to be taken", || {
            (fixture.publish("log", &format!("again-{number}")).0 == 202).then_some(())
        });
        taken.push(format!("again-{number}"));
    }
    assert_eq!(fixture.history("log"), taken);
    drop(next);
    fixture.restart("unlimited");
    assert_eq!(fixture.history("log"), taken);
}

#[test]
fn a_recording_on_a_disk_that_is_full_is_whole_up_to_there() {
    let directory = scratch();
    let console = UnixListener::bind(path(&directory, "vm")).unwrap();
    let recordings = path(&directory, "recordings");
    let settings = format!(
        "[[listener]]\naddress = 'unix:{}'\nprotocol = 'http'\n[admin]\nsocket = '{}'\n\
         [bridge.recording]\ndirectory = '{recordings}'\n\
         [[bridge.target]]\ntoken = 'vm'\naddress = 'unix:{}'\n",
        path(&directory, "door.sock"),
        path(&directory, "admin.sock"),
        path(&directory, "vm"),
    );
    fs::write(path(&directory, "noren.toml"), settings).unwrap();
    let program = Fixture::start(&directory, "4096");
    let fixture = Fixture { directory, program };
    fixture.until_it_serves();
    let mut client = UnixStream::connect(path(&fixture.directory, "door.sock")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        client,
        "GET /websockify?token=vm HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let (mut guest, _) = console.accept().unwrap();
    let mut seen = Vec::new();
    let mut until_seen = |mark: &[u8]| {
        let mut piece = [0; 1024];
        while !seen.ends_with(mark) {
            let count = client.read(&mut piece).unwrap();
            assert!(count > 0, "the console goes on without its recording");
            seen.extend_from_slice(&piece[..count]);
        }
    };
    // The second is only begun on the disk.
    for sign in *b"ab" {
        guest.write_all(&[sign; 3000]).unwrap();
        until_seen(&[sign; 100]);
    }
    until("the recording to end", || {
        fixture
            .log()
            .contains("a recording ends before its console")
            .then_some(())
    });
    drop((client, guest));
    until("the audit", || {
        fixture.log().contains("digest").then_some(())
    });
    let file = fs::read_dir(&recordings).unwrap().next().unwrap().unwrap();
    let mut verify = Command::new(env!("CARGO_BIN_EXE_noren"));
    let verified = run(verify.args(["recordings", "verify"]).arg(file.path())).well();
    assert!(
        verified.stdout.contains("as they were written"),
        "{}",
        verified.stdout
    );
}
