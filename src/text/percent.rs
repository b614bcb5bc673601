//! Percent-encoding (RFC 3986 §2.1).

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

pub use percent_encoding::percent_encode_byte as encoded_byte;

/// All characters but the unreserved ones (RFC 3986 §2.3).
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Characters that no URL contains.
const NOT_VISIBLE: &AsciiSet = &CONTROLS.add(b' ');

/// Characters that a path cannot contain as themselves.
const NOT_IN_PATHS: &AsciiSet = &NOT_VISIBLE.add(b'?').add(b'#').add(b'%');

/// Encodes all but unreserved characters, so that the text has no other meaning in a path, a query or a header.
#[must_use]
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NOT_UNRESERVED).to_string()
}

/// Encodes the characters that no URL contains; escapes and delimiters keep their meaning.
#[must_use]
pub fn visible(text: &str) -> String {
    utf8_percent_encode(text, NOT_VISIBLE).to_string()
}

/// Encodes a decoded path, slashes excepted.
#[must_use]
pub fn path(text: &str) -> String {
    utf8_percent_encode(text, NOT_IN_PATHS).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_cannot_change_the_path_or_the_query() {
        assert_eq!(
            encoded("a/../../b?c=d&e#f %g"),
            "a%2F..%2F..%2Fb%3Fc%3Dd%26e%23f%20%25g"
        );
        assert_eq!(encoded("aZ0-._~é"), "aZ0-._~%C3%A9");
    }

    #[test]
    fn a_url_keeps_its_delimiters_and_a_path_its_slashes() {
        assert_eq!(visible("/a b/%20?x=\u{e9}"), "/a%20b/%20?x=%C3%A9");
        assert_eq!(path("/a?b#c%d/e"), "/a%3Fb%23c%25d/e");
    }
}
