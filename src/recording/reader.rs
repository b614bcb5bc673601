//! Reads a recording, record by record. Does not verify its digests.

use std::io::{self, BufRead, Read as _};
use std::time::Duration;

use super::chain::Digest;
use super::format::{CHAINED, HEAD, Header, Kind, PLAIN, Record};

/// Size limit of the first line, and of a record.
pub(super) const LONGEST_LINE: u64 = 64 * 1024;
const LONGEST_RECORD: u32 = 64 * 1024 * 1024;

/// Reasons why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The error of the system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not a recording, or has another version.
    #[error("this is no recording of Noren: {0}")]
    Foreign(String),
}

/// Reads a recording, record by record.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
    /// The first line, as it is in the file.
    line: Vec<u8>,
    /// The digest behind the last record.
    digest: Option<Digest>,
    /// True if the file ends within a record.
    has_rest: bool,
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
        if ![PLAIN, CHAINED].contains(&header.version) {
            let version = header.version;
            return Err(ReadError::Foreign(format!(
                "its version is {version}, known are {PLAIN} and {CHAINED}"
            )));
        }
        Ok(Self {
            input,
            header,
            line,
            digest: None,
            has_rest: false,
        })
    }

    /// The bytes of the first line.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// True if incomplete bytes follow the last record that was read.
    pub(super) fn has_rest(&self) -> bool {
        self.has_rest
    }

    /// The digest that stands behind the last record.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.digest
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
        self.has_rest = !self.input.fill_buf()?.is_empty();
        let mut head = [0; HEAD];
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
        // As long as what there is, and not as a damaged length says.
        let mut data = Vec::new();
        let mut limited = (&mut self.input).take(u64::from(length));
        limited.read_to_end(&mut data)?;
        if data.len() < length as usize {
            return Ok(None);
        }
        if self.header.is_chained() {
            let mut digest = Digest::default();
            if !self.fill(digest.bytes_mut())? {
                return Ok(None);
            }
            self.digest = Some(digest);
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
    use crate::recording::{Chain, encode};

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
            "{\"noren-recording\":3,\"begun\":0,\"target\":\"\",\"peer\":\"\"}\n",
        ] {
            assert!(
                matches!(Reader::open(text.as_bytes()), Err(ReadError::Foreign(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_recording_with_digests_has_the_same_records_wherever_it_was_cut_off() {
        let plain = written();
        let begin = plain
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a line")
            + 1;
        let header = Reader::open(&plain[..])
            .expect("a recording")
            .header()
            .clone();
        let mut file = header.chained().line();
        let mut chain = Chain::of(&file);
        let start = file.len();
        chain.append(&plain[begin..], &mut file);
        let all = records(&plain);
        assert_eq!(records(&file), all);
        assert_eq!(file.len() - start, plain.len() - begin + 4 * 32);
        for end in start..file.len() {
            let some = records(&file[..end]);
            assert_eq!(some, all[..some.len()], "cut off at {end}");
            assert!(some.len() < all.len());
        }
    }
}
