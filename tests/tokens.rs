//! Tokens: where it is asked what one means, what may be named, signed links, and TLS to consoles.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod api;
mod encrypted;
mod links;
mod nova;
mod recheck;
mod sources;

use crate::harness::{Answer, Door};

/// The answer to a handshake with this token.
async fn knock(door: &Door, token: &str) -> Answer {
    let path = format!("/websockify?token={token}");
    door.tls().await.ask(&Door::handshake(&path, "")).await
}
