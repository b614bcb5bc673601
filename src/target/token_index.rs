//! The tokens of one file, without the file: as keyed hashes, so that neither a look-up's time nor a dump of memory
//! tells them, and with the look of the file when it was read, so that a change is noticed.
//!
//! Must not know which files there are.

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

/// The age from which a file that looks the same is the same. Two writes within one tick of the file system's clock
/// look alike; ticks are of some milliseconds, and of two seconds on the coarsest.
pub(super) const SETTLED: Duration = Duration::from_secs(3);

/// A keyed hash of a token, shortened: 128 bits are enough to tell tokens apart that their owners did not choose to
/// collide, and a file is read before its token counts.
type Mark = [u8; 16];

/// Makes the marks of tokens.
#[derive(Debug)]
pub(super) struct Marks(hmac::Key);

/// One file at the time when it was read.
#[derive(Debug)]
pub(super) struct Indexed {
    look: Option<Look>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// There is no file, or something else that was never one.
    Absent,
    /// As a file is while it is being written.
    Empty,
    /// It cannot be read.
    Unreadable,
    Read {
        /// Sorted.
        marks: Box<[Mark]>,
        /// It has a line that may be meant for any token.
        unclear: bool,
    },
}

/// By which a file is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    /// Nobody can set this one.
    changed: (i64, i64),
    /// It had not been changed for a while when it was read.
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

    /// The marks of all that a file may have written for a token.
    pub(super) fn of_token(&self, token: &Token) -> Vec<Mark> {
        let spellings = token.spellings();
        spellings.map(|text| self.of(text.as_bytes())).collect()
    }
}

impl Indexed {
    /// Reads a file. Blocks.
    pub(super) fn read(path: &Path, largest: u64, marks: &Marks) -> Self {
        // Before the content, so that a change while it is read is a change.
        let now = SystemTime::now();
        let Ok(metadata) = fs::metadata(path) else {
            return Self {
                look: None,
                state: State::Absent,
            };
        };
        let look = Some(Look::of(&metadata, now, SETTLED));
        let state = if metadata.is_file() {
            State::read(path, largest, marks)
        } else {
            State::Absent
        };
        Self { look, state }
    }

    /// Whether the file is as it was when it was read. Looks at the file and does not read it.
    pub(super) fn is_still(&self, path: &Path, settled: Duration) -> bool {
        let Some(look) = self.look else { return false };
        let Ok(metadata) = fs::metadata(path) else {
            return false;
        };
        // A file that cannot be read may be readable for a reason that it does not show.
        let readable = !matches!(self.state, State::Unreadable);
        let was_settled = look.settled || settled.is_zero();
        let now = Look {
            settled: look.settled,
            ..Look::of(&metadata, UNIX_EPOCH, settled)
        };
        readable && was_settled && now == look
    }

    /// How many tokens it has.
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

    /// Whether something is wrong with it that a look-up in vain has to tell.
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

impl Look {
    fn of(metadata: &fs::Metadata, now: SystemTime, settled: Duration) -> Self {
        let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
        let changed = UNIX_EPOCH + Duration::from_secs(seconds);
        // None of a file from the future, as one of another machine may be.
        let age = now.duration_since(changed).ok();
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            settled: age.is_some_and(|age| age > settled),
        }
    }
}
