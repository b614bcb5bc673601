//! Errors in certificates, keys and TLS settings, with texts for the operator.
//!
//! Each text names the file or setting, the reason, and, if it is not obvious, the remedy.

use std::io;
use std::path::{Path, PathBuf};

use crate::text::Reason;
use crate::text::pem::PemError;
use crate::text::permission::Use;

/// Reasons why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or cannot be read.
    #[error("cannot read the {what} {}: {}", path.display(), unread(path, cause))]
    Read {
        /// Purpose of the file, such as `certificate` or `key`.
        what: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// The file is no valid PEM file (RFC 7468).
    #[error("cannot read the {what} {}: {reason}", path.display())]
    Pem {
        /// `certificate` or `key`.
        what: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// The line and its fault, without quoting the file.
        reason: PemError,
    },
    /// The file does not contain the expected section.
    #[error("no {what} in {}: {found}", path.display())]
    Missing {
        /// `certificate` or `private key`.
        what: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// The content that was found, and advice derived from it.
        found: String,
    },
    /// The key has a pass phrase, which could not be entered at a restart.
    #[error(
        "the key {} is encrypted; decrypt it with: openssl pkey -in {} -out {}",
        path.display(), path.display(), decrypted(path).display()
    )]
    Encrypted {
        /// Path of the key file.
        path: PathBuf,
    },
    /// A certificate cannot be parsed.
    #[error("certificate number {position} in {} is damaged: {reason}", path.display())]
    Certificate {
        /// Path of the file.
        path: PathBuf,
        /// Position of the certificate in the file, from 1.
        position: usize,
        /// The error of the parser.
        reason: String,
    },
    /// A key cannot be used.
    #[error("cannot use the key {}: {reason}", path.display())]
    Key {
        /// Path of the file.
        path: PathBuf,
        /// Kind or size of the key, and its fault.
        reason: String,
    },
    /// Certificate and key are both valid, but do not match.
    #[error("the key {} does not belong to the certificate {}: {hint}", key.display(), certificate.display())]
    Mismatch {
        /// Path of the certificate file.
        certificate: PathBuf,
        /// Path of the key file.
        key: PathBuf,
        /// Advice for finding the cause.
        hint: String,
    },
    /// The self-signed certificate could not be made or stored.
    #[error(
        "noren cannot write {}: {}; or give --cert and --key, or set tls.self-signed to a directory it may write",
        path.display(), Reason::new(path, Use::Write, cause)
    )]
    Write {
        /// Path of the file or directory.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// The stored self-signed certificate cannot be used.
    #[error("{reason}; remove noren-cert.pem and noren-key.pem from {} to have them made again", directory.display())]
    Stored {
        /// Directory of the two files.
        directory: PathBuf,
        /// The fault of the files.
        reason: Box<TlsError>,
    },
    /// The cryptographic library could not make a certificate.
    #[error("cannot make a self-signed certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A certificate in the file of client authorities cannot be used.
    #[error("cannot verify clients with {}: {reason}", path.display())]
    Authority {
        /// Path of the file.
        path: PathBuf,
        /// The error of the library.
        reason: String,
    },
    /// The list of trusted authorities is empty.
    #[error("this system trusts no certificate; install ca-certificates, or name a file as ca")]
    NoAuthorities,
    /// A server has no certificate.
    #[error("there is no certificate to present")]
    NoCertificate,
    /// The cryptographic library refuses the settings, or has no randomness.
    #[error("cannot set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    /// True if a file could not be written because the disk is full or read-only, as opposed to a missing permission.
    pub(super) fn is_of_the_disk(&self) -> bool {
        let Self::Write { cause, .. } = self else {
            return false;
        };
        matches!(
            cause.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge
                | io::ErrorKind::ReadOnlyFilesystem
        )
    }

    /// True if a file is missing, as opposed to invalid.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Read { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }

    /// The file, if this user may not use it.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        match self {
            Self::Read { path, cause, .. } | Self::Write { path, cause } => {
                let reason = Reason::new(path, Use::Read, cause);
                reason.denied().map(|_| path.as_path())
            }
            Self::Stored { reason, .. } => reason.denied(),
            _ => None,
        }
    }
}

fn unread(path: &Path, cause: &io::Error) -> String {
    Reason::new(path, Use::Read, cause).to_string()
}

fn decrypted(path: &Path) -> PathBuf {
    path.with_extension("decrypted.pem")
}
