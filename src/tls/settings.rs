//! TLS settings of a listener: versions, protocols, resumption.
//!
//! Independent of sockets and of the certificates.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use crate::config::{Tls, TlsVersion};
use crate::tls::{CertificateStore, Challenges, TlsError, acme_challenges};

/// Number of TLS 1.2 sessions kept for clients without ticket support, which are few and old; about 0.5 KiB each.
const SESSIONS: usize = 1024;

/// Number of tickets after a TLS 1.3 handshake. A client uses each only once (RFC 8446 §C.4), and browsers soon
/// open a second connection.
const TICKETS: usize = 2;

/// Builds the settings. Cipher suites and key exchanges are the defaults of rustls with aws-lc; the first key exchange
/// is the post-quantum hybrid X25519MLKEM768.
///
/// # Errors
/// [`TlsError::Setup`] if the library has no randomness for the ticket keys.
pub(super) fn server_config(
    tls: &Tls,
    store: Arc<CertificateStore>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, TlsError> {
    // `ServerConfig::builder()` would panic if some dependency brought a second provider into the build.
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&versions(tls.minimum_version))?;
    let resumable = clients.is_none();
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(store);
    config.alpn_protocols = alpn(tls.http2);
    // Off by default in rustls. The keys rotate every six hours, so a stolen one opens little.
    if resumable {
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.send_tls13_tickets = TICKETS;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    } else {
        // To resume is to believe a certificate that was verified hours ago, and may have expired since.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
    }
    // Early data can be replayed by an attacker (RFC 8446 §8), and a request to the app must not be.
    config.max_early_data_size = 0;
    Ok(config)
}

/// Builds the settings of a validation handshake of an ACME authority. No data is exchanged on its connection.
///
/// # Errors
/// [`TlsError::Setup`] if the library refuses them.
pub(super) fn challenge_config(challenges: Challenges) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&versions(TlsVersion::Tls12))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(challenges));
    config.alpn_protocols = vec![acme_challenges::PROTOCOL.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn versions(minimum: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    match minimum {
        TlsVersion::Tls12 => vec![&version::TLS13, &version::TLS12],
        TlsVersion::Tls13 => vec![&version::TLS13],
    }
}

/// Application protocols (RFC 7301) in order of preference.
fn alpn(http2: bool) -> Vec<Vec<u8>> {
    let names: &[&[u8]] = if http2 {
        &[b"h2", b"http/1.1"]
    } else {
        &[b"http/1.1"]
    };
    names.iter().map(|name| name.to_vec()).collect()
}

#[cfg(test)]
mod tests;
