//! Records tunnels to files: selects the consoles, limits the size, and applies the rule for a full directory.
//!
//! A tunnel never waits for the disk. It puts records into a bounded queue, and if that is full the recording
//! notes the number of missing bytes. Independent of tokens; `recording` defines the file format.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bridge::recordings::{Recordings, Room, Watcher};
use crate::config::{self, WhenUnrecordable};
use crate::recording::{Chain, Header, Kind, encode};
use crate::shutdown::Shutdown;
use crate::telemetry::audit;

/// Limit on queued records of one recording; the limit on their bytes is usually reached first.
const QUEUE: usize = 4096;
/// Number of records written at once.
const TOGETHER: usize = 64;

/// Starts recordings as the configuration demands. Clones share the accounting of the directory.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    settings: Arc<config::Recording>,
    room: Arc<Room>,
}

/// The recording of one tunnel, which puts its data into it. Clones belong to the same recording, which ends when the
/// last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Tap {
    records: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started_at: Instant,
    input: bool,
    buffer: usize,
    queued: AtomicUsize,
    /// Bytes that are missing and not recorded as a gap yet.
    lost: AtomicU64,
    /// Bytes that are missing in the whole recording.
    lost_in_all: AtomicU64,
    stopped: AtomicBool,
    /// Cancelled when the tunnel must not continue without a recording.
    close: CancellationToken,
    reason: OnceLock<String>,
}

/// Reasons why a console that must be recorded cannot be recorded. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRecorded {
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

impl Recorder {
    /// Creates a recorder if the configuration records anything, and adds up the files of a directory that was not used
    /// before.
    #[must_use]
    pub(crate) fn new(settings: &config::Recording, recordings: &Recordings) -> Option<Self> {
        Some(Self {
            room: recordings.room(settings.directory.as_deref())?,
            settings: Arc::new(settings.clone()),
        })
    }

    /// Starts to record a tunnel, if the console named `name` is to be recorded.
    ///
    /// # Errors
    /// [`NotRecorded`], if the configuration forbids an unrecorded console.
    pub(crate) async fn begin(
        &self,
        name: &str,
        header: Header,
        tasks: &Shutdown,
    ) -> Result<Option<Tap>, NotRecorded> {
        if !self.settings.records(name) {
            return Ok(None);
        }
        let (own, console) = (self.clone(), name.to_owned());
        let header = header.chained();
        let line = header.line();
        let made = tokio::task::spawn_blocking(move || own.make(&console, &header)).await;
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
            started_at: Instant::now(),
            input: self.settings.input,
            buffer: self.settings.buffer,
            queued: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            lost_in_all: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            close: CancellationToken::new(),
            reason: OnceLock::new(),
        });
        let writer = Writer {
            recorder: self.clone(),
            file: file.into(),
            path,
            written: 0,
            chain: Chain::of(&line),
            told: false,
            shared: Arc::clone(&shared),
        };
        tasks.spawn(writer.run(line, queue));
        Ok(Some(Tap { records, shared }))
    }

    /// Creates the file, if there is room for it. Blocks.
    fn make(&self, console: &str, header: &Header) -> Result<(fs::File, PathBuf), NotRecorded> {
        let prepared = self.room.prepare();
        prepared.map_err(|error| self.failed(error))?;
        if !self.has_room_for(self.settings.size.min(self.settings.total)) {
            return Err(NotRecorded::Full);
        }
        let shown = header.console.as_deref().unwrap_or(&header.target);
        let made = self.room.create(console, shown, header.begun);
        made.map_err(|error| self.failed(error))
    }

    /// True if this many more bytes fit. With `drop-oldest` old recordings are deleted to make room; with the
    /// other rules a recording may begin while there is any room. Blocks.
    fn has_room_for(&self, wanted: u64) -> bool {
        let total = self.settings.total;
        if self.room.used() + wanted > total {
            self.room.recount();
        }
        if self.settings.when_full == WhenUnrecordable::DropOldest {
            self.room.drop_oldest(total.saturating_sub(wanted));
        }
        self.room.used() < total
    }

    /// Path of the directory.
    #[must_use]
    pub(crate) fn directory(&self) -> &Path {
        self.room.directory()
    }

    /// Counts a client that watches a recording while it is written, until the result is dropped.
    #[must_use]
    pub(crate) fn watch(&self, path: &Path) -> Option<Watcher> {
        self.room.watch(path)
    }

    /// Number of clients that watch a console of this name, for its page (`bridge.recording.announce`).
    #[must_use]
    pub(crate) fn watchers(&self, console: &str) -> usize {
        self.room.watchers(console)
    }

    /// Deletes recordings that are older than `bridge.recording.age`, and adds up the others. To be called about once a
    /// second; looks once a minute.
    pub(crate) fn look_after(&self, tasks: &Shutdown) {
        if !self.room.is_due() {
            return;
        }
        let (room, age) = (Arc::clone(&self.room), self.settings.age);
        tasks.spawn(async move {
            // An error is a panic or the end of the runtime.
            let _ = tokio::task::spawn_blocking(move || match age {
                Some(age) => room.expire(age),
                None => room.recount(),
            })
            .await;
        });
    }

    fn failed(&self, source: io::Error) -> NotRecorded {
        NotRecorded::Io {
            directory: self.room.directory().to_owned(),
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
            shared.lost_in_all.fetch_add(more, Ordering::Relaxed);
        };
        let length = bytes.len() as u64;
        if shared.queued.load(Ordering::Relaxed) + bytes.len() > shared.buffer {
            return lose(length);
        }
        let at = shared.started_at.elapsed();
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
            // These are counted, and only not noted.
            shared.lost.fetch_add(missing, Ordering::Relaxed);
            lose(length);
        }
    }
}

