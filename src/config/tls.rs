//! `[tls]`: versions and certificates of the `https` listeners. Reads no certificate.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::host_pattern::HostPattern;
use super::reader::Table;
use super::value;

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    const NAMES: [(&'static str, Self); 2] = [("1.2", Self::Tls12), ("1.3", Self::Tls13)];

    /// Reads `1.2` or `1.3`; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        value::choice(text, &Self::NAMES)
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(value::name_of(*self, &Self::NAMES))
    }
}

/// One `[[tls.certificate]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// `certificate`: PEM file with the certificate and, after it, its chain.
    pub certificate: PathBuf,
    /// `key`: PEM file with the private key, in PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// `names`: host names this certificate is shown for, in lower case, exact or `*.example.org`.
    /// Empty: the names in the certificate itself.
    pub names: Vec<String>,
}

/// The `[tls]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// `minimum-version`: older clients are refused. Default 1.2.
    pub minimum_version: TlsVersion,
    /// `self-signed`: directory in which a self-signed certificate is made once, and kept, when
    /// `certificates` is empty. Relative to the working directory. Default `certs`.
    pub self_signed: PathBuf,
    /// `http2`: offers HTTP/2 to clients. Default `true`.
    pub http2: bool,
    /// `watch`: the interval of checking the certificate files for changes. Default 5 s; none: only a reload takes new
    /// ones.
    pub watch: Option<Duration>,
    /// `[[tls.certificate]]`: chosen by the name the client asks for; the first one when none fits.
    pub certificates: Vec<Certificate>,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            minimum_version: TlsVersion::Tls12,
            self_signed: PathBuf::from("certs"),
            http2: true,
            watch: Some(Duration::from_secs(5)),
            certificates: Vec::new(),
        }
    }
}

impl Tls {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            minimum_version: table.text(
                "minimum-version",
                default.minimum_version,
                TlsVersion::parse,
            ),
            self_signed: table.text("self-signed", default.self_signed, value::path),
            http2: table.flag("http2", default.http2),
            watch: table.time_limit_or_off("watch", default.watch),
            certificates: table.tables("certificate", Certificate::read),
        }
    }
}

impl Certificate {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            certificate: table
                .required("certificate", r#""/etc/noren/cert.pem""#, value::path)
                .unwrap_or_default(),
            key: table
                .required("key", r#""/etc/noren/key.pem""#, value::secret_path)
                .unwrap_or_default(),
            names: table.list("names", Vec::new(), |text| {
                Ok(HostPattern::parse(text)?.to_string())
            }),
        }
    }
}
