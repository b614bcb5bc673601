//! One tunnel: relays both directions in one task, and ends them in order.
//!
//! The directions are polled independently, so neither waits for the other: a client that stops reading can still
//! type, and a full-duplex echo of any size cannot deadlock. When the client closes, all it has sent still reaches
//! the target, followed by a half-close, and the target's remaining output reaches the client before the close
//! frame. When the target closes, the client gets the rest and a close frame, and all it had sent still reaches
//! the target.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::bridge::Revocation;
use crate::bridge::codec::Codec;
use crate::bridge::downlink::Downlink;
use crate::bridge::outcome::{Cut, End, Outcome};
use crate::bridge::recorder::Tap;
use crate::bridge::uplink::Uplink;
use crate::http::Lease;
use crate::shutdown::Shutdown;
use crate::telemetry::Tunnel;
use crate::websocket::close_frame;

/// Time limit for each half of the end.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Interval of checking the clock in a tunnel without heartbeat and idle limit.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
/// Number of consecutive pings that may stay unanswered.
const MISSED_PINGS: u32 = 2;

/// The limits of a tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) idle: Option<Duration>,
    pub(super) heartbeat: Option<Duration>,
    pub(super) frame: usize,
    /// Limit on queued bytes for a target that does not read, over HTTP/2.
    pub(super) upload: Option<usize>,
}

/// The rights of a tunnel, which it holds while it is open, and the events that end it from outside.
#[derive(Debug, Default)]
pub(super) struct Holds {
    pub(super) lease: Option<Lease>,
    pub(super) revocation: Option<Revocation>,
    pub(super) cut: Option<Cut>,
}

/// A tunnel between a WebSocket and a socket, or streams that behave like them.
#[derive(Debug)]
pub(super) struct Relay<C, T> {
    client: C,
    target: T,
    up: Uplink,
    down: Downlink,
    limits: Limits,
    /// Start of the current silence in both directions, as of the last check.
    quiet_since: Instant,
    moved: u64,
    next_ping: Option<Instant>,
    unanswered: u32,
    tap: Option<Tap>,
}

