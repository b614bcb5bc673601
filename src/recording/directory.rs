//! The recordings in a directory, for a list: reads the first and the last bytes of each file.
//!
//! A writer holds a lock on its file (flock(2)) until the end, so that other processes see that it is being written,
//! and do not delete it. Does not verify digests.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::format::{EXTENSION, HEAD, Header, Kind};
use super::reader::{LONGEST_LINE, ReadError, Reader};

/// Number of bytes at the end of the file in which the final record is searched; its reason is a short text.
const TAIL: u64 = 4096;
/// Number of records at the start of the file in which the first bytes of the console are searched.
const BEGINNING: usize = 16;
/// The first bytes of every graphical console (RFC 6143, section 7.1.1).
const RFB: &[u8] = b"RFB 00";

/// A recording in a list.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Path of the file.
    pub path: PathBuf,
    /// The first line.
    pub header: Header,
    /// Size in bytes.
    pub size: u64,
    /// Duration, up to now if it is still being written.
    pub duration: Duration,
    /// True for the recording of a graphical console.
    pub graphical: bool,
    /// Its state.
    pub state: State,
}

/// The state of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being written.
    Open,
    /// It is complete, and ended for this reason.
    Ended(String),
    /// Its writer was killed, or its end was cut off.
    Cut,
}

impl Summary {
    /// The recording as lists have it in JSON, those of commands and those of pages.
    #[must_use]
    pub fn json(&self) -> Value {
        let header = &self.header;
        let (state, reason) = match &self.state {
            State::Open => ("open", None),
            State::Ended(reason) => ("ended", Some(reason)),
            State::Cut => ("cut", None),
        };
        json!({
            "file": self.path.file_name().map(OsStr::to_string_lossy),
            "begun": header.begun,
            "seconds": self.duration.as_secs_f64(),
            "bytes": self.size,
            "graphical": self.graphical,
            "target": header.target,
            "console": header.console,
            "peer": header.peer,
            "user": header.user,
            "digests": header.is_chained(),
            "state": state,
            "reason": reason,
        })
    }
}

/// The files of recordings in a directory with their sizes, oldest first. A missing directory has none.
pub fn list(directory: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(EXTENSION))
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .filter(|(_, metadata)| metadata.is_file())
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// Reads the properties of a recording for the list. Blocks.
///
/// # Errors
/// [`ReadError`] if the file cannot be read, or is no recording.
pub fn summary(path: &Path) -> Result<Summary, ReadError> {
    let file = File::open(path)?;
    let is_open = is_being_written(&file);
    let metadata = file.metadata()?;
    let mut reader = Reader::open(BufReader::new(file))?;
    let header = reader.header().clone();
    let graphical = is_graphical(&mut reader);
    let span = metadata
        .modified()
        .map_or(Duration::ZERO, |end| span(&header, end));
    let end = last_record(path, metadata.len(), &header, span);
    let (state, duration) = match end {
        Ok(Some((reason, at))) => (State::Ended(reason), at),
        _ if is_open => (State::Open, self::span(&header, SystemTime::now())),
        _ => (State::Cut, span),
    };
    Ok(Summary {
        path: path.to_owned(),
        header,
        size: metadata.len(),
        duration,
        graphical,
        state,
    })
}

/// True if a writer holds its lock on the file.
pub fn is_being_written(file: &File) -> bool {
    let locked = file.try_lock_shared();
    let is_open = matches!(locked, Err(TryLockError::WouldBlock));
    // Held for a moment only, so that nothing else waits for it. A lock that was not got is not to be given back.
    if locked.is_ok() {
        let _ = file.unlock();
    }
    is_open
}

/// The duration from the start to another moment.
fn span(header: &Header, until: SystemTime) -> Duration {
    let begun = UNIX_EPOCH + Duration::from_millis(header.begun);
    until.duration_since(begun).unwrap_or_default()
}

/// True if the first bytes of the console are those of RFB.
fn is_graphical(reader: &mut Reader<BufReader<File>>) -> bool {
    let mut word = Vec::new();
    for _ in 0..BEGINNING {
        let Ok(Some(record)) = reader.read() else {
            break;
        };
        if record.kind == Kind::Output {
            word.extend(record.data.iter().take(RFB.len()));
        }
        if word.len() >= RFB.len() {
            break;
        }
    }
    word.starts_with(RFB)
}

/// The reason and the time of the final record, if it is there: the first place near the end of the file at which a
/// record of this kind reaches exactly to the end.
fn last_record(
    path: &Path,
    size: u64,
    header: &Header,
    span: Duration,
) -> io::Result<Option<(String, Duration)>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL.min(LONGEST_LINE)).read_to_end(&mut tail)?;
    let digest = if header.is_chained() { 32 } else { 0 };
    Ok((0..tail.len()).find_map(|at| {
        let rest = tail.get(at..)?;
        let (head, rest) = rest.split_at_checked(HEAD)?;
        let [kind, time @ .., a, b, c, d] = *<&[u8; HEAD]>::try_from(head).ok()?;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let at = Duration::from_micros(u64::from_be_bytes(time));
        // The clock may have been set meanwhile, but not by a day.
        let is_end = Kind::of(kind) == Some(Kind::End)
            && rest.len() == length.checked_add(digest)?
            && at <= span + Duration::from_secs(86_400);
        let reason = is_end.then(|| rest.get(..length)).flatten()?;
        Some((String::from_utf8(reason.to_vec()).ok()?, at))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Chain, encode};

    fn written(chained: bool, first: &[u8], end: Option<&str>) -> Vec<u8> {
        let header = Header::new(0, "unix:/run/vm1".into(), "unix".into());
        let header = if chained { header.chained() } else { header };
        let mut records = Vec::new();
        encode(Kind::Output, Duration::ZERO, first, &mut records);
        if let Some(end) = end {
            encode(
                Kind::End,
                Duration::from_secs(7),
                end.as_bytes(),
                &mut records,
            );
        }
        let mut file = header.line();
        if chained {
            Chain::of(&header.line()).append(&records, &mut file);
        } else {
            file.extend(records);
        }
        file
    }

    #[test]
    fn a_list_says_how_each_recording_ended_and_of_what_kind_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("1-vm1.noren");
        for chained in [false, true] {
            for (first, graphical) in [
                (&b"RFB 003.008\n"[..], true),
                (b"login: ", false),
                (&[0; 9000], false),
            ] {
                for (end, state) in [
                    (
                        Some("the client closed it"),
                        State::Ended("the client closed it".into()),
                    ),
                    (Some(""), State::Ended(String::new())),
                    (None, State::Cut),
                ] {
                    fs::write(&path, written(chained, first, end)).expect("a file of our own");
                    let summary = summary(&path).expect("a recording");
                    assert_eq!((summary.graphical, &summary.state), (graphical, &state));
                    if end.is_some() {
                        assert_eq!(summary.duration, Duration::from_secs(7));
                    }
                }
            }
        }
        let file = File::open(&path).expect("a file of our own");
        file.lock().expect("a lock");
        assert_eq!(summary(&path).expect("a recording").state, State::Open);
        assert_eq!(list(directory.path()).len(), 1);
        fs::write(&path, "RFB 003.008\n").expect("a file of our own");
        assert!(matches!(summary(&path), Err(ReadError::Foreign(_))));
    }
}
