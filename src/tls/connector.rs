//! Outgoing connections, with or without TLS: to apps, to consoles, and to the servers of token sources.
//!
//! Chain and name of certificates are verified, unless the table of an app says otherwise. Independent of the protocol
//! on the connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::config::{Endpoint, TargetTls};
use crate::net::{ConnectError, Socket, connect_if};
use crate::tls::TlsError;
use crate::tls::peer_error::explain;
use crate::tls::pem::PemFile;
use crate::tls::trust::{self, Trust};

/// TLS settings for connections to one kind of server.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    /// The name to verify in the certificate; `None` for that of the host.
    name: Option<String>,
    /// True if the name is not verified.
    any_name: bool,
    /// Description of the trusted certificates, for errors.
    trusted: Arc<str>,
}

/// Omits the keys.
impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("name", &self.name)
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

/// Reasons why a connection cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// The connection itself failed.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection is open, but TLS failed.
    #[error("TLS with {endpoint}: {reason}")]
    Handshake {
        /// Address of the server.
        endpoint: Endpoint,
        /// Description of the failure, with the trusted certificates.
        reason: String,
    },
    /// The TLS handshake did not complete in time.
    #[error("TLS with {endpoint}: the handshake was not done within {limit:?}")]
    Slow {
        /// Address of the server.
        endpoint: Endpoint,
        /// Time limit of connection and handshake.
        limit: Duration,
    },
}

impl Connector {
    /// Loads authorities, certificate and key.
    ///
    /// # Errors
    /// [`TlsError`] names the file and its fault.
    pub(crate) fn new(tls: &TargetTls) -> Result<Self, TlsError> {
        let trust = match &tls.ca {
            _ if tls.insecure_skip_verify => Trust::Anyone,
            Some(file) if tls.any_name => Trust::AnyName(file),
            file => Trust::of(file.as_deref()),
        };
        let builder = trust::client(trust)?;
        let config = match &tls.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = PemFile::read(certificate, "client certificate")?.certificates()?;
                let der = PemFile::read(key, "client key")?.key()?;
                let unfit = |error: rustls::Error| TlsError::Key {
                    path: key.clone(),
                    reason: error.to_string(),
                };
                builder.with_client_auth_cert(chain, der).map_err(unfit)?
            }
        };
        let trusted = match &tls.ca {
            Some(file) => file.display().to_string(),
            None => "this system's list".to_owned(),
        };
        Ok(Self {
            config: Arc::new(config),
            name: tls.name.clone(),
            any_name: tls.any_name,
            trusted: trusted.into(),
        })
    }

    /// Like [`new`](Self::new), for servers that speak HTTP/1.1, which is negotiated in the handshake (RFC 7301): a
    /// server that also supports HTTP/2 could otherwise begin with that.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(crate) fn for_http(tls: &TargetTls) -> Result<Self, TlsError> {
        let mut connector = Self::new(tls)?;
        let mut config = ClientConfig::clone(&connector.config);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        connector.config = Arc::new(config);
        Ok(connector)
    }

    /// Performs the handshake on an open connection, for protocols that begin without TLS.
    ///
    /// # Errors
    /// [`DialError`] names the endpoint and the reason.
    pub(crate) async fn upgrade(
        &self,
        endpoint: &Endpoint,
        connection: Outgoing,
    ) -> Result<Outgoing, DialError> {
        match connection {
            Outgoing::Left(socket) => self.secure(endpoint, socket).await,
            Outgoing::Right(_) => Err(DialError::Handshake {
                endpoint: endpoint.clone(),
                reason: "the connection is encrypted already".to_owned(),
            }),
        }
    }

    async fn secure(&self, endpoint: &Endpoint, socket: Socket) -> Result<Outgoing, DialError> {
        let failed = |reason: String| DialError::Handshake {
            endpoint: endpoint.clone(),
            reason,
        };
        let name = match (&self.name, endpoint) {
            (Some(name), _) => name.as_str(),
            (None, Endpoint::Tcp { host, .. }) => host,
            // Nobody looks at it.
            (None, Endpoint::Unix(_)) if self.any_name => "localhost",
            (None, Endpoint::Unix(_)) => {
                return Err(failed(
                    "a UNIX socket has no host name; write the one in the certificate as tls.name"
                        .to_owned(),
                ));
            }
        };
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| failed("its host name cannot be in a certificate".to_owned()))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector
            .connect(server, socket)
            .await
            .map_err(|error| failed(explain(&error, name, &self.trusted)))?;
        Ok(Outgoing::Right(Box::new(stream)))
    }
}

/// Connects once and performs the handshake, within `limit`. Only addresses that `permits` accepts are connected.
///
/// # Errors
/// [`DialError`] names the endpoint and the reason.
pub(crate) async fn dial(
    endpoint: &Endpoint,
    permits: impl Fn(IpAddr) -> bool,
    tls: Option<&Connector>,
    limit: Duration,
) -> Result<Outgoing, DialError> {
    let end = Instant::now() + limit;
    let socket = connect_if(endpoint, limit, permits).await?;
    let Some(connector) = tls else {
        return Ok(Outgoing::Left(socket));
    };
    let secured = timeout_at(end, connector.secure(endpoint, socket)).await;
    secured.unwrap_or_else(|_| {
        Err(DialError::Slow {
            endpoint: endpoint.clone(),
            limit,
        })
    })
}

/// A connection opened by Noren, without or with TLS. The latter is boxed, because a TLS session is larger than a
/// kilobyte; its shutdown sends `close_notify` (RFC 8446 §6.1), and the other direction stays open.
pub(crate) type Outgoing = Either<Socket, Box<TlsStream<Socket>>>;

/// True if no third party can read or change the data: it is encrypted, or does not leave this machine.
#[must_use]
pub(crate) fn is_protected(connection: &Outgoing) -> bool {
    match connection {
        Outgoing::Left(Socket::Tcp(stream)) => stream
            .peer_addr()
            .is_ok_and(|address| address.ip().to_canonical().is_loopback()),
        Outgoing::Left(Socket::Unix(_)) | Outgoing::Right(_) => true,
    }
}

/// Turns on TCP keep-alive: the other end is probed after this silence, so that a lost connection is noticed.
pub(crate) fn keep_alive(connection: &Outgoing, silence: Duration) {
    match connection {
        Outgoing::Left(socket) => socket.keep_alive(silence),
        Outgoing::Right(stream) => stream.get_ref().0.keep_alive(silence),
    }
}

/// Makes dropping the connection send a reset, which shows the other end that nothing is read any more.
pub(crate) fn reset_on_drop(connection: &Outgoing) {
    match connection {
        Outgoing::Left(socket) => socket.reset_on_drop(),
        Outgoing::Right(stream) => stream.get_ref().0.reset_on_drop(),
    }
}
