//! Errors of ordering a certificate, in words for the operator.

use std::io;
use std::path::PathBuf;

use instant_acme::Problem;

use crate::config::{Challenge, SecretFile};
use crate::tls::TlsError;

/// Reasons why an authority issues no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum AcmeError {
    /// A file cannot be read or written.
    #[error("{}: {source}; let the user that noren runs as write there, or set acme.store", path.display())]
    File {
        /// Path of the file or directory.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The account file is invalid.
    #[error("the account in {} cannot be read ({reason}); remove the file to have another one made", path.display())]
    Account {
        /// Path of the file.
        path: PathBuf,
        /// Description of the fault.
        reason: String,
    },
    /// The external account key of the authority is invalid.
    #[error("acme.key-file: {file}: {reason}")]
    ExternalKey {
        /// Path of the key file.
        file: SecretFile,
        /// Description of the fault.
        reason: String,
    },
    /// The authority refused a request.
    #[error("{}", problem_text(.0))]
    Refused(Problem),
    /// The authority cannot be reached, or sent an invalid response.
    #[error("the authority at {directory}: {reason}")]
    Unreachable {
        /// URL of its directory.
        directory: String,
        /// Description of the failure.
        reason: String,
    },
    /// The authority does not offer the configured challenge for this name.
    #[error(
        "the authority does not offer {wanted} for this name, but {offered}; set acme.challenge"
    )]
    NotOffered {
        /// The configured challenge.
        wanted: Challenge,
        /// The challenges that it offers.
        offered: String,
    },
    /// The authority could not validate the challenge.
    #[error(
        "the authority has not seen the answer to its challenge: {}; the name must lead to this machine, \
         and its port {} to a listener of Noren",
        reason, challenge.port()
    )]
    NotSeen {
        /// The challenge in use.
        challenge: Challenge,
        /// The error that the authority reports.
        reason: String,
    },
    /// The issued certificate, or the one for the challenge, cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The cryptographic library could not make a key or a certificate request.
    #[error("cannot make a request for a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A thread that writes files has panicked or was cancelled.
    #[error("a task was cut off: {0}")]
    Cut(#[from] tokio::task::JoinError),
}

impl AcmeError {
    /// True if the authority limits the rate of requests (RFC 8555 §6.6).
    pub(super) fn is_rate_limit(&self) -> bool {
        self.is("rateLimited")
    }

    /// True if the authority does not know the account any more.
    pub(super) fn is_lost_account(&self) -> bool {
        self.is("accountDoesNotExist")
    }

    fn is(&self, kind: &str) -> bool {
        let Self::Refused(problem) = self else {
            return false;
        };
        let known = problem.r#type.as_deref().and_then(kind_of);
        known == Some(kind)
    }
}

/// The last part of an error type `urn:ietf:params:acme:error:…`.
fn kind_of(name: &str) -> Option<&str> {
    name.strip_prefix("urn:ietf:params:acme:error:")
}

/// Formats a problem as one line.
pub(super) fn problem_text(problem: &Problem) -> String {
    let part = |kind: Option<&str>, detail: Option<&str>| {
        let kind = kind.map_or("no reason given", |kind| kind_of(kind).unwrap_or(kind));
        // Text from outside must not break the line.
        let detail: String = detail
            .unwrap_or_default()
            .chars()
            .map(|sign| if sign.is_control() { ' ' } else { sign })
            .collect();
        if detail.is_empty() {
            kind.to_owned()
        } else {
            format!("{detail} ({kind})")
        }
    };
    let mut text = part(problem.r#type.as_deref(), problem.detail.as_deref());
    for inner in &problem.subproblems {
        text.push_str("; ");
        text.push_str(&part(inner.r#type.as_deref(), inner.detail.as_deref()));
    }
    text
}

/// Converts an error of the library, with the URL of the directory.
pub(super) fn explain(directory: &str) -> impl Fn(instant_acme::Error) -> AcmeError + '_ {
    |error| match error {
        instant_acme::Error::Api(problem) => AcmeError::Refused(problem),
        other => AcmeError::Unreachable {
            directory: directory.to_owned(),
            reason: match other {
                instant_acme::Error::Json(_) => {
                    "its answer is not that of an ACME server".to_owned()
                }
                other => other.to_string(),
            },
        },
    }
}
