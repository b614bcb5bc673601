//! A viewer of a shared console, in the form of a connection for the relay: reading returns output, writing takes keys.
//! It leaves the console with its client.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::console::{Console, Joined};
use crate::bridge::outcome::Cut;
use crate::bridge::recorder::Tap;
use crate::telemetry::ViewerState;

/// One viewer. Dropping it leaves the console.
#[derive(Debug)]
pub(crate) struct Viewer {
    console: Arc<Console>,
    number: u64,
    shown: Arc<ViewerState>,
    cut: Cut,
    /// Lines for this viewer alone that it has not taken yet.
    line: Vec<u8>,
    has_left: bool,
}

impl Viewer {
    pub(super) fn new(console: Arc<Console>, joined: Joined) -> Self {
        Self {
            console,
            number: joined.number,
            shown: joined.shown,
            cut: joined.cut,
            line: Vec::new(),
            has_left: false,
        }
    }

    /// The state that the status shows.
    pub(crate) fn shown(&self) -> Arc<ViewerState> {
        Arc::clone(&self.shown)
    }

    /// The end of the viewer, also if its client does not read.
    pub(in crate::bridge) fn cut(&self) -> Cut {
        self.cut.clone()
    }

    /// True if the console is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.console.recording().is_some()
    }

    /// Records the console from here on.
    pub(crate) fn record(&self, tap: Tap) {
        self.console.record(tap);
    }

    /// Sets the number of its tunnel, which operators use.
    pub(crate) fn set_tunnel(&self, tunnel: u64) {
        self.console.set_tunnel(self.number, tunnel);
    }

    fn leave(&mut self) {
        if !std::mem::replace(&mut self.has_left, true) {
            self.console.leave(self.number);
        }
    }
}

impl AsyncRead for Viewer {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.has_left {
            return Poll::Ready(Ok(()));
        }
        // Another viewer's turn comes even if there is always more.
        let turn = ready!(tokio::task::coop::poll_proceed(cx));
        let read = this
            .console
            .poll_output(this.number, &mut this.line, cx, buf);
        if read.is_ready() {
            turn.made_progress();
        }
        read.map_err(io::Error::other)
    }
}

impl AsyncWrite for Viewer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.has_left {
            ready!(this.console.poll_input(this.number, cx, buf));
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Leaves the console, which continues for the others.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().leave();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.leave();
    }
}
