//! A prefix of a URL path, compared with a decoded path: segment by segment, or, where it ends in `*`, byte by byte.
//! Knows nothing of routes: the router asks it.

use std::borrow::Cow;
use std::fmt;

/// `/`, or a path that begins with `/` and does not end with one; of an app also any beginning of a path and a `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPrefix {
    text: String,
    /// The prefix with its percent-encoding decoded, if it has any.
    decoded: Option<String>,
    /// True if the prefix also matches within a segment: every path that begins with these bytes.
    open_ended: bool,
}

impl PathPrefix {
    /// Reads a prefix as [`parse`](Self::parse) does, or one such as `/wok*`, which stands for every path that begins
    /// with `/wok`, and `/wok/*`, which stands for what is below `/wok` without `/wok` itself.
    pub fn parse_open_ended(text: &str) -> Result<Self, String> {
        let Some(beginning) = text.strip_suffix('*') else {
            return Self::parse(text);
        };
        if beginning == "/" {
            return Err(format!(r#""{text}" is every path; write "/""#));
        }
        let bare = beginning.strip_suffix('/').unwrap_or(beginning);
        let slash = beginning.get(bare.len()..).unwrap_or_default();
        // Two slashes are no plain path, and the error says so.
        let prefix = Self::parse(if bare == "/" { beginning } else { bare })?;
        let decoded = format!("{}{slash}", prefix.decoded());
        Ok(Self {
            text: text.to_owned(),
            decoded: Some(decoded),
            open_ended: true,
        })
    }

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
        // Paths are compared without empty segments and `;parameters`, and one with a dot segment is refused, so a
        // prefix with such would never match; nor would one with a byte that no request line can hold (RFC 3986,
        // section 3.3).
        let hopeless = |segment: &str| matches!(segment, "" | "." | "..");
        if text.len() > 1 && text.split('/').skip(1).any(hopeless) {
            return Err(format!(
                r#""{text}" has an empty, "." or ".." segment; write a plain path such as "/wok""#
            ));
        }
        if let Some(c) = text
            .chars()
            .find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '\\'))
        {
            return Err(format!(
                "{text:?} has {c:?} in it, which cannot stand in a path; write it percent-encoded"
            ));
        }
        if text.contains(';') {
            return Err(format!(
                "\"{text}\" has a \";\" in it, and what follows that is no part of a path for all servers; \
                 write a prefix without"
            ));
        }
        let decoded = text.contains('%').then(|| decode(text)).transpose()?;
        Ok(Self {
            text: text.to_owned(),
            decoded,
            open_ended: false,
        })
    }

    /// True if a decoded path is this prefix or lies under it: `/wok` matches `/wok` and `/wok/x`, not `/wokx`;
    /// `/wok*` matches all three.
    pub fn matches(&self, path: &str) -> bool {
        self.begins(path, self.decoded())
    }

    /// The same for an app to which `/WOK` is `/wok`.
    pub fn matches_in_any_case(&self, path: &str) -> bool {
        self.begins(&without_case(path), &without_case(self.decoded()))
    }

    fn begins(&self, path: &str, prefix: &str) -> bool {
        if self.open_ended {
            path.starts_with(prefix)
        } else {
            is_below(path, prefix)
        }
    }

    /// True if it ends in `*`, so that segments mean nothing to it.
    pub fn is_open_ended(&self) -> bool {
        self.open_ended
    }

    /// The same prefix in one spelling: equal for all that stand for the same paths.
    #[must_use]
    pub fn canonical(&self) -> Self {
        Self {
            text: self.decoded().to_owned(),
            decoded: None,
            open_ended: self.open_ended,
        }
    }

    /// The prefix as it was written in the file, and appears in a URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The prefix without percent-encoding, and without a `*` at its end.
    pub fn decoded(&self) -> &str {
        self.decoded.as_deref().unwrap_or(&self.text)
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    let rest = if prefix == "/" {
        return path.starts_with('/');
    } else {
        path.strip_prefix(prefix)
    };
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Folds the case of a path as an app may do: letters beyond ASCII are capitals of some within it, as the sign for
/// kelvin is of `k`, and `ſ`, `ı` and `ß` become `S`, `I` and `SS`.
pub fn without_case(path: &str) -> Cow<'_, str> {
    if !path.is_ascii() {
        return Cow::Owned(path.to_uppercase().to_lowercase());
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(path.to_ascii_lowercase());
    }
    Cow::Borrowed(path)
}

