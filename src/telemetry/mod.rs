//! What is told about the work: the log itself, and the lines of requests and tunnels.
//!
//! Lines have a constant message and their values as fields. No token, cookie, query or body is ever a field.

mod access;
mod combined;
mod fate;
mod log;
mod times;
mod tunnel;

pub use access::{AccessLine, Measured};
pub use fate::Fate;
pub use log::install;
pub use times::Times;
pub use tunnel::TunnelLine;
