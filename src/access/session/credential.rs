//! Identification of visitors by keyed hashes: of everything the app gets to know about a visitor, and of the
//! sessions that this may contain.
//!
//! There are two hashes, for two uses. An answer of the app depends on **all** that it got: every byte of `Cookie`
//! and `Authorization`, the host and the address; a difference that only some parsers see is a difference here. A
//! logout concerns a **session**, which is identified by the values of its cookies, in each reading that some
//! parser has of them.
//!
//! Only keyed hashes are kept, so that neither a memory dump nor a log reveals a session without an open socket.
//! Independent of the app's answers.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderMap, HeaderValue};

use crate::access::session::cookies;
use crate::access::session::query::Matter;

/// A keyed hash: of everything the app gets to know about a visitor, of a session, or of the object of a query.
/// Equal only for equal input.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Credential([u8; 32]);

/// The key of the hashes: random for each start unless a cluster shares it, and kept across a reload.
pub(super) struct Secret(hmac::Key);

/// The credentials of a visitor.
#[derive(Clone)]
pub(super) struct Shown {
    /// Hash of everything the app gets to know.
    pub(super) whole: Credential,
    /// Hashes of the possible sessions, one for each reading.
    pub(super) sessions: Box<[Credential]>,
    /// Hashes of parts by which one of them may be found: each cookie of the session, and the `Authorization`.
    pub(super) parts: Box<[Credential]>,
    /// True if all parsers read the same session, so that an answer may be cached.
    pub(super) is_usual: bool,
    /// True if the list of readings is complete.
    pub(super) is_complete: bool,
    /// True without a cookie and without `Authorization`: a login would add one, so a refusal may be cached.
    pub(super) is_anonymous: bool,
}

impl Credential {
    /// Encodes the hash for the other nodes of a cluster.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// Decodes the hash of another node.
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
    /// session; if it is empty, all do.
    pub(super) fn shown(&self, told: &HeaderMap, names: &[String]) -> Shown {
        let (sessions, is_complete) = self.sessions(told, names);
        let has_authorization = told.contains_key(AUTHORIZATION);
        let is_usual = match told.get(COOKIE) {
            None => true,
            Some(line) if names.is_empty() => cookies::are_usual(line.as_bytes()),
            Some(line) => cookies::make_a_session(line.as_bytes(), names, has_authorization),
        };
        Shown {
            whole: self.whole(told),
            sessions,
            parts: self.parts(told, names),
            is_usual,
            is_complete,
            is_anonymous: !has_authorization && !told.contains_key(COOKIE),
        }
    }

    /// Hashes everything the app gets to know, and which of its processes does.
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

    /// Hashes of the sessions that a visitor may have shown, and true if the list is complete.
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

    /// Hashes of each part of a visitor's credentials alone.
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
    pub(super) fn matter(&self, credential: Credential, matter: &Matter) -> Credential {
        let mut parts = Parts::new(self);
        parts.add("credential", &credential.0);
        match matter {
            Matter::Console(console) => {
                parts.add("console", console.name.as_bytes());
                parts.add("guest", console.guest.as_bytes());
                parts.add("kind", console.kind.as_str().as_bytes());
            }
            Matter::Channel(name) => parts.add("channel", name.as_str().as_bytes()),
        }
        parts.end()
    }
}

/// A hash over parts, each with its kind and its length, so that two lists never collide.
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
mod tests {
    use super::*;
    use crate::config::ChannelName;
    use crate::tokens::{Console, ConsoleKind};
    use http::HeaderName;

