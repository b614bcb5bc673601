//! The apps of `examples/apps`: one page of notes in Django, Flask, `CherryPy`, Sinatra, Express and Symfony, each
//! started with the command of its page of the guide, behind the configuration that is beside them.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use crate::support::{
    Door, Request, ask, blocks, documents, free_port, path, root, scratch, until,
};

/// The port and the socket in the configuration and in the commands of the guide.
const PORT: &str = "8010";
const SOCKET: &str = "/tmp/notes.sock";

/// The command in a page of the guide that starts the app: the line after Noren's own.
fn command(page: &str) -> String {
    let documents = documents();
    let mut found = documents.iter().filter(|one| one.path.as_os_str() == page);
    let document = found.next().expect("a page of the guide");
    let found = blocks(document);
    let block = found.iter().find(|block| block.language == "sh");
    let text = &block.expect("its commands").text;
    let line = text
        .lines()
        .find(|line| line.contains("examples/apps/") && line.contains(PORT));
    line.expect("the command that starts the app").to_owned()
}

/// An app behind a door; it ends with the test.
struct Fixture {
    door: Door,
    app: Child,
    directory: tempfile::TempDir,
}

impl Fixture {
    #[track_caller]
    fn open(page: &str) -> Self {
        let directory = scratch();
        let (socket, port) = (path(&directory, "notes.sock"), free_port().to_string());
        let own = |text: &str| text.replace(PORT, &port).replace(SOCKET, &socket);
        let text = fs::read_to_string(root().join("examples/apps/noren.toml"));
        let changed = own(&text.expect("its configuration"));
        assert!(changed.contains(&socket) && changed.contains(&port));
        let door = Door::open(&changed);
        let log = File::create(path(&directory, "log")).expect("a log");
        // The frameworks are those of Debian, and so are the languages.
        let programs = std::env::var("PATH").expect("a path");
        let app = Command::new("sh")
            .args(["-c", &format!("exec env {}", own(&command(page)))])
            .env("PATH", format!("/usr/bin:{programs}"))
            .current_dir(root())
            // PHP has workers, which end with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        Self {
            door,
            app: app.expect("tests/run installs what the examples need"),
            directory,
        }
    }

    fn ask(&self, path: &str, cookie: &str) -> Request {
        ask(&self.door, path).header(&format!("Cookie: {cookie}"))
    }

    fn log(&self) -> String {
        fs::read_to_string(path(&self.directory, "log")).unwrap_or_default()
    }
}

impl Drop for Fixture {
    #[expect(
        clippy::print_stderr,
        reason = "the harness shows it only for a test that fails"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the app's log\n{}---", self.log());
        }
        // Nothing can be done about a failure here.
        let group = format!("-{}", self.app.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.app.wait();
    }
}

/// A visitor listens, says a note, which comes over the channel, and logs out, which ends what is open.
#[track_caller]
fn shows_notes(page: &str) {
    let fixture = Fixture::open(page);
    until("the app to answer", || {
        (ask(&fixture.door, "/").send().status == 200).then_some(())
    });
    assert!(
        ask(&fixture.door, "/")
            .gets(200)
            .text()
            .contains("/events/-/noren.js")
    );
    let stream = |cookie: &str| {
        fixture
            .ask("/events/notes", cookie)
            .header("Accept: text/event-stream")
            .with("--max-time", "60")
    };
    stream("a=b").gets(401);
    ask(&fixture.door, "/notes")
        .with("--data", "text=hello")
        .gets(401);
    let login = ask(&fixture.door, "/login")
        .with("--data", "name=cook")
        .gets(303);
    let cookies: Vec<_> = login
        .all("set-cookie")
        .iter()
        .filter_map(|line| line.split(';').next())
        .map(str::to_owned)
        .collect();
    let cookie = cookies.join("; ");
    let heard = path(&fixture.directory, "heard");
    let mut listener = stream(&cookie)
        .with("--output", &heard)
        .into_command()
        .arg("--no-buffer")
        .spawn()
        .expect("curl is installed");
    until("the listener", || {
        fixture.door.log().contains("opened").then_some(())
    });
    let said = fixture
        .ask("/notes", &cookie)
        .with("--data", "text=soup %26 tea")
        .send();
    assert!(
        matches!(said.status, 200 | 204),
        "{}\n{}",
        said.head,
        said.text()
    );
    until("the note", || {
        let text = fs::read_to_string(&heard).unwrap_or_default();
        let is_there = text.contains("event: note") && text.contains("soup & tea");
        (is_there && text.contains("cook")).then_some(())
    });
    let question = fixture.ask("/session", &cookie).send();
    assert!(matches!(question.status, 200 | 204), "{}", question.head);
    fixture.ask("/logout", &cookie).with("--data", "").gets(303);
    until("the end of the stream", || {
        listener.try_wait().expect("the state of a child")
    });
    assert!(
        fixture.door.log().contains("user=\"cook\""),
        "{}",
        fixture.door.log()
    );
}

#[test]
fn django_has_notes_that_come_at_once() {
    shows_notes("src/guide/django.md");
}

#[test]
fn flask_has_notes_that_come_at_once() {
    shows_notes("src/guide/flask.md");
}

#[test]
fn cherrypy_has_notes_that_come_at_once() {
    shows_notes("src/guide/cherrypy.md");
}

#[test]
fn sinatra_has_notes_that_come_at_once() {
    shows_notes("src/guide/sinatra.md");
}

#[test]
fn express_has_notes_that_come_at_once() {
    shows_notes("src/guide/express.md");
}

#[test]
fn symfony_has_notes_that_come_at_once() {
    shows_notes("src/guide/symfony.md");
}
