//! Checks the credential of a request: at most one `Authorization` line that every parser reads alike (RFC 9110 §11.4,
//! §11.6.2).
//!
//! Of two lines some servers take the first, some the last, and some join them with a comma; some servers accept a tab
//! behind the scheme as a separator, others do not. The limit on failed logins and the session query must read the same
//! credential as the app, so an ambiguous line is refused. The credential itself is not verified.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::http::Refusal;

/// Checks that a request head has no `Authorization`, or one with a single reading.
///
/// # Errors
/// A [`Refusal`] (400).
pub(super) fn check_authorization(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else {
        return Ok(());
    };
    if lines.next().is_some() {
        return Err(Refusal::bad_request(
            "there is more than one Authorization header",
        ));
    }
    if is_single(line.as_bytes()) {
        Ok(())
    } else {
        Err(Refusal::bad_request(
            "the Authorization header has more than one reading; send a scheme, one blank and one credential",
        ))
    }
}

/// True if an `Authorization` line is, or could be taken for, a name and a password (RFC 7617).
#[must_use]
pub(crate) fn is_basic(line: &[u8]) -> bool {
    // Sloppy parsers look at the letters only, and cut off what stands behind them.
    const SCHEME: &[u8] = b"basic";
    let scheme = line.get(..SCHEME.len());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

/// True if the line is one credential. Unknown schemes may have any form, except white space other than blanks and
/// a second credential behind a comma.
fn is_single(line: &[u8]) -> bool {
    if line.iter().any(u8::is_ascii_control) || line.starts_with(b" ") || line.ends_with(b" ") {
        return false;
    }
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let scheme = words.next().unwrap_or_default();
    let rest = words.next().unwrap_or_default().trim_ascii_start();
    if [&b"basic"[..], b"bearer"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return !rest.iter().any(|byte| matches!(byte, b' ' | b','));
    }
    !elements(line).any(is_second)
}

/// Parts of a list behind its commas, each with a flag that is true if it begins within a quoted string.
fn elements(line: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    let (mut quoted, mut escaped) = (false, false);
    line.iter().enumerate().filter_map(move |(at, byte)| {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'"' if !was_escaped => quoted = !quoted,
            b'\\' if quoted && !was_escaped => escaped = true,
            b',' => return Some((quoted, line.get(at + 1..)?)),
            _ => {}
        }
        None
    })
}

/// True if a part of a list begins with a scheme: a word and a blank that no `=` follows as in a parameter. Within
/// quotes, which not every parser supports, that counts as ordinary text unless the scheme is Basic.
fn is_second((quoted, element): (bool, &[u8])) -> bool {
    let element = element.trim_ascii_start();
    let end = element
        .iter()
        .position(|byte| matches!(byte, b' ' | b',' | b'=' | b'"'));
    let Some((word, behind)) = end.and_then(|end| element.split_at_checked(end)) else {
        return false;
    };
    let is_apart = behind.starts_with(b" ") && !behind.trim_ascii_start().starts_with(b"=");
    is_apart && (!quoted || word.eq_ignore_ascii_case(b"basic"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn is_accepted(lines: &[&'static [u8]]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_bytes(line).expect("a value");
            headers.append(AUTHORIZATION, value);
        }
        check_authorization(&headers).is_ok()
    }

    #[test]
    fn a_credential_of_any_scheme_passes() {
        for line in [
            &b"Basic Y29vazp3b2s="[..],
            b"basic  Y29vazp3b2s=",
            b"Basic",
            b"",
            b"secret",
            b"Bearer 1|aBc.d-e_f~g",
            b"Negotiate YIIabc==",
            b"Token token=\"abc\", nonce=\"def\"",
            b"ApiKey cook:abc",
            b"Digest username=\"a, b c\", realm=\"Users, log in here\", nc=00000001, uri=\"/x?y=1,2\"",
            b"AWS4-HMAC-SHA256 Credential=A/20130524/x/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=f",
            b"Hawk id = \"a\", ts = \"1\"",
        ] {
            assert!(is_accepted(&[line]), "{}", line.escape_ascii());
        }
        assert!(is_accepted(&[]));
    }

    #[test]
    fn a_second_credential_or_another_separator_does_not() {
        for lines in [
            &[&b"x"[..], b"Basic Y29vazp3b2s="][..],
            &[b"Basic Y29vazp3b2s=", b"Basic Y29vazp3b2s="],
            &[b"", b"Basic Y29vazp3b2s="],
            &[b"Basic\tY29vazp3b2s="],
            &[b"Basic \tY29vazp3b2s="],
            &[b" Basic Y29vazp3b2s="],
            &[b"Basic Y29vazp3b2s= "],
            &[b"Basic Y29v azp3b2s="],
            &[b"Basic a, Basic Y29vazp3b2s="],
            &[b"Basic a,Basic=Y29vazp3b2s="],
            &[b"x, Basic Y29vazp3b2s="],
            &[b"x,basic Y29vazp3b2s="],
            &[b"Digest username=\"a\", Basic Y29vazp3b2s="],
            &[b"Digest realm=\"a, Basic Y29vazp3b2s=\""],
            &[b"Digest realm=\"a\\\", x\", Bearer abc"],
        ] {
            assert!(!is_accepted(lines), "{}", lines.concat().escape_ascii());
        }
    }
}
