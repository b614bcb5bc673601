//! The door as it is run: the `noren` binary with a configuration file and certificates made for this test.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Certificates, Clock, PATIENCE, Ran, pause, until};

/// A certificate: the name of its file, and those it is for.
type Names<'a> = (&'a str, &'a [&'a str]);

const LOCALHOST: Names<'_> = ("door", &["localhost", "127.0.0.1"]);

/// A running door. It ends when this is dropped; a failing test then shows what the door logged.
pub(crate) struct Door {
    directory: tempfile::TempDir,
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// The port of the one https listener, on 127.0.0.1.
    pub(crate) port: u16,
}

impl Door {
    /// A door for `localhost` with these tables in its configuration.
    #[track_caller]
    pub(crate) fn open(tables: &str) -> Self {
        Self::with_names(&[LOCALHOST], tables)
    }

    /// The same on a machine with this clock, and with more in its environment.
    #[track_caller]
    pub(crate) fn by_clock(clock: &Clock, environment: &[(&str, &str)], tables: &str) -> Self {
        let faked = clock.environment();
        let faked = faked.iter().map(|(name, value)| (*name, value.as_str()));
        let all: Vec<_> = faked.chain(environment.iter().copied()).collect();
        Self::with_environment(&[LOCALHOST], &all, tables)
    }

    /// A door in front of one app of ten threads, which takes everything.
    #[track_caller]
    pub(crate) fn in_front_of(app: &str) -> Self {
        let url = if app.starts_with("unix:") {
            app.to_owned()
        } else {
            format!("http://{app}")
        };
        Self::open(&format!(
            "[[app]]
name = \"app\"
url = \"{url}\"
workers = 10
encoded-slash = true
"
        ))
    }

    /// A door with a certificate for each list of names; the first one is its default.
    #[track_caller]
    pub(crate) fn with_names(names: &[Names<'_>], tables: &str) -> Self {
        Self::with_environment(names, &[], tables)
    }

    #[track_caller]
    fn with_environment(names: &[Names<'_>], environment: &[(&str, &str)], tables: &str) -> Self {
        let directory = super::scratch();
        let authority = Certificates::new(directory.path());
        let mut config =
            String::from("[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"https\"\n");
        for (name, names) in names {
            authority.sign(directory.path(), name, names);
            let file = super::path(&directory, name);
            write!(
                config,
                "[[tls.certificate]]\ncertificate = \"{file}.pem\"\nkey = \"{file}.key\"\n"
            )
            .expect("a String takes everything");
        }
        let file = super::path(&directory, "noren.toml");
        fs::write(&file, config + tables).expect("the configuration written");

        Self::start(directory, &["serve", "--config", &file], environment)
    }

    /// `noren demo`, as a newcomer runs it, in a directory of its own.
    #[track_caller]
    pub(crate) fn demo() -> Self {
        let door = Self::start(super::scratch(), &["demo", "--listen", "127.0.0.1:0"], &[]);
        fs::copy(door.file("certs/noren-cert.pem"), door.file("door.pem"))
            .expect("the certificate it has made");
        door
    }

    /// `noren serve` with flags and no file, on a port of its own.
    #[track_caller]
    pub(crate) fn with_flags(flags: &[&str]) -> Self {
        let arguments = [&["serve", "--listen", "127.0.0.1:0"], flags].concat();
        let door = Self::start(super::scratch(), &arguments, &[]);
        fs::copy(door.file("certs/noren-cert.pem"), door.file("ca.pem"))
            .expect("the certificate it has made");
        door
    }

    #[track_caller]
    fn start(
        directory: tempfile::TempDir,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_noren"))
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary that cargo built for this test");
        let errors = child.stderr.take().expect("standard error is piped");
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        let reader = std::thread::Builder::new()
            .name("door log".to_owned())
            .spawn(move || {
                for line in BufReader::new(errors).lines().map_while(Result::ok) {
                    let mut log = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    log.push_str(&line);
                    log.push('\n');
                }
            })
            .expect("a thread");
        let mut door = Self {
            directory,
            child,
            log,
            reader: Some(reader),
            port: 0,
        };
        door.port = until("the door to listen", || {
            let ended = door.child.try_wait().expect("the state of a child");
            assert!(ended.is_none(), "the door ended at once: {ended:?}");
            listening_port(&door.log())
        });
        door
    }

    /// The address of its first plain listener.
    pub(crate) fn plain(&self) -> SocketAddr {
        until("the plain listener", || {
            let log = self.log();
            let line = log
                .lines()
                .find(|line| line.contains("listening") && line.ends_with("protocol=http"))?;
            let (_, rest) = line.split_once("address=")?;
            rest.split_ascii_whitespace().next()?.parse().ok()
        })
    }

    /// `https://localhost:PORT` and this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// A file of this door's directory: `ca.pem`, `door.pem`.
    pub(crate) fn file(&self, name: &str) -> String {
        super::path(&self.directory, name)
    }

    /// The server's log so far.
    pub(crate) fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that the process ever held, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.memory("VmHWM")
    }

    /// A size in the status of the process, in KiB: `VmHWM`, `RssAnon`.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("a process that runs");
        let mut lines = status.lines();
        let size = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = size.and_then(|size| size.trim().strip_suffix(" kB")?.parse().ok());
        kib.unwrap_or_else(|| panic!("Linux tells {name} of every process"))
    }
}

/// The port in the line `listening address=127.0.0.1:8001 protocol=https`.
fn listening_port(log: &str) -> Option<u16> {
    let line = log
        .lines()
        .find(|line| line.contains("listening") && line.contains("protocol=https"))?;
    let (_, rest) = line.split_once("address=")?;
    let address = rest.split_ascii_whitespace().next()?;
    address.rsplit_once(':')?.1.parse().ok()
}

/// A process that the test did not start itself; it ends with the test.
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// The one that serves after `noren upgrade`, as the command said.
    #[track_caller]
    pub(crate) fn after_upgrade(ran: &Ran) -> Self {
        let number = ran.stdout.strip_prefix("process ");
        let number = number.and_then(|rest| rest.split_once(" serves now"));
        let number = number.and_then(|(number, _)| number.parse().ok());
        Self(number.unwrap_or_else(|| panic!("{}{}", ran.stdout, ran.stderr)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = Command::new("kill")
            .args(["-KILL", &self.0.to_string()])
            .status();
        // Until then it has its sockets and its store; one that nobody waits for yet has neither.
        let begin = Instant::now();
        let is_there = || {
            let state = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
            let (_, behind) = state.rsplit_once(") ")?;
            (!behind.starts_with(['Z', 'X'])).then_some(())
        };
        while is_there().is_some() && begin.elapsed() < PATIENCE {
            pause(Duration::from_millis(10));
        }
    }
}

impl Drop for Door {
    #[expect(
        clippy::print_stderr,
        reason = "the harness shows it only for a test that fails"
    )]
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        if std::thread::panicking() {
            eprintln!("--- the door's log\n{}---", self.log());
        }
    }
}
