//! A RabbitMQ broker of one test: Debian's `rabbitmq-server` with a home, a node name and ports of its own.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use super::{Certificates, path, scratch, until};

/// Directory of Debian's programs, which the wrappers in `/usr/sbin` run as another user.
const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";

/// A running broker; it ends with the test.
pub(crate) struct Rabbit {
    home: tempfile::TempDir,
    child: Option<Child>,
    /// Erlang's name server: one of our own, or the broker would start one that nobody ends.
    names: Child,
    pub(crate) port: u16,
    /// The TLS port, with a certificate for `localhost` of the authority in `ca.pem` of its home.
    pub(crate) encrypted_port: u16,
    internal: u16,
    names_port: u16,
}

impl Rabbit {
    #[track_caller]
    pub(crate) fn start() -> Self {
        let names_port = free_port();
        let names = Command::new("epmd")
            .args(["-address", "127.0.0.1", "-port", &names_port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(
                "epmd, which comes with rabbitmq-server; tests/run installs what the tests need",
            );
        let mut rabbit = Self {
            home: scratch(),
            child: None,
            names,
            port: free_port(),
            encrypted_port: free_port(),
            internal: free_port(),
            names_port,
        };
        rabbit.prepare_tls();
        rabbit.begin();
        rabbit
    }

    fn prepare_tls(&self) {
        let home = self.home.path();
        Certificates::new(home).sign(home, "broker", &["localhost"]);
        let file = |name: &str| path(&self.home, name);
        let settings = format!(
            "listeners.ssl.1 = 127.0.0.1:{}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\nssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n",
            self.encrypted_port,
            file("ca.pem"),
            file("broker.pem"),
            file("broker.key")
        );
        fs::write(file("rabbitmq.conf"), settings).expect("its settings");
    }

    /// The certificate of the authority that its own is signed by.
    pub(crate) fn authority(&self) -> String {
        path(&self.home, "ca.pem")
    }

    /// Starts it again, with all it has kept.
    #[track_caller]
    #[expect(
        clippy::disallowed_methods,
        reason = "these tests hold no runtime, and the port is on this machine"
    )]
    pub(crate) fn begin(&mut self) {
        let mut command = self.command("rabbitmq-server");
        // A broker that does not find its name server starts one that nobody ends.
        until("the name server to listen", || {
            TcpStream::connect(("127.0.0.1", self.names_port)).ok()
        });
        let log = File::create(path(&self.home, "log")).expect("a log");
        let child = command
            // A group of its own: what the wrapper starts ends with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("rabbitmq-server: {error}; tests/run installs what the tests need")
            });
        self.child = Some(child);
        until("the broker to listen", || {
            let ended = self.child.as_mut().map(Child::try_wait);
            assert!(
                matches!(ended, Some(Ok(None))),
                "the broker ended:\n{}",
                self.log()
            );
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// Stops it as an administrator does; what is durable is kept.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // The server writes the number of its own process, below the wrapper.
        let number = fs::read_to_string(path(&self.home, "pid")).expect("its number");
        let told = Command::new("kill").arg(number.trim()).status();
        assert!(told.is_ok_and(|status| status.success()), "it was told");
        until("the broker to stop", || child.try_wait().ok().flatten());
    }

    /// The URL in a source's table.
    pub(crate) fn url(&self) -> String {
        format!("amqp://127.0.0.1:{}", self.port)
    }

    /// Gives the user `noren`, whose password is its name, the permissions that a page of the guide has.
    #[track_caller]
    pub(crate) fn permit_as_in(&self, guide: &str) {
        let line = guide
            .lines()
            .find_map(|line| line.strip_prefix("rabbitmqctl set_permissions noren "))
            .expect("a line of the guide");
        let words: Vec<_> = line
            .split('\'')
            .filter(|word| !word.trim().is_empty())
            .collect();
        self.permit("noren", words.try_into().expect("three permissions"));
    }

    /// Gives a user, whose password is its name, these permissions: to configure, to write, to read.
    #[track_caller]
    pub(crate) fn permit(&self, user: &str, permissions: [&str; 3]) {
        // It is there already when its permissions change.
        let mut control = self.command("rabbitmqctl");
        let _ = control.args(["--quiet", "add_user", user, user]).output();
        let [configure, write, read] = permissions;
        self.control(&["set_permissions", user, configure, write, read]);
    }

    /// Removes a user, whose connections the broker ends.
    #[track_caller]
    pub(crate) fn forget(&self, user: &str) {
        self.control(&["delete_user", user]);
    }

    /// Ends the connections of a user, who keeps what it was permitted until then.
    #[track_caller]
    pub(crate) fn disconnect(&self, user: &str) {
        self.control(&["close_all_user_connections", user, "a test"]);
    }

    /// Deletes a queue or a stream with all that is in it.
    #[track_caller]
    pub(crate) fn delete_queue(&self, name: &str) {
        self.control(&["delete_queue", name]);
    }

    /// Lets the broker's disk be full, so that it takes no messages, or have room again.
    #[track_caller]
    pub(crate) fn fill_disk(&self, is_full: bool) {
        let limit = if is_full { "100000GB" } else { "1MB" };
        self.control(&["set_disk_free_limit", limit]);
        until("the broker's alarm", || {
            let alarms = self.control(&["eval", "rabbit_alarm:get_alarms()."]);
            (alarms.contains("disk") == is_full).then_some(())
        });
    }

    /// Sends what a queue rejects to an exchange, by a policy as an administrator sets it.
    #[track_caller]
    pub(crate) fn dead_letter(&self, queue: &str, exchange: &str) {
        let definition = format!(r#"{{"dead-letter-exchange": "{exchange}"}}"#);
        let pattern = format!("^{queue}$");
        self.control(&["set_policy", "dead-letters", &pattern, &definition]);
    }

    /// The number of messages of a queue that a consumer has and has not acknowledged.
    #[track_caller]
    pub(crate) fn unacknowledged(&self, queue: &str) -> u64 {
        let list = self.control(&["list_queues", "name", "messages_unacknowledged"]);
        let mut lines = list.lines();
        let count = lines.find_map(|line| line.strip_prefix(queue)?.trim().parse().ok());
        count.expect("the queue is there")
    }

    /// Runs a command of the administrator; its output.
    #[track_caller]
    fn control(&self, words: &[&str]) -> String {
        let mut control = self.command("rabbitmqctl");
        let told = control.arg("--quiet").args(words).output();
        let told = told.expect("rabbitmqctl, which comes with rabbitmq-server");
        assert!(told.status.success(), "{told:?}");
        String::from_utf8_lossy(&told.stdout).into_owned()
    }

    /// Bytes of memory that the broker's process holds.
    pub(crate) fn memory(&self) -> u64 {
        let number = fs::read_to_string(path(&self.home, "pid")).expect("its number");
        let status = fs::read_to_string(format!("/proc/{}/status", number.trim()))
            .expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.expect("Linux tells VmRSS of every process") * 1024
    }

    fn log(&self) -> String {
        fs::read_to_string(path(&self.home, "log")).unwrap_or_default()
    }

    fn command(&self, program: &str) -> Command {
        let file = |name: &str| path(&self.home, name);
        let mut command = Command::new(format!("{PROGRAMS}/{program}"));
        command
            .env("HOME", self.home.path())
            .env(
                "RABBITMQ_NODENAME",
                format!("noren-{}@localhost", self.port),
            )
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.internal.to_string())
            .env("ERL_EPMD_PORT", self.names_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", file("mnesia"))
            .env("RABBITMQ_LOG_BASE", file("logs"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_PID_FILE", file("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("plugins"))
            // Erlang's threads would wait for work by looking for it, which leaves less for the other tests.
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+S 1:1 +SDcpu 1:1 +SDio 1 +sbwt none +sbwtdcpu none +sbwtdio none",
            )
            .env("RABBITMQ_CTL_ERL_ARGS", "+S 1:1 +sbwt none")
            // The machine's own files are not for this one.
            .env("RABBITMQ_CONF_ENV_FILE", file("none"))
            .env("RABBITMQ_CONFIG_FILE", file("rabbitmq"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", file("none.config"));
        command
    }
}

/// A port that nothing listens on now. Another program could take it first; then the broker says so.
/// A port for a server that opens it some time later. Each is given out once, and none is of the range from which the
/// kernel takes the ports of connections: between this look and the server's own, one of those could get it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Several programs with these tests begin at different places.
    let begin = u16::try_from(std::process::id() % 80).expect("a small number") * 100;
    (0..8_000)
        .map(|_| 20_000 + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

impl Drop for Rabbit {
    #[expect(
        clippy::print_stderr,
        reason = "the harness shows it only for a test that fails"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the broker's log\n{}---", self.log());
        }
        // Nothing can be done about a failure here.
        if let Some(mut child) = self.child.take() {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = child.wait();
        }
        let _ = self.names.kill();
        let _ = self.names.wait();
    }
}
