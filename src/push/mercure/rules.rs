//! The rules of a hub: its configuration, and the address that relative topics and patterns belong to.

use url::Url;

use crate::config::{Mercure, MercureVersion};

/// Base address of relative topics if the configuration has none.
const SOMEWHERE: &str = "https://localhost";

/// The rules of a hub.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The configuration.
    pub settings: Mercure,
    /// The address of the hub.
    pub base: Url,
}

impl Rules {
    /// Creates the rules from the configuration. `None` if the address of the hub cannot be parsed.
    #[must_use]
    pub(crate) fn new(settings: Mercure) -> Option<Self> {
        let base = match &settings.url {
            Some(url) => Url::parse(url).ok()?,
            None => Url::parse(SOMEWHERE).ok()?.join(&settings.path).ok()?,
        };
        Some(Self { settings, base })
    }

    /// True if the hub speaks this version.
    #[must_use]
    pub(crate) fn speaks(&self, version: MercureVersion) -> bool {
        self.settings.speaks(version)
    }

    /// True if a topic is an address of the hub itself, whose updates only the hub may publish: its path is that of
    /// the hub or below it, on any host.
    #[must_use]
    pub(crate) fn is_reserved(&self, topic: &str) -> bool {
        let Ok(resolved) = self.base.join(topic) else {
            return false;
        };
        let path = unreserved_decoded(resolved.path());
        [self.settings.path.as_str(), self.base.path()]
            .iter()
            .any(|own| {
                let rest = path.strip_prefix(own);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}

/// A path with decoded escapes of unreserved characters (RFC 3986 §6.2.2.2). Its dot segments were removed before.
fn unreserved_decoded(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        decoded.push_str(before);
        let digits = escape
            .get(1..3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let sign = digits
            .map(char::from)
            .filter(|sign| sign.is_ascii_alphanumeric() || "-._~".contains(*sign));
        let length = if let Some(sign) = sign {
            decoded.push(sign);
            3
        } else {
            decoded.push('%');
            1
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    decoded.push_str(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_the_hub_are_reserved_however_they_are_written() {
        let rules = Rules::new(Mercure::default()).expect("rules");
        for topic in [
            "/.well-known/mercure",
            "/.well-known/mercure/subscriptions/a/b",
            "https://hub.example.com/.well-known/mercure/x",
            "http://other/.well-known/%6Dercure/x",
            "/.well-known/mercure/../mercure/x",
            "/a/%2e%2e/.well-known/mercure?x",
            "/.well-known/mercure#x",
            "foo://bar/.well-known/mercure/x",
            "mercure/x",
        ] {
            assert!(rules.is_reserved(topic), "{topic}");
        }
        for topic in [
            "https://example.com/books/1",
            "/.well-known/mercurey",
            "https://[/.well-known/mercure",
            "urn:uuid:bb3de268-05b0-4c65-b44e-8f9acefc29d6",
            "https://example.com/?/.well-known/mercure",
            "a",
            "",
        ] {
            assert_eq!(rules.is_reserved(topic), topic.is_empty(), "{topic}");
        }
    }
}
