//! What is told about the work: the log itself, the lines of requests, and the audit.
//!
//! Lines have a constant message and their values as fields. No token, cookie, query or body is ever a field.

mod access;
pub mod audit;
mod log;

pub use access::{AccessLine, Measured};
pub use log::install;
