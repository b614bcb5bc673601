//! A PostgreSQL server of one test: Debian's programs with a directory and a port of their own.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{Certificates, free_port, path, run, scratch, until};

/// A running server; it ends with the test. Its administrator `postgres` comes in by the UNIX socket without a
/// password, everybody else by TCP with one.
pub(crate) struct Postgres {
    home: tempfile::TempDir,
    child: Option<Child>,
    pub(crate) port: u16,
}

impl Postgres {
    /// A server with the database `app`, a table that an app makes as the guide says, and the user `noren` with the
    /// password `hunter2`.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let mut server = Self {
            home: scratch(),
            child: None,
            port: free_port(),
        };
        server.prepare();
        server.begin();
        server.admin("postgres", "CREATE DATABASE app");
        server.sql("CREATE ROLE noren LOGIN PASSWORD 'hunter2'");
        server
    }

    fn prepare(&self) {
        let home = self.home.path();
        fs::set_permissions(home, fs::Permissions::from_mode(0o755)).expect("its home is open");
        let authority = Certificates::new(home);
        authority.sign(home, "server", &["localhost"]);
        for (name, mode) in [("data", 0o700), ("socket", 0o755)] {
            let directory = home.join(name);
            fs::create_dir(&directory).expect("a directory");
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(&directory, mode).expect("its own");
        }
        for name in ["data", "socket", "server.pem", "server.key"] {
            let file = home.join(name);
            if is_root() {
                run(Command::new("chown").arg("postgres:").arg(&file)).well();
            }
        }
        let data = path(&self.home, "data");
        run(self.program("initdb").args([
            "--pgdata",
            &data,
            "--username=postgres",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--no-sync",
            "--no-locale",
            "--encoding=UTF8",
        ]))
        .well();
    }

    /// A program of the server, as the user it wants.
    fn program(&self, name: &str) -> Command {
        let found = fs::read_dir("/usr/lib/postgresql")
            .ok()
            .and_then(|versions| {
                let mut found: Vec<PathBuf> = versions
                    .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
                    .filter(|file| file.exists())
                    .collect();
                found.sort();
                found.pop()
            });
        let file = found.expect("postgresql; tests/run installs what the tests need");
        let mut command = if is_root() {
            // The server does not run as root.
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            command.arg(file);
            command
        } else {
            Command::new(file)
        };
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    /// Starts it again, with all it has committed.
    #[track_caller]
    pub(crate) fn begin(&mut self) {
        until("the server to answer", || {
            let ended = match &mut self.child {
                Some(child) => child.try_wait().expect("the state of a child").is_some(),
                None => true,
            };
            // After a kill it refuses to start until the last of its former processes is gone.
            if ended {
                self.child = Some(self.spawn());
            }
            let mut ready = self.psql("postgres");
            let ready = ready.args(["-c", "SELECT 1"]).stderr(Stdio::null());
            ready
                .stdout(Stdio::null())
                .status()
                .ok()?
                .success()
                .then_some(())
        });
    }

    fn spawn(&self) -> Child {
        let log = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path(&self.home, "log"))
            .expect("a log");
        let setting = |name: &str, value: &str| ["-c".to_owned(), format!("{name}={value}")];
        self.program("postgres")
            .args([
                "-D",
                &path(&self.home, "data"),
                "-p",
                &self.port.to_string(),
            ])
            .args(setting("listen_addresses", "127.0.0.1"))
            .args(setting(
                "unix_socket_directories",
                &path(&self.home, "socket"),
            ))
            // The tests kill processes and not the machine.
            .args(setting("fsync", "off"))
            .args(setting("ssl", "on"))
            .args(setting("ssl_cert_file", &path(&self.home, "server.pem")))
            .args(setting("ssl_key_file", &path(&self.home, "server.key")))
            .args(setting("max_connections", "30"))
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the server; tests/run installs what the tests need")
    }

    /// Ends it as a crash does.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child that runs");
            child.wait().expect("a child that was ended");
        }
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new("psql");
        command
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
            ])
            .args([
                "-h",
                &path(&self.home, "socket"),
                "-p",
                &self.port.to_string(),
            ])
            .args(["-d", database])
            .stdin(Stdio::null());
        command
    }

    fn admin(&self, database: &str, statements: &str) -> String {
        let ran = run(self.psql(database).args(["-c", statements])).well();
        ran.stdout.trim().to_owned()
    }

    /// Runs statements as the administrator, in one transaction; what they select.
    #[track_caller]
    pub(crate) fn sql(&self, statements: &str) -> String {
        self.admin("app", statements)
    }

    /// Makes the outbox with the very statements of the guide.
    #[track_caller]
    pub(crate) fn make_outbox(&self) {
        let guide = include_str!("../../src/guide/postgres.md");
        let mut blocks = guide.split("```").skip(1).step_by(2);
        let statements = blocks.find_map(|block| block.strip_prefix("sql\n"));
        self.sql(statements.expect("the guide has the statements"));
    }

    /// The statement by which the guide finds rows that were refused.
    #[track_caller]
    pub(crate) fn looks_at_what_was_refused() -> String {
        let guide = include_str!("../../src/guide/postgres.md");
        let line = guide
            .lines()
            .find_map(|line| line.strip_prefix("psql app -c '"));
        let statement = line.and_then(|rest| rest.strip_suffix('\''));
        statement.expect("the guide has the statement").to_owned()
    }

    /// The URL for a source that comes by TCP.
    pub(crate) fn url(&self) -> String {
        format!("postgres://noren@127.0.0.1:{}/app", self.port)
    }

    /// Its file for passwords, which is made here.
    pub(crate) fn passfile(&self, password: &str) -> String {
        let file = path(&self.home, "passfile");
        fs::write(&file, format!("*:{}:app:noren:{password}\n", self.port)).expect("a file");
        file
    }

    /// The certificate of the authority that its own is signed by.
    pub(crate) fn authority(&self) -> String {
        path(&self.home, "ca.pem")
    }

    /// The directory of its UNIX socket.
    pub(crate) fn socket(&self) -> String {
        path(&self.home, "socket")
    }

    /// A session of the administrator that stays open.
    #[track_caller]
    pub(crate) fn session(&self) -> SqlSession {
        let mut command = self.psql("app");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("psql");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        SqlSession { child, answers }
    }

    fn log(&self) -> String {
        let mut text = String::new();
        let read = File::open(path(&self.home, "log"));
        let _ = read.and_then(|mut file| file.read_to_string(&mut text));
        text
    }
}

/// A session that stays open; it ends with the test.
pub(crate) struct SqlSession {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl SqlSession {
    /// Runs statements to their end.
    #[track_caller]
    pub(crate) fn say(&mut self, statements: &str) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        writeln!(input, "{statements}\n\\echo done").expect("psql reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("psql answers");
        assert_eq!(line.trim(), "done");
    }
}

impl Drop for SqlSession {
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).stdout.trim() == "0"
}

impl Drop for Postgres {
    #[expect(
        clippy::print_stderr,
        reason = "the harness shows it only for a test that fails"
    )]
    fn drop(&mut self) {
        // Nothing can be done about a failure here. SIGQUIT ends all its processes at once.
        if let Some(mut child) = self.child.take() {
            let number = child.id().to_string();
            let _ = Command::new("kill").args(["-QUIT", &number]).status();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.log());
        }
    }
}
