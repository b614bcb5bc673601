//! Trusted proxies in front of a listener, and the PROXY protocol (haproxy's proxy-protocol.txt, versions 1 and
//! 2), with which a proxy without HTTP reports its clients.
//!
//! The protocol is never detected: a listener with the protocol requires it on every connection from the listed
//! networks and refuses all others, and a listener without it never expects it.

use std::net::SocketAddr;
use std::time::Duration;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::config::{self, ForwardedHeader, Network};
use crate::net::{Peer, Socket};

/// Signature of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Length limit of a line of version 1, by its specification.
const LONGEST_LINE: usize = 107;
/// Size limit of a header of version 2. Addresses take 36 bytes (216 for UNIX sockets); additional fields are
/// skipped.
const LONGEST_HEADER: usize = 4096;

/// The trusted proxies in front of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Proxies {
    networks: Vec<Network>,
    header: ForwardedHeader,
    speak_proxy_protocol: bool,
}

/// Reasons why a connection is refused before its first byte of data.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// The peer is not a trusted proxy.
    #[error("it is not one of trusted-proxies, and this listener is for those only")]
    NotTrusted,
    /// The header was not complete in time.
    #[error("no PROXY header came within {0:?}")]
    Slow(Duration),
    /// The connection ended or failed before the header.
    #[error("the connection ended before its PROXY header: {0}")]
    Ended(#[from] std::io::Error),
    /// The bytes are not a PROXY header.
    #[error("the connection does not begin with a PROXY header: {0}")]
    Malformed(&'static str),
}

impl Proxies {
    /// Reads the proxies of a listener from the configuration; often there are none.
    #[must_use]
    pub(crate) fn new(listener: &config::Listener) -> Self {
        Self {
            networks: listener.trusted_proxies.clone(),
            header: listener.forwarded_header,
            speak_proxy_protocol: listener.proxy_protocol,
        }
    }

    /// The header in which the proxies report the client of a request.
    #[must_use]
    pub(crate) fn header(&self) -> ForwardedHeader {
        self.header
    }

    /// True if connections begin with a PROXY header.
    #[must_use]
    pub(crate) fn speak_proxy_protocol(&self) -> bool {
        self.speak_proxy_protocol
    }

    /// True if this peer is trusted to report its clients.
    #[must_use]
    pub(crate) fn trust(&self, peer: &Peer) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(peer.ip()))
    }

    /// Reads the PROXY header of a connection, and returns the client; `None` if the proxy reports no address, as
    /// for a health check or an unknown client.
    ///
    /// # Errors
    /// [`ProxyError`] gives the reason; the connection cannot be used then.
    pub(crate) async fn client_of(
        &self,
        socket: &mut Socket,
        peer: Peer,
        limit: Duration,
    ) -> Result<Option<Peer>, ProxyError> {
        if !self.trust(&peer) {
            return Err(ProxyError::NotTrusted);
        }
        let header = timeout(limit, read_header(socket));
        let header = header.await.map_err(|_| ProxyError::Slow(limit))??;
        Ok(source(&header)?.map(Peer::tcp))
    }
}

/// Reads exactly the header, because the bytes after it belong to TLS or HTTP.
async fn read_header(socket: &mut Socket) -> Result<Vec<u8>, ProxyError> {
    let mut header = vec![0; SIGNATURE.len()];
    socket.read_exact(&mut header).await?;
    if header == SIGNATURE {
        let mut rest = [0; 4];
        socket.read_exact(&mut rest).await?;
        header.extend(rest);
        let [.., high, low] = rest;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > LONGEST_HEADER {
            return Err(ProxyError::Malformed("it is too long"));
        }
        let start = header.len();
        header.resize(start + length, 0);
        socket
            .read_exact(header.get_mut(start..).unwrap_or_default())
            .await?;
        return Ok(header);
    }
    if !header.starts_with(b"PROXY ") {
        return Err(ProxyError::Malformed("it begins with something else"));
    }
    while !header.ends_with(b"\r\n") {
        if header.len() >= LONGEST_LINE {
            return Err(ProxyError::Malformed("its line is too long"));
        }
        header.push(socket.read_u8().await?);
    }
    Ok(header)
}

/// Parses the client from a header; `None` if the connection is the proxy's own, or its client is unknown.
pub(crate) fn source(header: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    // LOCAL: whatever addresses follow mean nothing (proxy-protocol.txt, §2.2).
    if header.starts_with(SIGNATURE) && header.get(SIGNATURE.len()) == Some(&0x20) {
        return Ok(None);
    }
    let malformed = |_| ProxyError::Malformed("its fields cannot be read");
    let (parsed, length) = ProxyHeader::parse(header, ParseConfig::default()).map_err(malformed)?;
    if length != header.len() {
        return Err(ProxyError::Malformed("it does not end where it should"));
    }
    Ok(parsed.proxied_address().map(|proxied| proxied.source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_name_the_client_and_local_ones_nobody() {
        let mut second = SIGNATURE.to_vec();
        second.extend([
            0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 1, 0x30, 0x39, 1, 0xbb,
        ]);
        let mut local = SIGNATURE.to_vec();
        local.extend([0x20, 0, 0, 0]);
        for (header, expected) in [
            (
                &b"PROXY TCP4 192.0.2.1 198.51.100.1 12345 443\r\n"[..],
                Some("192.0.2.1:12345"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
                Some("[2001:db8::1]:1"),
            ),
            (b"PROXY UNKNOWN\r\n", None),
            (&second, Some("192.0.2.1:12345")),
            (&local, None),
        ] {
            let named = source(header).expect("a header");
            assert_eq!(
                named.map(|address| address.to_string()).as_deref(),
                expected
            );
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for header in [
            &b"PROXY TCP4 192.0.2.1\r\n"[..],
            b"PROXY TCP4 x y 1 2\r\n",
            b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
            b"GET / HTTP/1.1\r\n",
            b"",
        ] {
            assert!(source(header).is_err(), "{header:?}");
        }
    }
}
