//! The heartbeat of a held connection. Independent of the kind of connection.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use super::instruct::KeepAlive;

/// A timer for heartbeats.
pub(super) struct Heartbeat {
    settings: KeepAlive,
    clock: Pin<Box<Sleep>>,
    /// Time of the last content.
    wrote: Instant,
}

impl Heartbeat {
    pub(super) fn new(settings: KeepAlive) -> Self {
        let now = Instant::now();
        Self {
            clock: Box::pin(sleep_until(now + settings.every)),
            settings,
            wrote: now,
        }
    }

    /// Restarts the timer after something was sent.
    pub(super) fn wrote(&mut self) {
        self.wrote = Instant::now();
    }

    /// Ready with the content of a heartbeat when one is due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        while self.clock.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let from = if self.settings.is_regular {
                self.clock.deadline()
            } else {
                self.wrote
            };
            let due = from + self.settings.every;
            if self.settings.is_regular || due <= now {
                self.wrote = now;
                self.clock
                    .as_mut()
                    .reset(due.max(now + self.settings.every / 2));
                return Poll::Ready(self.settings.content.clone());
            }
            // Something was sent meanwhile: the wait counts from there.
            self.clock.as_mut().reset(due);
        }
        Poll::Pending
    }
}