/// The writer task of one recording.
struct Writer {
    recorder: Recorder,
    file: tokio::fs::File,
    path: PathBuf,
    written: u64,
    chain: Chain,
    /// True once the log has reported missing bytes.
    told: bool,
    shared: Arc<Shared>,
}

impl Writer {
    async fn run(mut self, line: Vec<u8>, mut queue: mpsc::Receiver<Vec<u8>>) {
        let mut stopped = self.write(&line).await.err();
        let mut records = Vec::with_capacity(TOGETHER);
        while stopped.is_none() && queue.recv_many(&mut records, TOGETHER).await > 0 {
            let taken = records.concat();
            records.clear();
            self.tell_of_gap();
            // Only with the digests of those before, so of none that does not reach the file.
            let (mut chain, mut bytes) = (self.chain.clone(), Vec::with_capacity(taken.len()));
            chain.append(&taken, &mut bytes);
            stopped = self.write(&bytes).await.err();
            if stopped.is_none() {
                self.chain = chain;
            }
            self.shared.queued.fetch_sub(taken.len(), Ordering::Relaxed);
        }
        let reason = match &stopped {
            Some(cause) => {
                self.stop(cause);
                Some(cause.to_owned())
            }
            None => self.shared.reason.get().cloned(),
        };
        self.finish(&reason.unwrap_or_default()).await;
        self.recorder.room.release(&self.path);
    }

    /// Logs once that bytes are missing. The audit has their final number.
    fn tell_of_gap(&mut self) {
        let lost = self.shared.lost_in_all.load(Ordering::Relaxed);
        if lost > 0 && !self.told {
            self.told = true;
            let file = self.path.display();
            warn!(%file, bytes = lost, "the disk does not keep up, and a recording misses bytes of its console");
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let settings = Arc::clone(&self.recorder.settings);
        let length = bytes.len() as u64;
        if self.written + length > settings.size {
            return Err("the recording has reached bridge.recording.size".to_owned());
        }
        if self.recorder.room.used() + length > settings.total && !self.make_room(length).await {
            return Err(NotRecorded::Full.to_string());
        }
        self.append(bytes).await.map_err(|error| error.to_string())
    }

    async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = async {
            self.file.write_all(bytes).await?;
            self.file.flush().await
        };
        if let Err(error) = written.await {
            // A part of a record would hide all that comes behind it, the end included, and look as if somebody had
            // changed the file. If it cannot be taken out either, the file is only cut off.
            let _ = self.file.set_len(self.written).await;
            return Err(error);
        }
        let length = bytes.len() as u64;
        self.written += length;
        self.recorder.room.add(length);
        Ok(())
    }

    async fn make_room(&self, wanted: u64) -> bool {
        let recorder = self.recorder.clone();
        if recorder.settings.when_full != WhenUnrecordable::DropOldest {
            return false;
        }
        let made = tokio::task::spawn_blocking(move || {
            let total = recorder.settings.total;
            recorder.room.recount();
            recorder.room.drop_oldest(total.saturating_sub(wanted));
            recorder.room.used() + wanted <= total
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
        let at = self.shared.started_at.elapsed();
        let missing = self.shared.lost.swap(0, Ordering::Relaxed);
        let mut last = Vec::new();
        if missing > 0 {
            encode(Kind::Gap, at, &missing.to_be_bytes(), &mut last);
        }
        encode(Kind::End, at, reason.as_bytes(), &mut last);
        let mut bytes = Vec::new();
        self.chain.append(&last, &mut bytes);
        if let Err(error) = self.append(&bytes).await {
            warn!(file = %self.path.display(), %error, "the end of a recording could not be written");
        }
        audit::recorded(&audit::Recorded {
            file: &self.path,
            bytes: self.written,
            lost: self.shared.lost_in_all.load(Ordering::Relaxed),
            records: self.chain.records(),
            digest: &self.chain.digest().to_string(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Reader;

    fn tap(buffer: usize) -> (Tap, mpsc::Receiver<Vec<u8>>) {
        let (records, queue) = mpsc::channel(QUEUE);
        let shared = Shared {
            started_at: Instant::now(),
            input: true,
            buffer,
            queued: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            lost_in_all: AtomicU64::new(0),
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
}
