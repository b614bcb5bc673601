//! Loads a certificate chain with its key, from the two files that an operator names.
//!
//! Every certificate that works in a handshake is loaded, even one that clients complain about: Wok makes its own with
//! SHA-1, without alternative names and dated into the future, and users who have accepted it as an exception in their
//! browsers must not be locked out. Its faults are logged. For this reason the checks are our own: rustls, for example,
//! refuses X.509 version 1.
//!
//! Blocks on files. Independent of handshakes and of the choice among certificates.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::clock::moment;
use crate::config::Certificate;
use crate::tls::pem::PemFile;
use crate::tls::{CertificateNames, TlsError, key, warnings};

/// A certificate chain with its key, ready for handshakes.
#[derive(Debug)]
pub(crate) struct LoadedCertificate {
    key: Arc<CertifiedKey>,
    names: Arc<CertificateNames>,
    begins: SystemTime,
    expires: SystemTime,
    file: PathBuf,
    warnings: Vec<String>,
}

impl LoadedCertificate {
    /// Reads and checks the two files, and checks that they match.
    ///
    /// # Errors
    /// [`TlsError`] names the file and its fault.
    pub(crate) fn load(files: &Certificate) -> Result<Self, TlsError> {
        Self::load_at(files, SystemTime::now())
    }

    /// The chain and key in the form that rustls uses.
    pub(super) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// The names for which it is presented: those in the configuration, or otherwise those in the certificate.
    #[must_use]
    pub(crate) fn names(&self) -> &Arc<CertificateNames> {
        &self.names
    }

    /// The certificate itself, without its chain; `None` only if the file has none.
    #[must_use]
    pub(crate) fn end_entity(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }

    /// Start of its validity.
    #[must_use]
    pub(crate) fn begins(&self) -> SystemTime {
        self.begins
    }

    /// End of its validity.
    #[must_use]
    pub(crate) fn expires(&self) -> SystemTime {
        self.expires
    }

    /// The file it was read from.
    #[must_use]
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Warnings about faults that clients will complain about, one whole sentence each, with the name of the file.
    #[must_use]
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Adds a warning.
    pub(super) fn warn(&mut self, sentence: String) {
        self.warnings.push(sentence);
    }

    /// Creates the value from a new certificate and key that are in no file. `file` is the path at which the
    /// certificate should be.
    ///
    /// # Errors
    /// [`TlsError::Key`] or [`TlsError::Certificate`].
    pub(super) fn in_memory(
        certificate: CertificateDer<'static>,
        key: &PrivateKeyDer<'_>,
        file: &Path,
    ) -> Result<Self, TlsError> {
        let key = key::signing_key(key).map_err(|reason| TlsError::Key {
            path: file.to_owned(),
            reason,
        })?;
        let chain = vec![certificate];
        let parsed = parse_chain(&chain, file)?;
        let leaf = parsed.first().ok_or(TlsError::NoCertificate)?;
        let names = CertificateNames::of(leaf);
        let validity = validity(leaf);
        let certified = CertifiedKey::new(chain, key);
        Ok(Self::new(certified, names, validity, file))
    }

    /// Loads as [`load`](Self::load) does, and warns of faults at this time.
    ///
    /// # Errors
    /// A [`TlsError`] as for [`load`](Self::load).
    pub(super) fn load_at(files: &Certificate, now: SystemTime) -> Result<Self, TlsError> {
        let key = load_key(&files.key);
        let certificate_file = match PemFile::read(&files.certificate, "certificate") {
            // What this user may not read is no reason to pass over what is wrong with the key.
            Err(denied) if denied.denied().is_some() => return Err(key.err().unwrap_or(denied)),
            file => file?,
        };
        let chain = certificate_file.certificates()?;
        let parsed = parse_chain(&chain, &files.certificate)?;
        let leaf = parsed.first().ok_or(TlsError::NoCertificate)?;
        let key = key?;
        if !is_pair(leaf, key.as_ref()) {
            return Err(mismatch(files, &parsed, key.as_ref()));
        }
        let own_names = CertificateNames::of(leaf);
        let names = if files.names.is_empty() {
            own_names.clone()
        } else {
            CertificateNames::written(&files.names)
        };

        let mut warnings = certificate_warnings(files, &parsed, key.as_ref(), now);
        warnings.extend(uncovered(files, &names, &own_names));
        warnings.extend(file_warnings(files, &certificate_file));
        let validity = validity(leaf);
        let certified = CertifiedKey::new(chain, key);
        let loaded = Self::new(certified, names, validity, &files.certificate);
        Ok(Self { warnings, ..loaded })
    }