/// Undoes percent-encoding, which a prefix needs only for letters beyond ASCII.
fn decode(text: &str) -> Result<String, String> {
    let broken = || {
        format!(
            r#"{text:?} has a percent sign that encodes no letter; write a path such as "/caf%C3%A9""#
        )
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, encoded)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        let digits = encoded.get(..2).ok_or_else(broken)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(broken());
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| broken())?;
        // A slash, a dot or a control character would be read otherwise by every second server.
        if byte.is_ascii() && byte != b' ' && !byte.is_ascii_alphanumeric() {
            return Err(format!(
                "{text:?} has %{digits} in it, which servers read in several ways; write a path without"
            ));
        }
        bytes.push(byte);
        rest = encoded.get(2..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| broken())
}

impl Default for PathPrefix {
    fn default() -> Self {
        Self {
            text: "/".to_owned(),
            decoded: None,
            open_ended: false,
        }
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<PathPrefix> for String {
    fn from(prefix: PathPrefix) -> Self {
        prefix.text
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
    fn an_open_ended_prefix_matches_whatever_begins_with_it() {
        let wok = PathPrefix::parse_open_ended("/w%6Fk*").unwrap_or_default();
        assert_eq!((wok.as_str(), wok.decoded()), ("/w%6Fk*", "/wok"));
        assert!(wok.matches("/wok") && wok.matches("/wok/x") && wok.matches("/wokx"));
        assert!(!wok.matches("/wo") && !wok.matches("/WOK") && wok.matches_in_any_case("/WOKx"));
        let below = PathPrefix::parse_open_ended("/wok/*").unwrap_or_default();
        assert!(below.matches("/wok/") && below.matches("/wok/x") && !below.matches("/wok"));
        let plain = PathPrefix::parse_open_ended("/wok").unwrap_or_default();
        assert!(!plain.is_open_ended() && !plain.matches("/wokx"));
        for text in ["/*", "*", "/a//*", "//*", "/../*", "wok*"] {
            assert!(
                PathPrefix::parse_open_ended(text).is_err(),
                "{text:?} was taken"
            );
        }
    }

    #[test]
    fn the_root_matches_every_path() {
        let root = PathPrefix::default();
        assert!(root.matches("/") && root.matches("/wok/x") && root.matches("//x"));
        assert!(!root.matches("*"), "`OPTIONS *` has no path");
    }

    #[test]
    fn a_prefix_is_compared_decoded() {
        for text in ["/caf%C3%A9", "/c%61f%c3%a9"] {
            let prefix = PathPrefix::parse(text).unwrap_or_default();
            assert_eq!((prefix.as_str(), prefix.decoded()), (text, "/caf\u{e9}"));
            assert!(prefix.matches("/caf\u{e9}/x") && !prefix.matches(text));
        }
    }

    #[test]
    fn letter_case_is_folded_where_the_app_does() {
        let wok = PathPrefix::parse("/wok").unwrap_or_default();
        assert!(!wok.matches("/WOK"));
        assert!(wok.matches_in_any_case("/WOK") && wok.matches_in_any_case("/Wok/X"));
        assert!(!wok.matches_in_any_case("/wokx") && !wok.matches_in_any_case("/w"));
        // The sign for kelvin, of which `k` is the small letter.
        assert!(wok.matches_in_any_case("/wo\u{212a}/x") && !wok.matches("/wo\u{212a}/x"));
    }

    #[test]
    fn a_prefix_that_could_never_match_is_refused() {
        for text in [
            "", "wok", "/wok/", "//", "//wok", "/a//b", "/a/../b", "/./a", "/a b", "/é", "/a?b",
            "/a#b", "/a\n", "/a;b", "/a\\b", "/a%2Fb", "/a%2e", "/a%00", "/a%", "/a%zz", "/a%+1",
            "/a%E9", "/a%3Bb", "/a%25",
        ] {
            assert!(PathPrefix::parse(text).is_err(), "{text:?} was taken");
        }
    }
}
