//! The path of a request: the bytes of the client, and what servers read in them (RFC 3986 §6.2).
//!
//! hyper normalises nothing, and the app's server normalises in its own way: it decodes, drops empty segments, cuts
//! `;parameters` off. So every rule of the door is held against one reading, which is what most servers make of a path,
//! and the router looks at the other readings too. A path with which somebody could climb is refused, and the bytes
//! that the app gets are the client's. Knows no route.

mod readings;

use std::borrow::Cow;
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;

use crate::config::without_case;

use readings::Readings;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    Relative,
    /// There is none.
    #[error("the request target has no path")]
    Missing,
    /// A fragment, which is for browsers and no part of a target (RFC 9112 §3.2).
    #[error("the request target has a fragment")]
    Fragment,
    /// A segment is `.` or `..`, possibly encoded; a browser resolves them before it asks.
    #[error("the path contains a dot segment")]
    DotSegment,
    /// A backslash, encoded or not, which some servers take for a slash.
    #[error("the path contains a backslash")]
    Backslash,
    /// An encoded NUL.
    #[error("the path contains a NUL")]
    Nul,
    /// Another encoded control character, which some parsers drop and others end a line with.
    #[error("the path contains a control character")]
    Control,
    /// An encoded slash, where the route does not allow it.
    #[error("the path contains an encoded slash")]
    EncodedSlash,
    /// An encoded percent sign that a further decoding would turn into one of the above, or too many of them.
    #[error("the path is encoded twice")]
    EncodedTwice,
    /// A percent sign that two hexadecimal digits do not follow.
    #[error("the path contains a broken percent-encoding")]
    BrokenEncoding,
    /// A character in more bytes than it needs, such as `%C0%AF` for a slash (RFC 3629 §3).
    #[error("the path contains a character in an overlong form")]
    Overlong,
}

/// A checked path. Clones share it.
#[derive(Clone, Debug)]
pub struct RequestPath {
    sent: PathAndQuery,
    /// None if every server reads the bytes as they are.
    readings: Option<Arc<Readings>>,
}

impl RequestPath {
    /// Reads the path of a request target.
    ///
    /// # Errors
    /// The first fault.
    pub fn of(uri: &Uri) -> Result<Self, PathFault> {
        let sent = uri.path_and_query().ok_or(PathFault::Missing)?;
        Self::read(sent.clone())
    }

    /// Reads a path with perhaps a query, as an app writes it into a header.
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(text: &str) -> Result<Self, PathFault> {
        let sent = PathAndQuery::try_from(text).map_err(|_| PathFault::Relative)?;
        Self::read(sent)
    }

    /// The target of `OPTIONS *`, which is no path.
    #[must_use]
    pub fn asterisk() -> Self {
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
    pub fn as_sent(&self) -> &str {
        self.sent.path()
    }

    /// The reading by which routes, logins and channels are known: decoded once, without empty segments and without
    /// `;parameters`. Bytes that are no UTF-8 stay encoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.readings
            .as_ref()
            .map_or(self.as_sent(), |readings| &readings.canonical)
    }

    /// The same with `;parameters`, which are part of the name of a file.
    #[must_use]
    pub fn with_parameters(&self) -> &str {
        self.readings
            .as_ref()
            .map_or(self.as_sent(), |readings| &readings.with_parameters)
    }

    /// The readings of servers that differ from [`as_str`](Self::as_str); none for a plain path.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        let readings = self.readings.iter();
        readings.flat_map(|readings| readings.others.iter().map(String::as_str))
    }

    /// Whether any server could take it for this path, with or without a slash at its end.
    #[must_use]
    pub fn may_be(&self, path: &str, ignores_case: bool) -> bool {
        self.may(path, ignores_case, str::is_empty)
    }

    /// The same for what lies below the path, which many apps take for its arguments.
    #[must_use]
    pub fn may_be_below(&self, path: &str, ignores_case: bool) -> bool {
        self.may(path, ignores_case, |rest| rest.starts_with('/'))
    }

    fn may(&self, path: &str, ignores_case: bool, fits: impl Fn(&str) -> bool) -> bool {
        let known = folded(path, ignores_case);
        let is = |reading: &str| {
            let reading = folded(reading, ignores_case);
            reading.strip_prefix(known.as_ref()).is_some_and(&fits)
        };
        is(self.as_str()) || self.others().any(is)
    }

    /// Looks for `%2F`, which most apps take for a slash and a few, Wok among them, for a part of a name.
    ///
    /// # Errors
    /// [`EncodedSlash`](PathFault::EncodedSlash).
    pub fn check_slashes(&self) -> Result<(), PathFault> {
        match &self.readings {
            Some(readings) if readings.encoded_slash => Err(PathFault::EncodedSlash),
            _ => Ok(()),
        }
    }
}

/// A path without slashes at its end, and without capitals for an app to which they mean nothing.
fn folded(path: &str, ignores_case: bool) -> Cow<'_, str> {
    let path = path.trim_end_matches('/');
    if ignores_case {
        without_case(path)
    } else {
        Cow::Borrowed(path)
    }
}

/// Whether there is nothing in a path that any server decodes, merges or cuts off: one look at each byte, since nearly
/// all paths are such.
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
