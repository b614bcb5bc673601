//! The directory of recordings: creates files, accounts for their size, and deletes old ones.
//!
//! A recording that is still being written is never deleted: the writers of this process are known, and a writer in
//! another process, as during an upgrade, holds a lock on its file. Must not know tunnels.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tracing::{info, warn};

use crate::recording::{EXTENSION, is_being_written, list};
use crate::sync::lock;

/// Number of file names tried if another process writes into the same directory.
const TRIES: u32 = 100;
/// Number of digits in a file name: Unix milliseconds, until the year 2286.
const DIGITS: usize = 13;
/// Length limit of the console's name within a file name.
const LONGEST_LABEL: usize = 64;
/// Interval between two searches for recordings that are too old.
const LOOK: Duration = Duration::from_secs(60);

/// The directory in use. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recordings(Arc<Mutex<Option<Arc<Room>>>>);

/// Accounting of the recordings in a directory.
#[derive(Debug)]
pub(super) struct Room {
    directory: PathBuf,
    used: AtomicU64,
    /// The number in the name of the newest recording.
    newest: AtomicU64,
    /// Recordings that this process writes.
    open: Mutex<HashMap<PathBuf, Writing>>,
    /// Time of the last search for recordings that are too old.
    looked: Mutex<Option<Instant>>,
}

/// A recording that this process writes.
#[derive(Debug)]
struct Writing {
    /// Name of the console, by which it was found.
    console: String,
    /// Number of clients that watch it.
    watchers: Arc<AtomicUsize>,
}

