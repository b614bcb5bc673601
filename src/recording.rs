//! File format of a recorded tunnel, with writer and reader.
//!
//! A file is one line of JSON, followed by records. A record is one byte with its kind, eight bytes of time in
//! microseconds since the beginning, four bytes of length, and as many bytes of data; numbers are big-endian.
//! Bytes behind the last complete record were cut off when the writer was killed, and are ignored. The guide
//! documents the format for other programs. Independent of sockets and limits.

use std::io::{self, BufRead, Read as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The format version that is written and read here.
const VERSION: u32 = 1;
/// Size limit of the first line, and of a record.
const LONGEST_LINE: u64 = 64 * 1024;
const LONGEST_RECORD: u32 = 64 * 1024 * 1024;

/// The first line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Format version of the records: 1.
    #[serde(rename = "noren-recording")]
    pub version: u32,
    /// Start of the tunnel, in Unix milliseconds.
    pub begun: u64,
    /// Address of the target.
    pub target: String,
    /// Name of the console, if it is known and no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// Address of the client.
    pub peer: String,
    /// User name: the one that the app reports, or the one of a password login, or the name in the client
    /// certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `<`: bytes from the client to the target.
    Input,
    /// `>`: bytes from the target to the client.
    Output,
    /// `!`: a gap; the data is the number of missing bytes (eight bytes), because the disk did not keep up.
    Gap,
    /// `.`: the end; the data is its reason.
    End,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Time since the beginning.
    pub at: Duration,
    /// Kind of the record.
    pub kind: Kind,
    /// Data of the record.
    pub data: Vec<u8>,
}

/// Reasons why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The error of the system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is no recording, or has another version.
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
    /// Creates the header of a recording of this version.
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

    /// The first line, including its line end.
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

/// Appends an encoded record.
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
    /// [`ReadError`] if the file cannot be read or is no recording.
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

    /// Reads the next record; `None` at the end of the file, or where the writer was cut off.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read or is damaged.
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

    /// Fills a buffer completely; false if the file ends before.
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
