//! Another process takes the place of this one: it gets the listening sockets and the messages of the hub, and
//! this one keeps its tunnels until they end.
//!
//! The two speak over a socket pair. First the new one says that it is there; it gets the sockets and a letter, and
//! says when it serves. Until then nothing is lost: on any fault the old one goes on as before. Knows no program
//! and no signal.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{error, info};

use crate::hub::Luggage;
use crate::net::{Listener, receive_sockets, send_sockets};
use crate::server::Handle;

/// How long one process waits for a word of the other. Opening a large history on disk is the longest part.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the new process says when its configuration is good.
const HERE: &str = "here";
/// What it says when its sockets are open.
const SERVING: &str = "serving";
/// A word is never longer.
const LONGEST_WORD: usize = 64;

/// What the new process gets beside the sockets.
#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    /// The addresses of the sockets, in their order, as they are in the configuration.
    listeners: Vec<String>,
    hub: Luggage,
}

/// What another process has handed over, and the line to it.
#[derive(Debug)]
pub struct Inheritance {
    pub(super) sockets: Vec<(String, OwnedFd)>,
    pub(super) hub: Luggage,
    line: UnixStream,
}

/// Why another process did not take over; this one serves as before.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// It did not answer, or not with what was expected.
    #[error("the new process {0}; its own words are in the log")]
    Silent(&'static str),
    /// It could not be given what it needs.
    #[error("cannot hand over to the new process: {0}")]
    Failed(#[from] io::Error),
    /// A source of a channel holds on to its socket.
    #[error("the sources of channels did not stop in time")]
    Sources,
}

impl Inheritance {
    /// In the new process: says that it is there, and takes what it gets. Blocks.
    ///
    /// # Errors
    /// The other process has ended, or sent something else.
    pub fn receive(mut line: UnixStream) -> io::Result<Self> {
        line.set_read_timeout(Some(PATIENCE))?;
        say(&mut line, HERE)?;
        let sockets = receive_sockets(&line)?;
        let mut letter = String::new();
        BufReader::new(&line).read_line(&mut letter)?;
        let letter: Letter = serde_json::from_str(&letter)?;
        Ok(Self {
            sockets: letter.listeners.into_iter().zip(sockets).collect(),
            hub: letter.hub,
            line,
        })
    }

    /// The line alone, for the last word on it.
    pub(super) fn open(self) -> (Vec<(String, OwnedFd)>, Luggage, UnixStream) {
        (self.sockets, self.hub, self.line)
    }
}

/// In the new process: the other one may retire now.
pub(super) fn confirm(line: &mut UnixStream) -> io::Result<()> {
    say(line, SERVING)
}

impl Handle {
    /// Gives the sockets and the messages to the process at the other end of `line`, and retires: what is at hand
    /// comes to an end, tunnels go on. Blocks for as long as the other process needs to start. If it does not take
    /// over, `end_other` ends it and waits for that: the histories on disk have one owner at a time.
    ///
    /// # Errors
    /// [`HandoverError`]; this process serves as before then.
    pub fn hand_over(
        &self,
        line: &mut UnixStream,
        end_other: impl FnOnce(),
    ) -> Result<(), HandoverError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(fault) = comes_up(line) {
            end_other();
            return Err(fault);
        }
        let listeners: Vec<_> = self.listeners.iter().filter_map(Weak::upgrade).collect();
        if let Err(fault) = self.give(line, &listeners) {
            end_other();
            self.go_on();
            return Err(fault);
        }
        for listener in &listeners {
            listener.give_away(true);
        }
        info!("another process serves now; tunnels stay here until they end");
        self.around.shutdown.retire();
        Ok(())
    }

    fn give(
        &self,
        line: &mut UnixStream,
        listeners: &[Arc<Listener>],
    ) -> Result<(), HandoverError> {
        if !self.sources.pause(PATIENCE) {
            return Err(HandoverError::Sources);
        }
        let letter = Letter {
            listeners: listeners
                .iter()
                .map(|listener| listener.name().to_owned())
                .collect(),
            hub: self.around.hub.pack(),
        };
        let sockets: Vec<_> = listeners
            .iter()
            .map(|listener| listener.descriptor())
            .collect();
        send_sockets(line, &sockets)?;
        let letter = serde_json::to_string(&letter).map_err(io::Error::other)?;
        say(line, &letter)?;
        hear(line, SERVING).map_err(|_| HandoverError::Silent("did not begin to serve"))
    }

    /// Takes everything back.
    fn go_on(&self) {
        if let Err(fault) = self.around.hub.unpack() {
            error!(%fault, "histories on disk are closed until Noren is restarted");
        }
        if let Err(fault) = self.sources.reload(&self.state.load().config) {
            error!(%fault, "the sources of channels are closed until a reload");
        }
    }

    /// The files of the sockets are this process's from now on.
    pub(super) fn keep_sockets(&self) {
        for listener in self.listeners.iter().filter_map(Weak::upgrade) {
            listener.give_away(false);
        }
    }

    /// Returns when nothing is left to do after a [`hand_over`](Self::hand_over).
    pub async fn all_ended(&self) {
        self.around.shutdown.all_ended().await;
    }

    /// How many connections and tunnels there are, about.
    #[must_use]
    pub fn running(&self) -> usize {
        self.around.shutdown.running()
    }
}

/// Waits until the other process says that its configuration is good.
fn comes_up(line: &mut UnixStream) -> Result<(), HandoverError> {
    line.set_read_timeout(Some(PATIENCE))?;
    hear(line, HERE).map_err(|_| HandoverError::Silent("did not come up"))
}

fn say(line: &mut UnixStream, text: &str) -> io::Result<()> {
    line.write_all(text.as_bytes())?;
    line.write_all(b"\n")
}

/// Reads one word. Byte by byte, so that nothing behind it is taken.
fn hear(line: &mut UnixStream, word: &str) -> io::Result<()> {
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while heard.len() < LONGEST_WORD {
        line.read_exact(&mut byte)?;
        match byte {
            [b'\n'] => break,
            [byte] => heard.push(byte),
        }
    }
    if heard == word.as_bytes() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
