//! Hand-over to another process, which gets the listening sockets and the messages of the hub, while this process keeps
//! its tunnels until they end.
//!
//! The two communicate over a socket pair. The new process reports that its configuration is valid, receives the
//! sockets and a message with the hub's snapshot, and reports when it serves. Until then nothing is lost: on any
//! failure the old process continues as before. Must not know programs and signals.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use crate::hub::HubSnapshot;
use crate::net::{Listener, receive_sockets, send_sockets};
use crate::server::Handle;
use crate::sync::lock;

/// Time limit for each message of the other process. Opening a large history on disk takes the longest.
const PATIENCE: Duration = Duration::from_secs(30);
/// First message of the new process: its configuration is valid.
const HERE: &str = "here";
/// Second message of the new process: its sockets are open.
const SERVING: &str = "serving";
/// Length limit of a message.
const LONGEST_WORD: usize = 64;

/// The hand-over message, sent with the sockets.
#[derive(Debug, Serialize, Deserialize)]
struct HandoverMessage {
    /// Addresses of the sockets, in their order, as the configuration spells them.
    listeners: Vec<String>,
    hub: HubSnapshot,
    /// Addresses that an operator drains, each behind the name of its app. An older version sends none.
    #[serde(default)]
    drained: Vec<(String, String)>,
    /// Addresses of shared consoles that stay with the old process. An older version sends none.
    #[serde(default)]
    consoles: Vec<String>,
}

/// The sockets and the snapshot from another process, and the connection to it.
#[derive(Debug)]
pub struct Inheritance {
    pub(super) sockets: Vec<(String, OwnedFd)>,
    pub(super) hub: HubSnapshot,
    pub(super) drained: Vec<(String, String)>,
    pub(super) consoles: Vec<Arc<str>>,
    line: UnixStream,
}

/// Reasons why the hand-over failed; this process continues to serve then.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The other process sent no message, or not the expected one.
    #[error("the new process {0}; its own words are in the log")]
    Silent(&'static str),
    /// The sockets or the message could not be sent.
    #[error("cannot hand over to the new process: {0}")]
    Failed(#[from] io::Error),
    /// A source of a channel did not release its socket in time.
    #[error("the sources of channels did not stop in time")]
    Sources,
}

impl Inheritance {
    /// Reports, in the new process, that its configuration is valid, and receives the hand-over. Blocks.
    ///
    /// # Errors
    /// The other process has ended, or sent anything else.
    pub fn receive(mut line: UnixStream) -> io::Result<Self> {
        line.set_read_timeout(Some(PATIENCE))?;
        say(&mut line, HERE)?;
        let sockets = receive_sockets(&line)?;
        let mut message = String::new();
        BufReader::new(&line).read_line(&mut message)?;
        let message: HandoverMessage = serde_json::from_str(&message)?;
        Ok(Self {
            sockets: message.listeners.into_iter().zip(sockets).collect(),
            hub: message.hub,
            drained: message.drained,
            consoles: message.consoles.into_iter().map(Into::into).collect(),
            line,
        })
    }

    /// Splits into sockets, snapshot, and the connection for the final message.
    pub(super) fn open(self) -> (Vec<(String, OwnedFd)>, HubSnapshot, UnixStream) {
        (self.sockets, self.hub, self.line)
    }
}

/// Reports, in the new process, that it serves, so that the old process can end.
pub(super) fn confirm(line: &mut UnixStream) -> io::Result<()> {
    say(line, SERVING)
}

impl Handle {
    /// Hands sockets and messages over to the process at the other end of `line`, and stops accepting: requests in
    /// progress complete here, and tunnels continue. Blocks while the other process starts. If that fails to take over,
    /// `end_other` ends it and waits for its end: only one process may have the histories on disk open.
    ///
    /// # Errors
    /// [`HandoverError`]; this process continues to serve then.
    pub fn hand_over(
        &self,
        line: &mut UnixStream,
        end_other: impl FnOnce(),
    ) -> Result<(), HandoverError> {
        let _turn = lock(&self.turn);
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
        match line.try_clone() {
            Ok(line) => self.live.consoles.connect_successor(line),
            Err(fault) => {
                warn!(%fault, "the new process cannot be notified of consoles that end here");
            }
        }
        self.live.shutdown.retire();
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
        self.live.end_waiting();
        let message = HandoverMessage {
            listeners: listeners
                .iter()
                .map(|listener| listener.name().to_owned())
                .collect(),
            hub: self.live.hub.take_snapshot(),
            drained: self.live.apps.hand_over(),
            consoles: self
                .live
                .consoles
                .freeze()
                .iter()
                .map(ToString::to_string)
                .collect(),
        };
        let sockets: Vec<_> = listeners
            .iter()
            .map(|listener| listener.descriptor())
            .collect();
        send_sockets(line, &sockets)?;
        let message = serde_json::to_string(&message).map_err(io::Error::other)?;
        say(line, &message)?;
        hear(line, SERVING).map_err(|_| HandoverError::Silent("did not begin to serve"))
    }

    /// Reverts the hand-over.
    fn go_on(&self) {
        self.live.consoles.thaw();
        self.live.apps.keep_orders();
        if let Err(fault) = self.live.hub.revert_snapshot() {
            error!(%fault, "histories on disk are closed until Noren is restarted");
        }
        self.live.wait_again();
        if let Err(fault) = self.sources.reload(&self.state.load().config) {
            error!(%fault, "the sources of channels are closed until a reload");
        }
    }

    /// Takes ownership of the socket files.
    pub(super) fn keep_sockets(&self) {
        for listener in self.listeners.iter().filter_map(Weak::upgrade) {
            listener.give_away(false);
        }
    }

    /// Waits until all work is done after a [`hand_over`](Self::hand_over).
    pub async fn all_ended(&self) {
        self.live.shutdown.all_ended().await;
    }

    /// Approximate number of connections and tunnels.
    #[must_use]
    pub fn running(&self) -> usize {
        self.live.shutdown.running()
    }
}

/// Waits for the report that the configuration of the other process is valid.
fn comes_up(line: &mut UnixStream) -> Result<(), HandoverError> {
    line.set_read_timeout(Some(PATIENCE))?;
    hear(line, HERE).map_err(|_| HandoverError::Silent("did not come up"))
}

fn say(line: &mut UnixStream, text: &str) -> io::Result<()> {
    line.write_all(text.as_bytes())?;
    line.write_all(b"\n")
}

/// Reads one message, byte by byte, so that no byte after it is consumed.
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
