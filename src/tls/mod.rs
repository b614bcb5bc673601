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

pub(crate) use acceptors::Acceptors;
pub(crate) use acme_challenges::{Challenges, PresentedProof};
pub(crate) use certificates::LoadedCertificate;
pub(crate) use client_auth::ClientName;
pub(crate) use connector::{
    Connector, DialError, Outgoing, dial, is_protected, keep_alive, reset_on_drop,
};
pub use error::TlsError;
pub(crate) use handshake::{Accepted, Acceptor, Alpn, HandshakeError, ServerName};
pub(crate) use names::CertificateNames;
pub(crate) use peer_error::explain_alert;
pub(crate) use store::CertificateStore;
pub use store::SelfSigned;
pub(crate) use stream::TlsStream;
pub use trust::{Trust, client};
