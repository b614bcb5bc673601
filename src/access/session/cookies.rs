//! The readings of a `Cookie` line: RFC 6265 has one, and servers have others.
//!
//! Python's `SimpleCookie` takes blanks around `=`, and blanks and commas between cookies; it removes quotes and undoes
//! backslashes, as servlet containers do; PHP and Rack undo percent-encoding; PHP folds `.` and `[` in names to `_`;
//! of two cookies of one name some servers take the first and some the last. What all of them read alike is *usual*.
//! Must not know what a cookie is for.

/// Limit on sessions that one line may stand for.
const MOST_READINGS: usize = 32;

/// Names with a special meaning in RFC 2109, which `SimpleCookie` still follows; folded.
const ATTRIBUTES: &[&[u8]] = &[
    b"comment",
    b"domain",
    b"expires",
    b"httponly",
    b"max_age",
    b"partitioned",
    b"path",
    b"samesite",
    b"secure",
    b"version",
];

/// True if every known parser reads the same cookies from a line.
pub(super) fn are_usual(line: &[u8]) -> bool {
    usual_names(line).is_some()
}

/// True if every known parser reads the same cookies, with at least one of `names` among them; with `is_optional`,
/// which says that an `Authorization` identifies the session, none of them is needed.
pub(super) fn make_a_session(line: &[u8], names: &[String], is_optional: bool) -> bool {
    let mut found = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let is_one = |pair: &[u8]| {
        names.iter().any(|name| {
            let value = pair.strip_prefix(name.as_bytes());
            value.is_some_and(|value| value.starts_with(b"="))
        })
    };
    are_usual(line) && (is_optional || found.any(is_one))
}

/// The folded names of a line of `name=value; name=value`, each occurring once; `None` if the line is anything
/// else.
fn usual_names(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for (number, pair) in line.split(|byte| *byte == b';').enumerate() {
        let pair = match pair {
            [b' ', rest @ ..] if number > 0 => rest,
            pair => pair,
        };
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(equals)?;
        let value = value.get(1..)?;
        let is_name =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        // RFC 6265 §4.1.1, cookie-octet.
        let is_value = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b'\\');
        if name.is_empty() || !name.iter().all(is_name) || !value.iter().all(is_value) {
            return None;
        }
        names.push(folded(name));
    }
    if names
        .iter()
        .any(|name| ATTRIBUTES.contains(&name.as_slice()))
    {
        return None;
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    (names.len() == count).then_some(names)
}

/// A name in a form in which two are equal if some server treats them as equal.
fn folded(name: &[u8]) -> Vec<u8> {
    name.iter().copied().map(fold).collect()
}

fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'_'
    }
}

/// The sessions that a line may stand for, each as the parts of its key; and true if the list is complete.
pub(super) fn readings(line: &[u8], names: &[String]) -> (Vec<Vec<Vec<u8>>>, bool) {
    let decoded = percent_decoded(line);
    let texts: &[&[u8]] = if decoded == line {
        &[line]
    } else {
        &[line, &decoded]
    };
    if names.is_empty() {
        return (texts.iter().map(|text| all_cookies(text)).collect(), true);
    }
    let mut readings: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
    let (mut is_any, mut is_complete) = (false, true);
    for name in names {
        let mut values = Vec::new();
        for text in texts {
            find(text, name.as_bytes(), &mut values);
        }
        is_any |= !values.is_empty();
        // Another cookie of the list may be the one that is there.
        let values: Vec<Vec<u8>> = if values.is_empty() {
            vec![b"-".to_vec()]
        } else {
            values
                .iter()
                .map(|value| [b"=", value.as_slice()].concat())
                .collect()
        };
        let combined = readings.iter().flat_map(|begin| {
            let with = |value: &Vec<u8>| {
                let mut reading = begin.clone();
                reading.push(name.clone().into_bytes());
                reading.push(value.clone());
                reading
            };
            values.iter().map(with).collect::<Vec<_>>()
        });
        let mut combined: Vec<_> = combined.take(MOST_READINGS + 1).collect();
        if combined.len() > MOST_READINGS {
            combined.truncate(MOST_READINGS);
            is_complete = false;
        }
        readings = combined;
    }
    if !is_any {
        // Nothing of it was read, which is not the same as that nothing was sent.
        let mut reading = vec![Vec::new()];
        reading.append(&mut all_cookies(line));
        return (vec![reading], true);
    }
    (readings, is_complete)
}

