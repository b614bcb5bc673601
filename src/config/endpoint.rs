//! An address to connect to: an app, or the target of a token. Connects to nothing.

use std::fmt;
use std::path::PathBuf;

use super::address::{host_and_port, socket_path};

/// An address to connect to: an app, or the target of a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A TCP port.
    Tcp {
        /// A name or an address; an IPv6 address without its brackets.
        host: String,
        /// Never 0.
        port: u16,
    },
    /// A UNIX stream socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads `host:port`, `[::1]:port` or `unix:/path`; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(text, path).map(Self::Unix);
        }
        let (host, port) = host_and_port(text)?;
        if host.is_empty() {
            return Err(format!(r#""{text}" has no host; write "localhost:{port}""#));
        }
        if port == 0 {
            return Err(format!(
                r#""{text}": nothing can be reached at port 0; write a port from 1 to 65535"#
            ));
        }
        Ok(Self::Tcp { host, port })
    }

    /// Parses the part behind the `//` of a URL: a host and possibly a port.
    pub(super) fn from_authority(authority: &str, default_port: u16) -> Option<Self> {
        let has_port = authority.contains(':') && !authority.ends_with(']');
        let parts = if has_port {
            host_and_port(authority)
        } else {
            host_and_port(&format!("{authority}:{default_port}"))
        };
        let (host, port) = parts.ok()?;
        (!host.is_empty() && port != 0).then_some(Self::Tcp { host, port })
    }

    /// True for a UNIX socket.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn an_endpoint_is_a_host_and_port_or_a_socket() {
        assert_eq!(
            Endpoint::parse("localhost:5900"),
            Ok(tcp("localhost", 5900))
        );
        assert_eq!(Endpoint::parse("127.0.0.1:1"), Ok(tcp("127.0.0.1", 1)));
        assert_eq!(Endpoint::parse("[::1]:65535"), Ok(tcp("::1", 65535)));
        assert_eq!(
            Endpoint::parse("my_host-1.example:80"),
            Ok(tcp("my_host-1.example", 80))
        );
        assert_eq!(
            Endpoint::parse("unix:/run/a b:c"),
            Ok(Endpoint::Unix("/run/a b:c".into()))
        );
    }

    #[test]
    fn an_endpoint_is_written_as_it_is_read() {
        for text in ["localhost:5900", "[::1]:80", "unix:/run/x"] {
            assert_eq!(
                Endpoint::parse(text).map(|endpoint| endpoint.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn an_endpoint_that_cannot_be_reached_is_refused() {
        for text in [
            "",
            "localhost",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:8 0",
            "::1",
            "::1:80",
            "[::1]",
            "[a]:80",
            "[::1:80",
            "::1]:80",
            "a b:80",
            "a/b:80",
            "http://a:80",
            "a:b:80",
            "unix:",
            "unix:run/x",
            "unix:/run/",
            "unix:/a\0b",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_socket_path_may_be_as_long_as_the_kernel_allows() {
        let longest = format!("unix:/{}", "x".repeat(106));
        assert!(Endpoint::parse(&longest).is_ok());
        assert!(Endpoint::parse(&format!("{longest}x")).is_err());
    }
}