    fn told(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
            );
        }
        headers
    }

    #[test]
    fn every_difference_in_what_the_app_is_told_is_one() {
        let secret = Secret::new();
        let of = |lines: &[_]| secret.shown(&told(lines), &["wok".to_owned()]).whole;
        let console = |guest: &str, kind| {
            Matter::Console(Console {
                name: "vm-console".into(),
                guest: guest.into(),
                kind,
            })
        };
        let cookie = of(&[("cookie", "a=1")]);
        let different = [
            of(&[]),
            cookie,
            of(&[("cookie", "a =1")]),
            of(&[("cookie", "a=1; b=2")]),
            of(&[("cookie", "a=1;b=2")]),
            of(&[("cookie", "b=2; a=1")]),
            of(&[("cookie", "a=1b=2")]),
            of(&[("authorization", "a=1")]),
            of(&[("cookie", "a=1"), ("authorization", "Basic YTox")]),
            of(&[("cookie", "a=1"), ("x-real-ip", "192.0.2.1")]),
            of(&[("cookie", "a=1"), ("host", "a.example")]),
            of(&[("cookie", "a=1"), ("x-forwarded-proto", "https")]),
            Secret::new().shown(&told(&[("cookie", "a=1")]), &[]).whole,
            secret.matter(cookie, &console("vm", ConsoleKind::Serial)),
            secret.matter(cookie, &console("vm", ConsoleKind::Graphical)),
            secret.matter(cookie, &console("vm-console", ConsoleKind::Graphical)),
            secret.matter(
                cookie,
                &Matter::Channel(ChannelName::parse("vm").expect("a name")),
            ),
        ];
        for (at, one) in different.iter().enumerate() {
            assert!(
                !different.iter().skip(at + 1).any(|other| one == other),
                "{at}"
            );
        }
    }

    /// True if a logout with the one head ends what the other has opened.
    fn ends(
        names: &[&str],
        logout: &[(&'static str, &'static str)],
        open: &[(&'static str, &'static str)],
    ) -> bool {
        let secret = Secret::shared(b"key");
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let of = |lines: &[_]| secret.shown(&told(lines), &names).sessions;
        let open = of(open);
        of(logout).iter().any(|session| open.contains(session))
    }

    #[test]
    fn a_session_is_found_by_its_cookies_in_every_reading() {
        let cookie = |value| [("cookie", value)];
        for (logout, open) in [
            ("wok=1", "wok=1"),
            ("wok=1; lang=en", "last=x; wok=1"),
            ("wok =1", "wok=1"),
            ("wok\t=\t1", "wok=1"),
            ("wok=1", "a=b wok=1"),
            ("wok=1", "a=b, wok=1"),
            ("wok=1", "wok=\"1\""),
            ("wok=1", "wok=\"\\061\""),
            ("wok=1", "wok=2; wok=1"),
            ("wok=1", "wok=1; wok=2"),
            ("wok=1", "w%6fk=1"),
            ("wok=1", "wok=%31"),
            ("wok=1", "WOK=1"),
            ("wok=1", "wok=1,x"),
            ("wok=1", "$Version=1; wok=1; $Path=/"),
            ("wok=1", "\u{2000}wok=1"),
            ("wok=1", "wok\u{a0}=1"),
            ("wok=1", "wok=\u{3000}1"),
            ("wok=1", "a=b; wok=1\u{85}\u{2028}"),
            ("wok=1", "wok=\u{feff}\"1\""),
        ] {
            assert!(
                ends(&["wok"], &cookie(logout), &cookie(open)),
                "{logout} {open}"
            );
            assert!(
                ends(&["wok"], &cookie(open), &cookie(logout)),
                "{open} {logout}"
            );
        }
        for (logout, open) in [
            ("wok=1", "wok=2"),
            ("wok=1", "wok2=1"),
            ("lang=en", "wok=1; lang=en"),
        ] {
            assert!(
                !ends(&["wok"], &cookie(logout), &cookie(open)),
                "{logout} {open}"
            );
        }
        let (a, b) = ([("x-real-ip", "192.0.2.1")], [("x-real-ip", "192.0.2.2")]);
        assert!(ends(&["wok"], &a, &a) && !ends(&["wok"], &a, &b));
        assert!(!ends(
            &["wok"],
            &a,
            &[("x-real-ip", "192.0.2.1"), ("cookie", "wok=1")]
        ));
        assert!(!ends(
            &["wok"],
            &a,
            &[("x-real-ip", "192.0.2.1"), ("cookie", "lang=en")]
        ));
    }

    #[test]
    fn the_blanks_of_latin_1_are_blanks_too() {
        let secret = Secret::shared(b"key");
        let names = ["wok".to_owned()];
        let of = |line: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_bytes(line).expect("a value"));
            secret.shown(&headers, &names)
        };
        let usual = of(b"wok=1").sessions;
        for line in [
            &b"\xa0wok=1"[..],
            b"wok\xa0=1",
            b"wok=\x851",
            b"wok=1\xa0; a=b",
        ] {
            let shown = of(line);
            let is_found = shown.sessions.iter().any(|session| usual.contains(session));
            assert!(is_found && !shown.is_usual, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn parts_of_a_credential_are_its_sessions_and_what_may_name_one() {
        let secret = Secret::shared(b"key");
        let parts = |lines: &[_], names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            secret.shown(&told(lines), &names).parts
        };
        let share = |one: &[_], other: &[_], names: &[&str]| {
            let other = parts(other, names);
            parts(one, names).iter().any(|part| other.contains(part))
        };
        let long = ("cookie", "id=0123456789abcdef; lang=en");
        assert!(share(&[long], &[("cookie", "id=0123456789abcdef")], &[]));
        assert!(!share(
            &[long],
            &[("cookie", "lang=en; other=0123456789abcdef")],
            &[]
        ));
        assert!(share(
            &[("cookie", "a=1; b=2")],
            &[("cookie", "b =2")],
            &["a", "b"]
        ));
        assert!(!share(
            &[("cookie", "a=1; b=2")],
            &[("cookie", "a=2; b=1")],
            &["a", "b"]
        ));
        let basic = ("authorization", "Basic YTox");
        assert!(share(
            &[long, basic],
            &[("authorization", "basic  YTox")],
            &[]
        ));
        assert!(!share(&[("cookie", "a=1")], &[basic], &["a"]));
        assert_eq!(parts(&[], &["a"]).len(), 0);
    }

    #[test]
    fn where_all_cookies_make_it_a_session_is_found_by_all_of_them() {
        let cookie = |value| [("cookie", value)];
        for (logout, open) in [
            ("a=1; b=2", "b=2; a=1"),
            ("a=1; b=2", "a =1;b=2"),
            ("a=1; b=2", "a=\"1\", b=2"),
        ] {
            assert!(ends(&[], &cookie(logout), &cookie(open)), "{logout} {open}");
        }
        assert!(!ends(&[], &cookie("a=1; b=2"), &cookie("a=1; b=3")));
        assert!(!ends(&[], &cookie("a=1"), &cookie("a=1; b=3")));
    }

    #[test]
    fn only_what_all_parsers_read_alike_is_usual() {
        let usual = |names: &[String], line: &'static str| {
            let secret = Secret::shared(b"key");
            secret.shown(&told(&[("cookie", line)]), names).is_usual
        };
        let named = ["wok".to_owned()];
        for line in [
            "wok=1",
            "lang=en; wok=1",
            "wok=s%3Aabc.d/e+f==; _ga=GA1.2",
            "wok=1;a.b=2",
        ] {
            assert!(usual(&named, line) && usual(&[], line), "{line}");
        }
        for line in [
            "wok =1",
            "wok= 1",
            "wok=1 ",
            "wok=\"1\"",
            "a=b wok=1",
            "a=b, wok=1",
            "wok=1,2",
            "wok",
            "wok=1; wok=1",
            "wok=1; WOK=2",
            "w%6fk=1; wok=2",
            "wok=1;; a=2",
            "wok=1;",
            "a=\"x\"; wok=1",
            "$Version=1; wok=1",
            "wok=1; path=/",
            "wok=1\\",
            "wok=1;  a=2",
            "w.k=1; w_k=2; wok=1",
            "=1; wok=1",
            "wok=1; a[b]=1",
        ] {
            assert!(!usual(&named, line), "{line}");
            assert!(!usual(&[], line), "{line}");
        }
        assert!(
            !usual(&named, "lang=en"),
            "it has no cookie that makes a session"
        );
        let basic = told(&[("cookie", "lang=en"), ("authorization", "Basic YTox")]);
        assert!(Secret::shared(b"key").shown(&basic, &named).is_usual);
    }
}
