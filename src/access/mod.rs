//! Who may pass: from which pages a WebSocket may be opened, and which visitors the app knows.
//!
//! Must not know what is opened, nor how a refusal is sent.

pub mod origin;
pub mod session;
