//! Identification of visitors by keyed hashes: of everything that the app gets to know about a visitor, and of the
//! sessions that this may identify.
//!
//! There are two hashes, for two purposes. A response of the app depends on **all** that the app got: every byte of
//! `Cookie` and `Authorization`, the host and the address; a difference that only some parsers see is a difference
//! here. A logout concerns a **session**, which is identified by the values of its cookies, in each reading that some
//! parser has of them.
//!
//! Only keyed hashes are stored, so that neither a memory dump nor a log reveals the credentials of a session without
//! an open socket. Independent of the app's responses.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderMap, HeaderValue};

use crate::access::session::cookies;
use crate::access::session::query::QueryObject;

/// A keyed hash: of everything the app gets to know about a visitor, of a session, or of the object of a query. Equal
/// inputs have equal hashes, and different inputs different ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Credential([u8; 32]);

/// The key of the hashes: random for each start unless a cluster shares it, and kept across a reload.
pub(super) struct Secret(hmac::Key);

/// Hashes of the credentials of a visitor.
#[derive(Clone)]
pub(super) struct CredentialHashes {
    /// Hash of everything the app gets to know.
    pub(super) whole: Credential,
    /// Hashes of the possible sessions, one for each reading.
    pub(super) sessions: Box<[Credential]>,
    /// Hashes of parts by which one of the sessions can be found: of each session cookie, and of the `Authorization`.
    pub(super) parts: Box<[Credential]>,
    /// True if all parsers read the same session, so that an answer may be cached.
    pub(super) is_usual: bool,
    /// True if the list of readings is complete.
    pub(super) is_complete: bool,
    /// True if the request has neither a cookie nor an `Authorization`: a login would add one, so a refusal may be
    /// cached.
    pub(super) is_anonymous: bool,
}

impl Credential {
    /// Encodes the hash for the other nodes of a cluster.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// Decodes the hash from another node.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl Secret {
    /// Creates the key that all nodes with this secret share.
    pub(super) fn shared(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self(key.expect("the generator every TLS handshake needs as well"))
    }

    /// Hashes the credentials in the head of a request as the app gets it. `names` are the cookies that identify a
    /// session; if the list is empty, all cookies do.
    pub(super) fn hashes(&self, told: &HeaderMap, names: &[String]) -> CredentialHashes {
        let (sessions, is_complete) = self.sessions(told, names);
        let has_authorization = told.contains_key(AUTHORIZATION);
        let is_usual = match told.get(COOKIE) {
            None => true,
            Some(line) if names.is_empty() => cookies::are_usual(line.as_bytes()),
            Some(line) => cookies::make_a_session(line.as_bytes(), names, has_authorization),
        };
        CredentialHashes {
            whole: self.whole(told),
            sessions,
            parts: self.parts(told, names),
            is_usual,
            is_complete,
            is_anonymous: !has_authorization && !told.contains_key(COOKIE),
        }
    }

    /// Hashes everything that the app gets to know about a visitor.
    pub(super) fn whole(&self, told: &HeaderMap) -> Credential {
        let mut parts = Parts::new(self);
        let lines = [
            ("authorization", AUTHORIZATION.as_str()),
            ("cookie", COOKIE.as_str()),
            ("host", HOST.as_str()),
            ("scheme", "x-forwarded-proto"),
            ("address", "x-real-ip"),
        ];
        for (kind, name) in lines {
            for value in told.get_all(name) {
                parts.add(kind, value.as_bytes());
            }
        }
        parts.end()
    }

    /// Hashes of the sessions that a request may identify; the flag is true if the list is complete.
    pub(super) fn sessions(&self, told: &HeaderMap, names: &[String]) -> (Box<[Credential]>, bool) {
        let authorization = told.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let Some(line) = told.get(COOKIE).map(HeaderValue::as_bytes) else {
            let mut parts = Parts::new(self);
            match authorization {
                Some(value) => parts.add_authorization(value),
                // Without anything to go by, a session is an address.
                None => parts.add_all("address", told.get_all("x-real-ip").iter()),
            }
            return (Box::new([parts.end()]), true);
        };
        let (readings, is_complete) = cookies::readings(line, names);
        let sessions = readings.iter().map(|reading| {
            let mut parts = Parts::new(self);
            if let Some(value) = authorization {
                parts.add_authorization(value);
            }
            for part in reading {
                parts.add("cookie", part);
            }
            parts.end()
        });
        (sessions.collect(), is_complete)
    }

    /// Hashes of each part of a visitor's credentials separately.
    fn parts(&self, told: &HeaderMap, names: &[String]) -> Box<[Credential]> {
        let line = told.get(COOKIE).map(HeaderValue::as_bytes);
        let cookies = line.map_or_else(Vec::new, |line| cookies::parts(line, names));
        let cookies = cookies.iter().map(|cookie| {
            let mut parts = Parts::new(self);
            for part in cookie {
                parts.add("part of a session", part);
            }
            parts.end()
        });
        let authorization = told.get(AUTHORIZATION).map(|value| {
            let mut parts = Parts::new(self);
            parts.add("part of a session", b"");
            parts.add_authorization(value.as_bytes());
            parts.end()
        });
        cookies.chain(authorization).collect()
    }

    /// Hash of the name of a user, for all sessions of that user.
    pub(super) fn user(&self, name: &str) -> Credential {
        let mut parts = Parts::new(self);
        parts.add("user", name.as_bytes());
        parts.end()
    }

    /// Hash of a credential together with the object of a query.
    pub(super) fn with_object(&self, credential: Credential, object: &QueryObject) -> Credential {
        let mut parts = Parts::new(self);
        parts.add("credential", &credential.0);
        match object {
            QueryObject::Console(console) => {
                parts.add("console", console.name.as_bytes());
                parts.add("guest", console.guest.as_bytes());
                parts.add("kind", console.kind.as_str().as_bytes());
            }
            QueryObject::Channel(name) => parts.add("channel", name.as_str().as_bytes()),
        }
        parts.end()
    }
}

/// A hash over several parts, each with its kind and length, so that two different lists never have the same input.
struct Parts(hmac::Context);

impl Parts {
    fn new(secret: &Secret) -> Self {
        Self(hmac::Context::with_key(&secret.0))
    }

    fn add(&mut self, kind: &str, bytes: &[u8]) {
        self.0.update(kind.as_bytes());
        self.0.update(&[0]);
        self.0.update(&bytes.len().to_be_bytes());
        self.0.update(bytes);
    }

    fn add_all<'a>(&mut self, kind: &str, values: impl Iterator<Item = &'a HeaderValue>) {
        for value in values {
            self.add(kind, value.as_bytes());
        }
    }

    /// Adds an `Authorization` in a normal form: the case of the scheme and the number of blanks behind it have no
    /// meaning (RFC 9110 §11.4).
    fn add_authorization(&mut self, value: &[u8]) {
        let mut words = value.splitn(2, |byte| *byte == b' ');
        let scheme = words.next().unwrap_or_default().to_ascii_lowercase();
        self.add("scheme", &scheme);
        let rest = words.next().unwrap_or_default();
        self.add("authorization", rest.trim_ascii());
    }

    fn end(self) -> Credential {
        let mut hash = [0; 32];
        // HMAC-SHA-256 has 32 bytes, as many as there is room for.
        let tag = self.0.sign();
        for (own, byte) in hash.iter_mut().zip(tag.as_ref()) {
            *own = *byte;
        }
        Credential(hash)
    }
}

#[cfg(test)]
mod tests;