/// Everything that may be a cookie, in an order independent of the line's.
fn all_cookies(text: &[u8]) -> Vec<Vec<u8>> {
    let mut cookies = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .iter()
            .position(|byte| is_between(*byte))
            .unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        let next = behind.trim_ascii_start();
        // A blank before or behind `=` is none to some parsers.
        let goes_on = next.starts_with(b"=") || word.ends_with(b"=");
        match cookies.last_mut() {
            Some((last, true)) => {
                let last: &mut Vec<u8> = last;
                last.extend_from_slice(word);
            }
            _ => cookies.push((word.to_vec(), false)),
        }
        if let Some((_, open)) = cookies.last_mut() {
            *open = goes_on && behind.first().is_some_and(u8::is_ascii_whitespace);
        }
        rest = if goes_on {
            next
        } else {
            behind.get(1..).unwrap_or_default()
        };
    }
    let quotes = |cookie: Vec<u8>| cookie.into_iter().filter(|byte| *byte != b'"').collect();
    let mut cookies: Vec<Vec<u8>> = cookies
        .into_iter()
        .map(|(cookie, _)| quotes(cookie))
        .collect();
    cookies.retain(|cookie| !cookie.is_empty());
    cookies.sort_unstable();
    cookies.dedup();
    cookies
}

fn is_between(byte: u8) -> bool {
    matches!(byte, b';' | b',') || byte.is_ascii_whitespace()
}

/// Adds each value that a parser may read for a cookie of this name.
fn find(text: &[u8], name: &[u8], values: &mut Vec<Vec<u8>>) {
    for begin in 0..text.len() {
        let is_start = begin
            .checked_sub(1)
            .and_then(|before| text.get(before))
            .is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let Some(found) = text.get(begin..begin + name.len()).filter(|_| is_start) else {
            continue;
        };
        if !found
            .iter()
            .zip(name)
            .all(|(one, other)| fold(*one) == fold(*other))
        {
            continue;
        }
        let rest = text.get(begin + name.len()..).unwrap_or_default();
        if let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") {
            add_readings(value.trim_ascii_start(), values);
        }
    }
}

/// Adds each value that a parser may take from the text behind `=`.
fn add_readings(text: &[u8], values: &mut Vec<Vec<u8>>) {
    let until = |stop: fn(u8) -> bool| {
        let end = text
            .iter()
            .position(|byte| stop(*byte))
            .unwrap_or(text.len());
        text.get(..end).unwrap_or_default().trim_ascii().to_vec()
    };
    let mut readings = vec![until(|byte| byte == b';'), until(is_between)];
    if let Some(quoted) = text.strip_prefix(b"\"") {
        readings.push(unquoted(quoted));
        let bare = |value: &Vec<u8>| value.iter().copied().filter(|byte| *byte != b'"').collect();
        let without: Vec<Vec<u8>> = readings.iter().map(bare).collect();
        readings.extend(without);
    }
    for reading in readings {
        if !values.contains(&reading) && values.len() <= MOST_READINGS {
            values.push(reading);
        }
    }
}

/// The text up to the closing quote, without its backslashes; `\061` is a byte in octal, as `SimpleCookie` writes
/// it.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match (byte, behind) {
            (b'"', _) => break,
            (
                b'\\',
                [
                    a @ b'0'..=b'3',
                    b @ b'0'..=b'7',
                    c @ b'0'..=b'7',
                    after @ ..,
                ],
            ) => {
                value.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                value.push(*escaped);
                rest = after;
            }
            _ => value.push(*byte),
        }
    }
    value
}

/// Percent-decodes a text; invalid escapes stay.
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        let digits = digit(behind.first()).zip(digit(behind.get(1)));
        match digits.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(encoded) if *byte == b'%' => {
                decoded.push(encoded);
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => decoded.push(*byte),
        }
    }
    decoded
}
