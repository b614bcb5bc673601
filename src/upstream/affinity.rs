//! Affinity: binds the requests of a visitor to one address of an app, for apps whose sessions live in one process.
//!
//! A cookie of Noren contains a tag of the address. A tag is only compared with those of the configured addresses: a
//! client that invents a tag can at most choose among them, and is otherwise treated like a client without a cookie.
//! The app never sees the cookie. Without cookies the client's address decides, by rendezvous hashing: when an address
//! of the app fails, only its own visitors move.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};

use crate::config::{self, AppUrl};
use crate::http::{AFFINITY_COOKIE, take_affinity};

/// Length of a tag in bytes: enough that no two of 64 addresses have the same tag.
const TAG: usize = 12;

/// Identifies an address without revealing it: a hash of the address and the app's name. It is the same after a restart
/// and on every node of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag([u8; TAG]);

/// The address of an app to which a request has to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    /// Any address.
    None,
    /// The address with this tag. Without a tag, or if no address has it, any address; the response then sets the
    /// cookie.
    Cookie(Option<Tag>),
    /// The address with the highest rank for this key.
    Key(u64),
}

impl Tag {
    /// The tag of an address.
    pub(super) fn of(app: &str, url: &AppUrl) -> Self {
        let hash = digest(&SHA256, format!("noren affinity\0{app}\0{url}").as_bytes());
        let mut tag = [0; TAG];
        for (byte, of_hash) in tag.iter_mut().zip(hash.as_ref()) {
            *byte = *of_hash;
        }
        Self(tag)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// Rank of the address for a key: pseudo-random, and always the same for the same address and key.
    pub(super) fn rank(&self, key: u64) -> u64 {
        let mut own = [0; 8];
        for (byte, of_tag) in own.iter_mut().zip(self.0) {
            *byte = of_tag;
        }
        mix(u64::from_be_bytes(own) ^ key)
    }
}

impl Affinity {
    /// Determines the affinity of a request, and removes Noren's cookies from its headers. `address` is that of the
    /// client; programs of this machine have none, and share one address of the app.
    pub(super) fn of(app: &config::App, address: Option<IpAddr>, headers: &mut HeaderMap) -> Self {
        let cookie = if app.hides_affinity {
            take_affinity(headers, &app.name, Tag::parse)
        } else {
            None
        };
        match app.affinity {
            config::Affinity::None => Self::None,
            config::Affinity::Cookie => Self::Cookie(cookie),
            config::Affinity::Address => Self::Key(key(address)),
        }
    }

    /// The `Set-Cookie` of a response from the address with this tag; `None` if the client has that cookie already.
    pub(super) fn set_cookie(&self, tag: Tag, app: &str, is_https: bool) -> Option<HeaderValue> {
        let Self::Cookie(came) = self else {
            return None;
        };
        if *came == Some(tag) {
            return None;
        }
        let value = URL_SAFE_NO_PAD.encode(tag.0);
        let secure = if is_https { "; Secure" } else { "" };
        // Lax, as most session cookies are: a visitor who follows a link from another site stays at the same address.
        let text =
            format!("{AFFINITY_COOKIE}{app}={value}; Path=/; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).ok()
    }
}

fn key(address: Option<IpAddr>) -> u64 {
    let bits = match address {
        None => 0,
        Some(IpAddr::V4(address)) => u128::from(u32::from(address)),
        Some(IpAddr::V6(address)) => u128::from(address),
    };
    let bytes = bits.to_be_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        // FNV-1a, and then mixed: the addresses only have to be spread; a client may choose its own.
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finalizer of `SplitMix64`, whose result depends on each bit of its argument.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    fn tags(count: u16) -> Vec<Tag> {
        let url = |port| AppUrl::parse(&format!("http://127.0.0.1:{port}")).expect("a URL");
        (1..=count).map(|port| Tag::of("app", &url(port))).collect()
    }

    fn text(tag: Tag) -> String {
        URL_SAFE_NO_PAD.encode(tag.0)
    }

    /// The tag in a `Cookie` line, and the line for the app.
    fn taken(line: &str) -> (Option<Tag>, Option<String>) {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, line.parse().expect("a header value"));
        let tag = take_affinity(&mut headers, "app", Tag::parse);
        let left = headers
            .get(COOKIE)
            .map(|left| left.to_str().expect("ASCII").to_owned());
        (tag, left)
    }

    #[test]
    fn the_app_sees_all_cookies_but_those_of_the_door() {
        let tag = tags(1).pop().expect("a tag");
        let own = format!("noren-affinity-app={}", text(tag));
        for (line, expected, left) in [
            ("a=b; c=d".to_owned(), None, Some("a=b; c=d")),
            (own.clone(), Some(tag), None),
            (format!("a=b; {own}; c=d"), Some(tag), Some("a=b; c=d")),
            (
                format!("a=b;{own} ;c=\"d\""),
                Some(tag),
                Some("a=b; c=\"d\""),
            ),
            ("noren-affinity-app=10.0.0.7:22".to_owned(), None, None),
            (
                "a=b; noren-affinity-other=x; NOREN-AFFINITY-app=y".to_owned(),
                None,
                Some("a=b"),
            ),
            (format!("noren-affinity-app=forged; {own}"), Some(tag), None),
        ] {
            let taken = taken(&line);
            assert_eq!(taken, (expected, left.map(str::to_owned)), "{line}");
        }
    }

    #[test]
    fn a_cookie_is_set_when_its_client_has_none_that_fits() {
        let tags = tags(2);
        let (here, there) = (tags[0], tags[1]);
        assert_eq!(Affinity::None.set_cookie(here, "app", true), None);
        assert_eq!(
            Affinity::Cookie(Some(here)).set_cookie(here, "app", true),
            None
        );
        for came in [None, Some(there)] {
            let set = Affinity::Cookie(came)
                .set_cookie(here, "app", true)
                .expect("a cookie");
            let expected = format!(
                "noren-affinity-app={}; Path=/; HttpOnly; SameSite=Lax; Secure",
                text(here)
            );
            assert_eq!(set, expected);
            assert!(!expected.contains("127.0.0.1"), "the address is not shown");
        }
    }

    #[test]
    fn clients_are_spread_and_only_those_of_an_address_that_is_gone_move() {
        let tags = tags(4);
        let best = |tags: &[Tag], client: u8| {
            let key = key(Some(IpAddr::from([192, 0, 2, client])));
            tags.iter()
                .copied()
                .max_by_key(|tag| tag.rank(key))
                .expect("a tag")
        };
        let mut counts = [0; 4];
        for client in 0..=255 {
            let chosen = best(&tags, client);
            let at = tags
                .iter()
                .position(|tag| *tag == chosen)
                .expect("one of them");
            counts[at] += 1;
            if at < 3 {
                assert_eq!(best(&tags[..3], client), chosen);
            }
        }
        assert!(counts.iter().all(|count| *count > 40), "{counts:?}");
    }
}
