//! Why there is no certificate, in words for the operator. Decides nothing.

use std::io;
use std::path::PathBuf;

use instant_acme::Problem;

use crate::config::{Challenge, SecretFile};
use crate::tls::TlsError;

/// Why an authority gives no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum AcmeError {
    /// A file that is kept for it.
    #[error("{}: {source}; let the user that noren runs as write there, or set acme.store", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The account that is kept is none.
    #[error("the account in {} cannot be read ({reason}); remove the file to have another one made", path.display())]
    Account {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key that the authority has given out.
    #[error("acme.key-file: {file}: {reason}")]
    ExternalKey {
        /// The file.
        file: SecretFile,
        /// What is wrong with it.
        reason: String,
    },
    /// It refused something.
    #[error("{}", said(.0))]
    Refused(Problem),
    /// It could not be reached, or gave an answer that makes no sense.
    #[error("the authority at {directory}: {reason}")]
    Unreachable {
        /// Its URL.
        directory: String,
        /// Why.
        reason: String,
    },
    /// It cannot look at the name in the way that is configured.
    #[error(
        "the authority does not offer {wanted} for this name, but {offered}; set acme.challenge"
    )]
    NotOffered {
        /// What is configured.
        wanted: Challenge,
        /// What it offers.
        offered: String,
    },
    /// It has looked, and not seen what it should.
    #[error(
        "the authority has not seen the answer to its challenge: {}; the name must lead to this machine, and its port {} to a listener of Noren",
        reason, challenge.port()
    )]
    NotSeen {
        /// How it has looked.
        challenge: Challenge,
        /// What it says.
        reason: String,
    },
    /// What it gave, or what is shown to it, cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The cryptographic library could not make a key or a request.
    #[error("cannot make a request for a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A thread that writes files did not come to its end.
    #[error("a task was cut off: {0}")]
    Cut(#[from] tokio::task::JoinError),
}

impl AcmeError {
    /// Whether the authority has had enough for now (RFC 8555 §6.6).
    pub(super) fn is_rate_limit(&self) -> bool {
        self.is("rateLimited")
    }

    /// Whether it does not know our account any more.
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

/// The last part of `urn:ietf:params:acme:error:…`.
fn kind_of(name: &str) -> Option<&str> {
    name.strip_prefix("urn:ietf:params:acme:error:")
}

/// A problem as one line.
pub(super) fn said(problem: &Problem) -> String {
    let part = |kind: Option<&str>, detail: Option<&str>| {
        let kind = kind.map_or("no reason given", |kind| kind_of(kind).unwrap_or(kind));
        // The words of somebody else must not break the line.
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

/// An error of the library, with the URL that was asked.
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
