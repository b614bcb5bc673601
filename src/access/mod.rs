//! Access control: rate limits, known host names, origins of WebSockets, users and certificates of routes,
//! sessions of the app, and tokens for channels.
//!
//! Must not know what is opened, or how a refusal is sent.

pub(crate) mod entrance;
mod hash_kind;
pub(crate) mod hosts;
mod limit_counts;
pub(crate) mod limits;
pub(crate) mod origin;
pub(crate) mod proven;
pub(crate) mod route_limits;
pub(crate) mod session;
pub(crate) mod tokens;
pub(crate) mod users;

pub use tokens::{ChannelOrder, OrderError, sign_channel_token};
pub(crate) use users::UsersError;
