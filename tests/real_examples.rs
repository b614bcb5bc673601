//! The clients of `examples/`, each as a user would copy it: run by its own language against a door with TLS.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use crate::support::{Door, Process, Ran, path, run, scratch, until};

const TOKEN: &str = "a-token-of-the-test";

/// A door with a channel that takes messages over HTTP from whoever has the token.
struct Fixture {
    door: Door,
    directory: tempfile::TempDir,
}

impl Fixture {
    fn open() -> Self {
        let directory = scratch();
        let token = path(&directory, "token");
        fs::write(&token, TOKEN).expect("the token written");
        let socket = path(&directory, "admin.sock");
        let door = Door::open(&format!(
            "[hub]\npublish-token = '{token}'\nretry = '1s'\n[[channel]]\nname = 'news'\npublish = ['token']\n\
             [admin]\nsocket = '{socket}'\n"
        ));
        Self { door, directory }
    }

    /// A program of `examples/` that trusts the door's authority as its README says.
    fn example(&self, name: &str, channel: &str) -> Command {
        let authority = self.door.file("ca.pem");
        let mut command = Command::new(format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR")));
        for variable in ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
            command.env(variable, &authority);
        }
        command
            .env_remove("SSL_CERT_DIR")
            .env("NOREN_TOKEN", TOKEN)
            .arg(self.door.url(&format!("/events/{channel}")));
        command
    }

    fn publish(&self, language: &str, text: &str) -> Ran {
        run(self
            .example(&format!("publish.{language}"), "news")
            .arg(text))
    }

    fn upgrade(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
        let socket = path(&self.directory, "admin.sock");
        Process::after_upgrade(&run(command.args(["upgrade", "--socket", &socket])).well())
    }
}

/// A program that listens, and ends with the test.
struct Listener {
    child: Child,
    output: String,
}

impl Listener {
    fn start(fixture: &Fixture, language: &str) -> Self {
        let output = path(&fixture.directory, "heard");
        let file = File::create(&output).expect("a file for what it prints");
        let child = fixture
            .example(&format!("subscribe.{language}"), "news")
            .arg("earliest")
            .stdin(Stdio::null())
            .stdout(file)
            .spawn()
            .expect("the languages are installed by tests/run");
        Self { child, output }
    }

    /// Waits until it has printed just these lines.
    fn heard(&mut self, lines: &[&str]) {
        until(&format!("the lines {lines:?}"), || {
            let ended = self.child.try_wait().expect("the state of a child");
            assert!(ended.is_none(), "it has ended: {ended:?}");
            let heard = fs::read_to_string(&self.output).expect("what it has printed");
            let so_far: Vec<_> = heard.lines().collect();
            assert!(so_far.len() <= lines.len(), "too much: {so_far:?}");
            (so_far == lines).then_some(())
        });
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Publishes and listens in one language, over an upgrade of the door; then with a wrong token and channel.
fn publishes_and_listens(language: &str) {
    let fixture = Fixture::open();
    let _ = fixture.publish(language, "@it's “ready”").well();
    let mut listener = Listener::start(&fixture, language);
    listener.heard(&["message @it's “ready”"]);
    // The stream ends here, and the client has to come back to where it was.
    let _end = fixture.upgrade();
    let _ = fixture.publish(language, "and again").well();
    listener.heard(&["message @it's “ready”", "message and again"]);

    let refused = run(fixture
        .example(&format!("publish.{language}"), "news")
        .arg("x")
        .env("NOREN_TOKEN", "another"));
    assert!(!refused.status.success());
    assert!(
        format!("{}{}", refused.stdout, refused.stderr).contains("401"),
        "{}{}",
        refused.stdout,
        refused.stderr
    );
    let unknown = run(&mut fixture.example(&format!("subscribe.{language}"), "unknown"));
    assert_eq!(unknown.status.code(), Some(1), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("404"), "{}", unknown.stderr);
}

#[test]
fn the_shell_publishes_and_listens() {
    publishes_and_listens("sh");
}

#[test]
fn python_publishes_and_listens() {
    publishes_and_listens("py");
}

#[test]
fn php_publishes_and_listens() {
    publishes_and_listens("php");
}

#[test]
fn node_publishes_and_listens() {
    publishes_and_listens("mjs");
}
