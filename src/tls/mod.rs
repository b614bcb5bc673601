//! TLS: certificates, the choice among them, and the settings of the handshake.
//!
//! Independent of HTTP, of routes and of the app.

mod acceptors;
mod acme_challenges;
mod certificates;
mod client_auth;
mod connector;
mod error;
mod handshake;
mod key;
mod names;
mod peer_error;
mod pem;
mod self_signed;
mod settings;
mod store;
mod stream;
#[cfg(test)]
mod test_certificates;
mod trust;
mod warnings;

pub use acceptors::Acceptors;
pub use acme_challenges::{Challenges, Shown};
pub use certificates::LoadedCertificate;
pub use client_auth::ClientName;
pub use connector::{Connector, DialError, Outgoing, dial, is_protected, reset_on_drop};
pub use error::TlsError;
pub use handshake::{Accepted, Acceptor, Alpn, HandshakeError, ServerName};
pub use names::CertificateNames;
pub use peer_error::explain_alert;
pub use store::{CertificateStore, SelfSigned};
pub use stream::TlsStream;
pub use trust::{Trust, client};
