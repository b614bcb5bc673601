//! Who may speak for clients: the proxies before a listener, and the PROXY protocol by which they do it without
//! knowing HTTP (haproxy's proxy-protocol.txt, versions 1 and 2).
//!
//! Nothing is guessed: a listener with the protocol takes it from the networks that are listed, and then always;
//! everybody else is turned away, and a listener without it never looks for it.

use std::net::SocketAddr;
use std::time::Duration;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::config::{self, ForwardedHeader, Network};
use crate::net::{Peer, Socket};

/// The first bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, by its specification.
const LONGEST_LINE: usize = 107;
/// The longest header of version 2 that is read. The addresses take 36 bytes (of UNIX sockets 216); what follows are
/// remarks that are passed over.
const LONGEST_HEADER: usize = 4096;

/// The proxies before one listener.
#[derive(Clone, Debug)]
pub struct Proxies {
    networks: Vec<Network>,
    header: ForwardedHeader,
    speak_proxy_protocol: bool,
}

/// Why a connection is turned away before its first byte for us.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It comes from elsewhere than the proxies.
    #[error("it is not one of trusted-proxies, and this listener is for those only")]
    NotTrusted,
    /// No whole header in time.
    #[error("no PROXY header came within {0:?}")]
    Slow(Duration),
    /// The connection ended or failed before.
    #[error("the connection ended before its PROXY header: {0}")]
    Ended(#[from] std::io::Error),
    /// What came is something else.
    #[error("what came is no PROXY header: {0}")]
    Malformed(&'static str),
}

impl Proxies {
    /// The proxies of a listener; often there are none.
    #[must_use]
    pub fn new(listener: &config::Listener) -> Self {
        Self {
            networks: listener.trusted_proxies.clone(),
            header: listener.forwarded_header,
            speak_proxy_protocol: listener.proxy_protocol,
        }
    }

    /// The header in which they name the client of a request.
    #[must_use]
    pub fn header(&self) -> ForwardedHeader {
        self.header
    }

    /// Whether connections begin with a PROXY header.
    #[must_use]
    pub fn speak_proxy_protocol(&self) -> bool {
        self.speak_proxy_protocol
    }

    /// Whether what this peer says of its clients is believed.
    #[must_use]
    pub fn trust(&self, peer: &Peer) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(peer.ip()))
    }

    /// Reads the header of a connection, and says whose it is; none if the proxy names no address, as for a health
    /// check or a client that it does not know.
    ///
    /// # Errors
    /// [`ProxyError`]; the connection is of no use then.
    pub async fn client_of(
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

/// Takes exactly the header: what follows it belongs to TLS or HTTP.
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
        let begun = header.len();
        header.resize(begun + length, 0);
        socket
            .read_exact(header.get_mut(begun..).unwrap_or_default())
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

/// The client in a header; none if the proxy speaks for itself, or does not know.
pub fn source(header: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
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
