//! Access control: rate limits, known host names, origins of WebSockets, users and certificates of routes,
//! sessions of the app, and tokens for channels.
//!
//! Independent of what is opened, and of how a refusal is sent.

pub mod entrance;
mod hash_kind;
pub mod hosts;
mod limit_counts;
pub mod limits;
pub mod origin;
pub mod proven;
pub mod route_limits;
pub mod session;
pub mod tokens;
pub mod users;

pub use tokens::{ChannelOrder, OrderError, sign_channel_token};
pub use users::UsersError;
