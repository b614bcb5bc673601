//! The different readings that servers give to a path that is not plain. Each form here is used by some server or
//! library:
//!
//! - decoded, and nothing else (WSGI, `CherryPy`, PHP);
//! - without empty segments (nginx, Rack, apps that split at slashes);
//! - with `;parameters` cut off each segment (servlet containers), or with all that follows the first;
//! - cut at a decoded `?` or `#`, by code that parses a decoded path as a URL;
//! - without spaces and dots at the end of a segment (Windows);
//! - without the first segment after two slashes, by code that takes `//name` for an authority (RFC 3986 §4.2);
//! - with `%2F` as a slash and as a part of a name; decoded twice and more.

use crate::http::path::PathFault;
use crate::text::percent::encoded_byte;

/// Limit on nested decodings of a path. A path that needs more is refused as an attempt to hide something.
const ROUNDS: usize = 4;

/// The readings of one path.
#[derive(Debug)]
pub(super) struct Readings {
    /// The canonical reading: decoded once, empty segments merged, without parameters.
    pub(super) canonical: String,
    /// The canonical reading with parameters.
    pub(super) with_parameters: String,
    /// All readings that differ from the canonical one.
    pub(super) others: Vec<String>,
    /// True if any decoding of the path produces a slash.
    pub(super) encoded_slash: bool,
}

impl Readings {
    /// The readings of a path that begins with a slash; `None` if all servers read its bytes alike.
    pub(super) fn of(path: &str) -> Result<Option<Self>, PathFault> {
        if path.contains('\\') {
            return Err(PathFault::Backslash);
        }
        let (texts, encoded_slash) = decodings(path)?;
        let mut forms = Vec::new();
        for text in &texts {
            check_segments(text)?;
            add_forms(text, &mut forms);
        }
        let mut forms = forms.into_iter();
        // The first two are those of the first decoding.
        let canonical = forms.next().unwrap_or_default();
        let with_parameters = forms.next().unwrap_or_default();
        let mut others: Vec<String> = Vec::new();
        for form in std::iter::once(with_parameters.clone()).chain(forms) {
            if form != canonical && !others.contains(&form) {
                others.push(form);
            }
        }
        if others.is_empty() && canonical == path {
            return Ok(None);
        }
        Ok(Some(Self {
            canonical,
            with_parameters,
            others,
            encoded_slash,
        }))
    }
}

/// All decoded forms of a path: decoded once, with encoded slashes as slashes and also left encoded, and then decoded
/// repeatedly. The flag is true if any decoding produced a slash.
fn decodings(path: &str) -> Result<(Vec<String>, bool), PathFault> {
    let first = decode_once(path, true)?;
    let apart = decode_once(path, false)?;
    let mut encoded_slash = apart != first;
    let mut texts = vec![first];
    if encoded_slash {
        texts.push(apart);
    }
    let mut latest = texts.first().cloned().unwrap_or_default();
    for _ in 1..ROUNDS {
        let (again, slash) = decode_again(&latest)?;
        if again == latest {
            return Ok((texts, encoded_slash));
        }
        encoded_slash |= slash;
        texts.push(again.clone());
        latest = again;
    }
    match decode_again(&latest)? {
        (again, _) if again == latest => Ok((texts, encoded_slash)),
        _ => Err(PathFault::EncodedTwice),
    }
}

fn decode_once(path: &str, slashes: bool) -> Result<String, PathFault> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        match escaped(behind) {
            None => return Err(PathFault::BrokenEncoding),
            Some(0) => return Err(PathFault::Nul),
            Some(b'\\') => return Err(PathFault::Backslash),
            Some(byte) if byte.is_ascii_control() => return Err(PathFault::Control),
            Some(b'/') if !slashes => bytes.extend_from_slice(b"%2F"),
            Some(byte) => bytes.push(byte),
        }
        rest = behind.get(2..).unwrap_or_default();
    }
    text(&bytes)
}

