//! The sections of a PEM file (RFC 7468), found by their markers and not by lines.
//!
//! Files that were joined without a line feed have two markers in one line; a key that went through an environment
//! variable or JSON has the letters `\n` in place of its line ends, or blanks. All of these are accepted. Anything
//! else is refused with its line, because silently skipping a section would lose a chain's issuer. An error
//! contains no byte of the file, which may be a key. Independent of X.509 and keys.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// Length limit of a label; the longest in use has 24 letters.
const LONGEST_LABEL: usize = 64;
/// Limit on sections in one file: no system trusts more authorities.
const MOST: usize = 10_000;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One section.
#[derive(Clone, PartialEq, Eq)]
pub struct Section {
    /// The label in its BEGIN marker, such as `CERTIFICATE`.
    pub label: String,
    /// Line of its first marker, from 1.
    pub line: usize,
    /// The decoded bytes; `None` if they are encrypted as in RFC 1421.
    pub der: Option<Vec<u8>>,
}

/// Fault that makes a file unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct PemError {
    /// Line of the fault, from 1.
    line: usize,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error(
        "the section that begins here has no end; write its line -----END …-----, with the same words as the first"
    )]
    Endless,
    #[error("the section that begins here is not base64")]
    NotBase64,
    #[error("the section that begins here is empty")]
    Empty,
    #[error(
        "this is no whole marker; it begins and ends with five dashes, as in -----BEGIN CERTIFICATE-----"
    )]
    Marker,
    #[error("no section begins before this end")]
    NoBegin,
    #[error("more than 10,000 sections")]
    TooMany,
}

/// Parses all sections, in the order of the file; text between them is commentary (RFC 7468 §5.2).
///
/// # Errors
/// [`PemError`] for a section or a marker that cannot be parsed.
pub fn sections(bytes: &[u8]) -> Result<Vec<Section>, PemError> {
    let mut found = Vec::new();
    let mut rest = bytes;
    let mut line = 1;
    loop {
        let begin = position(rest, BEGIN);
        let (outside, inside) = rest
            .split_at_checked(begin.unwrap_or(rest.len()))
            .unwrap_or_default();
        if let Some((lines, fault)) = stray(outside) {
            return Err(PemError {
                line: line + lines,
                fault,
            });
        }
        line += line_feeds(outside);
        if begin.is_none() {
            return Ok(found);
        }
        let read = if found.len() < MOST {
            section(inside, line)
        } else {
            Err(Fault::TooMany)
        };
        let (section, behind) = read.map_err(|fault| PemError { line, fault })?;
        found.push(section);
        let read = inside.len() - behind.len();
        line += line_feeds(inside.get(..read).unwrap_or_default());
        rest = behind;
    }
}

/// Writes a section in a form that every PEM parser accepts.
#[must_use]
pub fn written(label: &str, der: &[u8]) -> String {
    let encoded = BASE64.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).unwrap_or_default());
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// Parses the section that begins here; returns it with the remaining bytes, including its last dashes, which the
/// next marker may share.
fn section(bytes: &[u8], line: usize) -> Result<(Section, &[u8]), Fault> {
    let rest = bytes.strip_prefix(BEGIN).ok_or(Fault::Marker)?;
    let label = label(rest).ok_or(Fault::Marker)?;
    let rest = rest.get(label.len() + DASHES.len()..).unwrap_or_default();
    let length = position(rest, DASHES).ok_or(Fault::Endless)?;
    let (body, rest) = rest.split_at_checked(length).ok_or(Fault::Endless)?;
    let end = [END, label.as_bytes()].concat();
    let behind = rest.strip_prefix(end.as_slice()).ok_or(Fault::Endless)?;
    if !behind.starts_with(DASHES) {
        return Err(Fault::Endless);
    }
    let section = Section {
        label: label.to_owned(),
        line,
        der: decoded(body)?,
    };
    Ok((section, behind))
}

/// The label: letters, digits, blanks and the like up to five dashes.
fn label(bytes: &[u8]) -> Option<&str> {
    let near = bytes.get(..LONGEST_LABEL.min(bytes.len()))?;
    let label = std::str::from_utf8(near.get(..position(near, DASHES)?)?).ok()?;
    let fits = label
        .chars()
        .all(|sign| sign.is_ascii_alphanumeric() || " .#/+_".contains(sign));
    (fits && !label.is_empty()).then_some(label)
}

/// Decodes a body. `\n`, `\r` and `\/` are what JSON and environment files turn line ends and slashes into.
fn decoded(body: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    if position(body, b"Proc-Type:").is_some() {
        return Ok(None);
    }
    let mut text = Vec::with_capacity(body.len());
    let mut rest = body.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            // Any number of backslashes and one letter: the next one is a letter of the section.
            b'\\' => {
                while rest.next_if_eq(&b'\\').is_some() {}
                rest.next_if(|next| matches!(next, b'n' | b'r' | b't'));
            }
            byte if byte.is_ascii_whitespace() => {}
            byte => text.push(byte),
        }
    }
    let der = BASE64.decode(text).map_err(|_| Fault::NotBase64)?;
    if der.is_empty() {
        return Err(Fault::Empty);
    }
    Ok(Some(der))
}

/// Finds an incomplete marker outside of sections, such as one with four dashes or with those of a word processor,
/// and the number of lines before it. Commentary may contain the words: "front-end", "end of the chain".
fn stray(outside: &[u8]) -> Option<(usize, Fault)> {
    let text = String::from_utf8_lossy(outside);
    let kinds = [("BEGIN ", Fault::Marker), ("END ", Fault::NoBegin)];
    for (number, line) in text.split('\n').enumerate() {
        let upper = line.to_ascii_uppercase();
        for (word, fault) in kinds {
            let is_marker = upper.match_indices(word).any(|(at, _)| {
                let (before, behind) = line.split_at_checked(at).unwrap_or_default();
                let dashes = before
                    .trim_end()
                    .chars()
                    .rev()
                    .take_while(|sign| is_dash(*sign));
                let begins =
                    before.trim().is_empty() && behind.starts_with(word) && behind.contains("----");
                dashes.count() > 1
                    || begins
                    || before.ends_with(is_dash) && behind.starts_with(word)
            });
            if is_marker {
                return Some((number, fault));
            }
        }
    }
    None
}

fn is_dash(sign: char) -> bool {
    sign == '-' || ('\u{2010}'..='\u{2015}').contains(&sign) || sign == '\u{2212}'
}

fn line_feeds(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

/// Position of the first occurrence of `part` in `bytes`.
fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// Omits the bytes, which may be a key.
impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Section")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
