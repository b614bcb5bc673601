//! A selector matches topics: all, one, those of a URI template (0.x), or those of a URL pattern (1.0).
//!
//! Independent of its owner: subscribers select with it, and tokens permit with it.

use std::collections::HashSet;

use url::Url;

use super::pattern::Pattern;
use super::template::Template;

/// The kinds of selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SelectorKind {
    /// `topic` of version 0.x: a topic or a URI template.
    Topic,
    /// `exact` of version 1.0.
    Exact,
    /// `urlpattern` of version 1.0.
    UrlPattern,
}

impl SelectorKind {
    /// The name of a matcher type of version 1.0.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Exact => "exact",
            Self::UrlPattern => "urlpattern",
        }
    }

    /// The matcher type of this name (1.0).
    #[must_use]
    pub(crate) fn of_match_type(name: &str) -> Option<Self> {
        [Self::Exact, Self::UrlPattern]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// A selector.
#[derive(Debug)]
pub(crate) struct Selector {
    /// Kind of the selector.
    pub kind: SelectorKind,
    /// Text of the selector as it was sent.
    pub text: Box<str>,
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    Every,
    Text,
    Template(Template),
    Pattern(Box<Pattern>),
}

impl Selector {
    /// Parses a selector; `base` is the address of the hub. `None` if it is a malformed URL pattern; a malformed
    /// template is a text.
    #[must_use]
    pub(crate) fn parse(kind: SelectorKind, text: &str, base: &Url) -> Option<Self> {
        let matcher = match kind {
            _ if text == "*" => Matcher::Every,
            SelectorKind::Topic => Template::parse(text).map_or(Matcher::Text, Matcher::Template),
            SelectorKind::Exact => Matcher::Text,
            SelectorKind::UrlPattern => Matcher::Pattern(Box::new(Pattern::parse(text, base)?)),
        };
        Some(Self {
            kind,
            text: text.into(),
            matcher,
        })
    }

    /// True if its matching costs time with each update.
    #[must_use]
    pub(crate) fn is_pattern(&self) -> bool {
        matches!(self.matcher, Matcher::Template(_) | Matcher::Pattern(_))
    }

    /// True if it matches this topic.
    #[must_use]
    pub(crate) fn matches(&self, topic: &str, base: &Url) -> bool {
        match &self.matcher {
            Matcher::Every => true,
            Matcher::Text => *self.text == *topic,
            Matcher::Template(template) => *self.text == *topic || template.matches(topic),
            Matcher::Pattern(pattern) => pattern.matches(topic, base),
        }
    }
}

/// Several selectors, one of which has to match.
#[derive(Debug, Default)]
pub(crate) struct Selectors {
    every: bool,
    /// Topics that are compared as text, including the text of templates, which match themselves.
    texts: HashSet<Box<str>>,
    patterns: Vec<Selector>,
}

impl Selectors {
    /// Collects selectors for matching.
    pub(crate) fn new(selectors: impl IntoIterator<Item = Selector>) -> Self {
        let mut all = Self::default();
        for selector in selectors {
            match selector.matcher {
                Matcher::Every => all.every = true,
                Matcher::Text => {
                    all.texts.insert(selector.text);
                }
                Matcher::Template(_) | Matcher::Pattern(_) => all.patterns.push(selector),
            }
        }
        all
    }

    /// True if one of them matches this topic.
    #[must_use]
    pub(crate) fn matches(&self, topic: &str, base: &Url) -> bool {
        self.every
            || self.texts.contains(topic)
            || self.patterns.iter().any(|one| one.matches(topic, base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_matches_its_own_topics() {
        use SelectorKind::{Exact, Topic, UrlPattern};
        let base = Url::parse("https://hub.example.com/.well-known/mercure").expect("an address");
        for (kind, text, topic, matches) in [
            (Topic, "*", "anything", true),
            (Exact, "*", "anything", true),
            (UrlPattern, "*", "no address: [", true),
            (Topic, "a", "a", true),
            (Topic, "a", "b", false),
            (Topic, "a{b}", "a{b}", true),
            (Topic, "a{b}", "ac", true),
            (Topic, "a{b", "a{b", true),
            (Topic, "a{b", "ac", false),
            (Exact, "a{b}", "ac", false),
            (Exact, "a{b}", "a{b}", true),
            (UrlPattern, "/a/:b", "/a/c", true),
            (UrlPattern, "/a/:b", "/a/:b", true),
        ] {
            let selector = Selector::parse(kind, text, &base).expect(text);
            assert_eq!(selector.matches(topic, &base), matches, "{text} {topic}");
            let all = Selectors::new([selector]);
            assert_eq!(all.matches(topic, &base), matches, "{text} {topic}");
        }
        assert!(!Selectors::default().matches("a", &base));
    }
}
