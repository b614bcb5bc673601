//! Store of used single-use links: a file that grows by one line for each, and is read at the start.
//!
//! A line is durable on the disk before its link opens anything, so neither a crash nor a restart makes the link
//! valid again. The file is created with its first line. Long expired links are dropped when the file is rewritten.
//! Several processes may share the file, as during an upgrade: each holds its lock (flock(2)) while it reads and
//! writes, and reads the lines of others first. Independent of the form of links; a line contains only a hash of its
//! link.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::{LinkError, Once, UNIX};
use crate::sync::lock;
use crate::text::{Reason, permission};

/// Limit on remembered links, about 12 MB. At the limit expired ones are dropped, and if there are none, no link
/// is accepted until one expires.
const MOST: usize = 100_000;
/// Number of outdated lines above which the file is rewritten.
const REWRITE_AFTER: usize = 10_000;
/// Seconds that a link is remembered beyond its expiry while there is room: no link becomes valid again if a clock
/// that was ahead by less than this is set back.
const MEMORY_AFTER_EXPIRY: u64 = 30 * 86_400;

/// The store of used links.
pub(super) struct Used {
    path: PathBuf,
    grace: Duration,
    state: Mutex<State>,
}

struct State {
    /// The open file; `None` until the first link is used, so that neither an unused store nor that of a refused
    /// configuration is created.
    file: Option<File>,
    /// Position up to which the file was read.
    read: u64,
    lines: usize,
    uses: HashMap<[u8; 32], Use>,
    /// A crash has cut the last line short; it has to be ended before the next one.
    is_cut: bool,
    /// True if nothing was written since the start: the first write rewrites the file without expired entries.
    is_new: bool,
}

/// The first use of a link.
struct Use {
    until: u64,
    first: u64,
    peer: String,
}

impl Used {
    /// Reads the file, if it exists, and checks that it can be written. Changes nothing.
    pub(super) fn open(path: &Path, grace: Duration, now: u64) -> Result<Self, Reason> {
        let mut state = State::new();
        state.is_new = true;
        let file = match OpenOptions::new().read(true).append(true).open(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                makeable(path)?;
                None
            }
            // No such link opens anything until the disk can be written again; all else does.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                let read = File::open(path);
                Some(
                    read.map_err(|error| {
                        Reason::new(path, permission::Use::Read, &error).at(path)
                    })?,
                )
            }
            Err(error) => return Err(Reason::new(path, permission::Use::Write, &error).at(path)),
        };
        if let Some(file) = file {
            let told = |error: io::Error| Reason::from(error.to_string()).at(path);
            // Else half of a line might be read that another process is just writing.
            file.lock_shared().map_err(told)?;
            state.file = Some(file);
            let read = state.read_new();
            let unlocked = state.file.as_ref().map_or(Ok(()), File::unlock);
            read.and(unlocked).map_err(told)?;
        }
        state.forget(now.saturating_sub(MEMORY_AFTER_EXPIRY));
        Ok(Self {
            path: path.to_owned(),
            grace,
            state: Mutex::new(state),
        })
    }

    /// Records a use; an error if the link was used before.
    pub(super) fn mark_used(&self, once: &Once, now: u64) -> Result<(), LinkError> {
        let spent = self.locked(|state| {
            if let Some(before) = state.uses.get(&once.id) {
                // Clients of a UNIX socket cannot be told apart, so none counts as the same.
                let again = before.peer == once.peer
                    && once.peer != UNIX
                    // If the clock was put back, the time since then is not known, and short only if that is.
                    && now.abs_diff(before.first) < self.grace.as_secs();
                return Ok(again);
            }
            let stale = state.lines > state.uses.len() + REWRITE_AFTER;
            if state.is_new || stale || state.uses.len() >= MOST {
                self.compact(state, now)?;
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
        let mut state = lock(&self.state);
        loop {
            let file = state.file(&self.path)?;
            file.lock()?;
            // Another process may have put a new file in the place of the one that is open here.
            let named = fs::metadata(&self.path).map(|meta| meta.ino()).ok();
            if named == Some(file.metadata()?.ino()) {
                break;
            }
            // Known uses are kept even if the file was removed meanwhile.
            state.renew();
        }
        state.read_new()?;
        let done = work(&mut state);
        // Fails only for a file that is not open.
        let _ = state.file(&self.path)?.unlock();
        if done.is_err() {
            // It may be open for reading only, or have half of a line.
            state.renew();
        }
        done
    }

    /// Drops long expired links, and all expired ones if there is no room otherwise; rewrites the file if that
    /// makes it shorter.
    fn compact(&self, state: &mut State, now: u64) -> io::Result<()> {
        state.forget(now.saturating_sub(MEMORY_AFTER_EXPIRY));
        if state.uses.len() >= MOST {
            state.forget(now);
        }
        state.is_new = false;
        if state.lines == state.uses.len() {
            return Ok(());
        }
        let path = self.path.with_extension("new");
        // A file left by a crash is worthless.
        let _ = fs::remove_file(&path);
        let mut next = State::new();
        next.file(&path)?;
        let text: String = state.uses.iter().map(|(id, used)| line(id, used)).collect();
        next.append(&text)?;
        next.lines = state.uses.len();
        // Taken before anybody can find it, and given back with the old one's: see `locked`.
        next.file(&path)?.lock()?;
        fs::rename(&path, &self.path)?;
        next.uses = std::mem::take(&mut state.uses);
        *state = next;
        Ok(())
    }
}

/// Checks that the file can be created, without creating it.
fn makeable(path: &Path) -> Result<(), Reason> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    let looked = fs::metadata(directory).and_then(|found| {
        if found.is_dir() {
            permission::writable(directory)
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    });
    looked.or_else(|error| match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        io::ErrorKind::NotFound => {
            let shown = directory.display();
            Err(Reason::from(format!(
                "the directory {shown} is missing; make it, and let the user that noren runs as write to it"
            )))
        }
        _ => Err(Reason::new(directory, permission::Use::Write, &error).at(directory)),
    })
}

impl State {
    fn new() -> Self {
        Self {
            file: None,
            read: 0,
            lines: 0,
            uses: HashMap::new(),
            is_cut: false,
            is_new: false,
        }
    }

    /// Makes the next use open and read the file again.
    fn renew(&mut self) {
        let known = std::mem::take(&mut self.uses);
        *self = Self::new();
        self.uses = known;
    }

    /// The file, which is created if it does not exist.
    fn file(&mut self, path: &Path) -> io::Result<&mut File> {
        if self.file.is_none() {
            let made = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path)?;
            self.file = Some(made);
        }
        self.file.as_mut().ok_or(io::ErrorKind::NotFound.into())
    }

    /// Drops the links that had expired by this time.
    fn forget(&mut self, end: u64) {
        self.uses.retain(|_, used| used.until > end);
    }

    /// Reads the lines that were added since. An incomplete last line is ignored: its link opened nothing.
    fn read_new(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut text = String::new();
        file.seek(SeekFrom::Start(self.read))?;
        file.read_to_string(&mut text)?;
        self.read += text.len() as u64;
        for line in text.lines() {
            self.lines += 1;
            if let Some((id, used)) = parse(line) {
                // The first counts; a second one exists only if a program wrote without the lock.
                self.uses.entry(id).or_insert(used);
            }
        }
        if !text.is_empty() {
            self.is_cut = !text.ends_with('\n');
        }
        Ok(())
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        let end = if self.is_cut { "\n" } else { "" };
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.write_all(format!("{end}{text}").as_bytes())?;
        file.sync_data()?;
        self.is_cut = false;
        self.read += (end.len() + text.len()) as u64;
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
