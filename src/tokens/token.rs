//! The token that a browser sends: parsed from the query string, decoded, and compared in constant time.
//!
//! Independent of targets. Percent-encoding is RFC 3986, section 2.1; base64url is RFC 4648, section 5.

use std::fmt;
use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE_NO_PAD, URL_SAFE_NO_PAD_INDIFFERENT};

/// Length limit of a token after percent-decoding, in bytes. A file name has at most 255 bytes, which is 340 as
/// base64url; a signed link with an RSA key has about 700.
const LONGEST: usize = 4096;

/// A token from a request: 1 to 4096 bytes without control characters. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The token as sent.
    plain: String,
    /// The text that `plain` encodes, if it is base64url.
    decoded: Option<String>,
    /// `decoded` as Wok would encode it, if that differs from `plain`.
    canonical: Option<String>,
}

/// Reasons why the query string contains no usable token. The client is at fault, and may be told the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The query has no `token=` parameter.
    #[error("the address has no token= parameter")]
    Missing,
    /// The value of `token=` is empty.
    #[error("the token is empty")]
    Empty,
    /// The token is longer than 4096 bytes.
    #[error("the token is longer than {LONGEST} bytes")]
    Long,
    /// A `%` is not followed by two hexadecimal digits.
    #[error("the token has a % that is not followed by two hexadecimal digits")]
    Escape,
    /// The token contains a control character, such as a line feed.
    #[error("the token contains a control character")]
    Control,
}

impl Token {
    /// Takes the first `token=` parameter out of a query string (without its `?`), as it stands in the request.
    ///
    /// Only the first counts, even when it is bad: two readers of one request must not see different tokens.
    /// `+` stays what it is, for it belongs to the alphabet of plain base64.
    pub fn from_query(query: Option<&str>) -> Result<Self, TokenError> {
        let value = query
            .unwrap_or_default()
            .split('&')
            .find_map(|parameter| parameter.strip_prefix("token="))
            .ok_or(TokenError::Missing)?;
        let bytes = percent_decode(value).ok_or(TokenError::Escape)?;
        if bytes.is_empty() {
            return Err(TokenError::Empty);
        }
        if bytes.len() > LONGEST {
            return Err(TokenError::Long);
        }
        let plain = text(bytes);
        if plain.contains(char::is_control) {
            return Err(TokenError::Control);
        }
        Ok(Self::read(plain))
    }

    /// Takes the host name of a request as its token, as websockify's `--host-token` does; an address in brackets
    /// is invalid.
    pub fn from_host(host: &str) -> Result<Self, TokenError> {
        if host.is_empty() || host.starts_with('[') {
            return Err(TokenError::Missing);
        }
        if host.len() > LONGEST {
            return Err(TokenError::Long);
        }
        Ok(Self::read(host.to_ascii_lowercase()))
    }

    /// A token with exactly this name, without a second reading as base64url.
    pub(super) fn named(name: &str) -> Self {
        Self {
            plain: name.to_owned(),
            decoded: Some(name.to_owned()),
            canonical: Some(encode(name)),
        }
    }

    fn read(plain: String) -> Self {
        // Text that decodes to nothing or to control characters is no console's name.
        let decoded = URL_SAFE_NO_PAD_INDIFFERENT
            .decode(&plain)
            .ok()
            .map(text)
            .filter(|name| !name.is_empty() && !name.contains(char::is_control));
        let canonical = decoded
            .as_deref()
            .map(encode)
            .filter(|canonical| *canonical != plain);
        Self {
            plain,
            decoded,
            canonical,
        }
    }

    /// The token as sent, percent-decoded.
    pub fn plain(&self) -> &str {
        &self.plain
    }

    /// The name that the token encodes if it is base64url, with or without padding. Bytes that are not UTF-8 are
    /// read as Latin-1, which `btoa` of an old page encodes.
    ///
    /// Many plain tokens decode by accident ("demo" does), so this is a second reading and not the better one.
    pub fn decoded(&self) -> Option<&str> {
        self.decoded.as_deref()
    }

