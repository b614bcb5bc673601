//! `[[listener]]`: where connections come in and what is spoken there. Opens nothing.

use std::fmt;
use std::path::PathBuf;

use super::address::{host_and_port, port_alone, socket_path};
use super::network::Network;
use super::reader::Table;
use super::value;

/// The address of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `host:port`, with brackets around an IPv6 address. Port 0 lets the system choose one.
    Tcp(String),
    /// A UNIX stream socket, made at start and removed at the end.
    Unix(PathBuf),
    /// A socket that systemd has opened, by its `FileDescriptorName=`.
    Systemd(String),
}

impl ListenAddress {
    /// Reads `host:port`, a port alone (at every address of this machine), `unix:/path` or
    /// `systemd:NAME`; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(port) = port_alone(text) {
            return Ok(Self::Tcp(format!("[::]:{port}")));
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(text, path).map(Self::Unix);
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            return systemd_name(text, name).map(Self::Systemd);
        }
        let (host, port) = host_and_port(text)?;
        if host.is_empty() {
            return Err(format!(
                r#""{text}" has no host; write "[::]:{port}" for every address of this machine"#
            ));
        }
        Ok(Self::Tcp(text.to_owned()))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

/// The protocol of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/2 in TLS. The default.
    Https,
    /// HTTP/1.1 without TLS, for a loopback address, a UNIX socket or a TLS terminator in front.
    Http,
    /// Plain HTTP that only answers 308 to the same host and path with `https`.
    Redirect,
    /// HTTP/1.1 without TLS that only takes messages of GRIP apps, for a loopback address or a UNIX socket.
    Grip,
}

impl Protocol {
    const NAMES: [(&'static str, Self); 4] = [
        ("https", Self::Https),
        ("http", Self::Http),
        ("redirect", Self::Redirect),
        ("grip", Self::Grip),
    ];

    /// Reads `https`, `http`, `redirect` or `grip`; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        value::choice(text, &Self::NAMES)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(value::name_of(*self, &Self::NAMES))
    }
}

/// The header in which a trusted proxy names the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`. The default.
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ForwardedHeader {
    const NAMES: [(&'static str, Self); 2] = [
        ("x-forwarded", Self::XForwarded),
        ("forwarded", Self::Forwarded),
    ];

    /// Reads `x-forwarded` or `forwarded`; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        value::choice(text, &Self::NAMES)
    }
}

/// The client certificates that an `https` listener accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// `client-authority`: PEM file of the authorities that have signed them.
    pub authority: PathBuf,
    /// `client-certificate`: fails handshakes without one. Default yes, `required`.
    pub required: bool,
}

/// One `[[listener]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// `address`: default `[::]:8001`, which takes IPv4 and IPv6.
    pub address: ListenAddress,
    /// `protocol`: default `https`.
    pub protocol: Protocol,
    /// `redirect-port`: the port a `redirect` listener sends clients to. Default 443, which is left
    /// out of the URL.
    pub redirect_port: u16,
    /// `mode`: permission bits of a `unix:` socket, at most `0o777`. Default `0o660`, owner and
    /// group.
    pub mode: u32,
    /// `trusted-proxies`: networks whose word about their clients is believed. Default none.
    pub trusted_proxies: Vec<Network>,
    /// `forwarded-header`: the header with the client's address. Default `x-forwarded`.
    pub forwarded_header: ForwardedHeader,
    /// `proxy-protocol`: each connection begins with a PROXY header, version 1 or 2. Then it is taken from the trusted
    /// proxies only; other clients may not connect. Default no.
    pub proxy_protocol: bool,
    /// `client-authority` and `client-certificate`. Default `None`: no certificate is requested.
    pub clients: Option<ClientCertificates>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            address: ListenAddress::Tcp("[::]:8001".to_owned()),
            protocol: Protocol::Https,
            redirect_port: 443,
            mode: 0o660,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwarded,
            proxy_protocol: false,
            clients: None,
        }
    }
}

impl Listener {
    /// All `[[listener]]` tables, or the default one: a server that listens nowhere is no server.
    pub(super) fn read_all(root: &mut Table<'_>) -> Vec<Self> {
        let listeners = root.tables("listener", Self::read);
        if listeners.is_empty() {
            vec![Self::default()]
        } else {
            listeners
        }
    }

    fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        let listener = Self {
            address: table.text("address", default.address, ListenAddress::parse),
            protocol: table.text("protocol", default.protocol, Protocol::parse),
            redirect_port: table.number("redirect-port", default.redirect_port, 1..=u16::MAX),
            mode: table.text("mode", default.mode, parse_mode),
            trusted_proxies: table.list("trusted-proxies", default.trusted_proxies, Network::parse),
            forwarded_header: table.text(
                "forwarded-header",
                default.forwarded_header,
                ForwardedHeader::parse,
            ),
            proxy_protocol: table.flag("proxy-protocol", default.proxy_protocol),
            clients: ClientCertificates::read(table),
        };
        if table.is_sound() && listener.trusted_proxies.is_empty() {
            for key in ["proxy-protocol", "forwarded-header"] {
                if table.has(key) {
                    table.problem(
                        key,
                        r#"needs to know whom to believe; write trusted-proxies = ["192.0.2.7"]"#,
                    );
                }
            }
        }
        // A key that would silently do nothing is a misunderstanding, and the operator should hear
        // of it now.
        if table.is_sound() && table.has("redirect-port") && listener.protocol != Protocol::Redirect
        {
            table.problem(
                "redirect-port",
                r#"has a meaning only with protocol = "redirect"; remove it"#,
            );
        }
        if table.is_sound()
            && table.has("mode")
            && !matches!(listener.address, ListenAddress::Unix(_))
        {
            table.problem(
                "mode",
                r#"has a meaning only with address = "unix:/path"; remove it"#,
            );
        }
        for key in ["client-authority", "client-certificate"] {
            if table.is_sound() && table.has(key) && listener.protocol != Protocol::Https {
                table.problem(
                    key,
                    r#"has a meaning only with protocol = "https"; remove it"#,
                );
            }
        }
        listener
    }
}

impl ClientCertificates {
    fn read(table: &mut Table<'_>) -> Option<Self> {
        let authority = table.text("client-authority", None, |text| value::path(text).map(Some));
        let rules = [("required", true), ("optional", false)];
        let required = table.text("client-certificate", true, |text| {
            value::choice(text, &rules)
        });
        if authority.is_none() && table.has("client-certificate") {
            table.problem(
                "client-authority",
                r#"is missing: whose certificates are good? Write client-authority = "/etc/noren/clients.pem""#,
            );
        }
        Some(Self {
            authority: authority?,
            required,
        })
    }
}

/// Octal permission bits as `chmod` takes them. A TOML integer cannot begin with a zero, hence the
/// string.
pub(super) fn parse_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!(r#""{text}" is not a mode; write octal digits from "0000" to "0777", such as "0660""#))
}

/// The names systemd itself allows: printable ASCII without a colon, at most 255
/// (`fd_name_is_valid`).
fn systemd_name(text: &str, name: &str) -> Result<String, String> {
    let fits = (1..=255).contains(&name.len())
        && name.chars().all(|c| (' '..='~').contains(&c) && c != ':');
    if fits {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "\"{text}\" names no systemd socket; write \"systemd:NAME\" as in FileDescriptorName=NAME of \
             the .socket unit"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_has_an_address_a_socket_or_a_name_from_systemd() {
        assert_eq!(
            ListenAddress::parse("[::]:0"),
            Ok(ListenAddress::Tcp("[::]:0".to_owned()))
        );
        assert_eq!(
            ListenAddress::parse("8443"),
            Ok(ListenAddress::Tcp("[::]:8443".to_owned()))
        );
        assert_eq!(
            ListenAddress::parse("unix:/run/n"),
            Ok(ListenAddress::Unix("/run/n".into()))
        );
        assert_eq!(
            ListenAddress::parse("systemd:https"),
            Ok(ListenAddress::Systemd("https".to_owned()))
        );
        for text in [
            "",
            "+8001",
            "80010",
            ":8001",
            "[::]",
            "::",
            "unix:n",
            "systemd:",
            "systemd:a:b",
            "systemd:é",
        ] {
            assert!(ListenAddress::parse(text).is_err(), "{text:?} was taken");
        }
    }
}
