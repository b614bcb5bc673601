//! Verifies a recording against its digests. Must not know directories.

use std::io::BufRead;
use std::time::Duration;

use super::chain::{Chain, Digest};
use super::format::{Kind, encode};
use super::reader::{ReadError, Reader};

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The number of matching records, from the start.
    pub records: u64,
    /// The time of the last of them.
    pub until: Duration,
    /// The digest of the last of them; compare it with the one in the audit log.
    pub digest: Digest,
    /// The fault, if there is one.
    pub fault: Option<Fault>,
}

/// A fault of a recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An earlier version wrote it, without digests.
    #[error(
        "it has no digests, because an earlier version of Noren wrote it; whether it was changed cannot be seen"
    )]
    Unchained,
    /// A record was changed.
    #[error(
        "record {record} is not as it was written: it, its digest or something before it was changed"
    )]
    Changed {
        /// The number of the record, from 1.
        record: u64,
    },
    /// The bytes behind the last complete record are not a record.
    #[error("what follows record {after} is no record: {reason}")]
    Illegible {
        /// The number of the last whole record; 0 if there is none.
        after: u64,
        /// The reason.
        reason: String,
    },
    /// The record of the end is missing.
    #[error(
        "its end is missing after record {after}: it is still being written, its writer was killed, or it was cut \
         off"
    )]
    Truncated {
        /// The number of the last whole record; 0 if there is none.
        after: u64,
    },
    /// Something follows the record of the end.
    #[error("there is data behind its end, which is record {end}")]
    Continued {
        /// The number of the record of the end.
        end: u64,
    },
}

/// Checks a recording to its end, or to its first fault.
///
/// # Errors
/// [`ReadError`] if the file cannot be read, or is no recording.
pub fn verify(input: impl BufRead) -> Result<Verdict, ReadError> {
    let mut reader = Reader::open(input)?;
    let mut chain = Chain::of(reader.line());
    let mut until = Duration::ZERO;
    let mut ended = false;
    let fault = loop {
        let after = chain.records();
        let record = match reader.read() {
            Ok(Some(record)) => record,
            Ok(None) if reader.has_rest() && ended => break Some(Fault::Continued { end: after }),
            Ok(None) if ended => break None,
            Ok(None) => break Some(Fault::Truncated { after }),
            Err(ReadError::Foreign(reason)) => break Some(Fault::Illegible { after, reason }),
            Err(error) => return Err(error),
        };
        if ended {
            break Some(Fault::Continued { end: after });
        }
        let mut encoded = Vec::new();
        encode(record.kind, record.at, &record.data, &mut encoded);
        let mut longer = chain.clone();
        longer.add(&[&encoded]);
        if reader
            .digest()
            .is_some_and(|digest| digest != longer.digest())
        {
            break Some(Fault::Changed { record: after + 1 });
        }
        chain = longer;
        until = record.at;
        ended = record.kind == Kind::End;
    };
    let unchained = (!reader.header().is_chained()).then_some(Fault::Unchained);
    Ok(Verdict {
        records: chain.records(),
        until,
        digest: chain.digest(),
        fault: unchained.or(fault),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Header;

    /// A recording of some records, with the places where they begin.
    fn recording(records: &[(Kind, &[u8])]) -> (Vec<u8>, Vec<usize>) {
        let mut file = Header::new(0, "unix:/run/vm1".into(), "unix".into())
            .chained()
            .line();
        let mut chain = Chain::of(&file);
        let mut places = Vec::new();
        for (at, (kind, data)) in records.iter().enumerate() {
            places.push(file.len());
            let mut encoded = Vec::new();
            encode(*kind, Duration::from_secs(at as u64), data, &mut encoded);
            chain.append(&encoded, &mut file);
        }
        (file, places)
    }

    const WHOLE: [(Kind, &[u8]); 4] = [
        (Kind::Output, b"login: "),
        (Kind::Input, b"cook"),
        (Kind::Output, b"# "),
        (Kind::End, b"the client closed it"),
    ];

    fn fault(file: &[u8]) -> Option<Fault> {
        verify(file).expect("a recording").fault
    }

    #[test]
    fn a_recording_as_it_was_written_matches_to_its_end() {
        let (file, _) = recording(&WHOLE);
        let verdict = verify(&file[..]).expect("a recording");
        assert_eq!((verdict.records, verdict.fault), (4, None));
        assert_eq!(verdict.until, Duration::from_secs(3));
        assert!(
            file.ends_with(
                &Digest::parse(&verdict.digest.to_string())
                    .expect("hexadecimal")
                    .bytes_mut()[..]
            )
        );
    }

    #[test]
    fn every_changed_byte_is_seen_at_the_record_that_it_is_in() {
        let (file, places) = recording(&WHOLE);
        for at in places[0]..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            let verdict = verify(&changed[..]).expect("a recording");
            let record = places.iter().filter(|place| **place <= at).count() as u64;
            assert_eq!(verdict.records, record - 1, "byte {at}");
            // A changed length reads another record, or none; a changed kind may be none that there is.
            assert!(verdict.fault.is_some(), "byte {at}");
        }
    }

    #[test]
    fn a_changed_first_line_is_seen_at_the_first_record() {
        let (file, _) = recording(&WHOLE);
        let text = String::from_utf8_lossy(&file).into_owned();
        let at = text.find("vm1").expect("the target");
        let mut changed = file;
        changed[at + 2] = b'2';
        assert_eq!(fault(&changed), Some(Fault::Changed { record: 1 }));
    }

    #[test]
    fn a_record_that_was_taken_out_or_put_twice_is_seen() {
        let (file, places) = recording(&WHOLE);
        let mut without = file[..places[1]].to_vec();
        without.extend_from_slice(&file[places[2]..]);
        assert_eq!(fault(&without), Some(Fault::Changed { record: 2 }));
        let mut twice = file[..places[2]].to_vec();
        twice.extend_from_slice(&file[places[1]..]);
        assert_eq!(fault(&twice), Some(Fault::Changed { record: 3 }));
    }

    #[test]
    fn an_end_that_was_cut_off_or_continued_is_seen() {
        let (file, places) = recording(&WHOLE);
        for end in places[0]..file.len() {
            let after = places.iter().skip(1).filter(|place| **place <= end).count() as u64;
            assert_eq!(
                fault(&file[..end]),
                Some(Fault::Truncated { after }),
                "at {end}"
            );
        }
        for more in [&b"x"[..], &file[places[3]..]] {
            let continued = [&file, more].concat();
            assert_eq!(fault(&continued), Some(Fault::Continued { end: 4 }));
        }
    }

    #[test]
    fn a_recording_of_an_earlier_version_cannot_be_checked() {
        let mut file = Header::new(0, "unix:/run/vm1".into(), "unix".into()).line();
        encode(Kind::End, Duration::ZERO, b"", &mut file);
        assert_eq!(fault(&file), Some(Fault::Unchained));
    }
}
