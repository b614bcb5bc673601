//! Patterns of `refuse`: paths that are never answered. A pattern is compared with a whole decoded path; which reading
//! of a request is compared is the router's to say.

use std::fmt;

use super::path_prefix::without_case;

/// A path in which `*` stands for any text, slashes included, such as `*.php` or `/.git*`. Letter case makes no
/// difference, because a refusal in one spelling is meant for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    /// The texts between the stars, in small letters; at least one.
    parts: Vec<String>,
}

impl PathPattern {
    /// Reads a pattern; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with(['/', '*']) {
            return Err(format!(
                r#"{text:?} is compared with whole paths, which begin with "/"; write "/{text}" or "*{text}""#
            ));
        }
        if let Some(sign) = text
            .chars()
            .find(|sign| matches!(sign, '?' | '#' | '\\' | '%') || sign.is_control())
        {
            return Err(format!(
                r#"{text:?} has {sign:?} in it, which no decoded path holds; leave it out, or write "*" in its place"#
            ));
        }
        let parts = text.split('*').map(|part| without_case(part).into_owned());
        Ok(Self {
            text: text.to_owned(),
            parts: parts.collect(),
        })
    }

    /// True if a decoded path is one of these.
    pub fn matches(&self, path: &str) -> bool {
        let path = without_case(path);
        let Some((first, rest)) = self.parts.split_first() else {
            return false;
        };
        let Some((last, between)) = rest.split_last() else {
            return path == first.as_str();
        };
        let Some(mut left) = path.strip_prefix(first.as_str()) else {
            return false;
        };
        // The earliest place of each part leaves most for those behind it.
        for part in between {
            let Some((_, behind)) = left.split_once(part.as_str()) else {
                return false;
            };
            left = behind;
        }
        left.ends_with(last.as_str())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_letter_case_makes_no_difference() {
        for (pattern, fits, does_not) in [
            ("*", "/ /x /a/b", ""),
            ("/", "/", "/x"),
            ("*.php", "/x.php /a/X.PHP /.php", "/x.php/y /php"),
            ("/.git*", "/.git /.gitignore /.git/config", "/a/.git /git"),
            ("*/.*", "/.git /a/.b/c", "/a.b /"),
            ("/a*b*c", "/abc /axbxc /abbcc", "/ab /acb /xabc"),
            ("/a*a", "/aa /axa", "/a"),
        ] {
            let read = PathPattern::parse(pattern).expect(pattern);
            for path in fits.split_whitespace() {
                assert!(read.matches(path), "{pattern} {path}");
            }
            for path in does_not.split_whitespace() {
                assert!(!read.matches(path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn a_pattern_that_could_never_match_is_refused() {
        for text in ["", "php", ".php*", "/a?b", "/a#", "/a%2Fb", "/a\\b", "/a\n"] {
            assert!(PathPattern::parse(text).is_err(), "{text:?} was taken");
        }
    }
}
