//! The digest chain of a recording: each record is followed by a SHA-256 of the digest before it and the record.
//!
//! A byte that is changed, removed or inserted changes every digest from there on, and so the last one, which the audit
//! has. Must not know files.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use super::format::HEAD;

/// A SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u8; SHA256_OUTPUT_LEN]);

/// The chain up to the last record.
#[derive(Clone, Debug)]
pub struct Chain {
    last: Digest,
    records: u64,
}

impl Digest {
    /// Reads the hexadecimal form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut digest = Self::default();
        if text.len() != 2 * SHA256_OUTPUT_LEN || !text.is_ascii() {
            return None;
        }
        for (at, byte) in digest.0.iter_mut().enumerate() {
            let pair = text.get(2 * at..2 * at + 2)?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(digest)
    }

    /// Its bytes, for reading into.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        let mut digest = Self::default();
        for (byte, hashed) in digest.0.iter_mut().zip(context.finish().as_ref()) {
            *byte = *hashed;
        }
        digest
    }
}

/// The hexadecimal form.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Chain {
    /// The chain of a recording with this first line, including its line end.
    #[must_use]
    pub fn of(line: &[u8]) -> Self {
        Self {
            last: Digest::of(&[line]),
            records: 0,
        }
    }

    /// Appends complete encoded records, each with its digest.
    pub fn append(&mut self, mut encoded: &[u8], into: &mut Vec<u8>) {
        while let Some((record, rest)) = split(encoded) {
            self.add(&[record]);
            into.extend_from_slice(record);
            into.extend_from_slice(&self.last.0);
            encoded = rest;
        }
    }

    /// Adds one record, which may be in parts.
    pub(super) fn add(&mut self, parts: &[&[u8]]) {
        let mut all: Vec<&[u8]> = vec![&self.last.0];
        all.extend(parts);
        self.last = Digest::of(&all);
        self.records += 1;
    }

    /// The digest of everything so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.last
    }

    /// The number of records so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }
}

/// The first of some encoded records, and the others.
fn split(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = encoded.get(HEAD - 4..HEAD)?.try_into().ok()?;
    let length = u32::from_be_bytes(length) as usize;
    encoded.split_at_checked(HEAD.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_shown() {
        let digest = Digest::of(&[b"abc"]);
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(Digest::parse(text), Some(digest));
        for wrong in ["", "ba78", &text.replace('b', "é"), &text.replace('b', "g")] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
    }
}
