//! Who may pass: how much one client may ask for, from which pages a WebSocket may be opened, which users and
//! certificates a route is for, and which visitors the app knows.
//!
//! Must not know what is opened, nor how a refusal is sent.

pub mod entrance;
pub mod limits;
pub mod origin;
pub mod session;
pub mod users;

pub use users::UsersError;
