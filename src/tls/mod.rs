//! TLS: certificates, the choice among them, and the settings of the handshake.
//!
//! Independent of HTTP, of routes and of the app.

mod acceptors;
mod certificates;
mod challenges;
mod clients;
mod error;
mod handshake;
mod key;
mod names;
mod oddities;
mod outgoing;
mod peer_error;
mod pem;
mod print;
mod self_signed;
mod settings;
mod store;
mod stream;
#[cfg(test)]
mod test_certificates;
mod trust;
mod written;

pub use acceptors::Acceptors;
pub use certificates::LoadedCertificate;
pub use challenges::{Challenges, Shown};
pub use clients::ClientName;
pub use error::TlsError;
pub use handshake::{Accepted, Acceptor, Alpn, HandshakeError, ServerName};
pub use names::CertificateNames;
pub use outgoing::{Connector, DialError, Outgoing, dial};
pub use peer_error::explain_alert;
pub use store::{CertificateStore, SelfSigned};
pub use stream::TlsStream;
pub use trust::{Trust, client};
pub use written::{draft, replace};
