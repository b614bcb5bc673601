//! One line when a tunnel opens, one when it ends.

use std::fmt::Display;
use std::time::Instant;

use tracing::info;

/// An open tunnel, as the log sees it.
#[derive(Debug)]
pub struct TunnelLine {
    peer: String,
    target: String,
    user: Option<String>,
    opened: Instant,
}

impl TunnelLine {
    /// Writes the opening line. `target` is a socket or an address, never a token; `user` is who the app says
    /// has opened it.
    pub fn open(peer: impl Display, target: String, user: Option<String>) -> Self {
        let peer = peer.to_string();
        info!(%peer, %target, user, "tunnel opened");
        Self {
            peer,
            target,
            user,
            opened: Instant::now(),
        }
    }

    /// Writes the closing line: why, after how many seconds, and how many bytes the target was given (`up`)
    /// and has sent (`down`).
    pub fn close(self, reason: &str, up: u64, down: u64) {
        let Self {
            peer,
            target,
            user,
            opened,
        } = self;
        let seconds = (opened.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        info!(%peer, %target, user, reason, seconds, up, down, "tunnel closed");
    }
}
