//! Serves HTTP/2 connections (RFC 9113) with h2: accepts requests, polls their handlers, and sends their interim
//! responses, their responses, and the bytes of upgraded streams.
//!
//! Must not know the meaning of a request, and no policy: a handler is a future, and the settings come from its caller.

mod body;
mod connection;
mod interim;
mod io;
mod pings;
mod send_body;
mod slots;
mod stream;
mod upgrade;

pub(crate) use body::Body;
pub(crate) use connection::{Connection, Settings};
pub(crate) use interim::{Interim, MOST_INTERIM};
pub(crate) use io::ReadPause;
pub(crate) use upgrade::{Upgrade, Upgraded};
