//! Reading PEM files (RFC 7468): the items in them, and what they hold when it is not the right thing.
//!
//! Knows nothing of X.509 and of which key fits which certificate.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls::TlsError;

/// The largest file that is read. A chain has a few kilobytes; this only keeps a slip such as `/dev/zero`
/// from filling the memory.
const LARGEST_FILE: u64 = 1 << 20;

/// One section of a PEM file.
enum PemItem {
    Certificate(CertificateDer<'static>),
    Key(PrivateKeyDer<'static>),
    Request,
    Other,
}

/// A PEM file in memory.
pub(super) struct PemFile<'a> {
    path: &'a Path,
    bytes: Vec<u8>,
    items: Vec<PemItem>,
}

impl<'a> PemFile<'a> {
    /// Reads a file that is to hold a `what`.
    pub(super) fn read(path: &'a Path, what: &'static str) -> Result<Self, TlsError> {
        let bytes = read_bounded(path).map_err(|source| {
            let path = path.to_owned();
            TlsError::Read { what, path, source }
        })?;
        // A section encrypted in the old way is no base64 text, so it is looked for first.
        if contains(&bytes, "Proc-Type: 4,ENCRYPTED") {
            return Err(TlsError::Encrypted {
                path: path.to_owned(),
            });
        }
        let items = pem_items(&bytes).map_err(|source| {
            let path = path.to_owned();
            TlsError::Read { what, path, source }
        })?;
        Ok(Self { path, bytes, items })
    }

    /// All certificates, in the order of the file.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates = self.items.iter().filter_map(|item| match item {
            PemItem::Certificate(der) => Some(der.clone()),
            _ => None,
        });
        let certificates: Vec<_> = certificates.collect();
        if certificates.is_empty() {
            return Err(self.missing("certificate", self.instead_of_certificate()));
        }
        Ok(certificates)
    }

    /// The first private key.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let key = self.items.iter().find_map(|item| match item {
            PemItem::Key(key) => Some(key.clone_key()),
            _ => None,
        });
        if key.is_none() && self.has("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Err(TlsError::Encrypted {
                path: self.path.to_owned(),
            });
        }
        key.ok_or_else(|| self.missing("private key", self.instead_of_key()))
    }

    /// Whether there is a private key of any kind.
    pub(super) fn holds_key(&self) -> bool {
        self.has("PRIVATE KEY-----")
    }

    fn instead_of_certificate(&self) -> String {
        let path = self.path.display();
        if self.holds_key() {
            "it holds a private key; are certificate and key swapped?".to_owned()
        } else if self
            .items
            .iter()
            .any(|item| matches!(item, PemItem::Request))
        {
            "it holds a certificate request, which a certificate authority has yet to sign"
                .to_owned()
        } else if self.has("-----BEGIN TRUSTED CERTIFICATE-----") {
            format!(
                "it has OpenSSL's own form; convert it with: openssl x509 -in {path} -out {path}.pem"
            )
        } else if self.is_binary() {
            format!("it is binary; convert it to PEM with: openssl x509 -in {path} -out {path}.pem")
        } else {
            self.nothing("-----BEGIN CERTIFICATE-----")
        }
    }

    fn instead_of_key(&self) -> String {
        let path = self.path.display();
        if self
            .items
            .iter()
            .any(|item| matches!(item, PemItem::Certificate(_)))
        {
            "it holds a certificate; are certificate and key swapped?".to_owned()
        } else if self.has("-----BEGIN OPENSSH PRIVATE KEY-----") {
            "it holds an OpenSSH key, which is not made for TLS".to_owned()
        } else if self.holds_key() {
            "it holds a private key of a kind that TLS does not know".to_owned()
        } else if self.is_binary() {
            format!("it is binary; convert it to PEM with: openssl pkey -in {path} -out {path}.pem")
        } else {
            self.nothing("-----BEGIN PRIVATE KEY-----")
        }
    }

    fn nothing(&self, expected: &str) -> String {
        if self.bytes.trim_ascii().is_empty() {
            return "the file is empty".to_owned();
        }
        format!("there is no line {expected}")
    }

    fn missing(&self, what: &'static str, found: String) -> TlsError {
        let path = self.path.to_owned();
        TlsError::Missing { what, path, found }
    }

    fn has(&self, text: &str) -> bool {
        contains(&self.bytes, text)
    }

    /// DER and PKCS#12 both begin with the tag of an ASN.1 sequence, and are no text.
    fn is_binary(&self) -> bool {
        self.bytes.first() == Some(&0x30) && str::from_utf8(&self.bytes).is_err()
    }
}

/// The only place that knows `rustls-pemfile`: the crate is no longer maintained (RUSTSEC-2025-0134), and
/// its successor, `rustls::pki_types::pem`, has to fit here without a change elsewhere.
fn pem_items(bytes: &[u8]) -> io::Result<Vec<PemItem>> {
    use rustls_pemfile::Item;

    let mut bytes = bytes;
    let items = rustls_pemfile::read_all(&mut bytes).map(|item| {
        Ok(match item? {
            Item::X509Certificate(der) => PemItem::Certificate(der),
            Item::Pkcs1Key(key) => PemItem::Key(key.into()),
            Item::Pkcs8Key(key) => PemItem::Key(key.into()),
            Item::Sec1Key(key) => PemItem::Key(key.into()),
            Item::Csr(_) => PemItem::Request,
            _ => PemItem::Other,
        })
    });
    items.collect()
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LARGEST_FILE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other(
            "larger than 1 MiB, which no certificate is",
        ));
    }
    // Editors on Windows put a mark in front, and then the first line is not recognised.
    match bytes.strip_prefix(b"\xEF\xBB\xBF") {
        Some(text) => Ok(text.to_vec()),
        None => Ok(bytes),
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
