//! Certificates made for the test, and a client that verifies them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;

/// A certificate and its key, as files.
pub(crate) struct Identity {
    pub certificate: CertificateDer<'static>,
    /// The `[[tls.certificate]]` of it.
    pub settings: String,
}

impl Identity {
    /// Makes a certificate for `names` in `directory`.
    pub(crate) fn new(directory: &Path, names: &[&str]) -> Self {
        let owned: Vec<String> = names.iter().copied().map(str::to_owned).collect();
        let made = rcgen::generate_simple_self_signed(owned).unwrap();
        let file = |kind| directory.join(format!("{}.{kind}", names[0]));
        fs::write(file("pem"), made.cert.pem()).unwrap();
        fs::write(file("key"), made.signing_key.serialize_pem()).unwrap();
        Self {
            certificate: made.cert.der().clone(),
            settings: format!(
                "[[tls.certificate]]\ncertificate = '{}'\nkey = '{}'\n",
                file("pem").display(),
                file("key").display()
            ),
        }
    }
}

/// A client that trusts this certificate and no other.
pub(crate) fn client_config(
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    protocol: &str,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    config
}

/// A client of today for one protocol.
pub(crate) fn connector(trusted: &CertificateDer<'static>, protocol: &str) -> TlsConnector {
    TlsConnector::from(Arc::new(client_config(
        trusted,
        rustls::ALL_VERSIONS,
        protocol,
    )))
}
