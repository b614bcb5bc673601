//! Index of the tokens in one file. Tokens are stored as keyed hashes, so that neither the time of a look-up nor a
//! memory dump reveals them, together with the file's metadata when it was read, so that a change is noticed.
//!
//! Independent of the set of files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::SHA256_OUTPUT_LEN;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rand::SystemRandom;

use super::Token;
use super::token_file::{self, Line};

use crate::clock::moment;
use crate::fs::FileId;

/// Age from which unchanged metadata proves an unchanged file. Two writes within one clock tick of the file system
/// look alike; ticks are some milliseconds, and two seconds on the coarsest file systems.
pub(super) const SETTLED: Duration = Duration::from_secs(3);

/// A keyed hash of a token, shortened to 128 bits. That is enough to distinguish tokens: their owners do not try to
/// collide, and a token counts only after its file was read.
type Mark = [u8; 16];

/// The key for hashing tokens.
#[derive(Debug)]
pub(super) struct Marks(hmac::Key);

/// The index of one file at the time it was read.
#[derive(Debug)]
pub(super) struct Indexed {
    look: Option<FileVersion>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// There is no file, or it is not a regular one.
    Absent,
    /// The file is empty, possibly because it is being written.
    Empty,
    /// The file cannot be read.
    Unreadable,
    Read {
        /// Hashes of its tokens, sorted.
        marks: Box<[Mark]>,
        /// True if it has a line whose token cannot be determined.
        unclear: bool,
    },
}

/// Metadata that identifies a version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileVersion {
    file: FileId,
    /// True if the file had been unchanged for a while when it was read.
    settled: bool,
}

impl Marks {
    pub(super) fn new() -> Self {
        let mut secret = [0; SHA256_OUTPUT_LEN];
        // Without randomness nothing in this program works; the marks are then only not secret.
        let _ = SystemRandom::new().fill(&mut secret);
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }

    fn of(&self, written: &[u8]) -> Mark {
        let tag = hmac::sign(&self.0, written);
        let mut mark = Mark::default();
        for (byte, of_tag) in mark.iter_mut().zip(tag.as_ref()) {
            *byte = *of_tag;
        }
        mark
    }

    /// Hashes of all spellings of a token.
    pub(super) fn of_token(&self, token: &Token) -> Vec<Mark> {
        let spellings = token.spellings();
        spellings.map(|text| self.of(text.as_bytes())).collect()
    }
}

impl Indexed {
    /// Reads and indexes a file. Blocks.
    pub(super) fn read(path: &Path, largest: u64, marks: &Marks) -> Self {
        // Before the content, so that a change while it is read is a change.
        let now = SystemTime::now();
        let Ok(metadata) = fs::metadata(path) else {
            return Self {
                look: None,
                state: State::Absent,
            };
        };
        let look = Some(FileVersion::of(&metadata, now, SETTLED));
        let state = if metadata.is_file() {
            State::read(path, largest, marks)
        } else {
            State::Absent
        };
        Self { look, state }
    }

    /// True if the file is unchanged since it was read. Checks metadata only.
    pub(super) fn is_still(&self, path: &Path, settled: Duration) -> bool {
        let Some(look) = self.look else { return false };
        let Ok(metadata) = fs::metadata(path) else {
            return false;
        };
        // A file that cannot be read may be readable for a reason that it does not show.
        let readable = !matches!(self.state, State::Unreadable);
        let was_settled = look.settled || settled.is_zero();
        let now = FileVersion {
            settled: look.settled,
            ..FileVersion::of(&metadata, UNIX_EPOCH, settled)
        };
        readable && was_settled && now == look
    }

    /// Number of tokens in the file.
    pub(super) fn count(&self) -> usize {
        match &self.state {
            State::Read { marks, .. } => marks.len(),
            State::Absent | State::Empty | State::Unreadable => 0,
        }
    }

    pub(super) fn has_any(&self, wanted: &[Mark]) -> bool {
        let State::Read { marks, .. } = &self.state else {
            return false;
        };
        wanted.iter().any(|mark| marks.binary_search(mark).is_ok())
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self.state, State::Absent)
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.state, State::Empty)
    }

    /// True if the file has a fault to report after a look-up without a result.
    pub(super) fn is_faulty(&self) -> bool {
        match self.state {
            State::Absent | State::Unreadable => true,
            State::Empty => false,
            State::Read { unclear, .. } => unclear,
        }
    }
}

impl State {
    fn read(path: &Path, largest: u64, marks: &Marks) -> Self {
        let Ok(content) = token_file::read(path, largest) else {
            return Self::Unreadable;
        };
        if content.is_empty() {
            return Self::Empty;
        }
        let mut unclear = false;
        let mut found = Vec::new();
        for line in content.split(|byte| *byte == b'\n') {
            match Line::parse(line) {
                Line::Nothing => {}
                Line::Entry { written, .. } => found.push(marks.of(written)),
                Line::Unclear => unclear = true,
            }
        }
        found.sort_unstable();
        found.dedup();
        Self::Read {
            marks: found.into_boxed_slice(),
            unclear,
        }
    }
}

impl FileVersion {
    fn of(metadata: &fs::Metadata, now: SystemTime, settled: Duration) -> Self {
        let changed = moment(metadata.ctime());
        // None of a file from the future, as one of another machine may be.
        let age = now.duration_since(changed).ok();
        Self {
            file: FileId::of_metadata(metadata),
            settled: age.is_some_and(|age| age > settled),
        }
    }
}
