//! The token that a browser sends: parsed from the query string, decoded, and compared in constant time.
//!
//! Independent of targets. Percent-encoding is RFC 3986, section 2.1; base64url is RFC 4648, section 5.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE_NO_PAD, URL_SAFE_NO_PAD_INDIFFERENT};
use http::HeaderMap;
use http::header::COOKIE;

use crate::text::secret::same_bytes;

/// Length limit of a token after percent-decoding, in bytes. A file name has at most 255 bytes, which is 340 as
/// base64url; a signed link with an RSA key has about 700.
const LONGEST: usize = 4096;

/// A token from a request: 1 to 4096 bytes without control characters. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The token as sent.
    plain: String,
    /// The text that `plain` encodes, if it is base64url.
    decoded: Option<String>,
    /// `decoded` as Wok would encode it, if that differs from `plain`.
    canonical: Option<String>,
}

/// Reasons why the query string contains no usable token. They are the client's mistakes, so the client gets the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
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
    /// There are several different cookies with tokens, and two readers could use different ones.
    #[error(
        "there are several cookies with a token; close the other consoles of this browser, and open it anew"
    )]
    Several,
}

impl Token {
    /// Takes the first `token=` parameter out of a query string (without its `?`), as it stands in the request.
    ///
    /// Only the first counts, even when it is bad: two readers of one request must not see different tokens.
    /// `+` stays what it is, for it belongs to the alphabet of plain base64.
    pub(crate) fn from_query(query: Option<&str>) -> Result<Self, TokenError> {
        let value = query
            .unwrap_or_default()
            .split('&')
            .find_map(|parameter| parameter.strip_prefix("token="))
            .ok_or(TokenError::Missing)?;
        Self::from_text(value)
    }

    /// Takes the token from the cookie of this name, as SPICE's page sends it. Empty cookies are those that were
    /// deleted.
    pub(crate) fn from_cookie(headers: &HeaderMap, name: &str) -> Result<Self, TokenError> {
        let lines = headers.get_all(COOKIE).iter();
        let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let mut values = pairs.filter_map(|pair| {
            let pair = std::str::from_utf8(pair.trim_ascii()).ok()?;
            let value = pair.strip_prefix(name)?.strip_prefix('=')?;
            let value = value.trim_matches('"');
            (!value.is_empty()).then_some(value)
        });
        let value = values.next().ok_or(TokenError::Missing)?;
        if values.any(|other| other != value) {
            return Err(TokenError::Several);
        }
        Self::from_text(value)
    }

    fn from_text(value: &str) -> Result<Self, TokenError> {
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
    pub(crate) fn from_host(host: &str) -> Result<Self, TokenError> {
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
    pub(crate) fn plain(&self) -> &str {
        &self.plain
    }

    /// The name that the token encodes if it is base64url, with or without padding. Bytes that are not UTF-8 are
    /// read as Latin-1, which `btoa` of an old page encodes.
    ///
    /// Many plain tokens decode by accident ("demo" does), so this is a second reading and not the better one.
    pub(crate) fn decoded(&self) -> Option<&str> {
        self.decoded.as_deref()
    }

    /// All names that the token may mean: its plain text, then its decoded text.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.plain()).chain(self.decoded())
    }

    /// True if this token means `name`, as plain text or as base64url.
    pub(crate) fn matches(&self, name: &str) -> bool {
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
mod tests;
