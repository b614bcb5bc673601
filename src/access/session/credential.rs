//! Who a visitor is, as far as the door can tell: what the visitor's cookies and `Authorization` are, and not
//! what they mean.
//!
//! Only a keyed hash is kept, so that neither a dump of memory nor a log gives away a session that nobody has
//! a socket open for. Must not know what the app says of it.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

use crate::access::session::question::Matter;
use crate::net::Peer;

/// A keyed hash of a credential, or of what was asked about with one. Equal for equal ones only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Credential([u8; 32]);

/// What the hashes are keyed with: new for each start, kept over a reload.
pub(super) struct Secret(hmac::Key);

impl Secret {
    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self(key.expect("the generator every TLS handshake needs as well"))
    }

    /// The credential in a request head. `cookies` names those that count; if it is empty all do.
    ///
    /// Without any, the address is what the app can go by, so one visitor's yes is not another's.
    pub(super) fn credential(
        &self,
        headers: &HeaderMap,
        cookies: &[String],
        peer: Peer,
    ) -> Credential {
        let mut parts = Parts::new(self);
        for value in headers.get_all(AUTHORIZATION) {
            parts.add("authorization", value.as_bytes());
        }
        // HTTP/2 may spread them over several lines (RFC 9113 §8.2.3), so lines mean nothing.
        let lines = headers.get_all(COOKIE).iter();
        let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        for pair in pairs.map(<[u8]>::trim_ascii) {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            if cookies.is_empty() || cookies.iter().any(|cookie| cookie.as_bytes() == name) {
                parts.add("cookie", pair);
            }
        }
        if parts.none
            && let Some(address) = peer.ip()
        {
            parts.add("address", address.to_string().as_bytes());
        }
        parts.end()
    }

    /// The credential together with what it is asked about.
    pub(super) fn matter(&self, credential: Credential, matter: &Matter) -> Credential {
        let mut parts = Parts::new(self);
        parts.add("credential", &credential.0);
        match matter {
            Matter::Console(name) => parts.add("console", name.as_bytes()),
            Matter::Channel(name) => parts.add("channel", name.as_str().as_bytes()),
        }
        parts.end()
    }
}

/// A hash that is being made of parts, each with its kind and its length, so that two lists never look alike.
struct Parts {
    hash: hmac::Context,
    none: bool,
}

impl Parts {
    fn new(secret: &Secret) -> Self {
        Self {
            hash: hmac::Context::with_key(&secret.0),
            none: true,
        }
    }

    fn add(&mut self, kind: &str, bytes: &[u8]) {
        self.none = false;
        self.hash.update(kind.as_bytes());
        self.hash.update(&[0]);
        self.hash.update(&bytes.len().to_be_bytes());
        self.hash.update(bytes);
    }

    fn end(self) -> Credential {
        let mut hash = [0; 32];
        // HMAC-SHA-256 has 32 bytes, as many as there is room for.
        let tag = self.hash.sign();
        for (own, byte) in hash.iter_mut().zip(tag.as_ref()) {
            *own = *byte;
        }
        Credential(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ChannelName;

    fn channel(name: &str) -> Matter {
        Matter::Channel(ChannelName::parse(name).expect("a name"))
    }
    use http::{HeaderName, HeaderValue};

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        headers
    }

    fn peer(address: &str) -> Peer {
        Peer::Tcp(address.parse().expect("an address"))
    }

    #[test]
    fn lines_mean_nothing_and_every_other_difference_does() {
        let secret = Secret::new();
        let here = peer("192.0.2.1:1");
        let of = |lines: &[_]| secret.credential(&headers(lines), &[], here);
        assert!(of(&[("cookie", "a=1; b=2")]) == of(&[("cookie", "a=1"), ("cookie", "b=2")]));
        let different = [
            of(&[]),
            of(&[("cookie", "a=1")]),
            of(&[("cookie", "a=1; b=2")]),
            of(&[("cookie", "a=1b=2")]),
            of(&[("authorization", "a=1")]),
            of(&[("cookie", "a=1"), ("authorization", "Basic YTox")]),
            Secret::new().credential(&headers(&[("cookie", "a=1")]), &[], here),
            secret.matter(of(&[("cookie", "a=1")]), &Matter::Console("vm".into())),
            secret.matter(of(&[("cookie", "a=1")]), &channel("vm")),
        ];
        for (at, one) in different.iter().enumerate() {
            assert!(!different.iter().skip(at + 1).any(|other| one == other));
        }
    }

    #[test]
    fn the_address_counts_only_where_nothing_else_does() {
        let secret = Secret::new();
        let of = |lines: &[_], address, cookies: &[String]| {
            secret.credential(&headers(lines), cookies, peer(address))
        };
        let cookie = [("cookie", "a=1")];
        assert!(of(&cookie, "192.0.2.1:1", &[]) == of(&cookie, "192.0.2.2:1", &[]));
        assert!(of(&[], "192.0.2.1:1", &[]) == of(&[], "192.0.2.1:2", &[]));
        assert!(of(&[], "192.0.2.1:1", &[]) != of(&[], "192.0.2.2:1", &[]));
        let named = ["wok".to_owned()];
        assert!(of(&cookie, "192.0.2.1:1", &named) != of(&cookie, "192.0.2.2:1", &named));
    }

    #[test]
    fn of_named_cookies_the_others_do_not_count() {
        let secret = Secret::new();
        let named = ["wok".to_owned()];
        let of =
            |line| secret.credential(&headers(&[("cookie", line)]), &named, peer("192.0.2.1:1"));
        assert!(of("lang=en; wok=1") == of("wok=1; last=x"));
        assert!(of("wok=1") != of("wok=2"));
        assert!(of("wok=1") != of("wok2=1"));
        assert!(of("wok=1") != of("wok=1; wok=2"));
    }
}
