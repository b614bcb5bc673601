//! Commands of the test: run to the end within a limit, with all they said.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{Door, pause};

/// No command of these tests takes longer; it is ended then and the test fails.
const LONGEST: Duration = Duration::from_secs(300);

/// Result of a command.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails the test, with all the command said, unless it ended well.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert!(
            self.status.success(),
            "{}\n--- standard output\n{}\n--- standard error\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }
}

/// `unshare` with a mount namespace of its own for the command that follows; `None`, and a line in the log, where the
/// kernel gives none, as in many containers. `tests/run` counts such a test as neither passed nor failed.
pub(crate) fn mount_namespace(test: &str) -> Option<Command> {
    let unshare = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private"])
            .args(words)
            .arg("--");
        command
    };
    // Root needs no namespace of users.
    for words in [&[][..], &["--map-root-user"]] {
        let tried = run(unshare(words).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]));
        if tried.status.success() {
            return Some(unshare(words));
        }
    }
    // Not a macro of the standard library: what they print is kept from the log if the test does not fail.
    let line = format!("NOT CHECKED: {test}: this machine gives no mount namespace\n");
    std::io::stderr().write_all(line.as_bytes()).expect("a log");
    None
}

/// Runs a command to its end. Output goes to files, so that no pipe can fill up and stop it.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ran {
    let (mut stdout, mut stderr) = (output(), output());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().expect("a second handle of a file"))
        .stderr(stderr.try_clone().expect("a second handle of a file"))
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{command:?}: {error}; tests/run installs what the tests need")
        });
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the state of a child") {
            break status;
        }
        if begin.elapsed() > LONGEST {
            // The test fails with what there is; whether the command could still be ended changes nothing.
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "{command:?} took over {LONGEST:?}\n{}\n{}",
                text(&mut stdout),
                text(&mut stderr)
            );
        }
        pause(Duration::from_millis(10));
    };
    Ran {
        status,
        stdout: text(&mut stdout),
        stderr: text(&mut stderr),
    }
}

/// Runs a script that asks for things by lines that begin with `prefix`, each answered with one line. Gives its last
/// line. A script that fails fails the test with what it said.
#[track_caller]
pub(crate) fn converse(
    mut command: Command,
    prefix: &str,
    mut answer: impl FnMut(&str) -> String,
) -> String {
    let mut stderr = output();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr.try_clone().expect("a second handle of a file"))
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{command:?}: {error}; tests/run installs what the tests need")
        });
    let mut answers = child.stdin.take().expect("standard input is piped");
    let lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
    let mut last = String::new();
    for line in lines.map_while(Result::ok) {
        if let Some(asked) = line.strip_prefix(prefix) {
            writeln!(answers, "{}", answer(asked)).expect("it reads");
        }
        last = line;
    }
    let status = child.wait().expect("a child");
    let said = text(&mut stderr);
    assert!(status.success(), "{status} after {last:?}\n{said}");
    last
}

fn output() -> File {
    tempfile::tempfile().expect("a temporary file")
}

fn text(file: &mut File) -> String {
    use std::io::Seek as _;
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .expect("a file that was just written");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A client from tests/peers, in Debian's Python (whose libraries are the ones that are installed).
pub(crate) fn python(script: &str) -> Command {
    python_of("/usr/bin/python3", script)
}

/// The same with the packages of `tests/peers/requirements.txt`.
pub(crate) fn python_in_venv(script: &str) -> Command {
    python_of(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/.cache/venv/bin/python"),
        script,
    )
}

/// The same with OpenStack's services, the packages of `tests/peers/openstack/requirements.txt`.
pub(crate) fn python_of_openstack(script: &str) -> Command {
    let mut command = python_of(
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/.cache/openstack/bin/python"
        ),
        script,
    );
    command.env("PYTHONWARNINGS", "ignore");
    command
}

fn python_of(interpreter: &str, script: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg("-B").arg(format!(
        "{}/tests/peers/{script}",
        env!("CARGO_MANIFEST_DIR")
    ));
    command
}

/// A script from tests/browser.
#[track_caller]
pub(crate) fn browser(script: &str) -> Command {
    let browser = format!("{}/tests/browser", env!("CARGO_MANIFEST_DIR"));
    assert!(
        std::fs::exists(format!("{browser}/node_modules/playwright-core")).unwrap_or(false),
        "the browser tests need their packages: run tests/run once, or `npm ci` in tests/browser"
    );
    let mut command = Command::new("node");
    // The door of a test listens on 127.0.0.1, and localhost may be ::1 first, the only one that older versions try.
    command.env("NODE_OPTIONS", "--dns-result-order=ipv4first");
    command.arg(format!("{browser}/{script}"));
    command
}

/// The same with Chromium that trusts the certificate of this door, and visits it.
#[track_caller]
pub(crate) fn chromium(script: &str, door: &Door) -> Command {
    let mut command = browser(script);
    command
        .args(["--url", &door.url("")])
        .arg("--certificate")
        .arg(door.file("door.pem"));
    command
}
