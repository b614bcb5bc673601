//! Which paths are refused because two programs could read them differently.
//!
//! hyper normalises nothing, the app's server normalises in its own way, and a rule that was matched
//! against one spelling must hold for what the app finally serves. So a path that has more than one
//! reading (RFC 3986 §6) is refused, and every other is matched and forwarded byte for byte.

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    Relative,
    /// A segment is `.` or `..`, possibly encoded; a browser resolves them before it asks.
    #[error("the path contains a dot segment")]
    DotSegment,
    /// A backslash, encoded or not, which some servers take for a slash.
    #[error("the path contains a backslash")]
    Backslash,
    /// An encoded NUL.
    #[error("the path contains a NUL")]
    Nul,
    /// An encoded slash, where the route does not allow it.
    #[error("the path contains an encoded slash")]
    EncodedSlash,
    /// An encoded percent sign that a second decoding would turn into one of the above.
    #[error("the path is encoded twice")]
    EncodedTwice,
    /// A percent sign that two hexadecimal digits do not follow.
    #[error("the path contains a broken percent-encoding")]
    BrokenEncoding,
}

impl PathFault {
    /// Looks for the first fault of a path (without the query).
    ///
    /// # Errors
    /// The fault.
    pub fn check(path: &str) -> Result<(), Self> {
        if !path.starts_with('/') {
            return Err(Self::Relative);
        }
        if path.contains('\\') {
            return Err(Self::Backslash);
        }
        // The common path has no percent sign, and no segment that begins with a dot.
        if path.contains('%') {
            check_encoding(path.as_bytes())?;
        }
        if path.contains("/.") || path.contains("/%") {
            check_segments(path)?;
        }
        Ok(())
    }

    /// Looks for `%2F`, which most apps take for a slash and a few, Wok among them, for a part of a name.
    ///
    /// # Errors
    /// [`EncodedSlash`](Self::EncodedSlash).
    pub fn check_slashes(path: &str) -> Result<(), Self> {
        let mut rest = path.as_bytes();
        while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
            rest = rest.get(at + 1..).unwrap_or_default();
            if decoded(rest) == Some(b'/') {
                return Err(Self::EncodedSlash);
            }
        }
        Ok(())
    }
}

fn check_encoding(path: &[u8]) -> Result<(), PathFault> {
    let mut once = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            once.push(*first);
            continue;
        }
        match decoded(behind) {
            None => return Err(PathFault::BrokenEncoding),
            Some(0) => return Err(PathFault::Nul),
            Some(b'\\') => return Err(PathFault::Backslash),
            Some(byte) => once.push(byte),
        }
        rest = behind.get(2..).unwrap_or_default();
    }
    // What a second decoding, by an app behind the app's server, would turn into a sign with a meaning.
    let twice = |at: usize| decoded(once.get(at + 1..).unwrap_or_default());
    let climbs = |at: usize| matches!(twice(at), Some(0 | b'/' | b'\\' | b'.'));
    let mut signs = once.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    if signs.any(|(at, _)| climbs(at)) {
        return Err(PathFault::EncodedTwice);
    }
    Ok(())
}

/// The byte that the two hexadecimal digits at the beginning stand for.
fn decoded(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| {
        digits
            .get(at)
            .and_then(|digit| (*digit as char).to_digit(16))
    };
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn check_segments(path: &str) -> Result<(), PathFault> {
    for segment in path.split('/') {
        // `..;x=1` is `..` to Java servers, which cut path parameters off first.
        let name = segment.split(';').next().unwrap_or_default();
        let name = name.replace("%2e", ".").replace("%2E", ".");
        if name == "." || name == ".." {
            return Err(PathFault::DotSegment);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_pass_byte_for_byte() {
        for path in [
            "/",
            "//websockify",
            "/a%20b",
            "/%C3%A9",
            "/a..b/.well-known/x",
            "/...",
            "/100%25",
            "/a;b=c",
        ] {
            assert_eq!(PathFault::check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn paths_with_a_second_reading_are_refused() {
        use PathFault::*;
        let cases = [
            ("x", Relative),
            ("/a/../b", DotSegment),
            ("/a/.", DotSegment),
            ("/%2e%2E/b", DotSegment),
            ("/.%2e", DotSegment),
            ("/a/..;x=1/b", DotSegment),
            ("/a\\b", Backslash),
            ("/a%5Cb", Backslash),
            ("/a%00", Nul),
            ("/a%252fb", EncodedTwice),
            ("/a%255c", EncodedTwice),
            ("/%252e%252e/", EncodedTwice),
            ("/a%25%32%66b", EncodedTwice),
            ("/a%zz", BrokenEncoding),
            ("/a%2", BrokenEncoding),
            ("/%", BrokenEncoding),
        ];
        for (path, fault) in cases {
            assert_eq!(PathFault::check(path), Err(fault), "{path}");
        }
    }

    #[test]
    fn an_encoded_slash_is_a_question_for_the_route() {
        assert_eq!(PathFault::check("/vms/a%2Fb"), Ok(()));
        assert_eq!(
            PathFault::check_slashes("/vms/a%2fb"),
            Err(PathFault::EncodedSlash)
        );
        assert_eq!(PathFault::check_slashes("/vms/a%20b"), Ok(()));
    }
}
