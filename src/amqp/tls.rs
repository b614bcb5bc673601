//! TLS settings for a connection to a broker. Independent of the protocol above TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::tls::{self, TlsError, Trust};

/// Builds a TLS connector that trusts the certificates in a file, or else those of the system.
pub(super) fn connector(ca: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let builder = tls::client(Trust::of(ca))?;
    Ok(TlsConnector::from(Arc::new(builder.with_no_client_auth())))
}

/// The name that the broker's certificate must carry.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))
}
