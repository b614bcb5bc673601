//! Records tunnels to files: selects the consoles, limits the size, and applies the rule for a full directory.
//!
//! A tunnel never waits for the disk. It puts records into a bounded queue, and if that is full the recording
//! notes the number of missing bytes. Independent of tokens; `recording` defines the file format.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{self, WhenUnrecordable};
use crate::recording::{Header, Kind, encode};
use crate::shutdown::Shutdown;
use crate::sync::lock;

/// File name extension of recordings. Other files in the directory are neither counted nor deleted.
const ENDING: &str = ".noren";
/// Limit on queued records of one recording; the limit on their bytes is usually reached first.
const QUEUE: usize = 4096;
/// Number of records written at once.
const TOGETHER: usize = 64;
/// Number of file names tried if another process writes into the same directory.
const TRIES: u32 = 100;
/// Number of digits in a file name: Unix milliseconds, until the year 2286.
const DIGITS: usize = 13;
/// Length limit of the console's name within a file name.
const LONGEST_LABEL: usize = 64;

/// Starts recordings as the configuration demands. Clones share the accounting of the directory.
#[derive(Clone, Debug)]
pub struct Recorder {
    settings: Arc<config::Recording>,
    directory: PathBuf,
    room: Arc<Room>,
}

/// Accounting of the recordings in a directory.
#[derive(Debug, Default)]
struct Room {
    used: AtomicU64,
    /// The number in the name of the newest recording.
    newest: AtomicU64,
    /// Recordings in progress, which are not deleted.
    open: Mutex<HashSet<PathBuf>>,
}

/// Accounting of the directory in use. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Recordings(Arc<Mutex<Option<Place>>>);

/// A directory and its accounting.
type Place = (PathBuf, Arc<Room>);

/// The recording of one tunnel, into which it puts its data. Clones belong to the same recording, which ends when
/// the last is dropped.
#[derive(Clone, Debug)]
pub struct Tap {
    records: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    begun: Instant,
    input: bool,
    buffer: usize,
    queued: AtomicUsize,
    lost: AtomicU64,
    stopped: AtomicBool,
    /// Cancelled when the tunnel must not continue without a recording.
    close: CancellationToken,
    reason: OnceLock<String>,
}

