//! The path of a request: the bytes of the client, and the readings that servers give to them (RFC 3986 §6.2).
//!
//! hyper does not normalise paths, and the app's server normalises in its own way: it decodes, drops empty segments, or
//! cuts off `;parameters`. So Noren's rules apply to the reading of most servers, and the router checks the other
//! readings too. A path with dot segments is refused, and the app gets the bytes of the client. Independent of routes.

mod readings;

use std::borrow::Cow;
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;

use crate::config::without_case;

use readings::Readings;

/// Reasons why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathFault {
    /// The path does not begin with a slash.
    #[error("the path does not begin with a slash")]
    Relative,
    /// The path is missing.
    #[error("the request target has no path")]
    Missing,
    /// The target has a fragment, which only browsers use and which is no part of a target (RFC 9112 §3.2).
    #[error("the request target has a fragment")]
    Fragment,
    /// A segment is `.` or `..`, possibly encoded; a browser resolves them before it sends the request.
    #[error("the path contains a dot segment")]
    DotSegment,
    /// The path has a backslash, encoded or not, which some servers take for a slash.
    #[error("the path contains a backslash")]
    Backslash,
    /// The path has an encoded NUL.
    #[error("the path contains a NUL")]
    Nul,
    /// The path has another encoded control character, which some parsers drop and others take for a line end.
    #[error("the path contains a control character")]
    Control,
    /// The path has an encoded slash, which the route does not allow.
    #[error("the path contains an encoded slash")]
    EncodedSlash,
    /// The path has an encoded percent sign that a further decoding would turn into one of the above, or too many
    /// of them.
    #[error("the path is encoded twice")]
    EncodedTwice,
    /// A percent sign is not followed by two hexadecimal digits.
    #[error("the path contains a broken percent-encoding")]
    BrokenEncoding,
    /// A character has an overlong encoding, such as `%C0%AF` for a slash (RFC 3629 §3).
    #[error("the path contains a character in an overlong form")]
    Overlong,
}

/// A checked path. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct RequestPath {
    sent: PathAndQuery,
    /// The readings; `None` if every server reads the bytes as they are.
    readings: Option<Arc<Readings>>,
}

impl RequestPath {
    /// Parses the path of a request target.
    ///
    /// # Errors
    /// The first fault.
    pub(crate) fn of(uri: &Uri) -> Result<Self, PathFault> {
        let sent = uri.path_and_query().ok_or(PathFault::Missing)?;
        Self::read(sent.clone())
    }

    /// Parses a path that may have a query, as an app writes it into a header.
    ///
    /// # Errors
    /// The first fault.
    pub(crate) fn parse(text: &str) -> Result<Self, PathFault> {
        let sent = PathAndQuery::try_from(text).map_err(|_| PathFault::Relative)?;
        Self::read(sent)
    }

    /// The target of `OPTIONS *`, which is not a path.
    #[must_use]
    pub(crate) fn asterisk() -> Self {
        Self {
            sent: PathAndQuery::from_static("*"),
            readings: None,
        }
    }

    fn read(sent: PathAndQuery) -> Result<Self, PathFault> {
        let path = sent.path();
        if !path.starts_with('/') {
            return Err(PathFault::Relative);
        }
        let readings = if is_plain(path) {
            None
        } else {
            Readings::of(path)?.map(Arc::new)
        };
        Ok(Self { sent, readings })
    }

    /// The path byte for byte, as the app gets it.
    #[must_use]
    pub(crate) fn as_sent(&self) -> &str {
        self.sent.path()
    }

    /// The reading to which the rules for routes, logins and channels apply: decoded once, without empty segments
    /// and without `;parameters`. Bytes that are not UTF-8 stay encoded.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        self.readings
            .as_ref()
            .map_or(self.as_sent(), |readings| &readings.canonical)
    }

    /// The same reading with `;parameters`, which are part of a file name.
    #[must_use]
    pub(crate) fn with_parameters(&self) -> &str {
        self.readings
            .as_ref()
            .map_or(self.as_sent(), |readings| &readings.with_parameters)
    }

    /// The readings of servers that differ from [`as_str`](Self::as_str); none for a plain path.
    pub(crate) fn others(&self) -> impl Iterator<Item = &str> {
        let readings = self.readings.iter();
        readings.flat_map(|readings| readings.others.iter().map(String::as_str))
    }

    /// True if any server could read it as `path`, with or without a final slash.
    #[must_use]
    pub(crate) fn may_be(&self, path: &str, ignores_case: bool) -> bool {
        self.may(path, ignores_case, str::is_empty)
    }

    /// True if any server could read it as a path below `path`, whose rest many apps take for arguments.
    #[must_use]
    pub(crate) fn may_be_below(&self, path: &str, ignores_case: bool) -> bool {
        self.may(path, ignores_case, |rest| rest.starts_with('/'))
    }

    /// True if any server could read it as `path` with a format extension, such as `/login.json`: Rails, Django REST
    /// framework and older Spring serve the same page for both.
    #[must_use]
    pub(crate) fn may_be_in_a_format(&self, path: &str, ignores_case: bool) -> bool {
        self.may(path, ignores_case, |rest| {
            rest.starts_with('.') && !rest.contains('/')
        })
    }

    fn may(&self, path: &str, ignores_case: bool, fits: impl Fn(&str) -> bool) -> bool {
        let known = folded(path, ignores_case);
        let is = |reading: &str| {
            let reading = folded(reading, ignores_case);
            reading.strip_prefix(known.as_ref()).is_some_and(&fits)
        };
        is(self.as_str()) || self.others().any(is)
    }

    /// Refuses `%2F`, which most apps read as a slash and a few, Wok among them, as a part of a name.
    ///
    /// # Errors
    /// [`EncodedSlash`](PathFault::EncodedSlash), if a decoding of the path produces a slash.
    pub(crate) fn check_slashes(&self) -> Result<(), PathFault> {
        match &self.readings {
            Some(readings) if readings.encoded_slash => Err(PathFault::EncodedSlash),
            _ => Ok(()),
        }
    }
}

/// A path without final slashes, and in lower case for an app that ignores case.
fn folded(path: &str, ignores_case: bool) -> Cow<'_, str> {
    let path = path.trim_end_matches('/');
    if ignores_case {
        without_case(path)
    } else {
        Cow::Borrowed(path)
    }
}

/// True if no server decodes, merges or cuts anything in a path; checks each byte once, since nearly all paths are
/// such.
fn is_plain(path: &str) -> bool {
    let mut previous = 0;
    for byte in path.bytes() {
        match (previous, byte) {
            (_, b'%' | b';' | b'\\') | (b'/', b'/' | b'.') | (b'.', b'/') => return false,
            _ => previous = byte,
        }
    }
    previous != b'.'
}

#[cfg(test)]
mod tests;
