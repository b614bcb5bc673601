//! The bridge: who gets through to which console, and what passes in which form.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod handshake;
mod http2;
mod relay;
mod slow_readers;
mod subprotocols;
mod tungstenite;
mod violations;

use crate::harness::{Backend, Door};

/// A console behind the token `vm`, and the door that leads to it. Keys of `[bridge]` may be given.
async fn console(settings: &str) -> (Backend, Door) {
    let console = Backend::tcp().await;
    let door = Door::open(&format!("[bridge]\n{settings}\n{}", console.target("vm"))).await;
    (console, door)
}

/// The address of that console.
const PATH: &str = "/websockify?token=vm";