impl<C, T> Relay<C, T>
where
    C: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(
        client: C,
        target: T,
        codec: Codec,
        boundary: Option<Arc<[u8]>>,
        limits: Limits,
    ) -> Self {
        let now = Instant::now();
        Self {
            client,
            target,
            up: Uplink::new(codec, limits.upload),
            down: Downlink::new(codec, boundary, limits.frame),
            limits,
            quiet_since: now,
            moved: 0,
            next_ping: limits.heartbeat.map(|interval| now + interval),
            unanswered: 0,
            tap: None,
        }
    }

    /// Adds a recording of the tunnel.
    pub(super) fn recorded(mut self, tap: Option<Tap>) -> Self {
        self.up.tap.clone_from(&tap);
        self.down.tap.clone_from(&tap);
        self.tap = tap;
        self
    }

    /// Relays until either side ends the tunnel, a limit passes, the lease or the token ends, an administrator closes
    /// it (if it is in the list of tunnels), or the server stops. `read` holds bytes that arrived right behind the
    /// handshake.
    pub(super) async fn run(
        mut self: Box<Self>,
        read: Vec<u8>,
        tunnel: Option<&Tunnel>,
        stop: &Shutdown,
        holds: Holds,
    ) -> Outcome {
        let end = match self.up.feed(read) {
            Ok(()) => self.exchange(tunnel, stop, &holds).await,
            Err(end) => end,
        };
        // Nothing passes any more, so there is nothing left to ask about.
        drop(holds);
        self.close(&end).await;
        Outcome {
            end,
            up: self.up.bytes,
            down: self.down.bytes,
        }
    }

    async fn exchange(
        &mut self,
        tunnel: Option<&Tunnel>,
        stop: &Shutdown,
        Holds {
            lease,
            revocation,
            cut,
        }: &Holds,
    ) -> End {
        let mut stop = pin!(stop.tunnels_requested());
        let mut leased = pin!(async {
            match lease {
                Some(lease) => lease.ended().await,
                None => pending().await,
            }
        });
        let must_close = self.tap.as_ref().map(Tap::must_close);
        let mut unrecorded = pin!(async {
            match must_close {
                Some(must_close) => must_close.await,
                None => pending().await,
            }
        });
        let mut revoked = pin!(async {
            match revocation {
                Some(revocation) => revocation.ended().await,
                None => pending().await,
            }
        });
        let mut cut_off = pin!(async {
            match cut {
                Some(cut) => cut.ended().await,
                None => pending().await,
            }
        });
        let mut clock = pin!(sleep_until(self.next_look()));
        poll_fn(|cx| {
            if stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Stopping);
            }
            if leased.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::SessionEnded);
            }
            if unrecorded.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::NotRecorded);
            }
            if tunnel.is_some_and(|tunnel| tunnel.poll_close_request(cx).is_ready()) {
                return Poll::Ready(End::ByAdministrator);
            }
            if revoked.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::TokenGone);
            }
            if let Poll::Ready(ended) = cut_off.as_mut().poll(cx) {
                return Poll::Ready(ended.into());
            }
            if let Poll::Ready(end) = self.poll_clock(clock.as_mut(), cx) {
                return Poll::Ready(end);
            }
            let up = self.up.poll(&mut self.client, &mut self.target, cx);
            if let Some(payload) = self.up.ping.take() {
                self.down.answer_ping(&payload);
            }
            if let Poll::Ready(end) = up {
                return Poll::Ready(end);
            }
            let down = self.down.poll(&mut self.client, &mut self.target, cx);
            if let Some(tunnel) = tunnel {
                tunnel.moved(self.up.bytes, self.down.bytes);
            }
            down
        })
        .await
    }

    /// Time of the next check of the clock.
    fn next_look(&self) -> Instant {
        let idle = self.limits.idle.map(|limit| self.quiet_since + limit);
        [idle, self.next_ping]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + NEVER)
    }

    fn poll_clock(&mut self, mut clock: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<End> {
        while clock.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let moved = self.up.bytes + self.down.bytes;
            if moved != self.moved {
                self.moved = moved;
                self.quiet_since = now;
            }
            if let Some(limit) = self.limits.idle
                && now >= self.quiet_since + limit
            {
                return Poll::Ready(End::Idle(limit));
            }
            if let Some(interval) = self.limits.heartbeat
                && self.next_ping.is_some_and(|due| now >= due)
            {
                self.next_ping = Some(now + interval);
                // A client that is not read because the target stalls cannot be heard; it is not dead. Neither
                // is one that takes what it is sent, however slowly.
                let alive =
                    std::mem::take(&mut self.up.heard) | self.down.client_took() | self.up.stalled;
                if alive {
                    self.unanswered = 0;
                } else if self.unanswered == MISSED_PINGS {
                    return Poll::Ready(End::HeartbeatLost);
                }
                if self.down.ping() {
                    self.unanswered += 1;
                }
            }
            clock.as_mut().reset(self.next_look());
        }
        Poll::Pending
    }

    /// Ends both connections in order, each half within its limit.
    async fn close(&mut self, end: &End) {
        match end {
            End::ClientClosed(_) | End::ClientGone | End::ClientBroke(_) => {
                let _ = timeout(CLOSE_LIMIT, self.finish_target()).await;
            }
            // The console is let go of at once, however long the client takes to close.
            End::SessionEnded | End::ByAdministrator | End::TokenGone => {
                let _ = timeout(CLOSE_LIMIT, self.target.shutdown()).await;
            }
            // The client's earlier bytes were valid, and the recording says that the console got them.
            End::Violation { .. } | End::Stopping => {
                let given = poll_fn(|cx| self.up.poll_write(&mut self.target, cx));
                let _ = timeout(CLOSE_LIMIT, given).await;
            }
            _ => {}
        }
        if matches!(end, End::ClientGone | End::ClientBroke(_)) {
            return;
        }
        let (code, reason) = end.close();
        self.down.push_close(&close_frame(code, reason));
        let _ = timeout(CLOSE_LIMIT, self.finish_client(end)).await;
    }

    /// Ends a relay whose client has closed: writes the rest to the target, and the target's remaining output to the
    /// client.
    async fn finish_target(&mut self) {
        let given = poll_fn(|cx| self.up.poll_write(&mut self.target, cx)).await;
        if given.is_ok() && self.target.shutdown().await.is_ok() && !self.down.target_ended() {
            poll_fn(|cx| self.down.poll(&mut self.client, &mut self.target, cx)).await;
        }
    }

    /// Sends the close frame and waits for the client's own, so that closing the connection cannot overtake data
    /// in flight (RFC 6455 §7.1.1).
    async fn finish_client(&mut self, end: &End) {
        if poll_fn(|cx| self.down.poll_write(&mut self.client, cx))
            .await
            .is_err()
        {
            return;
        }
        match end {
            End::ClientClosed(_) => {}
            // The target may still read what the client sent before it saw our close frame.
            End::TargetClosed => {
                poll_fn(|cx| self.up.poll(&mut self.client, &mut self.target, cx)).await;
                let _ = poll_fn(|cx| self.up.poll_write(&mut self.target, cx)).await;
            }
            _ => {
                let _ = self.client.shutdown().await;
                let mut unread = vec![0; 1024];
                while matches!(self.client.read(&mut unread).await, Ok(1..)) {}
                return;
            }
        }
        let _ = self.client.shutdown().await;
    }
}
