//! The proxy: what the app gets to see, what the client gets back, and what neither may do to the other.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod aborts;
mod addresses;
mod affinity;
mod answers;
mod bodies;
mod breaks;
mod draining;
mod framing;
mod headers;
mod heads;
mod interim;
mod load;
mod methods;
mod pool;
mod silence;
mod smuggling;
mod streams;
mod trouble;
mod websockets;
