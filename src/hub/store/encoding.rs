//! The bytes of a record in the file.
//!
//! ```text
//! 1  version, 1                        8  time, Unix milliseconds
//! 1  kind: 0 text, 1 JSON, 2 bytes     then for each that is there: 8 length, n UTF-8
//! 1  flags: 1 has event, 2 has key     the rest: the data
//! ```
//!
//! Integers are little-endian. The layout is our own and not that of a serialisation crate: it fits on one page, it
//! does not change when a field of a Rust type moves, and the data, which is nearly all of a record, is copied once.
//! Any other layout is refused, so a file of a newer Noren is not misread. The checksums are those of the file (redb).
//!
//! Must not know the file, channels or offsets: the key of the table contains those.

use bytes::Bytes;

use super::Record;
use crate::hub::kind::Kind;

const VERSION: u8 = 1;
const HAS_EVENT: u8 = 1;
const HAS_KEY: u8 = 2;

/// Reasons why bytes in the file are not a valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// The version byte is unknown.
    #[error("it has version {0} and this Noren reads version {VERSION}")]
    Version(u8),
    /// The record ends too early.
    #[error("it is cut short")]
    Short,
    /// The kind or a flag is not one of version 1.
    #[error("it has an unknown kind or flag")]
    Unknown,
    /// A part that should be text is not UTF-8.
    #[error("it has text that is not UTF-8")]
    Text,
}

/// Encodes a record without its offset.
pub(super) fn encode(record: &Record) -> Vec<u8> {
    let texts = [record.event.as_deref(), record.key.as_deref()];
    let mut out = Vec::with_capacity(weight(record));
    let kind = match record.kind {
        Kind::Text => 0,
        Kind::Json => 1,
        Kind::Bytes => 2,
    };
    let flag = |present: bool, flag: u8| if present { flag } else { 0 };
    let flags = flag(record.event.is_some(), HAS_EVENT) | flag(record.key.is_some(), HAS_KEY);
    out.extend_from_slice(&[VERSION, kind, flags]);
    out.extend_from_slice(&record.time.to_le_bytes());
    for text in texts.into_iter().flatten() {
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&record.data);
    out
}

/// Upper bound of the encoded size of a record.
pub(super) fn weight(record: &Record) -> usize {
    let length = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len() + 8);
    11 + length(&record.event) + length(&record.key) + record.data.len()
}

/// Decodes a record.
pub(super) fn decode(offset: u64, bytes: &[u8]) -> Result<Record, Malformed> {
    let mut rest = Rest(bytes);
    match rest.byte()? {
        VERSION => {}
        other => return Err(Malformed::Version(other)),
    }
    let kind = match rest.byte()? {
        0 => Kind::Text,
        1 => Kind::Json,
        2 => Kind::Bytes,
        _ => return Err(Malformed::Unknown),
    };
    let flags = rest.byte()?;
    if flags & !(HAS_EVENT | HAS_KEY) != 0 {
        return Err(Malformed::Unknown);
    }
    let time = rest.integer()?;
    let event = rest.text(flags & HAS_EVENT != 0)?;
    let key = rest.text(flags & HAS_KEY != 0)?;
    // The hub hands text and JSON on as `str`, so what is not must be found here and not by a page.
    if kind != Kind::Bytes && std::str::from_utf8(rest.0).is_err() {
        return Err(Malformed::Text);
    }
    let data = Bytes::copy_from_slice(rest.0);
    Ok(Record {
        offset,
        id: None,
        event,
        key,
        kind,
        data,
        time,
    })
}

/// The bytes that are not decoded yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.0.split_first().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn integer(&mut self) -> Result<u64, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn text(&mut self, present: bool) -> Result<Option<Box<str>>, Malformed> {
        if !present {
            return Ok(None);
        }
        // A length that no memory could hold is also longer than what is left.
        let length = usize::try_from(self.integer()?).map_err(|_| Malformed::Short)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Malformed::Text)?;
        Ok(Some(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: Kind, event: Option<&str>, key: Option<&str>, data: &[u8]) -> Record {
        Record {
            offset: 7,
            id: None,
            event: event.map(Into::into),
            key: key.map(Into::into),
            kind,
            data: Bytes::copy_from_slice(data),
            time: 1_763_932_800_123,
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        for kind in [Kind::Text, Kind::Json, Kind::Bytes] {
            for event in [None, Some(""), Some("entrée")] {
                for key in [None, Some(""), Some("job 17")] {
                    for data in ["", "{\"ä\":1}"] {
                        let record = record(kind, event, key, data.as_bytes());
                        let bytes = encode(&record);
                        assert_eq!(bytes.len(), weight(&record));
                        assert_eq!(decode(7, &bytes), Ok(record));
                    }
                }
            }
        }
    }

    #[test]
    fn the_layout_is_the_one_described() {
        let bytes = encode(&record(Kind::Bytes, Some("e"), Some("k"), &[255]));
        let expected = [
            &[1, 2, 3][..],
            &1_763_932_800_123_u64.to_le_bytes(),
            &[1, 0, 0, 0, 0, 0, 0, 0, b'e'],
            &[1, 0, 0, 0, 0, 0, 0, 0, b'k'],
            &[255],
        ];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn a_record_cut_short_before_its_data_is_refused_at_every_length() {
        let whole = encode(&record(Kind::Text, Some("event"), Some("key"), b""));
        for length in 0..whole.len() {
            let cut = whole.get(..length).expect("a shorter length");
            assert_eq!(
                decode(7, cut),
                Err(Malformed::Short),
                "{length} bytes were taken for a record"
            );
        }
    }

    #[test]
    fn what_version_1_does_not_have_is_refused() {
        let whole = encode(&record(Kind::Text, Some("e"), None, b"x"));
        let changed = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            *bytes.get_mut(at).expect("a byte of the record") = byte;
            decode(7, &bytes).expect_err("a record that was changed")
        };
        assert_eq!(changed(0, 2), Malformed::Version(2));
        assert_eq!(changed(1, 3), Malformed::Unknown);
        assert_eq!(changed(2, 4), Malformed::Unknown);
        assert_eq!(
            changed(18, 255),
            Malformed::Short,
            "a length beyond all memory"
        );
        assert_eq!(changed(19, 255), Malformed::Text, "the event");
        assert_eq!(changed(20, 255), Malformed::Text, "the data");
    }
}
