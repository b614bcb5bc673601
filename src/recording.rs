//! The file of a recorded tunnel: how it is written, and how it is read.
//!
//! One line of JSON, then records until the end of the file. A record is one byte that says what it is, eight
//! bytes of time in microseconds since the beginning, four bytes of length, and so many bytes; numbers have their
//! most significant byte first. What follows the last whole record was cut off when the writer was killed, and
//! means nothing. The guide has this for those who read it with other programs. Knows no sockets and no limits.

use std::io::{self, BufRead, Read as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The form of the file that is written and read here.
const VERSION: u32 = 1;
/// The longest first line, and the longest record, that is read.
const LONGEST_LINE: u64 = 64 * 1024;
const LONGEST_RECORD: u32 = 64 * 1024 * 1024;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The form of what follows: 1.
    #[serde(rename = "noren-recording")]
    pub version: u32,
    /// When it began, in milliseconds since 1970.
    pub begun: u64,
    /// Where the tunnel led.
    pub target: String,
    /// The name of the console, where it is known and no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// Where the client came from.
    pub peer: String,
    /// Who it was: the name that the app gave, or the user of the door, or the name in the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `<`: bytes from the client to the target.
    Input,
    /// `>`: bytes from the target to the client.
    Output,
    /// `!`: here so many bytes are missing (eight bytes), because the disk did not keep up.
    Gap,
    /// `.`: the end, and why.
    End,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, since the beginning.
    pub at: Duration,
    /// What.
    pub kind: Kind,
    /// The bytes.
    pub data: Vec<u8>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system says so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no recording, or one of another version.
    #[error("this is no recording of Noren: {0}")]
    Foreign(String),
}

/// Reads a recording, record by record.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
}

impl Header {
    /// The header of a recording of this version.
    #[must_use]
    pub fn new(begun: u64, target: String, peer: String) -> Self {
        Self {
            version: VERSION,
            begun,
            target,
            console: None,
            peer,
            user: None,
        }
    }

    /// The first line, with its end.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Input => b'<',
            Self::Output => b'>',
            Self::Gap => b'!',
            Self::End => b'.',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        let all = [Self::Input, Self::Output, Self::Gap, Self::End];
        all.into_iter().find(|kind| kind.byte() == byte)
    }
}

/// Adds a record to what is to be written.
pub fn encode(kind: Kind, at: Duration, data: &[u8], into: &mut Vec<u8>) {
    let microseconds = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    // Nothing that is recorded at once comes near the limit: it is what was read at once.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    into.push(kind.byte());
    into.extend_from_slice(&microseconds.to_be_bytes());
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(data);
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(mut input: R) -> Result<Self, ReadError> {
        let mut line = Vec::new();
        (&mut input)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?;
        let header: Header = serde_json::from_slice(&line)
            .map_err(|error| ReadError::Foreign(format!("its first line: {error}")))?;
        if header.version != VERSION {
            let version = header.version;
            return Err(ReadError::Foreign(format!(
                "its version is {version}, known is {VERSION}"
            )));
        }
        Ok(Self { input, header })
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next record; none at the end of the file, or where the writer was cut off.
    ///
    /// # Errors
    /// [`ReadError`], also for what cannot be a record.
    pub fn read(&mut self) -> Result<Option<Record>, ReadError> {
        let mut head = [0; 13];
        if !self.fill(&mut head)? {
            return Ok(None);
        }
        let [byte, time @ .., a, b, c, d] = head;
        let kind = Kind::of(byte)
            .ok_or_else(|| ReadError::Foreign(format!("there is no record of the kind {byte}")))?;
        let length = u32::from_be_bytes([a, b, c, d]);
        if length > LONGEST_RECORD {
            return Err(ReadError::Foreign(format!("a record of {length} bytes")));
        }
        let mut data = vec![0; length as usize];
        if !self.fill(&mut data)? {
            return Ok(None);
        }
        Ok(Some(Record {
            at: Duration::from_micros(u64::from_be_bytes(time)),
            kind,
            data,
        }))
    }

    /// Fills all of a buffer; false if the file ends before.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, io::Error> {
        match self.input.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut header = Header::new(1_764_111_600_123, "unix:/run/vm1".into(), "unix".into());
        header.user = Some("cook".into());
        let mut file = header.line();
        encode(Kind::Output, Duration::ZERO, b"RFB 003.008\n", &mut file);
        encode(Kind::Input, Duration::from_micros(258), b"\0\n", &mut file);
        encode(
            Kind::Gap,
            Duration::from_secs(3),
            &7_u64.to_be_bytes(),
            &mut file,
        );
        encode(
            Kind::End,
            Duration::from_secs(4),
            b"the client closed it",
            &mut file,
        );
        file
    }

    fn records(file: &[u8]) -> Vec<Record> {
        let mut reader = Reader::open(file).expect("a recording");
        let next = || reader.read().expect("a record");
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn the_file_is_what_the_guide_says() {
        let line = "{\"noren-recording\":1,\"begun\":1764111600123,\"target\":\"unix:/run/vm1\",\
             \"peer\":\"unix\",\"user\":\"cook\"}\n";
        let file = written();
        let rest = file.strip_prefix(line.as_bytes()).expect("the first line");
        assert!(rest.starts_with(
            b">\0\0\0\0\0\0\0\0\0\0\0\x0cRFB 003.008\n<\0\0\0\0\0\0\x01\x02\0\0\0\x02\0\n"
        ));
    }

    #[test]
    fn a_recording_is_read_as_it_was_written_and_up_to_where_it_was_cut_off() {
        let file = written();
        let all = records(&file);
        assert_eq!(all.len(), 4);
        assert_eq!(all[1].at, Duration::from_micros(258));
        assert_eq!(all[3].data, b"the client closed it");
        let begin = file.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        for end in begin..file.len() {
            let some = records(&file[..end]);
            assert_eq!(some, all[..some.len()], "cut off at {end}");
            assert!(some.len() < all.len());
        }
    }

    #[test]
    fn what_is_no_recording_is_told_so() {
        let mut junk = written();
        junk.extend_from_slice(&[b'?'; 13]);
        let mut reader = Reader::open(&junk[..]).expect("a recording");
        assert!((0..5).any(|_| reader.read().is_err()));
        for text in [
            "",
            "RFB 003.008\n",
            "{}\n",
            "{\"noren-recording\":2,\"begun\":0,\"target\":\"\",\"peer\":\"\"}\n",
        ] {
            assert!(
                matches!(Reader::open(text.as_bytes()), Err(ReadError::Foreign(_))),
                "{text}"
            );
        }
    }
}