/// Reasons why a console that must be recorded cannot be. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    /// The limit `total` is reached.
    #[error("the recordings have reached bridge.recording.total")]
    Full,
    /// The file cannot be created.
    #[error("cannot make a recording in {}: {source}", directory.display())]
    Io {
        /// Path of the directory.
        directory: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl Recordings {
    /// The accounting of a directory, which takes the place of any other.
    fn room(&self, directory: Option<&Path>) -> Option<Arc<Room>> {
        let mut current = lock(&self.0);
        let known = current.take();
        let directory = directory?;
        let known = known.filter(|(known, _)| known == directory);
        let room = known.map_or_else(|| Arc::new(Room::of(directory)), |(_, room)| room);
        *current = Some((directory.to_owned(), Arc::clone(&room)));
        Some(room)
    }
}

impl Room {
    /// Adds up the files of a directory.
    fn of(directory: &Path) -> Self {
        let room = Self::default();
        let there = recordings(directory);
        let used = there.iter().map(|(_, size)| size).sum();
        let newest = there.iter().filter_map(|(path, _)| number_in(path)).max();
        room.used.store(used, Ordering::Relaxed);
        let newest = newest.unwrap_or_default();
        room.newest.store(newest, Ordering::Relaxed);
        room
    }
}

impl Recorder {
    /// Creates a recorder if anything is to be recorded, and adds up the files in a directory that is new.
    #[must_use]
    pub fn new(settings: &config::Recording, recordings: &Recordings) -> Option<Self> {
        Some(Self {
            room: recordings.room(settings.directory.as_deref())?,
            directory: settings.directory.clone()?,
            settings: Arc::new(settings.clone()),
        })
    }

    /// Starts to record a tunnel, if the console named `name` is to be recorded.
    ///
    /// # Errors
    /// [`NotRecorded`], if the configuration forbids an unrecorded console.
    pub async fn begin(
        &self,
        name: &str,
        header: Header,
        tasks: &Shutdown,
    ) -> Result<Option<Tap>, NotRecorded> {
        if !self.settings.records(name) {
            return Ok(None);
        }
        let own = self.clone();
        let line = header.line();
        let made = tokio::task::spawn_blocking(move || own.make(&header)).await;
        let made = made.unwrap_or_else(|error| Err(self.failed(io::Error::other(error))));
        let (file, path) = match made {
            Ok(made) => made,
            Err(error) if self.settings.when_full == WhenUnrecordable::Close => return Err(error),
            Err(error) => {
                warn!(%error, "a console is opened without being recorded");
                return Ok(None);
            }
        };
        info!(file = %path.display(), "recording");
        let (records, queue) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            input: self.settings.input,
            buffer: self.settings.buffer,
            queued: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            close: CancellationToken::new(),
            reason: OnceLock::new(),
        });
        let writer = Writer {
            recorder: self.clone(),
            file: file.into(),
            path,
            written: 0,
            shared: Arc::clone(&shared),
        };
        tasks.spawn(writer.run(line, queue));
        Ok(Some(Tap { records, shared }))
    }

    /// Creates the file, readable by its owner only. Blocks.
    fn make(&self, header: &Header) -> Result<(fs::File, PathBuf), NotRecorded> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.directory);
        made.map_err(|error| self.failed(error))?;
        if !self.has_room_for(self.settings.size.min(self.settings.total)) {
            return Err(NotRecorded::Full);
        }
        let label = label(header.console.as_deref().unwrap_or(&header.target));
        let number = self.number(header.begun);
        for attempt in 0..TRIES {
            let path = match attempt {
                0 => format!("{number:0DIGITS$}-{label}{ENDING}"),
                _ => format!("{number:0DIGITS$}-{label}-{attempt}{ENDING}"),
            };
            let path = self.directory.join(path);
            let mut options = OpenOptions::new();
            match options
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
            {
                Ok(file) => {
                    self.open().insert(path.clone());
                    return Ok((file, path));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Err(self.failed(io::ErrorKind::AlreadyExists.into()))
    }

    /// The number for a file name: the current time, but higher than in any earlier name, so that names sort by
    /// age even after the clock was set back.
    fn number(&self, begun: u64) -> u64 {
        let next = |newest: u64| begun.max(newest.saturating_add(1));
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let newest = &self.room.newest;
        // The function always gives a value.
        let before = newest.fetch_update(set, fetch, |newest| Some(next(newest)));
        next(before.unwrap_or_default())
    }

    /// True if this many more bytes fit. With `drop-oldest` old recordings are deleted to make room; with the
    /// other rules a recording may begin while there is any room. Blocks.
    fn has_room_for(&self, wanted: u64) -> bool {
        let total = self.settings.total;
        if self.settings.when_full == WhenUnrecordable::DropOldest {
            self.drop_oldest(wanted);
        }
        self.room.used.load(Ordering::Relaxed) < total
    }

    fn drop_oldest(&self, wanted: u64) {
        let limit = self.settings.total.saturating_sub(wanted);
        if self.room.used.load(Ordering::Relaxed) <= limit {
            return;
        }
        for (path, size) in recordings(&self.directory) {
            if self.room.used.load(Ordering::Relaxed) <= limit {
                return;
            }
            if !self.open().contains(&path) && fs::remove_file(&path).is_ok() {
                info!(file = %path.display(), "a recording was deleted to make room");
                self.give_back(size);
            }
        }
    }

    fn give_back(&self, size: u64) {
        let fewer = |used: u64| Some(used.saturating_sub(size));
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        // The function always gives a value.
        let _ = self.room.used.fetch_update(set, fetch, fewer);
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        lock(&self.room.open)
    }

    fn failed(&self, source: io::Error) -> NotRecorded {
        NotRecorded::Io {
            directory: self.directory.clone(),
            source,
        }
    }
}

impl Tap {
    /// Records bytes from the client, if input is recorded.
    pub(super) fn input(&self, bytes: &[u8]) {
        if self.shared.input {
            self.push(Kind::Input, bytes);
        }
    }

    /// Records bytes from the target.
    pub(super) fn output(&self, bytes: &[u8]) {
        self.push(Kind::Output, bytes);
    }

    /// Sets the reason for the end of the tunnel.
    pub(super) fn end(&self, reason: &str) {
        // The first reason is the one.
        let _ = self.shared.reason.set(reason.to_owned());
    }

    /// Completes when the tunnel must close because its recording cannot continue.
    pub(super) fn must_close(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.shared.close.clone().cancelled_owned()
    }

    fn push(&self, kind: Kind, bytes: &[u8]) {
        let shared = &self.shared;
        if bytes.is_empty() || shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let lose = |more: u64| {
            shared.lost.fetch_add(more, Ordering::Relaxed);
        };
        let length = bytes.len() as u64;
        if shared.queued.load(Ordering::Relaxed) + bytes.len() > shared.buffer {
            return lose(length);
        }
        let at = shared.begun.elapsed();
        let missing = shared.lost.swap(0, Ordering::Relaxed);
        let mut record = Vec::with_capacity(bytes.len() + 40);
        if missing > 0 {
            encode(Kind::Gap, at, &missing.to_be_bytes(), &mut record);
        }
        encode(kind, at, bytes, &mut record);
        let size = record.len();
        shared.queued.fetch_add(size, Ordering::Relaxed);
        if self.records.try_send(record).is_err() {
            shared.queued.fetch_sub(size, Ordering::Relaxed);
            lose(missing + length);
        }
    }
}

/// The writer task of one recording.
struct Writer {
    recorder: Recorder,
    file: tokio::fs::File,
    path: PathBuf,
    written: u64,
    shared: Arc<Shared>,
}

impl Writer {
    async fn run(mut self, line: Vec<u8>, mut queue: mpsc::Receiver<Vec<u8>>) {
        let mut stopped = self.write(&line).await.err();
        let mut records = Vec::with_capacity(TOGETHER);
        while stopped.is_none() && queue.recv_many(&mut records, TOGETHER).await > 0 {
            let bytes = records.concat();
            records.clear();
            stopped = self.write(&bytes).await.err();
            self.shared.queued.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
        let reason = match &stopped {
            Some(cause) => {
                self.stop(cause);
                Some(cause.to_owned())
            }
            None => self.shared.reason.get().cloned(),
        };
        self.finish(&reason.unwrap_or_default()).await;
        self.recorder.open().remove(&self.path);
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let settings = Arc::clone(&self.recorder.settings);
        let length = bytes.len() as u64;
        if self.written + length > settings.size {
            return Err("the recording has reached bridge.recording.size".to_owned());
        }
        let used = self.recorder.room.used.load(Ordering::Relaxed);
        if used + length > settings.total && !self.make_room(length).await {
            return Err(NotRecorded::Full.to_string());
        }
        self.append(bytes).await.map_err(|error| error.to_string())
    }

    async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        self.file.flush().await?;
        let length = bytes.len() as u64;
        self.written += length;
        self.recorder.room.used.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    async fn make_room(&self, wanted: u64) -> bool {
        let recorder = self.recorder.clone();
        if recorder.settings.when_full != WhenUnrecordable::DropOldest {
            return false;
        }
        let made = tokio::task::spawn_blocking(move || {
            recorder.drop_oldest(wanted);
            recorder.room.used.load(Ordering::Relaxed) + wanted <= recorder.settings.total
        });
        made.await.unwrap_or(false)
    }

    /// Stops the recording; the tunnel goes on if the configuration permits it.
    fn stop(&self, cause: &str) {
        warn!(file = %self.path.display(), cause, "a recording ends before its console");
        self.shared.stopped.store(true, Ordering::Relaxed);
        if self.recorder.settings.when_full == WhenUnrecordable::Close {
            self.shared.close.cancel();
        }
    }

    /// Writes the final records: missing bytes, and the reason for the end. They may exceed the limits by a few
    /// bytes, so that a complete file can be recognised.
    async fn finish(&mut self, reason: &str) {
        let at = self.shared.begun.elapsed();
        let missing = self.shared.lost.swap(0, Ordering::Relaxed);
        let mut last = Vec::new();
        if missing > 0 {
            encode(Kind::Gap, at, &missing.to_be_bytes(), &mut last);
        }
        encode(Kind::End, at, reason.as_bytes(), &mut last);
        if let Err(error) = self.append(&last).await {
            warn!(file = %self.path.display(), %error, "the end of a recording could not be written");
        }
    }
}

/// The recordings in a directory, oldest first. A missing directory has none.
fn recordings(directory: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<(PathBuf, u64)> = entries
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(ENDING))
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .filter(|(_, metadata)| metadata.is_file())
        .map(|(path, metadata)| (path, metadata.len()))
        .collect();
    found.sort();
    found
}

/// The number in the name of a recording.
fn number_in(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.get(..DIGITS)?.parse().ok()
}

/// The part of a name that is safe in a file name.
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
    use crate::recording::Reader;

    fn tap(buffer: usize) -> (Tap, mpsc::Receiver<Vec<u8>>) {
        let (records, queue) = mpsc::channel(QUEUE);
        let shared = Shared {
            begun: Instant::now(),
            input: true,
            buffer,
            queued: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            close: CancellationToken::new(),
            reason: OnceLock::new(),
        };
        let tap = Tap {
            records,
            shared: Arc::new(shared),
        };
        (tap, queue)
    }

    #[test]
    fn what_a_slow_disk_has_no_time_for_is_told_as_a_gap() {
        let (tap, mut queue) = tap(100);
        tap.output(&[1; 60]);
        // The disk does not move, and these have no room.
        tap.output(&[2; 60]);
        tap.input(&[3; 50]);
        let written = queue.try_recv().expect("the first record");
        tap.shared
            .queued
            .fetch_sub(written.len(), Ordering::Relaxed);
        tap.output(&[4; 10]);
        let mut file = Header::new(0, String::new(), String::new()).line();
        file.extend(written);
        file.extend(queue.try_recv().expect("the next record"));
        let mut reader = Reader::open(&file[..]).expect("a recording");
        let records = std::iter::from_fn(|| reader.read().expect("a record"));
        let told: Vec<_> = records.map(|record| (record.kind, record.data)).collect();
        let lost = 110_u64.to_be_bytes().to_vec();
        assert_eq!(
            told,
            [
                (Kind::Output, vec![1; 60]),
                (Kind::Gap, lost),
                (Kind::Output, vec![4; 10]),
            ]
        );
    }

    #[test]
    fn the_name_of_a_file_holds_nothing_that_leads_elsewhere() {
        assert_eq!(label("unix:/run/../vm 1"), "unix__run____vm_1");
        assert_eq!(label(&"é".repeat(200)), "_".repeat(64));
    }
}