/// A client that watches a console while it is recorded, until this is dropped.
#[derive(Debug)]
pub(crate) struct Watcher(Arc<AtomicUsize>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Recordings {
    /// Creates the accounting of a directory, in place of that of any other directory.
    pub(super) fn room(&self, directory: Option<&Path>) -> Option<Arc<Room>> {
        let mut current = lock(&self.0);
        let known = current.take();
        let directory = directory?;
        let known = known.filter(|known| known.directory == directory);
        let room = known.unwrap_or_else(|| Arc::new(Room::of(directory)));
        *current = Some(Arc::clone(&room));
        Some(room)
    }
}

impl Room {
    /// Adds up the files of a directory.
    fn of(directory: &Path) -> Self {
        let there = list(directory);
        let newest = there.iter().filter_map(|(path, _)| number_in(path)).max();
        Self {
            directory: directory.to_owned(),
            used: AtomicU64::new(sum(&there)),
            newest: AtomicU64::new(newest.unwrap_or_default()),
            open: Mutex::default(),
            looked: Mutex::default(),
        }
    }

    /// Path of the directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Creates the file of a recording, readable by its owner only and locked. Blocks.
    pub(super) fn create(
        &self,
        console: &str,
        shown: &str,
        begun: u64,
    ) -> io::Result<(File, PathBuf)> {
        let label = label(shown);
        let number = self.number(begun);
        for attempt in 0..TRIES {
            let path = match attempt {
                0 => format!("{number:0DIGITS$}-{label}{EXTENSION}"),
                _ => format!("{number:0DIGITS$}-{label}-{attempt}{EXTENSION}"),
            };
            let path = self.directory.join(path);
            let mut options = OpenOptions::new();
            let options = options.append(true).create_new(true).mode(0o600);
            match options.open(&path) {
                Ok(file) => {
                    let writing = Writing {
                        console: console.to_owned(),
                        watchers: Arc::default(),
                    };
                    self.writing().insert(path.clone(), writing);
                    // A file system without locks has other processes see it as one that was cut off.
                    let _ = file.lock();
                    return Ok((file, path));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Makes the directory, which only its owner may open. Blocks.
    pub(super) fn prepare(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.directory)
    }

    /// Ends a recording.
    pub(super) fn release(&self, path: &Path) {
        self.writing().remove(path);
    }

    /// Counts a client that watches a recording; `None` if this process does not write it.
    pub(super) fn watch(&self, path: &Path) -> Option<Watcher> {
        let writing = self.writing();
        let watchers = Arc::clone(&writing.get(path)?.watchers);
        watchers.fetch_add(1, Ordering::Relaxed);
        Some(Watcher(watchers))
    }

    /// Number of clients that watch a console of this name.
    pub(super) fn watchers(&self, console: &str) -> usize {
        let writing = self.writing();
        let of_it = writing.values().filter(|one| one.console == console);
        of_it.map(|one| one.watchers.load(Ordering::Relaxed)).sum()
    }

    /// Counts bytes that were written.
    pub(super) fn add(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Size of all recordings in bytes, as of the last count.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Adds up the files again, because somebody may have deleted some, and another process may write as well. Blocks.
    pub(super) fn recount(&self) {
        self.used
            .store(sum(&list(&self.directory)), Ordering::Relaxed);
    }

    /// Deletes the oldest recordings until at most `limit` bytes are left. Blocks.
    pub(super) fn drop_oldest(&self, limit: u64) {
        if self.used() <= limit {
            return;
        }
        for (path, metadata) in list(&self.directory) {
            if self.used() <= limit {
                return;
            }
            if self.delete(&path, metadata.len()) {
                info!(file = %path.display(), "a recording was deleted to make room");
            }
        }
    }

    /// True once a minute: it is time for [`expire`](Self::expire).
    pub(super) fn is_due(&self) -> bool {
        let mut looked = lock(&self.looked);
        let is_due = looked.is_none_or(|last| last.elapsed() >= LOOK);
        if is_due {
            *looked = Some(Instant::now());
        }
        is_due
    }

    /// Deletes the recordings whose last byte is older than `age`, the oldest first, and adds up the others. Blocks.
    pub(super) fn expire(&self, age: Duration) {
        let now = SystemTime::now();
        for (path, metadata) in list(&self.directory) {
            let written = metadata.modified().ok();
            let since = written.and_then(|written| now.duration_since(written).ok());
            if since.is_some_and(|since| since > age) && self.delete(&path, metadata.len()) {
                info!(file = %path.display(), "a recording was deleted because of its age");
            }
        }
        self.recount();
    }

    /// Deletes a recording, unless it is being written; true if it is gone.
    fn delete(&self, path: &Path, size: u64) -> bool {
        if self.writing().contains_key(path)
            || File::open(path).is_ok_and(|file| is_being_written(&file))
        {
            return false;
        }
        match fs::remove_file(path) {
            Ok(()) => {
                let fewer = |used: u64| Some(used.saturating_sub(size));
                let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
                // The function always gives a value.
                let _ = self.used.fetch_update(set, fetch, fewer);
                true
            }
            Err(error) => {
                warn!(file = %path.display(), %error, "a recording could not be deleted");
                false
            }
        }
    }

    /// The number for a file name: the current time, but higher than in any earlier name, so that names sort by
    /// age even after the clock was set back.
    fn number(&self, begun: u64) -> u64 {
        let next = |newest: u64| begun.max(newest.saturating_add(1));
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        // The function always gives a value.
        let before = self
            .newest
            .fetch_update(set, fetch, |newest| Some(next(newest)));
        next(before.unwrap_or_default())
    }

    fn writing(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Writing>> {
        lock(&self.open)
    }
}

fn sum(files: &[(PathBuf, fs::Metadata)]) -> u64 {
    files.iter().map(|(_, metadata)| metadata.len()).sum()
}

/// The number in the name of a recording.
fn number_in(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.get(..DIGITS)?.parse().ok()
}

/// The part of a console's name that is safe in a file name.
fn label(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_".contains(c) {
            c
        } else {
            '_'
        }
    };
    let label: String = name.chars().map(plain).collect();
    let start = label.len().saturating_sub(LONGEST_LABEL);
    label.get(start..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a file whose last byte was written so long ago.
    fn file(directory: &Path, name: &str, age: Duration) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, [0; 100]).expect("a file of our own");
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("a file of our own");
        file.set_modified(SystemTime::now() - age)
            .expect("a file of our own");
        path
    }

    #[test]
    fn recordings_go_by_their_age_but_none_that_this_or_another_process_writes() {
        let directory = tempfile::tempdir().expect("a directory");
        let (day, hour) = (Duration::from_secs(86_400), Duration::from_secs(3600));
        let old = file(directory.path(), "1-a.noren", 2 * day);
        let locked = file(directory.path(), "2-b.noren", 2 * day);
        let new = file(directory.path(), "3-c.noren", hour);
        let other = file(directory.path(), "4-d.txt", 2 * day);
        let lock = File::open(&locked).expect("a file of our own");
        lock.lock().expect("a lock");
        let room = Room::of(directory.path());
        let (_writer, own) = room.create("vm1", "vm1", 5).expect("a file of our own");
        let writer = OpenOptions::new()
            .write(true)
            .open(&own)
            .expect("a file of our own");
        writer
            .set_modified(SystemTime::now() - 2 * day)
            .expect("a file of our own");
        assert_eq!(room.used(), 300);
        let watchers = [room.watch(&own), room.watch(&own)];
        assert!(watchers.iter().all(Option::is_some) && room.watch(&locked).is_none());
        assert_eq!((room.watchers("vm1"), room.watchers("vm2")), (2, 0));
        drop(watchers);
        assert_eq!(room.watchers("vm1"), 0);
        room.expire(day);
        for (path, stays) in [
            (&old, false),
            (&locked, true),
            (&new, true),
            (&other, true),
            (&own, true),
        ] {
            assert_eq!(path.exists(), stays, "{}", path.display());
        }
        assert_eq!(room.used(), 200);
        drop(lock);
        room.expire(day);
        assert!(!locked.exists());
        room.drop_oldest(0);
        assert!(!new.exists() && own.exists() && other.exists());
    }

    #[test]
    fn what_was_deleted_by_hand_makes_room() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = file(directory.path(), "1-a.noren", Duration::ZERO);
        let room = Room::of(directory.path());
        fs::remove_file(path).expect("a file of our own");
        assert_eq!(room.used(), 100);
        room.recount();
        assert_eq!(room.used(), 0);
        assert!(room.is_due());
        assert!(!room.is_due());
    }

    #[test]
    fn the_name_of_a_file_holds_nothing_that_leads_elsewhere() {
        assert_eq!(label("unix:/run/../vm 1"), "unix__run____vm_1");
        assert_eq!(label(&"é".repeat(200)), "_".repeat(64));
    }
}
