//! curl as a client that verifies the door's certificate.

use std::fs;
use std::process::Command;

use super::{Door, Ran, run};

/// An answer as curl got it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// "1.1" or "2".
    pub(crate) version: String,
    /// All heads, interim ones too, with `\r\n` made `\n`.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// What `--verbose` said.
    pub(crate) log: String,
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

    /// The body, after it was made sure that the status is this one.
    #[track_caller]
    pub(crate) fn with_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.text());
        self
    }
}

/// The curl command with the arguments that every use has.
pub(crate) fn command(door: &Door, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--path-as-is", "--cacert"])
        .arg(door.file("ca.pem"))
        .args(arguments);
    command
}

/// One request; the URL is among the arguments.
#[track_caller]
pub(crate) fn curl(door: &Door, arguments: &[&str]) -> Answer {
    let directory = super::scratch();
    let (head, body) = (super::path(&directory, "head"), super::path(&directory, "body"));
    let mut command = command(door, arguments);
    command.args(["--verbose", "--dump-header", &head, "--output", &body]);
    command.args(["--write-out", "%{http_code} %{http_version}"]);
    let Ran { stdout, stderr, .. } = run(&mut command).well();
    let (status, version) = stdout.split_once(' ').unwrap_or_default();
    Answer {
        status: status.parse().unwrap_or(0),
        version: version.to_owned(),
        head: fs::read_to_string(head).unwrap_or_default().replace('\r', ""),
        // An empty answer writes no file.
        body: fs::read(body).unwrap_or_default(),
        log: stderr,
    }
}
