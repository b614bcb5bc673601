//! `[cluster]`: several Norens that are one hub, by a stream of a RabbitMQ broker. Connects to nothing.

use std::path::PathBuf;
use std::time::Duration;

use super::broker::Broker;
use super::reader::Table;
use super::size::{GIB, MIB};
use super::value;

/// The `[cluster]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// `url`, `credentials`, `ca` and `heartbeat`.
    pub broker: Broker,
    /// `stream`: the name of the stream; all nodes have the same. Default `noren`.
    pub stream: String,
    /// `max-size`: bytes the broker keeps in it. Default 256 MiB.
    pub max_size: u64,
    /// `max-age`: the time for which it keeps them. Default 1 d.
    pub max_age: Duration,
    /// `pending`: messages that wait here for the broker; the next is refused. Default 10,000.
    pub pending: usize,
    /// `pending-size`: bytes of them. Default 64 MiB.
    pub pending_size: usize,
    /// `key`: a file with a secret that all nodes share, by which they tell each other of logouts. Default none:
    /// a logout ends what is open on its own node at once, and on the others when they ask the app again.
    pub key: Option<PathBuf>,
}

impl Cluster {
    /// The whole table, if it is in the file.
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let broker = Broker::read(table);
        Some(Self {
            stream: table.text("stream", "noren".to_owned(), value::not_empty),
            max_size: table.buffer("max-size", 256 << 20, MIB..=1024 * GIB) as u64,
            max_age: table.time_limit("max-age", Duration::from_secs(86_400)),
            pending: table.number("pending", 10_000, 1..=1_000_000),
            pending_size: table.buffer("pending-size", 64 << 20, MIB..=GIB),
            key: table.text("key", None, |text| value::secret_path(text).map(Some)),
            broker: broker?,
        })
    }
}
