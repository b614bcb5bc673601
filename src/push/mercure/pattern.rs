//! URL patterns (<https://urlpattern.spec.whatwg.org/>), matched with regular expressions in time linear in the length
//! of a topic.
//!
//! Patterns and topics may be relative to the address of the hub. Independent of the sender of a pattern.

use std::fmt;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use url::Url;
use urlpattern::regexp::RegExp;
use urlpattern::{RegexSyntax, UrlPatternInit, UrlPatternMatchInput, UrlPatternOptions};

/// Size limits of a compiled expression and of its cache, so that a short pattern cannot take much memory.
const LARGEST: usize = 64 * 1024;

/// A URL pattern.
pub(super) struct Pattern(urlpattern::UrlPattern<Expression>);

impl Pattern {
    /// Parses a pattern. `None` if it is malformed, or too large when it is compiled.
    pub(super) fn parse(text: &str, base: &Url) -> Option<Self> {
        let init = UrlPatternInit::parse_constructor_string::<Expression>(text, Some(base.clone()));
        let pattern = urlpattern::UrlPattern::parse(init.ok()?, UrlPatternOptions::default());
        pattern.ok().map(Self)
    }

    /// True if the pattern matches a topic. A topic that is no address is matched by none.
    pub(super) fn matches(&self, topic: &str, base: &Url) -> bool {
        let Ok(topic) = base.join(topic) else {
            return false;
        };
        let found = self.0.test(UrlPatternMatchInput::Url(topic));
        found.unwrap_or(false)
    }
}

/// Omits the parts.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern").finish_non_exhaustive()
    }
}

/// A regular expression of a pattern. Most are never used, so each is compiled at its first use.
#[derive(Debug)]
struct Expression {
    text: Box<str>,
    compiled: OnceLock<Option<Regex>>,
}

fn compile(text: &str) -> Option<Regex> {
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(LARGEST).dfa_size_limit(LARGEST);
    builder.build().ok()
}

impl RegExp for Expression {
    fn syntax() -> RegexSyntax {
        RegexSyntax::Rust
    }

    fn parse(pattern: &str, _flags: &str, _force_eval: bool) -> Result<Self, ()> {
        compile(pattern).ok_or(())?;
        Ok(Self {
            text: pattern.into(),
            compiled: OnceLock::new(),
        })
    }

    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        let compiled = self.compiled.get_or_init(|| compile(&self.text)).as_ref()?;
        // Nobody asks for the groups.
        compiled.is_match(text).then(Vec::new)
    }

    fn pattern_string(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        Url::parse("https://hub.example.com/.well-known/mercure").expect("an address")
    }

    #[test]
    fn a_pattern_is_matched_as_the_standard_says() {
        for (pattern, topic, matches) in [
            (
                "https://example.com/books/:id",
                "https://example.com/books/1",
                true,
            ),
            (
                "https://example.com/books/:id",
                "https://example.com/books/1/2",
                false,
            ),
            (
                "https://example.com/books/:id",
                "https://EXAMPLE.com/books/1",
                true,
            ),
            (
                "https://example.com/Books/:id",
                "https://example.com/books/1",
                false,
            ),
            (
                "https://example.com/users/42/*",
                "https://example.com/users/42/books/1",
                true,
            ),
            (
                "https://example.com/users/42/*",
                "https://example.com/users/43/books/1",
                false,
            ),
            (
                "https://example.com/foo/:id?",
                "https://example.com/foo",
                true,
            ),
            (
                r"https://example.com/foo/(\d+)",
                "https://example.com/foo/12",
                true,
            ),
            (
                r"https://example.com/foo/(\d+)",
                "https://example.com/foo/a",
                false,
            ),
            ("https://*.example.com/*", "https://a.example.com/x", true),
            ("https://*.example.com/*", "https://example.org/x", false),
            (
                "/.well-known/mercure/subscriptions/exact/:topic/:subscriber",
                "/.well-known/mercure/subscriptions/exact/a/b",
                true,
            ),
            (
                "/.well-known/mercure/subscriptions/*",
                "/.well-known/mercure/subscriptions/exact/a/b",
                true,
            ),
            ("/books/:id", "https://hub.example.com/books/1", true),
            ("/books/:id", "https://other.example.com/books/1", false),
            ("/books/:id", "books/1", false),
            ("https://example.com/*", "https://[", false),
        ] {
            let parsed = Pattern::parse(pattern, &base()).expect(pattern);
            assert_eq!(parsed.matches(topic, &base()), matches, "{pattern} {topic}");
        }
    }

    #[test]
    fn a_malformed_or_huge_pattern_is_none() {
        for pattern in [
            "https://example.com/(",
            "https://example.com/{a",
            "/(a{1000}{1000}{1000})",
        ] {
            assert!(Pattern::parse(pattern, &base()).is_none(), "{pattern}");
        }
    }

    /// With backtracking this would be the usual catastrophe.
    #[test]
    fn a_hostile_pattern_takes_linear_time() {
        let pattern = Pattern::parse("/((?:a+)+)b", &base()).expect("a pattern");
        assert!(!pattern.matches(&format!("/{}", "a".repeat(4000)), &base()));
    }
}
