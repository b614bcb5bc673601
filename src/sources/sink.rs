//! Sink of one source: publishes its messages in its channel, counts them, and logs dropped ones at a limited
//! rate. Independent of sockets.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::{debug, warn};

use super::json;
use crate::clock;
use crate::config::{ChannelName, ChannelPattern, Publisher};
use crate::hub::Published;
use crate::hub::{Data, Draft, Hub, PublishError};
use crate::sync::lock;

/// Minimum interval between warnings of one source. Warnings in between are logged at the debug level, and counted.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

/// Time for which the status of a working source shows its last error.
const TROUBLE_SHOWN: Duration = Duration::from_secs(600);

/// Status of a source, as it is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceStatus {
    /// Channel of the source, or a pattern for several.
    pub channel: ChannelPattern,
    /// Kind of source: `wok`, `listen`, `amqp`, `postgres` or `webhook`.
    pub kind: &'static str,
    /// Address: `unix:/path`, a broker and an exchange, a database and its table or notifications, or a path.
    pub address: String,
    /// Time since which it is connected or listens, in Unix milliseconds; `None` while it is not.
    pub since: Option<u64>,
    /// Number of open connections; 0 for a datagram socket.
    pub connections: usize,
    /// Number of messages published.
    pub messages: u64,
    /// Total bytes of their data.
    pub bytes: u64,
    /// Number of messages dropped and connections refused.
    pub refused: u64,
    /// Number of repeated messages, which were not published again.
    pub repeated: u64,
    /// Number of messages queued at the broker or in the table, at the last check.
    pub waiting: Option<u64>,
    /// Age of the oldest message in the table when it was read, in milliseconds.
    pub lag: Option<u64>,
    /// Reason why the source is down; for one that is up, its last error, for ten minutes.
    pub last_error: Option<String>,
}

/// The sink of a source: publishes to the hub and keeps the source's status.
#[derive(Debug)]
pub(super) struct Sink {
    hub: Hub,
    state: Mutex<State>,
    channel: ChannelPattern,
    /// The source's channel, if it has exactly one.
    own: Option<ChannelName>,
    address: String,
}

#[derive(Debug)]
struct State {
    /// The status, except `since` and `last_error`, which are computed when it is read.
    status: SourceStatus,
    since: Option<Instant>,
    /// Reason why the source is down.
    down: Option<String>,
    /// The last error that did not take the source down, and its time.
    trouble: Option<(String, Instant)>,
    warned: Option<Instant>,
    unwarned: u64,
}

/// A guard that counts one connection.
#[derive(Debug)]
pub(super) struct Connected<'a>(&'a Sink);

impl Sink {
    pub(super) fn new(
        hub: Hub,
        channel: ChannelPattern,
        kind: &'static str,
        address: String,
    ) -> Self {
        let status = SourceStatus {
            channel: channel.clone(),
            kind,
            address: address.clone(),
            since: None,
            connections: 0,
            messages: 0,
            bytes: 0,
            refused: 0,
            repeated: 0,
            waiting: None,
            lag: None,
            last_error: None,
        };
        let state = State {
            status,
            since: None,
            down: None,
            trouble: None,
            warned: None,
            unwarned: 0,
        };
        Self {
            hub,
            state: Mutex::new(state),
            own: channel.name(),
            channel,
            address,
        }
    }

    pub(super) fn channel(&self) -> &ChannelPattern {
        &self.channel
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn status(&self) -> SourceStatus {
        let state = self.state();
        let mut status = state.status.clone();
        status.since = state.since.map(clock::since);
        let trouble = state.trouble.as_ref();
        let trouble = trouble.filter(|(_, at)| at.elapsed() < TROUBLE_SHOWN);
        let trouble = trouble.map(|(reason, _)| reason.clone());
        status.last_error = state.down.clone().or(trouble);
        status
    }

    /// Current size limit of a message; a reload may change it.
    pub(super) fn message_size(&self) -> usize {
        self.hub.settings().message_size
    }

    /// Marks the source as connected or listening, and drops the reason why it was down.
    pub(super) fn set_up(&self) {
        let mut state = self.state();
        state.since = Some(Instant::now());
        state.down = None;
    }

    /// Marks the source as down.
    pub(super) fn set_down(&self) {
        self.state().since = None;
    }

    /// Marks the source as down for this reason.
    pub(super) fn set_down_because(&self, reason: &dyn ToString) {
        let mut state = self.state();
        state.since = None;
        state.down = Some(reason.to_string());
    }

    /// Records an error that does not take the source down.
    pub(super) fn set_trouble(&self, reason: &dyn ToString) {
        self.state().trouble = Some((reason.to_string(), Instant::now()));
    }

    /// Counts a connection until the guard is dropped.
    pub(super) fn connected(&self) -> Connected<'_> {
        self.state().status.connections += 1;
        Connected(self)
    }

