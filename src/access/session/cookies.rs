//! The readings of a `Cookie` line: RFC 6265 defines one, and servers have others.
//!
//! Python's `SimpleCookie` accepts blanks around `=`, and blanks and commas between cookies; it removes quotes and
//! backslashes, as servlet containers do; PHP and Rack percent-decode; PHP folds `.` and `[` in names to `_`; Django
//! and Node remove Unicode blanks around names and values, in UTF-8 or Latin-1; of two cookies of the same name some
//! servers take the first and some the last. A line that all of them read alike is *usual*. Must not know the purpose
//! of a cookie.

/// Limit on the sessions that one line may identify.
const MOST_READINGS: usize = 32;

/// Minimum length of a cookie, with its name, that may identify a session: 64 bits in base64 have eleven letters.
const SHORTEST: usize = 16;

/// Names with a special meaning in RFC 2109, which `SimpleCookie` still follows; in folded form.
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

/// True if every known parser reads the same cookies, and at least one of `names` is among them. With `is_optional`,
/// which is true if an `Authorization` identifies the session, none of them is required.
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

/// Normal form of a name: two names have the same if any server treats them as equal.
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

/// The sessions that a line may identify, each as the parts of its key. The flag is true if the list is complete.
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

/// The parts that identify a session even after its other cookies have changed: each value of a session cookie in each
/// reading. If all cookies belong to the session, only those that are long enough to identify one: other visitors have
/// the same language or colour.
pub(super) fn parts(line: &[u8], names: &[String]) -> Vec<Vec<Vec<u8>>> {
    let decoded = percent_decoded(line);
    let texts: &[&[u8]] = if decoded == line {
        &[line]
    } else {
        &[line, &decoded]
    };
    let mut parts = Vec::new();
    for name in names {
        let mut values = Vec::new();
        for text in texts {
            find(text, name.as_bytes(), &mut values);
        }
        parts.extend(
            values
                .into_iter()
                .map(|value| vec![name.clone().into_bytes(), value]),
        );
    }
    if names.is_empty() {
        let cookies = texts.iter().flat_map(|text| all_cookies(text));
        parts.extend(
            cookies
                .filter(|cookie| cookie.len() >= SHORTEST)
                .map(|cookie| vec![cookie]),
        );
    }
    parts.truncate(MOST_READINGS);
    parts
}

/// All texts that a parser may take for cookies, in an order independent of the line's.
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
        if let Some(value) = without_blanks(rest).strip_prefix(b"=") {
            add_readings(value.trim_ascii_start(), values);
            add_readings(without_blanks(value), values);
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
    let whole = until(|byte| byte == b';');
    let mut readings = vec![
        without_last_blanks(&whole).to_vec(),
        whole,
        until(is_between),
    ];
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

/// Bytes of blanks that Python or JavaScript remove: in UTF-8, and in Latin-1, with which Node and WSGI decode. U+001C
/// to U+001F cannot occur in a header.
const BLANKS: [&[u8]; 24] = [
    b" ",
    b"\t",
    b"\x0c",
    b"\x0b",
    b"\xc2\x85",
    b"\xc2\xa0",
    b"\xe1\x9a\x80",
    b"\xe2\x80\x80",
    b"\xe2\x80\x81",
    b"\xe2\x80\x82",
    b"\xe2\x80\x83",
    b"\xe2\x80\x84",
    b"\xe2\x80\x85",
    b"\xe2\x80\x86",
    b"\xe2\x80\x87",
    b"\xe2\x80\x88",
    b"\xe2\x80\x89",
    b"\xe2\x80\x8a",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xa9",
    b"\xe2\x80\xaf",
    b"\xe2\x81\x9f",
    b"\xe3\x80\x80",
    b"\xef\xbb\xbf",
];
/// The blanks of Latin-1 that are not ASCII.
const LATIN_BLANKS: [&[u8]; 2] = [b"\x85", b"\xa0"];

/// The text without blanks of any kind at its beginning.
fn without_blanks(mut text: &[u8]) -> &[u8] {
    let kinds = || BLANKS.iter().chain(&LATIN_BLANKS);
    while let Some(rest) = kinds().find_map(|blank| text.strip_prefix(*blank)) {
        text = rest;
    }
    text
}

/// The text without blanks of any kind at its end.
fn without_last_blanks(mut text: &[u8]) -> &[u8] {
    let kinds = || BLANKS.iter().chain(&LATIN_BLANKS);
    while let Some(rest) = kinds().find_map(|blank| text.strip_suffix(*blank)) {
        text = rest;
    }
    text
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
