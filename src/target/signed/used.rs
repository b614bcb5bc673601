//! Store of used single-use links: a file that grows by one line for each, and is read at the start.
//!
//! A line is durable on the disk before its link opens anything, so neither a crash nor a restart makes the link
//! valid again. Long expired links are dropped when the file is rewritten. Several processes may share the file,
//! as during an upgrade: each holds its lock (flock(2)) while it reads and writes, and reads the lines of others
//! first. Independent of the form of links; a line contains only a hash of its link.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{LinkError, Once, UNIX};

/// Limit on remembered links, about 12 MB. At the limit expired ones are dropped, and if there are none, no link
/// is accepted until one expires.
const MOST: usize = 100_000;
/// Number of outdated lines above which the file is rewritten.
const STALE: usize = 10_000;
/// Seconds that a link is remembered beyond its expiry while there is room: no link becomes valid again if a clock
/// that was ahead by less than this is set back.
const BEYOND: u64 = 30 * 86_400;

/// The store of used links.
pub(super) struct Used {
    path: PathBuf,
    grace: Duration,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// Position up to which the file was read.
    read: u64,
    lines: usize,
    uses: HashMap<[u8; 32], Use>,
}

/// The first use of a link.
struct Use {
    until: u64,
    first: u64,
    peer: String,
}

impl Used {
    /// Opens or creates the file, and drops long expired links.
    pub(super) fn open(path: &Path, grace: Duration, now: u64) -> Result<Self, String> {
        let told = |error: io::Error| format!("{}: {error}", path.display());
        let mut state = State::open(path).map_err(told)?;
        state.read_new().map_err(told)?;
        let used = Self {
            path: path.to_owned(),
            grace,
            state: Mutex::new(state),
        };
        used.locked(|state| used.tidy(state, now)).map_err(told)?;
        Ok(used)
    }

    /// Records a use; an error if the link was used before.
    pub(super) fn spend(&self, once: &Once, now: u64) -> Result<(), LinkError> {
        let spent = self.locked(|state| {
            if let Some(before) = state.uses.get(&once.id) {
                // On a UNIX socket everybody looks the same, so nobody is.
                let again = before.peer == once.peer
                    && once.peer != UNIX
                    // If the clock was put back, the time since then is not known, and short only if that is.
                    && now.abs_diff(before.first) < self.grace.as_secs();
                return Ok(again);
            }
            if state.uses.len() >= MOST || state.lines > state.uses.len() + STALE {
                self.tidy(state, now)?;
            }
            if state.uses.len() >= MOST {
                return Err(io::Error::other(
                    "100,000 single-use links are alive, which is the most",
                ));
            }
            let first = Use {
                until: once.until,
                first: now,
                peer: once.peer.clone(),
            };
            state.append(&line(&once.id, &first))?;
            state.uses.insert(once.id, first);
            Ok(true)
        });
        match spent {
            Ok(true) => Ok(()),
            Ok(false) => Err(LinkError::Used),
            Err(error) => Err(LinkError::Store(format!(
                "{}: {error}",
                self.path.display()
            ))),
        }
    }

    /// Runs `work` on the current content of the file, with the file locked.
    fn locked<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            state.file.lock()?;
            // Another process may have put a new file in the place of the one that is open here.
            let named = fs::metadata(&self.path).map(|meta| meta.ino()).ok();
            if named == Some(state.file.metadata()?.ino()) {
                break;
            }
            // Known uses are kept even if the file was removed meanwhile.
            let known = std::mem::take(&mut state.uses);
            *state = State::open(&self.path)?;
            state.uses = known;
        }
        state.read_new()?;
        let done = work(&mut state);
        // Fails only for a file that is not open.
        let _ = state.file.unlock();
        done
    }

    /// Drops long expired links, and all expired ones if there is no room otherwise; rewrites the file if that
    /// makes it shorter.
    fn tidy(&self, state: &mut State, now: u64) -> io::Result<()> {
        state.forget(now.saturating_sub(BEYOND));
        if state.uses.len() >= MOST {
            state.forget(now);
        }
        if state.lines == state.uses.len() {
            return Ok(());
        }
        let path = self.path.with_extension("new");
        // A file left by a crash is worthless.
        let _ = fs::remove_file(&path);
        let mut next = State::open(&path)?;
        let text: String = state.uses.iter().map(|(id, used)| line(id, used)).collect();
        next.append(&text)?;
        next.lines = state.uses.len();
        // Taken before anybody can find it, and given back with the old one's: see `locked`.
        next.file.lock()?;
        fs::rename(&path, &self.path)?;
        next.uses = std::mem::take(&mut state.uses);
        *state = next;
        Ok(())
    }
}

impl State {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        Ok(Self {
            file,
            read: 0,
            lines: 0,
            uses: HashMap::new(),
        })
    }

    /// Drops the links that had expired by this time.
    fn forget(&mut self, end: u64) {
        self.uses.retain(|_, used| used.until > end);
    }

    /// Reads the lines added since the last read. A line cut short by a crash is ignored: its link opened nothing.
    fn read_new(&mut self) -> io::Result<()> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(self.read))?;
        self.file.read_to_string(&mut text)?;
        self.read += text.len() as u64;
        for line in text.lines() {
            self.lines += 1;
            if let Some((id, used)) = parse(line) {
                // The first counts; there is a second one only if somebody wrote without the lock.
                self.uses.entry(id).or_insert(used);
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            self.append("\n")?;
        }
        Ok(())
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        self.read += text.len() as u64;
        self.lines += text.lines().filter(|line| !line.is_empty()).count();
        Ok(())
    }
}

/// Formats a line: `hash until first peer`, which are hexadecimal digits, two times and an address.
fn line(id: &[u8; 32], used: &Use) -> String {
    let mut line = String::with_capacity(128);
    for byte in id {
        // Writing to a string cannot fail.
        let _ = write!(line, "{byte:02x}");
    }
    let Use { until, first, peer } = used;
    let _ = writeln!(line, " {until} {first} {peer}");
    line
}

fn parse(line: &str) -> Option<([u8; 32], Use)> {
    let mut words = line.split(' ');
    let (hash, until, first, peer) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if hash.len() != 64 || words.next().is_some() {
        return None;
    }
    let mut id = [0; 32];
    for (at, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hash.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    let used = Use {
        until: until.parse().ok()?,
        first: first.parse().ok()?,
        peer: peer.to_owned(),
    };
    Some((id, used))
}