/// Decodes a path that was decoded before. An invalid escape is a literal percent sign at this point, as from `100%25`.
fn decode_again(path: &str) -> Result<(String, bool), PathFault> {
    let (mut bytes, mut slash) = (Vec::with_capacity(path.len()), false);
    let mut rest = path.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let byte = match escaped(behind) {
            Some(byte) if *first == b'%' => byte,
            _ => {
                bytes.push(*first);
                continue;
            }
        };
        // An encoded dot: only an attacker hides one.
        if matches!(byte, b'\\' | b'.') || byte.is_ascii_control() {
            return Err(PathFault::EncodedTwice);
        }
        slash |= byte == b'/';
        bytes.push(byte);
        rest = behind.get(2..).unwrap_or_default();
    }
    Ok((text(&bytes)?, slash))
}

/// Decodes the two hexadecimal digits at the beginning.
fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| {
        digits
            .get(at)
            .and_then(|digit| (*digit as char).to_digit(16))
    };
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// Converts bytes to text; bytes that are not UTF-8, such as `%E9` of older apps, are percent-encoded again.
fn text(bytes: &[u8]) -> Result<String, PathFault> {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(encoded_byte(*byte));
        }
    }
    if text.len() > bytes.len() && bytes.windows(2).any(is_overlong) {
        return Err(PathFault::Overlong);
    }
    Ok(text)
}

/// True for the start of an overlong encoding of a character.
fn is_overlong(pair: &[u8]) -> bool {
    matches!(
        pair,
        [0xC0 | 0xC1, 0x80..=0xBF] | [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F]
    )
}

fn check_segments(text: &str) -> Result<(), PathFault> {
    for segment in text.split('/') {
        // `..;x=1` is `..` to Java servers, which cut path parameters off first.
        let name = segment.split([';', '?', '#']).next().unwrap_or_default();
        if matches!(name.trim_matches(' '), "." | "..") {
            return Err(PathFault::DotSegment);
        }
    }
    Ok(())
}

/// Adds the forms of a decoded text: the canonical one, the one with parameters, and the others.
fn add_forms(text: &str, forms: &mut Vec<String>) {
    let cut = |segment: &str| segment.split(';').next().unwrap_or_default().len();
    let all = |segment: &str| segment.len();
    forms.push(joined(text, cut, true));
    forms.push(joined(text, all, true));
    if text.contains("//") {
        forms.push(text.to_owned());
    }
    if text.contains(';') {
        forms.push(joined(text, cut, false));
    }
    for ends in [&[';', '?', '#'][..], &['?', '#']] {
        if let Some(end) = text.find(ends) {
            let begin = text.get(..end).unwrap_or_default();
            forms.push(joined(begin, cut, true));
            forms.push(joined(begin, all, true));
        }
    }
    forms.push(joined(
        text,
        |segment| {
            let name = segment.get(..cut(segment)).unwrap_or_default();
            match name.trim_end_matches([' ', '.']).len() {
                0 => name.len(),
                end => end,
            }
        },
        true,
    ));
    if text.contains("/ ") {
        forms.push(joined(&text.replace("/ ", "/"), cut, true));
    }
    if let Some(rest) = text.strip_prefix("//") {
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        forms.push(joined(path, cut, true));
        forms.push(joined(path, all, true));
    }
}

/// Joins the segments of a path, each cut at the position from `end`; `merged` drops segments that are empty then. A
/// final slash stays.
fn joined(text: &str, end: impl Fn(&str) -> usize, merged: bool) -> String {
    let mut path = String::with_capacity(text.len() + 1);
    let mut segments = text.strip_prefix('/').unwrap_or(text).split('/').peekable();
    while let Some(segment) = segments.next() {
        let segment = segment.get(..end(segment)).unwrap_or_default();
        if !merged || !segment.is_empty() || segments.peek().is_none() {
            path.push('/');
            path.push_str(segment);
        }
    }
    path
}
