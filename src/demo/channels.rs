//! Publishes messages of the app: writes lines of JSON to the socket on which the hub listens for the channel
//! `jobs`.
//!
//! Plain blocking code without a library, as it would be in any language. Independent of the messages' meaning.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::json;

use crate::sync::lock;

/// Write timeout: the hub reads at once, and one that does not is gone.
const STUCK: Duration = Duration::from_secs(1);

/// The connection to the hub.
#[derive(Default)]
pub(super) struct Channels {
    path: OnceLock<PathBuf>,
    hub: Mutex<Option<UnixStream>>,
}

/// One message, as a line for a source with `framing = "json"`.
pub(super) struct Line<'a> {
    pub(super) channel: &'a str,
    pub(super) key: &'a str,
    pub(super) event: &'a str,
    /// Data that is JSON already.
    pub(super) data: &'a str,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (channel, key) = (json::quote(self.channel), json::quote(self.key));
        let (event, data) = (json::quote(self.event), self.data);
        writeln!(
            f,
            r#"{{"channel":{channel},"key":{key},"event":{event},"data":{data}}}"#
        )
    }
}

impl Channels {
    /// Sets the path of the hub's socket, which need not exist yet.
    pub(super) fn lead_to(&self, path: PathBuf) {
        // A second time would be a mistake of the demo's; the first way stays.
        let _ = self.path.set(path);
    }

    /// Publishes these lines. Without a hub they are dropped, because newer ones will follow.
    pub(super) fn say(&self, lines: &str) {
        let mut hub = lock(&self.hub);
        if hub.is_none() {
            *hub = self.connect().ok();
        }
        let written = hub.as_mut().map(|hub| hub.write_all(lines.as_bytes()));
        if matches!(written, Some(Err(_))) {
            *hub = None;
        }
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let path = self.path.get().ok_or(io::ErrorKind::NotFound)?;
        let stream = UnixStream::connect(path)?;
        stream.set_write_timeout(Some(STUCK))?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::super::directory::Directory;
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_hub_that_comes_back_is_told_what_is_said_then() {
        let directory = Directory::create().expect("a directory");
        let path = directory.path("hub");
        let channels = Channels::default();
        channels.lead_to(path.clone());
        channels.say("nobody listens\n");
        for life in ["first\n", "second\n"] {
            let listener = UnixListener::bind(&path).expect("a listener");
            // The first line after a loss may be the one by which the loss is noticed.
            channels.say(life);
            channels.say(life);
            let (hub, _) = listener.accept().expect("a connection");
            let mut heard = String::new();
            BufReader::new(hub).read_line(&mut heard).expect("a line");
            assert_eq!(heard, life);
            drop(listener);
            std::fs::remove_file(&path).expect("the socket removed");
        }
    }

    #[test]
    fn a_line_is_json_whatever_is_in_it() {
        let line = Line {
            channel: "jobs",
            key: "17",
            event: "waiting",
            data: r#"{"user":"\"ann\""}"#,
        };
        assert_eq!(
            line.to_string(),
            "{\"channel\":\"jobs\",\"key\":\"17\",\"event\":\"waiting\",\"data\":{\"user\":\"\\\"ann\\\"\"}}\n"
        );
    }
}
