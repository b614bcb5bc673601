//! Whom a connection to a broker trusts. Knows no protocol above TLS.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// TLS that trusts the certificates in a file, or else those the system trusts.
pub(super) fn connector(ca: Option<&Path>) -> Result<TlsConnector, String> {
    let roots = match ca {
        Some(file) => of_file(file).map_err(|reason| format!("{}: {reason}", file.display()))?,
        None => of_system()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The name that must be in the broker's certificate.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))
}

fn of_file(file: &Path) -> Result<RootCertStore, String> {
    let mut reader = BufReader::new(File::open(file).map_err(|error| error.to_string())?);
    let mut roots = RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut reader) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("it has no PEM certificate".to_owned());
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(
            "this system trusts no certificate; install ca-certificates, or write ca = \"FILE\""
                .to_owned(),
        );
    }
    Ok(roots)
}
