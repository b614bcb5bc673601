//! Messages from a process that keeps its consoles to the one that has replaced it: one line for each console that has
//! ended, with its address as JSON. The connection ends with the process. Must not know consoles.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tracing::warn;

use crate::sync::lock;

/// The process that has replaced this one.
#[derive(Debug, Default)]
pub(super) struct Successor(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// There is none.
    #[default]
    None,
    /// It knows what is open here, and not yet what has ended since.
    Expected(Vec<String>),
    Serving(UnixStream),
}

impl Successor {
    /// Starts to collect the ends of consoles, for a process that is starting.
    pub(super) fn expect(&self) {
        *lock(&self.0) = State::Expected(Vec::new());
    }

    /// The new process has not started.
    pub(super) fn forget(&self) {
        *lock(&self.0) = State::None;
    }

    /// Sets the connection to the process.
    pub(super) fn connect(&self, line: UnixStream) {
        // A process that does not read must not hold this one up; it never has many lines to read.
        if let Err(error) = line.set_nonblocking(true) {
            warn!(%error, "the process that has taken over cannot be notified of consoles that end here");
            return;
        }
        let before = std::mem::replace(&mut *lock(&self.0), State::Serving(line));
        if let State::Expected(ended) = before {
            for key in ended {
                self.report_end(&key);
            }
        }
    }

    /// Reports to the process, if there is one, that a console has ended here.
    pub(super) fn report_end(&self, key: &str) {
        let mut state = lock(&self.0);
        match &mut *state {
            State::None => {}
            State::Expected(ended) => ended.push(key.to_owned()),
            State::Serving(line) => {
                let text = format!("{}\n", serde_json::Value::from(key));
                if line.write_all(text.as_bytes()).is_err() {
                    // It has ended. One that reads sees the end of the line now, and takes all for free; so nothing
                    // that is open here may be said to be free by a line that is full, which cannot be: a line holds
                    // some thousands of addresses.
                    *state = State::None;
                }
            }
        }
    }
}

/// Reports each console that has ended in the earlier process. Returns when that process has ended.
pub(super) async fn listen(line: UnixStream, mut free: impl FnMut(&str)) {
    let line = line
        .set_nonblocking(true)
        .and_then(|()| tokio::net::UnixStream::from_std(line));
    let Ok(line) = line else {
        return;
    };
    let mut lines = BufReader::new(line).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        if let Ok(key) = serde_json::from_str::<String>(&text) {
            free(&key);
        }
    }
}
