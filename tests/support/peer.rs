//! A peer from tests/peers as a process: it says when it is ready, obeys one line at a time, and ends with the test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use super::command::{python_in_venv, python_of_openstack};
use super::{PATIENCE, pause, python};

/// The wait for a cloud. It is longer than the limit of `tests/peers/openstack/copies.py`, so that the cloud itself
/// says which service did not start, and why.
const PATIENCE_WITH_CLOUDS: Duration = Duration::from_secs(300);

/// A running peer. How it is spoken to is described in tests/peers/lifeline.py.
pub(crate) struct Peer {
    name: String,
    /// `host:port` or the path of a socket.
    pub(crate) address: String,
    child: Child,
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Peer {
    /// Starts the script and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(script: &str, arguments: &[&str]) -> Self {
        let mut command = python(script);
        command.args(arguments);
        Self::speak(script, command)
    }

    /// The same in the Python that `tests/run` has made, with libraries that Debian has not.
    #[track_caller]
    pub(crate) fn start_in_venv(script: &str, arguments: &[&str]) -> Self {
        let mut command = python_in_venv(script);
        command.args(arguments);
        Self::speak(script, command)
    }

    /// The same for a command of another kind that speaks like one of these.
    #[track_caller]
    pub(crate) fn speak(script: &str, command: Command) -> Self {
        Self::speak_within(PATIENCE, script, command)
    }

    /// The same for a cloud: in the Python of OpenStack's services, of which it starts several before it is ready.
    #[track_caller]
    pub(crate) fn start_cloud(script: &str, arguments: &[&str]) -> Self {
        let mut command = python_of_openstack(script);
        command.args(arguments);
        Self::speak_within(PATIENCE_WITH_CLOUDS, script, command)
    }

    #[track_caller]
    fn speak_within(patience: Duration, script: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{script}: {error}; tests/run installs what the tests need")
            });
        let output = child.stdout.take().expect("standard output is piped");
        // More lines than any peer says between two questions.
        let (sender, answers) = sync_channel(64);
        std::thread::Builder::new()
            .name(script.to_owned())
            .spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            })
            .expect("a thread");
        let commands = child.stdin.take();
        let mut peer = Self {
            name: script.to_owned(),
            address: String::new(),
            child,
            commands,
            answers,
        };
        peer.address = peer.line("ready ", patience);
        peer
    }

    /// The next line of the peer, without the beginning that it must have.
    #[track_caller]
    fn line(&self, beginning: &str, patience: Duration) -> String {
        let line = self.answers.recv_timeout(patience).unwrap_or_else(|error| {
            panic!(
                "{}: no answer ({error}); its own words are above",
                self.name
            )
        });
        line.strip_prefix(beginning.trim_end())
            .unwrap_or_else(|| panic!("{}: {line}", self.name))
            .trim()
            .to_owned()
    }

    /// Has the peer do something, and gives its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, command: &str) -> String {
        let commands = self.commands.as_mut().expect("a peer that was not stopped");
        writeln!(commands, "{command}").unwrap_or_else(|error| panic!("{}: {error}", self.name));
        self.line("ok ", PATIENCE)
    }

    /// The same, when the answer is a number.
    #[track_caller]
    pub(crate) fn count(&mut self, command: &str) -> usize {
        let answer = self.ask(command);
        answer
            .parse()
            .unwrap_or_else(|_| panic!("{}: {command}: {answer}", self.name))
    }

    /// Ends the peer at once, as a crash does.
    pub(crate) fn crash(mut self) {
        self.child.kill().expect("a child that runs");
        self.child.wait().expect("a child that was ended");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its standard input lets a peer end its own children.
        drop(self.commands.take());
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            pause(Duration::from_millis(10));
        }
        // It did not listen. Nothing can be done about a failure here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
