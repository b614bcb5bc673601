//! Who may pass: how much one client may ask for, under which names, from which pages a WebSocket may be opened, which users and
//! certificates a route is for, which visitors the app knows, and what tokens for channels permit.
//!
//! Must not know what is opened, nor how a refusal is sent.

pub mod accepted;
pub mod entrance;
mod hash_kind;
pub mod hosts;
pub mod limits;
pub mod origin;
pub mod session;
pub mod tokens;
pub mod users;

pub use tokens::{ChannelOrder, OrderError, sign_channel_token};
pub use users::UsersError;
