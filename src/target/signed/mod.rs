//! Signed links: tokens that are JSON Web Tokens (RFC 7519), signed by an app or by `noren token --sign`.
//!
//! A link names a token, or, where `allow` permits it, a host and port; for how long, for whom and how often it
//! opens it stands in its claims, which `claims` has in full. The signature is checked before anything else is
//! read, and the target is looked up only after all of it is in order, so a bad link says nothing of what there
//! is. Encrypted tokens (JWE) are not read: the libraries for that bring OpenSSL, a second cryptography, along.
//!
//! Blocks on files. Must not know how a token is resolved. No link reaches a log.

mod claims;
mod issue;
mod keys;
mod used;

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};

use super::Token;
use crate::config::{self, Endpoint};

pub use issue::{LinkOrder, SignError, sign_link};
pub use keys::KeyError;

use claims::Claims;
use keys::{Key, KeyFile};
use used::Used;

/// Reads signed links.
pub(super) struct Links {
    keys: Vec<KeyFile>,
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
        let keys = rules.keys.iter().cloned().map(KeyFile::open);
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
            used: Used::open(&rules.store, rules.grace, now()).map_err(LinksError::Store)?,
            rules: rules.clone(),
        })
    }

    /// Whether every token has to be a link.
    pub(super) fn required(&self) -> bool {
        self.rules.required
    }

    /// Whether a token looks like a link: it begins as every JSON object does in base64url, and has the dots of
    /// a JWS or a JWE.
    pub(super) fn is_link(token: &Token) -> bool {
        let text = token.plain();
        text.starts_with("eyJ") && matches!(text.matches('.').count(), 2 | 4)
    }

    /// Checks a link. Nothing is remembered by that.
    pub(super) fn read(&self, token: &Token, peer: Option<IpAddr>) -> Result<Link, LinkError> {
        let (header, claims) = self.verify(token.plain())?;
        claims.check(&header, &self.rules, peer, now())
    }

    /// Remembers that a single-use link was used.
    pub(super) fn spend(&self, once: &Once) -> Result<(), LinkError> {
        self.used.spend(once, now())
    }

    /// Header and claims, if one of the keys has signed them.
    fn verify(&self, link: &str) -> Result<(Header, Claims), LinkError> {
        if link.matches('.').count() == 4 {
            return Err(LinkError::Invalid(
                "it is encrypted (JWE), which is not read here; sign it without encrypting it",
            ));
        }
        let header = decode_header(link)
            .map_err(|_| LinkError::Invalid("its header is malformed, or its algorithm unknown"))?;
        if header.crit.is_some() {
            // RFC 7515 §4.1.11: whoever does not know what is critical must refuse it.
            return Err(LinkError::Invalid("it has a critical extension"));
        }
        let mut keys = Vec::new();
        for file in &self.keys {
            keys.extend(file.current()?.iter().cloned());
        }
        let mut fault = "no key has its algorithm and key id";
        for key in candidates(&keys, &header) {
            match decode::<Claims>(link, &key.verify, &self.validation(key)) {
                Ok(data) => return Ok((data.header, data.claims)),
                Err(error) => fault = fault_of(error.kind()),
            }
        }
        Err(LinkError::Invalid(fault))
    }

    /// The key decides about the algorithm, and the link does not: RFC 8725 §3.1. Times are checked with the
    /// other claims.
    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::new(key.algorithm);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.required_spec_claims.clear();
        if let Some(audience) = &self.rules.audience {
            validation.set_audience(&[audience]);
            validation.set_required_spec_claims(&["aud"]);
        }
        validation
    }
}

/// The keys that may have signed it: of its algorithm, and of its key id where it and the key have one.
fn candidates<'a>(keys: &'a [Key], header: &'a Header) -> impl Iterator<Item = &'a Key> {
    keys.iter().filter(|key| {
        let fits = match (&key.id, &header.kid) {
            (Some(own), Some(asked)) => own == asked,
            _ => true,
        };
        key.algorithm == header.alg && fits
    })
}

fn fault_of(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidAudience | ErrorKind::MissingRequiredClaim(_) => {
            "it is for another audience"
        }
        ErrorKind::InvalidAlgorithm => "its key has another algorithm",
        ErrorKind::Json(_) => "its claims are malformed",
        _ => "it is malformed",
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
