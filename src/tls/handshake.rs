//! The TLS handshake of an accepted stream, under a time limit.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, server};

use tracing::debug;

use crate::fs::FileIds;
use crate::net::Stream;
use crate::tls::client_auth::ClientName;
use crate::tls::stream::TlsStream;
use crate::tls::{CertificateNames, CertificateStore, Challenges, SelfSigned, acme_challenges};

/// The type byte of a TLS handshake record (RFC 8446 §5.1); every TLS connection begins with it.
const HANDSHAKE_RECORD: u8 = 22;

/// Response to a client that sends plain HTTP to a TLS port.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 74\r\nConnection: close\r\n\r\n\
    This port speaks HTTPS: write https:// instead of http:// in the address.\n";

/// Performs TLS handshakes on accepted streams.
#[derive(Clone)]
pub(crate) struct Acceptor {
    tls: TlsAcceptor,
    certificates: Arc<CertificateStore>,
    files: FileIds,
    challenges: Challenges,
    /// Settings for validation handshakes of an ACME authority.
    proving: Arc<ServerConfig>,
}

/// The negotiated application protocol (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    /// `http/1.1`, also for a client that offered no protocol.
    Http1,
    /// HTTP/2 (`h2`).
    Http2,
}

/// A completed handshake.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The encrypted stream.
    pub stream: TlsStream,
    /// The negotiated protocol.
    pub protocol: Alpn,
    /// The server name in the client's request.
    pub server: ServerName,
    /// Names in the client's certificate, if it has presented one.
    pub client: Option<ClientName>,
}

/// The server name of a handshake, and the names of the certificate that was presented for it.
#[derive(Clone, Debug)]
pub(crate) struct ServerName {
    name: Option<Arc<str>>,
    names: Arc<CertificateNames>,
}

/// Reasons why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The client did not complete the handshake in time.
    #[error("the handshake was not complete after {0:?}")]
    Slow(Duration),
    /// The client sent plain HTTP, or anything else that is not TLS, and got an error response.
    #[error("the client does not speak TLS")]
    NotTls,
    /// The client closed before it had sent any byte, as port scanners and health checks do.
    #[error("the client closed the connection without a handshake")]
    Closed,
    /// TLS failed: no common version, an authority unknown to the client, and similar.
    #[error("{0}")]
    Failed(io::Error),
}

impl HandshakeError {
    /// True if the client's certificate was refused or missing.
    #[must_use]
    pub(crate) fn is_about_the_client(&self) -> bool {
        use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
        let Self::Failed(error) = self else {
            return false;
        };
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        matches!(cause, Some(InvalidCertificate(_) | NoCertificatesPresented))
    }

    /// The label for metrics.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Slow(_) => "slow",
            Self::NotTls => "not-tls",
            Self::Closed => "closed",
            Self::Failed(_) => "failed",
        }
    }
}

impl Acceptor {
    /// Creates an acceptor with these certificates and settings. `files` identify the files from which they were read.
    pub(super) fn new(
        settings: ServerConfig,
        certificates: Arc<CertificateStore>,
        files: FileIds,
        challenges: Challenges,
        proving: Arc<ServerConfig>,
    ) -> Self {
        Self {
            tls: TlsAcceptor::from(Arc::new(settings)),
            certificates,
            files,
            challenges,
            proving,
        }
    }

    /// True if a certificate covers this host.
    #[must_use]
    pub(crate) fn covers(&self, host: &str) -> bool {
        self.certificates.names_for(Some(host)).covers(host)
    }

    /// The certificate that Noren created, if it is presented.
    #[must_use]
    pub(crate) fn self_signed(&self) -> Option<&SelfSigned> {
        self.certificates.self_signed()
    }

    /// The file and the expiry of each certificate.
    #[must_use]
    pub(crate) fn expiries(&self) -> &[(PathBuf, SystemTime)] {
        self.certificates.expiries()
    }

    /// True if the certificate files have changed since they were loaded.
    #[must_use]
    pub(crate) fn is_outdated(&self) -> bool {
        self.files.differ()
    }

    /// Performs the complete handshake within `limit`, which includes the wait for the first byte. `None` after a
    /// validation handshake; its connection is closed then.
    ///
    /// # Errors
    /// [`HandshakeError`] gives the reason; the stream is closed then.
    pub(crate) async fn accept(
        &self,
        stream: Stream,
        limit: Duration,
    ) -> Result<Option<Accepted>, HandshakeError> {
        timeout(limit, self.handshake(stream))
            .await
            .unwrap_or(Err(HandshakeError::Slow(limit)))
    }

    async fn handshake(&self, mut stream: Stream) -> Result<Option<Accepted>, HandshakeError> {
        match stream.peek_byte().await.map_err(HandshakeError::Failed)? {
            Some(HANDSHAKE_RECORD) | None => {}
            Some(_) => {
                refuse_plain(&mut stream).await;
                return Err(HandshakeError::NotTls);
            }
        }
        let shaken = if self.challenges.has_certificates() {
            self.perhaps_challenged(stream).await
        } else {
            self.tls.accept(stream).await.map(Some)
        };
        let shaken = shaken.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => HandshakeError::Closed,
            _ => HandshakeError::Failed(error),
        })?;
        let Some(stream) = shaken else {
            return Ok(None);
        };
        let (_, session) = stream.get_ref();
        let protocol = match session.alpn_protocol() {
            Some(b"h2") => Alpn::Http2,
            _ => Alpn::Http1,
        };
        let name = session.server_name().map(Arc::from);
        let names = self.certificates.names_for(name.as_deref());
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let client = shown.and_then(ClientName::of);
        Ok(Some(Accepted {
            stream: TlsStream::new(stream),
            protocol,
            server: ServerName { name, names },
            client,
        }))
    }

    /// Performs a handshake while a challenge is presented: the first message shows if it is a validation handshake.
    async fn perhaps_challenged(
        &self,
        stream: Stream,
    ) -> io::Result<Option<server::TlsStream<Stream>>> {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        if !acme_challenges::is_asked_for(&start.client_hello()) {
            let config = Arc::clone(self.tls.config());
            return start.into_stream(config).await.map(Some);
        }
        let config = Arc::clone(&self.proving);
        let mut stream = start.into_stream(config).await?;
        debug!("the authority has checked a challenge (tls-alpn-01)");
        // The authority has seen the certificate, and may have left.
        let _ = stream.shutdown().await;
        Ok(None)
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

impl ServerName {
    /// False if a request for `host` contradicts the handshake: the client asked for another name, and the
    /// certificate that it got does not cover this one (RFC 9110 §15.5.20: 421). A browser may send requests for
    /// several hosts on one connection if the certificate covers them all.
    #[must_use]
    pub(crate) fn permits(&self, host: &str) -> bool {
        match &self.name {
            None => true,
            Some(name) => {
                name.eq_ignore_ascii_case(host.trim_end_matches('.')) || self.names.covers(host)
            }
        }
    }
}

/// Responds to a plain HTTP request, and reads the rest that the client sends: if bytes are unread at the close, the
/// kernel sends a reset, which can overtake the response.
async fn refuse_plain(stream: &mut Stream) {
    if stream.write_all(PLAIN_HTTP).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut unread = [0; 1024];
    for _ in 0..64 {
        if !matches!(stream.read(&mut unread).await, Ok(1..)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_the_plain_http_answer_is_right() {
        let text = std::str::from_utf8(PLAIN_HTTP).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{}",
            body.len()
        );
    }
}