    fn new(
        key: CertifiedKey,
        names: CertificateNames,
        (begins, expires): (SystemTime, SystemTime),
        file: &Path,
    ) -> Self {
        Self {
            key: Arc::new(key),
            names: Arc::new(names),
            begins,
            expires,
            file: file.to_owned(),
            warnings: Vec::new(),
        }
    }
}

/// Start and end of the validity of a certificate.
fn validity(certificate: &X509Certificate<'_>) -> (SystemTime, SystemTime) {
    let validity = certificate.validity();
    (
        moment(validity.not_before.timestamp()),
        moment(validity.not_after.timestamp()),
    )
}

fn parse_chain<'a>(
    chain: &'a [CertificateDer<'static>],
    path: &Path,
) -> Result<Vec<X509Certificate<'a>>, TlsError> {
    let parse = |(index, der): (usize, &'a CertificateDer<'static>)| {
        let damaged = |reason: String| TlsError::Certificate {
            path: path.to_owned(),
            position: index + 1,
            reason,
        };
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Ok(certificate),
            Ok((rest, _)) => Err(damaged(format!("{} bytes too many", rest.len()))),
            Err(error) => Err(damaged(error.to_string())),
        }
    };
    chain.iter().enumerate().map(parse).collect()
}

fn load_key(path: &Path) -> Result<Arc<dyn SigningKey>, TlsError> {
    let der = PemFile::read(path, "key")?.key()?;
    key::signing_key(&der).map_err(|reason| {
        let path = path.to_owned();
        TlsError::Key { path, reason }
    })
}

/// True if the certificate belongs to this key. Only the key bits are compared, because the parameters beside them
/// may be encoded in several equivalent ways.
fn is_pair(certificate: &X509Certificate<'_>, key: &dyn SigningKey) -> bool {
    let Some(own) = key.public_key() else {
        return false;
    };
    SubjectPublicKeyInfo::from_der(&own)
        .is_ok_and(|(_, own)| own.subject_public_key == certificate.public_key().subject_public_key)
}

fn mismatch(files: &Certificate, chain: &[X509Certificate<'_>], key: &dyn SigningKey) -> TlsError {
    let hint = match chain
        .iter()
        .position(|certificate| is_pair(certificate, key))
    {
        Some(index) => {
            format!(
                "it belongs to certificate number {} in that file; put that one first",
                index + 1
            )
        }
        None => "they are from two different pairs".to_owned(),
    };
    TlsError::Mismatch {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        hint,
    }
}

fn certificate_warnings(
    files: &Certificate,
    chain: &[X509Certificate<'_>],
    key: &dyn SigningKey,
    now: SystemTime,
) -> Vec<String> {
    let path = files.certificate.display();
    let mut warnings = Vec::new();
    for (index, certificate) in chain.iter().enumerate() {
        let (whose, found) = match index {
            0 => (
                format!("the certificate {path}"),
                warnings::of_certificate(certificate, now),
            ),
            _ => (
                format!("certificate number {} in {path}", index + 1),
                warnings::of_issuer(certificate, now),
            ),
        };
        warnings.extend(found.into_iter().map(|oddity| format!("{whose}: {oddity}")));
    }
    warnings
        .extend(warnings::of_key(key).map(|oddity| format!("the certificate {path}: {oddity}")));
    warnings
}

/// Names that the operator has configured and the certificate lacks.
fn uncovered(
    files: &Certificate,
    wanted: &CertificateNames,
    own: &CertificateNames,
) -> Option<String> {
    let missing: Vec<&str> = wanted.exact().filter(|name| !own.covers(name)).collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "the certificate {} is configured for {}, but was not issued for it",
        files.certificate.display(),
        missing.join(", ")
    ))
}

/// Warnings about file permissions. Wok leaves its key readable by everyone (0644), so that is no error here.
fn file_warnings(files: &Certificate, certificate_file: &PemFile<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mode = files
        .key
        .metadata()
        .map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        let path = files.key.display();
        warnings.push(format!(
            "every user of this machine has access to the key {path}; chmod o= {path}"
        ));
    }
    if files.certificate != files.key && certificate_file.holds_key() {
        let path = files.certificate.display();
        warnings.push(format!(
            "a private key lies in the certificate file {path} too, and is not used"
        ));
    }
    warnings
}

#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
