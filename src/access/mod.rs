//! Who may pass. For now: from which pages a WebSocket may be opened.
//!
//! Must not know what is behind the door, nor how a refusal is sent.

pub mod origin;