    /// Publishes bytes as they are. `uid` is the user that wrote them, if it is known.
    pub(super) fn publish(&self, uid: Option<u32>, message: &[u8]) -> Option<Published> {
        // A copy: a slice would keep all of what was read with it as long as the history keeps it.
        let data = Data::text_or_bytes(Bytes::copy_from_slice(message));
        self.give_own(uid, Draft::new(data))
    }

    /// Publishes a JSON object in the channel that it names.
    pub(super) fn publish_json(&self, uid: Option<u32>, message: &[u8]) -> Option<Published> {
        match json::parse(message) {
            Err(reason) => {
                self.refuse(uid, &reason);
                None
            }
            Ok((draft, None)) => self.give_own(uid, draft),
            Ok((draft, Some(channel))) if self.may_publish(&channel) => {
                self.give(uid, &channel, draft)
            }
            Ok((_, Some(channel))) => {
                let reason = format!(r#"the channel {channel} has no publish = ["local"]"#);
                self.refuse(uid, &reason);
                None
            }
        }
    }

    /// True if the source may publish in this channel: its own, or one that accepts messages of local programs.
    pub(super) fn may_publish(&self, channel: &ChannelName) -> bool {
        let rules = self.hub.rules(channel);
        // Of a channel that is not there the hub itself says so.
        self.channel.fits(channel)
            || rules.is_none_or(|rules| rules.publish.contains(&Publisher::Local))
    }

    /// Publishes in the source's own channel. The configuration allows no socket for a pattern.
    fn give_own(&self, uid: Option<u32>, draft: Draft) -> Option<Published> {
        let own = self.own.as_ref()?;
        self.give(uid, own, draft)
    }

    fn give(&self, uid: Option<u32>, channel: &ChannelName, draft: Draft) -> Option<Published> {
        match self.offer(channel, draft) {
            Ok(published) => Some(published),
            Err(reason) => {
                self.refuse(uid, &reason);
                None
            }
        }
    }

    /// Counts a message that the disk refused after it was accepted.
    pub(super) fn not_kept(&self, uid: Option<u32>, reason: &PublishError) {
        let mut state = self.state();
        state.status.messages = state.status.messages.saturating_sub(1);
        drop(state);
        self.refuse(uid, reason);
    }

    /// Publishes and counts a message. The caller handles a refusal.
    pub(super) fn offer(
        &self,
        channel: &ChannelName,
        draft: Draft,
    ) -> Result<Published, PublishError> {
        let size = draft.data.as_bytes().len();
        let published = self.hub.publish(channel, draft)?;
        let mut state = self.state();
        state.status.messages += 1;
        state.status.bytes += size as u64;
        Ok(published)
    }

    /// Counts a repeated message that was not published again.
    pub(super) fn repeated(&self) {
        self.state().status.repeated += 1;
    }

    /// Sets the age of the oldest message in the table.
    pub(super) fn set_lag(&self, lag: Option<Duration>) {
        let milliseconds = lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
        self.state().status.lag = milliseconds;
    }

    /// Sets the number of messages queued at the broker or in the table.
    pub(super) fn set_waiting(&self, waiting: Option<u64>) {
        self.state().status.waiting = waiting;
    }

    /// Refuses a message that exceeds the size limit.
    pub(super) fn too_large(&self, uid: Option<u32>, limit: usize) {
        let reason = format!("it is longer than {limit} bytes (hub.message-size)");
        self.refuse(uid, &reason);
    }

    /// Counts and logs a dropped message or a refused connection.
    pub(super) fn refuse(&self, uid: Option<u32>, reason: &dyn ToString) {
        self.state().status.refused += 1;
        self.warn(uid, reason, "a source's message or connection was refused");
    }

    /// Logs a warning unless it has just done so: a writer to the socket could fill the log.
    pub(super) fn warn(&self, uid: Option<u32>, reason: &dyn ToString, event: &'static str) {
        let reason = reason.to_string();
        let mut state = self.state();
        state.trouble = Some((reason.clone(), Instant::now()));
        let quiet = state
            .warned
            .is_some_and(|warned| warned.elapsed() < BETWEEN_WARNINGS);
        if quiet {
            state.unwarned += 1;
        } else {
            state.warned = Some(Instant::now());
        }
        let unwarned = if quiet {
            0
        } else {
            std::mem::take(&mut state.unwarned)
        };
        drop(state);
        let (channel, address) = (&self.channel, &self.address);
        if quiet {
            debug!(%channel, %address, uid, %reason, "{event}");
        } else {
            warn!(%channel, %address, uid, %reason, suppressed = unwarned, "{event}");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.state().status.connections -= 1;
    }
}
