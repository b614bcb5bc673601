//! What can be wrong with certificates, keys and TLS settings, in words for the operator.
//!
//! Each text says what, where, why, and, where it is not obvious, what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::text::pem::PemError;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or may not be read.
    #[error("cannot read the {what} {}: {source}{}", path.display(), remedy(source))]
    Read {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no proper PEM file (RFC 7468).
    #[error("cannot read the {what} {}: {reason}", path.display())]
    Pem {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong there; nothing that stands in the file.
        reason: PemError,
    },
    /// The file holds something else.
    #[error("no {what} in {}: {found}", path.display())]
    Missing {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What it holds, and what that suggests.
        found: String,
    },
    /// The key has a pass phrase, which nobody could type at a restart.
    #[error(
        "the key {} is encrypted; decrypt it with: openssl pkey -in {} -out {}",
        path.display(), path.display(), decrypted(path).display()
    )]
    Encrypted {
        /// The key file.
        path: PathBuf,
    },
    /// A certificate that is none inside.
    #[error("certificate number {position} in {} is damaged: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Which one in the file, from 1.
        position: usize,
        /// What the parser said.
        reason: String,
    },
    /// A key that cannot be used.
    #[error("cannot use the key {}: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Its kind or size, and what is wrong with it.
        reason: String,
    },
    /// Certificate and key are both good, but not a pair.
    #[error("the key {} does not belong to the certificate {}: {hint}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What to look at.
        hint: String,
    },
    /// The self-signed certificate could not be made or kept.
    #[error(
        "noren cannot write {}: {source}; give --cert and --key, or set tls.self-signed to a directory it may write",
        path.display()
    )]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The self-signed certificate that was kept cannot be used.
    #[error("{reason}; remove noren-cert.pem and noren-key.pem from {} to have them made again", directory.display())]
    Kept {
        /// Where the two files are.
        directory: PathBuf,
        /// What is wrong with them.
        reason: Box<TlsError>,
    },
    /// The cryptographic library could not make a certificate.
    #[error("cannot make a self-signed certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// An authority of clients that nothing can be verified with.
    #[error("cannot verify clients with {}: {reason}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What the library said.
        reason: String,
    },
    /// A client needs authorities to believe in.
    #[error("this system trusts no certificate; install ca-certificates, or name a file as ca")]
    NoAuthorities,
    /// A server needs a certificate.
    #[error("there is no certificate to present")]
    NoCertificate,
    /// The cryptographic library refuses the settings, or has no randomness.
    #[error("cannot set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    /// Whether a file is not there, rather than wrong.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; correct the path, or leave it out to have a certificate made",
        io::ErrorKind::PermissionDenied => "; let the user that noren runs as read it",
        _ => "",
    }
}

fn decrypted(path: &Path) -> PathBuf {
    path.with_extension("decrypted.pem")
}
