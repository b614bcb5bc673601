//! The name of a channel, and the pattern that names many. Knows no channel.

use std::fmt;
use std::sync::Arc;

/// The longest name: what fits into a URL several times.
const LONGEST: usize = 128;

/// One to eight words of letters, digits, `-` and `_`, joined by dots: `wok`, `job.17`. Cheap to
/// clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// Reads a name; the error text says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        check(text, |word| word.bytes().all(is_of_a_word)).map(|()| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name in which `*` may stand for a word: `job.*` is `job.17` but neither `job` nor `job.17.log`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChannelPattern(String);

impl ChannelPattern {
    /// Reads a pattern; the error text says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        check(text, |word| word == "*" || word.bytes().all(is_of_a_word))
            .map(|()| Self(text.to_owned()))
    }

    /// Reads the pattern of a `[[channel]]`. A pattern that matches every name is refused, because anyone could
    /// create channels.
    pub(super) fn parse_own(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err(
                "\"*\" is every name of one word, also a misspelt one, and none with a dot; write a word of your own \
                 before it, such as \"job.*\", or the names themselves"
                    .to_owned(),
            );
        }
        Self::parse(text)
    }

    /// The one channel this names, unless it is a true pattern.
    #[must_use]
    pub fn name(&self) -> Option<ChannelName> {
        ChannelName::parse(&self.0).ok()
    }

    /// True if the pattern matches this channel.
    #[must_use]
    pub fn fits(&self, name: &ChannelName) -> bool {
        let (mut pattern, mut name) = (self.0.split('.'), name.as_str().split('.'));
        loop {
            match (pattern.next(), name.next()) {
                (None, None) => return true,
                (Some(word), Some(own)) if word == "*" || word == own => {}
                _ => return false,
            }
        }
    }
}

impl fmt::Display for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_of_a_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn check(text: &str, is_word: impl Fn(&str) -> bool) -> Result<(), String> {
    if text.len() > LONGEST {
        return Err(format!(
            "{text:?} is longer than {LONGEST} characters; write a shorter name"
        ));
    }
    if text
        .split('.')
        .all(|word| !word.is_empty() && is_word(word))
    {
        Ok(())
    } else {
        Err(format!(
            "{text:?} is not the name of a channel; write words of letters, digits, \"-\" and \"_\", joined \
             by dots, such as \"jobs\" or \"job.17\""
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_words_joined_by_dots() {
        for text in ["wok", "job.17", "a_b.C-d.0"] {
            assert_eq!(
                ChannelName::parse(text).map(|name| name.to_string()),
                Ok(text.to_owned())
            );
        }
        let long = "x".repeat(129);
        for text in [
            "", ".", "a.", ".a", "a..b", "a b", "a/b", "a,b", "*", "é", &long,
        ] {
            assert!(ChannelName::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_star_stands_for_one_word() {
        let fits = |pattern, name| {
            let pattern = ChannelPattern::parse(pattern).expect("a pattern");
            pattern.fits(&ChannelName::parse(name).expect("a name"))
        };
        assert!(fits("job.*", "job.17"));
        assert!(fits("*.*", "job.17"));
        assert!(fits("wok", "wok"));
        for name in ["job", "job.17.log", "jobs.17", "a.job"] {
            assert!(!fits("job.*", name), "{name}");
        }
        assert!(ChannelPattern::parse("job*").is_err());
        assert!(
            ChannelPattern::parse_own("*").is_err() && ChannelPattern::parse_own("*.*").is_ok()
        );
    }
}
