//! Tests of limits per client, and of identifying clients behind trusted proxies.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod guesses;
mod limits;
mod proxies;
