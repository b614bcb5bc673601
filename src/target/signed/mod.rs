//! Signed links: tokens that are JSON Web Tokens (RFC 7519), signed by an app or by `noren token --sign`.
//!
//! A link names a token, or, where `allow` permits it, a host and port; for how long, for whom and how often it
//! opens it stands in its claims, which `claims` has in full. The signature is checked before anything else is
//! read, and the target is looked up only after all of it is in order, so a bad link says nothing of what there
//! is.
//!
//! Blocks on files. Must not know how a token is resolved. No link reaches a log.

mod claims;
mod issue;
mod used;

use std::net::IpAddr;

use super::Token;
use crate::config::{self, Endpoint};
use crate::jwt::{self, KeyError, Keys, Untimely, Unverified, now};

pub use issue::{LinkOrder, SignError, sign_link};

use claims::Claims;
use used::Used;

/// What the configuration calls the keys.
const SETTING: &str = "bridge.signed.keys";

/// Reads signed links.
pub(super) struct Links {
    keys: Keys,
    used: Used,
    rules: config::Signed,
}

/// A link that is in order.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) purpose: Purpose,
    pub(super) once: Option<Once>,
}

/// What a link opens.
#[derive(Debug)]
pub(super) enum Purpose {
    /// What the token of this name opens.
    Token(String),
    /// This, if it is allowed.
    Target(Endpoint),
}

/// A single-use link, to be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Once {
    /// Who has made it, and what is the same in no other link of theirs.
    id: [u8; 32],
    /// When nobody would believe it any more, in seconds since 1970.
    until: u64,
    /// Who uses it: an address, or [`UNIX`].
    peer: String,
}

/// The peer of a connection on a UNIX socket, which has no address.
const UNIX: &str = "unix";

/// Why a link opens nothing. The text is for the log, and has nothing of the link in it.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A plain token, where only signed links are accepted.
    #[error("the token is not signed")]
    Unsigned,
    /// It was not made by whoever has the key, or makes no sense.
    #[error("the link is not valid: {0}")]
    Invalid(&'static str),
    /// It is too late.
    #[error("the link has expired")]
    Expired,
    /// It is too early.
    #[error("the link is not valid yet")]
    Early,
    /// It is for another client.
    #[error("the link is for another address")]
    Elsewhere,
    /// It has done what it was for.
    #[error("the link was used already")]
    Used,
    /// The keys cannot be read, so nothing can be checked.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// That it was used could not be remembered, so it must not be.
    #[error("{0}")]
    Store(String),
    /// Files did not answer in time.
    #[error("the link could not be checked in time")]
    Slow,
}

/// Why links cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    /// A key.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The store of used links.
    #[error(
        "bridge.signed.store: {0}; let the user that noren runs as write it, or name another file"
    )]
    Store(String),
}

impl Links {
    /// Reads the keys and the links that were used.
    pub(super) fn open(rules: &config::Signed) -> Result<Self, LinksError> {
        Ok(Self {
            keys: Keys::open(SETTING, &rules.keys)?,
            used: Used::open(&rules.store, rules.grace, now()).map_err(LinksError::Store)?,
            rules: rules.clone(),
        })
    }

    /// Whether every token has to be a link.
    pub(super) fn required(&self) -> bool {
        self.rules.required
    }

    /// Whether a token looks like a link.
    pub(super) fn is_link(token: &Token) -> bool {
        jwt::is_token(token.plain())
    }

    /// Checks a link. Nothing is remembered by that.
    pub(super) fn read(&self, token: &Token, peer: Option<IpAddr>) -> Result<Link, LinkError> {
        let audience = self.rules.audience.as_deref();
        let (header, claims) = self.keys.verify::<Claims>(token.plain(), audience)?;
        claims.check(&header, &self.rules, peer, now())
    }

    /// Remembers that a single-use link was used.
    pub(super) fn spend(&self, once: &Once) -> Result<(), LinkError> {
        self.used.spend(once, now())
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
