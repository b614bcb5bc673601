//! The messages that waited in the queue before the connection was opened: a queue that is at its bounds has dropped
//! older ones. The broker does not report how many.

use tracing::{info, warn};

use super::super::sink::Sink;
use crate::config::AmqpSource;

/// Messages that were queued before the connection was opened. The broker reports their number but not their size.
pub(super) struct Backlog {
    left: u32,
    bytes: u64,
    largest: u64,
}

impl Backlog {
    /// The messages that wait in the queue; `None` if there are none, or if it is certain that some were dropped.
    pub(super) fn new(sink: &Sink, source: &AmqpSource, waiting: u32) -> Option<Self> {
        sink.set_waiting(Some(u64::from(waiting)));
        if waiting >= source.queue_length {
            report_loss(sink, "queue-length");
            return None;
        }
        if waiting > 0 {
            info!(
                channel = %sink.channel(),
                address = sink.address(),
                waiting,
                "catching up with a source",
            );
        }
        (waiting > 0).then_some(Self {
            left: waiting,
            bytes: 0,
            largest: 0,
        })
    }

    /// Counts a message of this size; true if it was the last. If they left no room for one more message, older ones
    /// were dropped.
    pub(super) fn count(&mut self, sink: &Sink, source: &AmqpSource, size: usize) -> bool {
        let size = size as u64;
        self.left = self.left.saturating_sub(1);
        self.bytes += size;
        self.largest = self.largest.max(size);
        let is_last = self.left == 0;
        if is_last && self.bytes + self.largest > source.queue_size {
            report_loss(sink, "queue-size");
        }
        is_last
    }
}

fn report_loss(sink: &Sink, key: &str) {
    let reason =
        format!("the queue was full ({key}): older messages were skipped while Noren was away");
    sink.set_trouble(&reason);
    warn!(
        channel = %sink.channel(),
        address = sink.address(),
        reason,
        "messages of a source were skipped",
    );
}