    /// All names that the token may mean: its plain text, then its decoded text.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.plain()).chain(self.decoded())
    }

    /// True if this token means `name`, plainly or as base64url.
    pub fn means(&self, name: &str) -> bool {
        self.names()
            .any(|own| same_bytes(own.as_bytes(), name.as_bytes()))
    }

    /// True if the token matches `written`, the text before the colon in a token file: byte for byte, or as the
    /// base64url of UTF-8 without padding that Wok writes, where a client sent Latin-1 or padding.
    pub(super) fn is_written(&self, written: &[u8]) -> bool {
        self.spellings()
            .any(|own| same_bytes(own.as_bytes(), written))
    }

    /// The name that `written` in a token file stands for: the text that Wok would have encoded, or else the plain
    /// text. A plain text that decodes by accident does not name another guest.
    pub(super) fn name_of(&self, written: &[u8]) -> &str {
        let is_encoded = |name: &&str| {
            let bare = written.iter().rposition(|byte| *byte != b'=');
            let bare = bare.and_then(|last| written.get(..=last));
            bare.is_some_and(|bare| bare == encode(name).as_bytes())
        };
        self.decoded().filter(is_encoded).unwrap_or(self.plain())
    }

    /// All spellings of the token in a token file.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &str> {
        let canonical = self.canonical.as_deref();
        std::iter::once(self.plain()).chain(canonical)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

/// Encodes a name as a token: base64url without padding, as Wok does.
pub fn encode(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

/// Compares in constant time, so that the response time does not reveal how much of a guess was right. The length
/// may leak; it is no secret.
///
/// `black_box` keeps the compiler from seeing that the result is settled once a bit is set. The crate `subtle`
/// rests on the same barrier; one line does not need it.
pub fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let difference = a
        .iter()
        .zip(b)
        .fold(0, |seen, (a, b)| black_box(seen | (a ^ b)));
    a.len() == b.len() && difference == 0
}

/// Decodes UTF-8 if it is valid, otherwise Latin-1, in which every byte is the character of its number.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect())
}

