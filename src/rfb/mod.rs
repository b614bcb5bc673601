//! The Remote Framebuffer protocol (RFC 6143) as far as a door needs it: Noren performs the security handshake with
//! the host of a console, and serves one without security to the browser, which is let in by other means.
//!
//! Versions 3.3, 3.7 and 3.8; the methods None, VNC authentication, and VeNCrypt with X.509 certificates, as the
//! community's specification has it. Refused are VeNCrypt's methods without a certificate, which anyone on the way
//! can answer, and whatever else there is. Of the messages behind the handshake those are held back that a viewer may
//! not send. Must not know tokens, WebSockets and visitors.

mod choice;
mod fault;
mod filter;
mod greeting;
mod host_filter;
mod login;
mod method;
mod output;
mod protocol_error;
mod rejection;
mod session;
mod version;
mod vnc_auth;
mod wire;

pub(crate) use filter::{Rules, filtered, host_filtered};
pub(crate) use login::{Login, LoginError};
pub(crate) use protocol_error::ProtocolError;
pub(crate) use rejection::Rejection;
pub(crate) use session::Session;
pub(crate) use version::Version;
