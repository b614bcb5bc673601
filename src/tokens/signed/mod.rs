//! Signed links: tokens that are JSON Web Tokens (RFC 7519), signed by an app or by `noren token --sign`.
//!
//! A link names a token, or, where `allow` permits it, a host and port; its claims limit its time, its client and
//! its uses, as `claims` lists them. The signature is checked before anything else is read, and the target is
//! looked up only after all checks, so an invalid link reveals nothing about existing targets.
//!
//! Blocks on files. Must not know how a token is resolved. No link reaches a log.

mod claims;
mod issue;
mod used;

use std::net::IpAddr;
use std::path::Path;

use super::Token;
use crate::clock::now_seconds;
use crate::config::{self, Endpoint};
use crate::faults::Faults;
use crate::jwt::{self, KeyError, Keys, Untimely, Unverified};
use crate::text::Reason;

pub use issue::{LinkOrder, SignError, sign_link};

use claims::Claims;
use used::Used;

/// Name of the key setting in the configuration.
const SETTING: &str = "bridge.signed.keys";

/// Verifies signed links.
pub(super) struct Links {
    keys: Keys,
    used: Used,
    rules: config::Signed,
}

/// A verified link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) purpose: Purpose,
    pub(super) once: Option<Once>,
    /// True if it is view-only.
    pub(super) view_only: bool,
}

/// The purpose of a link.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Opens the target of the token with this name.
    Token(String),
    /// Opens this target, if `allow` permits it.
    Target(Endpoint),
}

/// Identification of a single-use link, for the record of its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Once {
    /// Unique identifier of the link: a hash of its key and its `jti`.
    id: [u8; 32],
    /// Time after which it is invalid everywhere, in Unix seconds.
    until: u64,
    /// The client that uses it: an address, or [`UNIX`].
    peer: String,
}

/// Name of a client on a UNIX socket, which has no address.
const UNIX: &str = "unix";

/// Reasons why a link is refused. The text is for the log, and contains nothing of the link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// It is a plain token, and only signed links are accepted.
    #[error("the token is not signed")]
    Unsigned,
    /// The signature or the content is invalid.
    #[error("the link is not valid: {0}")]
    Invalid(&'static str),
    /// The link has expired.
    #[error("the link has expired")]
    Expired,
    /// The link is not valid yet.
    #[error("the link is not valid yet")]
    Early,
    /// The link is for another client.
    #[error("the link is for another address")]
    Elsewhere,
    /// The single-use link was used before.
    #[error("the link was used already")]
    Used,
    /// The keys cannot be read, so no link can be verified.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The use cannot be recorded, so the link must not be used.
    #[error("{0}")]
    Store(String),
    /// File access did not complete in time.
    #[error("the link could not be checked in time")]
    Slow,
}

/// Reasons why links cannot be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    /// A key cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The store of used links cannot be opened.
    #[error("bridge.signed.store: {0}")]
    Store(Reason),
}

impl LinksError {
    /// The file, if this user may not use it.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        match self {
            Self::Keys(error) => error.denied(),
            Self::Store(reason) => reason.denied(),
        }
    }
}

impl Links {
    /// Reads the keys and the links that were used. Writes nothing.
    pub(super) fn open(rules: &config::Signed) -> Result<Self, Faults<LinksError>> {
        let mut faults = Faults::default();
        let keys = faults.keep_all(Keys::open(SETTING, &rules.keys));
        let used = Used::open(&rules.store, rules.grace, now_seconds()).map_err(LinksError::Store);
        let (Some(keys), Some(used)) = (keys, faults.keep(used)) else {
            return Err(faults);
        };
        let rules = rules.clone();
        Ok(Self { keys, used, rules })
    }

    /// True if every token has to be a signed link.
    pub(super) fn required(&self) -> bool {
        self.rules.required
    }

    /// True if a token has the form of a signed link.
    pub(super) fn is_link(token: &Token) -> bool {
        jwt::is_token(token.plain())
    }

    /// Verifies a link, without recording its use.
    pub(super) fn read(&self, token: &Token, peer: Option<IpAddr>) -> Result<Link, LinkError> {
        let audience = self.rules.audience.as_deref();
        let (header, claims) = self.keys.verify::<Claims>(token.plain(), audience)?;
        claims.check(&header, &self.rules, peer, now_seconds())
    }

    /// Records the use of a single-use link.
    pub(super) fn mark_used(&self, once: &Once) -> Result<(), LinkError> {
        self.used.mark_used(once, now_seconds())
    }
}

impl From<Unverified> for LinkError {
    fn from(error: Unverified) -> Self {
        match error {
            Unverified::Invalid(reason) => Self::Invalid(reason),
            Unverified::Keys(error) => Self::Keys(error),
        }
    }
}

impl From<Untimely> for LinkError {
    fn from(error: Untimely) -> Self {
        match error {
            Untimely::Expired => Self::Expired,
            Untimely::Early => Self::Early,
            Untimely::Invalid(reason) => Self::Invalid(reason),
        }
    }
}

#[cfg(test)]
mod tests;