/// Percent-decodes; `None` if a `%` is not followed by two hexadecimal digits.
fn percent_decode(value: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            _ => byte,
        });
    }
    Some(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    // A digit is below 16, so nothing is cut off.
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(query: &str) -> Token {
        Token::from_query(Some(query)).expect("the test's query has a token")
    }

    fn error(query: &str) -> TokenError {
        Token::from_query(Some(query)).expect_err("the test's query has no usable token")
    }

    #[test]
    fn the_first_token_parameter_counts_even_when_it_is_bad() {
        assert_eq!(token("path=x&token=one&token=two").plain(), "one");
        assert_eq!(error("token=&token=two"), TokenError::Empty);
        assert_eq!(error("token=%zz&token=two"), TokenError::Escape);
    }

    #[test]
    fn other_parameters_are_no_token() {
        for query in [
            "",
            "tokens=a",
            "mytoken=a",
            "token",
            "TOKEN=a",
            "a=b?token=c",
            "x=1;token=a",
        ] {
            assert_eq!(error(query), TokenError::Missing, "{query}");
        }
        assert_eq!(Token::from_query(None), Err(TokenError::Missing));
    }

    #[test]
    fn percent_escapes_are_decoded_once_and_plus_stays() {
        assert_eq!(token("token=a%2Bb+c%3D").plain(), "a+b+c=");
        assert_eq!(token("token=%252F").plain(), "%2F");
        assert_eq!(token("token=caf%C3%A9").plain(), "café");
        for query in ["token=%", "token=a%4", "token=%4g", "token=%+1", "token=%é"] {
            assert_eq!(error(query), TokenError::Escape, "{query}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_read_as_latin_1() {
        assert_eq!(token("token=caf%E9").plain(), "café");
        // The result of `btoa("café")`.
        assert_eq!(token("token=Y2Fm6Q").decoded(), Some("café"));
        assert_eq!(token("token=Y2Fm6Q%3D%3D").decoded(), Some("café"));
        assert_eq!(token("token=Y2Fmw6k").decoded(), Some("café"));
    }

    #[test]
    fn a_token_has_1_to_4096_bytes() {
        assert_eq!(error("token="), TokenError::Empty);
        assert!(Token::from_query(Some(&format!("token={}", "%41".repeat(4096)))).is_ok());
        assert_eq!(
            error(&format!("token={}", "a".repeat(4097))),
            TokenError::Long
        );
    }

    #[test]
    fn control_characters_are_refused_and_never_decoded_into_a_name() {
        for query in [
            "token=a%0Ab",
            "token=%00",
            "token=a%7F",
            "token=%C2%85",
            "token=%85",
            "token=a\rb",
        ] {
            assert_eq!(error(query), TokenError::Control, "{query:?}");
        }
        let encoded = token(&format!("token={}", encode("vm\n2026 forged line")));
        assert_eq!(encoded.decoded(), None);
    }

    #[test]
    fn the_names_are_the_plain_text_and_what_it_decodes_to() {
        let notifications = token("token=d29rbm90aWZpY2F0aW9ucw");
        let names: Vec<&str> = notifications.names().collect();
        assert_eq!(names, ["d29rbm90aWZpY2F0aW9ucw", "woknotifications"]);
        assert_eq!(token("token=not.base64url").names().count(), 1);
    }

    #[test]
    fn a_name_and_its_encoding_are_each_other() {
        assert_eq!(encode("woknotifications"), "d29rbm90aWZpY2F0aW9ucw");
        for name in ["vm", "café", "虚拟机", "a b?>~"] {
            assert_eq!(
                token(&format!("token={}", encode(name))).decoded(),
                Some(name)
            );
        }
    }

    #[test]
    fn a_written_token_is_one_name() {
        for (sent, written, name) in [
            ("dm0", "dm0", "vm"),
            ("dm0=", "dm0", "vm"),
            ("dm0=", "dm0=", "vm"),
            ("Y2Fm6Q", "Y2Fmw6k", "café"),
            // It decodes to bytes that are no UTF-8, which Wok never writes.
            ("web1", "web1", "web1"),
            ("Y2Fm6Q", "Y2Fm6Q", "Y2Fm6Q"),
            ("a.b", "a.b", "a.b"),
        ] {
            let token = token(&format!("token={sent}"));
            assert_eq!(token.name_of(written.as_bytes()), name, "{sent} {written}");
        }
        let named = Token::named("vm");
        assert_eq!((named.name_of(b"vm"), named.name_of(b"dm0")), ("vm", "vm"));
    }

    #[test]
    fn a_written_token_matches_what_was_sent_or_its_canonical_form() {
        let written = encode("café");
        for sent in ["Y2Fmw6k", "Y2Fmw6k=", "Y2Fmw6k%3d", "Y2Fm6Q", "Y2Fm6Q=="] {
            assert!(
                token(&format!("token={sent}")).is_written(written.as_bytes()),
                "{sent}"
            );
        }
        assert!(!token("token=caf%C3%A9").is_written(written.as_bytes()));
        assert!(!token("token=Y2Fmw6").is_written(written.as_bytes()));
        assert!(!token("token=Y2Fmw6kx").is_written(written.as_bytes()));
    }

    #[test]
    fn equal_bytes_are_the_same_and_a_prefix_is_not() {
        assert!(same_bytes(b"secret", b"secret"));
        for other in [&b"secreT"[..], b"Secret", b"secre", b"secret1", b""] {
            assert!(!same_bytes(b"secret", other));
        }
    }

    #[test]
    fn debug_output_does_not_show_the_token() {
        let shown = format!("{:?}", token("token=d29rbm90aWZpY2F0aW9ucw"));
        assert!(!shown.contains("d29r") && !shown.contains("woknotifications"));
    }
}
