//! A prefix of a URL path, compared segment by segment. Knows nothing of routes: the router asks
//! it.

use std::fmt;

/// `/`, or a path that begins with `/` and does not end with one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// Reads a prefix such as `/wok`; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!(
                r#""{text}" does not begin with "/"; write "/{text}""#
            ));
        }
        if text.len() > 1 && text.ends_with('/') {
            let trimmed = text.trim_end_matches('/');
            return Err(format!(
                r#""{text}" ends with "/"; write "{}""#,
                if trimmed.is_empty() { "/" } else { trimmed }
            ));
        }
        // The request's path is compared as it came, so a prefix with an empty or a dot segment, or
        // with a byte that no request line can hold, would never match (RFC 3986, section 3.3).
        let hopeless = |segment: &str| matches!(segment, "" | "." | "..");
        if text.len() > 1 && text.split('/').skip(1).any(hopeless) {
            return Err(format!(
                r#""{text}" has an empty, "." or ".." segment; write a plain path such as "/wok""#
            ));
        }
        if let Some(c) = text
            .chars()
            .find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#'))
        {
            return Err(format!(
                "{text:?} has {c:?} in it, which cannot stand in a path; write it percent-encoded"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether `path` is this prefix or lies under it: `/wok` matches `/wok` and `/wok/x`, not
    /// `/wokx`.
    pub fn matches(&self, path: &str) -> bool {
        if self.0 == "/" {
            return path.starts_with('/');
        }
        path.strip_prefix(self.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The prefix as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for PathPrefix {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<PathPrefix> for String {
    fn from(prefix: PathPrefix) -> Self {
        prefix.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_whole_segments() {
        let wok = PathPrefix::parse("/wok").unwrap_or_default();
        assert!(wok.matches("/wok") && wok.matches("/wok/") && wok.matches("/wok/x"));
        assert!(
            !wok.matches("/wokx")
                && !wok.matches("/")
                && !wok.matches("/x/wok")
                && !wok.matches("")
        );
    }

    #[test]
    fn the_root_matches_every_path() {
        let root = PathPrefix::default();
        assert!(root.matches("/") && root.matches("/wok/x") && root.matches("//x"));
        assert!(!root.matches("*"), "`OPTIONS *` has no path");
    }

    #[test]
    fn a_prefix_that_could_never_match_is_refused() {
        for text in [
            "", "wok", "/wok/", "//", "//wok", "/a//b", "/a/../b", "/./a", "/a b", "/é", "/a?b",
            "/a#b", "/a\n",
        ] {
            assert!(PathPrefix::parse(text).is_err(), "{text:?} was taken");
        }
    }
}
