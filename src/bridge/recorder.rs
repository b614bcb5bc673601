//! Records tunnels to files: who is recorded, how much, and what happens when there is no more room.
//!
//! A tunnel never waits for the disk. It hands what passes to a bounded queue, and where that is full the recording
//! says how much is missing. Knows no tokens; the form of the file is in `recording`.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{self, WhenUnrecordable};
use crate::recording::{Header, Kind, encode};
use crate::shutdown::Shutdown;

/// How the names of recordings end. Nothing else in the directory is counted or deleted.
const ENDING: &str = ".noren";
/// Records in the queue of one recording; its bytes are the closer limit.
const QUEUE: usize = 4096;
/// Records that are written together.
const TOGETHER: usize = 64;
/// Names that are tried where another process writes into the same directory.
const TRIES: u32 = 100;
/// Digits of the number in the name of a file: milliseconds since 1970, until the year 2286.
const DIGITS: usize = 13;
/// The longest part of a console's name in the name of a file.
const LONGEST_LABEL: usize = 64;

/// What records tunnels, as the configuration says. Clones share one room.
#[derive(Clone, Debug)]
pub struct Recorder {
    settings: Arc<config::Recording>,
    directory: PathBuf,
    room: Arc<Room>,
}

/// What the recordings in a directory take.
#[derive(Debug, Default)]
struct Room {
    used: AtomicU64,
    /// The number in the name of the last one.
    newest: AtomicU64,
    /// Those that are being written, which are not deleted.
    open: Mutex<HashSet<PathBuf>>,
}

/// Where a tunnel puts what passes. Clones are the same recording, which ends with the last of them.
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
    /// Cancelled when the tunnel must not go on without it.
    close: CancellationToken,
    reason: OnceLock<String>,
}

/// Why a console that must be recorded cannot be. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    /// All of `total` is used.
    #[error("the recordings have reached bridge.recording.total")]
    Full,
    /// The file cannot be made.
    #[error("cannot make a recording in {}: {source}", directory.display())]
    Io {
        /// Where.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Recorder {
    /// What records, if anything is to be recorded. Looks how much there is in the directory. `before` is what this
    /// takes the place of.
    #[must_use]
    pub fn new(settings: &config::Recording, before: Option<&Self>) -> Option<Self> {
        let directory = settings.directory.clone()?;
        let known = before.filter(|before| before.directory == directory);
        let room = known.map_or_else(
            || {
                let room = Room::default();
                let there = recordings(&directory);
                let used = there.iter().map(|(_, size)| size).sum();
                let newest = there.iter().filter_map(|(path, _)| number_in(path)).max();
                room.used.store(used, Ordering::Relaxed);
                room.newest
                    .store(newest.unwrap_or_default(), Ordering::Relaxed);
                Arc::new(room)
            },
            |before| Arc::clone(&before.room),
        );
        Some(Self {
            settings: Arc::new(settings.clone()),
            directory,
            room,
        })
    }

    /// Begins to record a tunnel, if the console that was found by `name` is one to be recorded.
    ///
    /// # Errors
    /// [`NotRecorded`], where the configuration wants no console open that is not recorded.
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

    /// Makes the file, which only its owner may read. Blocks.
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

    /// The number in the name of a recording: the time it began at, and higher than that of any before, so that the
    /// oldest are found by their names also when the clock was put back.
    fn number(&self, begun: u64) -> u64 {
        let next = |newest: u64| begun.max(newest.saturating_add(1));
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let newest = &self.room.newest;
        // The function always gives a value.
        let before = newest.fetch_update(set, fetch, |newest| Some(next(newest)));
        next(before.unwrap_or_default())
    }

    /// Whether so many bytes more fit. With `drop-oldest`, room is made for them as far as that can be; with the
    /// other rules a recording may begin as long as there is any room at all. Blocks.
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
        self.room
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, source: io::Error) -> NotRecorded {
        NotRecorded::Io {
            directory: self.directory.clone(),
            source,
        }
    }
}

impl Tap {
    /// Records what the client sends, where that is recorded.
    pub(super) fn input(&self, bytes: &[u8]) {
        if self.shared.input {
            self.push(Kind::Input, bytes);
        }
    }

    /// Records what the target sends.
    pub(super) fn output(&self, bytes: &[u8]) {
        self.push(Kind::Output, bytes);
    }

    /// Says why the tunnel ends.
    pub(super) fn end(&self, reason: &str) {
        // The first reason is the one.
        let _ = self.shared.reason.set(reason.to_owned());
    }

    /// Ready when the tunnel must not go on, because its recording cannot.
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

/// What brings the records of one tunnel to the disk.
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

    /// The recording cannot go on; the tunnel may, if it may.
    fn stop(&self, cause: &str) {
        warn!(file = %self.path.display(), cause, "a recording ends before its console");
        self.shared.stopped.store(true, Ordering::Relaxed);
        if self.recorder.settings.when_full == WhenUnrecordable::Close {
            self.shared.close.cancel();
        }
    }

    /// The last words: what is missing, and why it ends. A few bytes more than the limits, so that the file says
    /// that it is complete.
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

/// The recordings in a directory, the oldest first. One that is not there yet has none.
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

/// What of a name can stand in the name of a file.
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
