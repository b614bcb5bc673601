//! The time limits of what a client has to send before it is served: the head of each HTTP/1.1 request, and the preface
//! of HTTP/2. Must not know the stream.

use std::task::Context;
use std::time::Duration;

use crate::http::activity::Activity;
use crate::http::stall::{Deadline, Stall};

/// Length of the preface and of the SETTINGS frame header behind it.
const PREFACE: usize = 24 + 9;

/// Time limits of an HTTP/1.1 request head, from its first byte to its last, and of the idle time before it.
#[derive(Debug)]
pub(super) struct HeadLimit {
    activity: Activity,
    time: Stall,
    /// Limit on the time between two requests.
    idle: Duration,
    idle_end: Deadline,
    /// Number of requests at the last check.
    requests: u64,
    /// True once a byte of the next head has arrived.
    has_started: bool,
}

/// The limit that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PassedLimit {
    /// The idle time; nothing of a head has arrived.
    Idle,
    /// The time for a head, of which a part has arrived.
    Head,
}

/// Time limit of the HTTP/2 preface (RFC 9113 §3.4), from the handshake to the frame that has to follow it.
#[derive(Debug)]
pub(super) struct PrefaceLimit {
    missing: usize,
    time: Stall,
}

impl HeadLimit {
    /// Limits the time for each head, from now on for the first one, and the idle time before each later one.
    pub(super) fn new(head: Duration, idle: Duration, activity: Activity) -> Self {
        Self {
            activity,
            time: Stall::new(head.min(idle)),
            idle,
            idle_end: Deadline::default(),
            requests: 0,
            has_started: false,
        }
    }

    /// Checks the limits after a read; `came` is true if the read returned bytes.
    pub(super) fn check(&mut self, cx: &mut Context<'_>, came: bool) -> Option<PassedLimit> {
        // A request may come and be answered between two reads.
        let requests = self.activity.request_count();
        if std::mem::replace(&mut self.requests, requests) != requests || self.activity.is_busy() {
            self.time.progressed();
            self.has_started = false;
            self.activity.reads_head(false);
            if self.activity.is_busy() {
                self.idle_end.release();
                return None;
            }
        }
        self.has_started |= came;
        self.activity.reads_head(self.has_started);
        if !self.has_started && self.requests > 0 {
            let end = self.activity.idle_since() + self.idle;
            let is_over = self.idle_end.has_passed(cx, end.into());
            return is_over.then_some(PassedLimit::Idle);
        }
        // The head is complete with nearly every read. If it is not, hyper reads again, and that has to wait.
        if came && !self.time.is_waiting() || !self.time.waited(cx) {
            return None;
        }
        Some(if self.has_started {
            PassedLimit::Head
        } else {
            PassedLimit::Idle
        })
    }

    /// Starts the idle timer after a response.
    pub(super) fn begin_idle(&mut self, cx: &mut Context<'_>) {
        if !self.activity.is_in_use() && self.activity.request_count() > 0 {
            let end = self.activity.idle_since() + self.idle;
            let _ = self.idle_end.has_passed(cx, end.into());
        }
    }
}

impl PrefaceLimit {
    /// Limits the time for the preface, starting now.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            missing: PREFACE,
            time: Stall::new(limit),
        }
    }

    /// Checks the limit after a read of this many bytes.
    pub(super) fn is_late(&mut self, cx: &mut Context<'_>, came: usize) -> bool {
        self.missing = self.missing.saturating_sub(came);
        !self.is_complete() && came == 0 && self.time.waited(cx)
    }

    /// True once all of it has arrived.
    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }
}
