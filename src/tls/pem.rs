//! Reads PEM files (RFC 7468), and describes the content of files that contain something else.
//!
//! Independent of X.509, and of which key belongs to which certificate.

use std::path::Path;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_pemfile::Item;

use crate::text::file;
use crate::text::pem::{Section, sections, written};
use crate::tls::TlsError;

/// Size limit of a file. A chain has a few kilobytes; the limit only prevents a mistake such as `/dev/zero` from
/// filling the memory.
const LARGEST_FILE: u64 = 1 << 20;

/// Labels of certificates; the second and third are older spellings (RFC 7468 §5.1).
const CERTIFICATE: &[&str] = &["CERTIFICATE", "X509 CERTIFICATE", "X.509 CERTIFICATE"];

/// A PEM file in memory.
pub(super) struct PemFile<'a> {
    path: &'a Path,
    bytes: Vec<u8>,
    sections: Vec<Section>,
}

impl<'a> PemFile<'a> {
    /// Reads a file that should contain a `what`.
    pub(super) fn read(path: &'a Path, what: &'static str) -> Result<Self, TlsError> {
        let bytes = file::read(path, LARGEST_FILE).map_err(|cause| {
            let path = path.to_owned();
            TlsError::Read { what, path, cause }
        })?;
        let sections = sections(&bytes).map_err(|reason| {
            let path = path.to_owned();
            TlsError::Pem { what, path, reason }
        })?;
        Ok(Self {
            path,
            bytes,
            sections,
        })
    }

    /// Returns all certificates, in the order of the file. An unsupported section is an error, because it would be
    /// ignored otherwise.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates = self
            .sections
            .iter()
            .filter_map(|section| match item(section)? {
                Item::X509Certificate(certificate) => Some(certificate),
                _ => None,
            });
        let certificates: Vec<_> = certificates.collect();
        let lost = self.foreign_certificate();
        if certificates.is_empty() || lost.is_some() {
            let found = lost.unwrap_or_else(|| self.instead_of_certificate());
            return Err(self.missing("certificate", found));
        }
        Ok(certificates)
    }

    /// Returns the first private key.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let keys = || {
            self.sections
                .iter()
                .filter(|section| is_private_key(section))
        };
        if let Some(key) = keys().find_map(key_in) {
            return Ok(key);
        }
        let is_encrypted =
            |section: &Section| section.der.is_none() || section.label.starts_with("ENCRYPTED");
        if keys().any(is_encrypted) {
            return Err(TlsError::Encrypted {
                path: self.path.to_owned(),
            });
        }
        Err(self.missing("private key", self.instead_of_key()))
    }

    /// True if the file contains a private key of any kind.
    pub(super) fn holds_key(&self) -> bool {
        self.sections.iter().any(is_private_key)
    }

    /// Describes a certificate in an unsupported form.
    fn foreign_certificate(&self) -> Option<String> {
        let path = self.path.display();
        if self.has("TRUSTED CERTIFICATE") {
            return Some(format!(
                "it has OpenSSL's own form; convert it with: openssl x509 -in {path} -out {path}.pem"
            ));
        }
        (self.has("PKCS7") || self.has("CMS")).then(|| {
            format!("it has the form of PKCS#7; convert it with: openssl pkcs7 -print_certs -in {path} -out {path}.pem")
        })
    }

    fn instead_of_certificate(&self) -> String {
        let path = self.path.display();
        if self.holds_key() {
            "it holds a private key; are certificate and key swapped?".to_owned()
        } else if self.has("CERTIFICATE REQUEST") || self.has("NEW CERTIFICATE REQUEST") {
            "it holds a certificate request, which a certificate authority has yet to sign"
                .to_owned()
        } else if self.is_binary() {
            format!("it is binary; convert it to PEM with: openssl x509 -in {path} -out {path}.pem")
        } else {
            self.nothing("-----BEGIN CERTIFICATE-----")
        }
    }

    fn instead_of_key(&self) -> String {
        let path = self.path.display();
        if self.sections.iter().any(is_certificate) {
            "it holds a certificate; are certificate and key swapped?".to_owned()
        } else if self.has("OPENSSH PRIVATE KEY") {
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

    fn has(&self, label: &str) -> bool {
        self.sections.iter().any(|section| section.label == label)
    }

    /// True for DER and PKCS#12, which begin with the tag of an ASN.1 sequence and are not text.
    fn is_binary(&self) -> bool {
        self.bytes.first() == Some(&0x30) && str::from_utf8(&self.bytes).is_err()
    }
}

fn is_certificate(section: &Section) -> bool {
    CERTIFICATE.contains(&section.label.as_str())
}

fn is_private_key(section: &Section) -> bool {
    section.label.ends_with("PRIVATE KEY")
}

/// Parses the key of a section, if TLS supports its kind and it is not encrypted.
fn key_in(section: &Section) -> Option<PrivateKeyDer<'static>> {
    match item(section)? {
        Item::Pkcs8Key(key) => Some(key.into()),
        Item::Pkcs1Key(key) => Some(key.into()),
        Item::Sec1Key(key) => Some(key.into()),
        _ => None,
    }
}

/// Parses a section with the TLS library, from a text in which formal faults are corrected. The library's errors quote
/// the text that could not be parsed, which may be a key, so they are not passed on.
fn item(section: &Section) -> Option<Item> {
    let label = if is_certificate(section) {
        "CERTIFICATE"
    } else {
        &section.label
    };
    let text = written(label, section.der.as_deref()?);
    let (item, _) = rustls_pemfile::read_one_from_slice(text.as_bytes()).ok()??;
    Some(item)
}
