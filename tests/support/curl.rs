//! curl as a client that verifies the door's certificate.

use std::fs;
use std::process::Command;

use super::{Door, run};

/// A promise that holds in both versions of HTTP is tested in both.
pub(crate) const VERSIONS: [&str; 2] = ["1.1", "2"];

/// A request that curl is going to make.
pub(crate) struct Request {
    command: Command,
    version: Option<&'static str>,
}

/// An answer as curl got it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// All heads, interim ones too, with `\r\n` made `\n`.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// A GET of this path, or of a whole URL.
pub(crate) fn ask(door: &Door, target: &str) -> Request {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--path-as-is",
        "--cacert",
        &door.file("ca.pem"),
    ]);
    if target.starts_with('/') {
        command.arg(door.url(target));
    } else {
        command.arg(target);
    }
    Request {
        command,
        version: None,
    }
}

impl Request {
    /// In this version of HTTP and no other.
    pub(crate) fn over(mut self, version: &'static str) -> Self {
        self.command.arg(format!("--http{version}"));
        self.version = Some(version);
        self
    }

    /// With an option of curl and its value.
    pub(crate) fn with(mut self, option: &str, value: &str) -> Self {
        self.command.args([option, value]);
        self
    }

    /// With a header line.
    pub(crate) fn header(self, line: &str) -> Self {
        self.with("--header", line)
    }

    /// With another method.
    pub(crate) fn method(self, method: &str) -> Self {
        self.with("--request", method)
    }

    /// As a HEAD request.
    pub(crate) fn head(mut self) -> Self {
        self.command.arg("--head");
        self
    }

    /// The command, for a test that runs it in its own way.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    /// Sends it and takes the whole answer; any status will do, a broken connection will not.
    #[track_caller]
    pub(crate) fn send(mut self) -> Answer {
        let directory = super::scratch();
        let (head, body) = (
            super::path(&directory, "head"),
            super::path(&directory, "body"),
        );
        self.command
            .args(["--dump-header", &head, "--output", &body]);
        self.command
            .args(["--write-out", "%{http_code} %{http_version}"]);
        let stdout = run(&mut self.command).well().stdout;
        let (status, version) = stdout.split_once(' ').unwrap_or_default();
        assert!(
            self.version.is_none_or(|wanted| wanted == version),
            "answered in HTTP/{version}"
        );
        Answer {
            status: status.parse().unwrap_or_default(),
            head: fs::read_to_string(head)
                .unwrap_or_default()
                .replace('\r', ""),
            // An empty answer writes no file.
            body: fs::read(body).unwrap_or_default(),
        }
    }

    /// Sends it and takes an answer with this status.
    #[track_caller]
    pub(crate) fn gets(self, status: u16) -> Answer {
        let answer = self.send();
        assert_eq!(answer.status, status, "{}\n{}", answer.head, answer.text());
        answer
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Every value of this header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// The value of this header, which is there once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.all(name);
        assert_eq!(found.len(), 1, "{name} in:\n{}", self.head);
        found.first().copied().unwrap_or_default()
    }
}
