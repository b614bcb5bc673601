//! The in-process harness: a [`Door`] on ports of its own, a [`Backend`] that the test plays byte by byte, and
//! clients that send exactly what they are told.
//!
//! Knows the library by its public API only. One task plays client, app and console in turn, so that a test
//! reads in the order in which things happen; every wait ends in a failure that says what was waited for.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod backend;
mod door;
mod frames;
mod http2;
mod tls;
mod wire;

use std::future::Future;
use std::time::{Duration, Instant};

pub(crate) use backend::{Backend, FullBacklog};
pub(crate) use door::{Door, bind};
pub(crate) use frames::{
    BINARY, CLOSE, CONTINUATION, FIN, Frame, PING, PONG, TEXT, binary, masked, unmasked,
};
pub(crate) use http2::{Http2, read_all, send_all};
pub(crate) use tls::{Identity, client_config, connector};
pub(crate) use wire::{Answer, Head, Input, Output, Wire};

/// No wait is longer. Nothing takes nearly as long; a busy machine may be slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something, and fails the test if it does not come.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let ended = tokio::time::timeout(PATIENCE, future).await;
    ended.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain: {what}"))
}

/// Looks again and again until there is something, and fails the test if it does not come.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "waited {PATIENCE:?} in vain: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Bytes that show it when a piece of them is lost, doubled or moved.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}
