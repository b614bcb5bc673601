//! The scrollback of a shared console on disk: two plain files in turn, with at least the configured size and at most
//! twice as much. A console never waits for the disk: output that the disk is too slow for is left out, with a line
//! that says how much.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tracing::warn;

use super::presence::line;
use super::terminal::Terminal;
use crate::config::ConsoleSharing;
use crate::shutdown::Shutdown;
use crate::text::percent::encoded;

/// Limit on bytes that wait for the disk.
const WAITING: usize = 1 << 20;
/// Limit on pieces that wait for the disk; the limit on their bytes is usually reached first.
const PIECES: usize = 1024;
/// Length limit of a file name that tells its console.
const LONGEST_NAME: usize = 200;
/// Byte that ends a control sequence whose end was never written.
const CANCEL: u8 = 0x18;

/// The writer of a console's files.
#[derive(Debug)]
pub(crate) struct Store {
    pieces: mpsc::Sender<Vec<u8>>,
    shared: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

/// The files of one console.
struct Files {
    file: tokio::fs::File,
    path: PathBuf,
    written: u64,
    size: u64,
}

impl Store {
    /// Opens the files of a console, if it has any, and returns its earlier output. If they cannot be opened, the
    /// console is opened without them. Blocks.
    pub(crate) fn open(
        settings: &ConsoleSharing,
        key: &str,
        tasks: &Shutdown,
    ) -> Option<(Self, Vec<u8>)> {
        let directory = settings.directory.as_deref()?;
        let opened = Files::open(directory, key, settings.scrollback);
        let (files, earlier) = opened
            .inspect_err(|error| {
                let directory = directory.display();
                warn!(%directory, %error, "the scrollback of a console is not kept on disk");
            })
            .ok()?;
        let (pieces, queue) = mpsc::channel(PIECES);
        let shared = Arc::<Waiting>::default();
        tasks.spawn(files.write(queue, Arc::clone(&shared)));
        Some((Self { pieces, shared }, earlier))
    }

    /// Adds output of the guest.
    pub(super) fn append(&self, bytes: &[u8]) {
        let (waiting, lost) = (&self.shared.bytes, &self.shared.lost);
        let length = bytes.len();
        if waiting.load(Ordering::Relaxed) + length > WAITING {
            lost.fetch_add(length as u64, Ordering::Relaxed);
            return;
        }
        let mut piece = Vec::new();
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            piece.extend(line(&format!(
                "{missing} bytes are missing here, because the disk was too slow"
            )));
        }
        piece.extend_from_slice(bytes);
        let size = piece.len();
        waiting.fetch_add(size, Ordering::Relaxed);
        if self.pieces.try_send(piece).is_err() {
            waiting.fetch_sub(size, Ordering::Relaxed);
            lost.fetch_add(missing + length as u64, Ordering::Relaxed);
        }
    }
}

impl Files {
    fn open(directory: &Path, key: &str, size: usize) -> io::Result<(Self, Vec<u8>)> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let path = directory.join(file_name(key));
        let earlier = earlier(&path, size)?;
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(&path)?;
        let written = file.metadata()?.len();
        let files = Self {
            file: file.into(),
            path,
            written,
            size: size as u64,
        };
        Ok((files, earlier))
    }

    async fn write(mut self, mut queue: mpsc::Receiver<Vec<u8>>, shared: Arc<Waiting>) {
        while let Some(piece) = queue.recv().await {
            if let Err(error) = self.append(&piece).await {
                warn!(file = %self.path.display(), %error, "the scrollback of a console is not kept on disk any more");
                return;
            }
            shared.bytes.fetch_sub(piece.len(), Ordering::Relaxed);
        }
    }

    async fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.written >= self.size {
            tokio::fs::rename(&self.path, older(&self.path)).await?;
            let mut options = tokio::fs::OpenOptions::new();
            options.append(true).create(true).mode(0o600);
            self.file = options.open(&self.path).await?;
            self.written = 0;
        }
        self.file.write_all(piece).await?;
        self.file.flush().await?;
        self.written += piece.len() as u64;
        Ok(())
    }
}

/// The name of the file of a console.
fn file_name(key: &str) -> String {
    let name = encoded(key);
    if name.len() <= LONGEST_NAME {
        return format!("{name}.log");
    }
    let mut name = String::new();
    for byte in digest(&SHA256, key.as_bytes()).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name + ".log"
}

/// The file that was written before.
fn older(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// The last bytes of both files, from the start of a line if there were more, without an unfinished control sequence.
fn earlier(path: &Path, size: usize) -> io::Result<Vec<u8>> {
    let mut read = tail(path, size)?;
    if read.len() < size {
        let mut older = tail(&older(path), size - read.len())?;
        older.append(&mut read);
        read = older;
    }
    if read.len() == size {
        let first = read.iter().position(|byte| *byte == b'\n');
        read.drain(..first.map_or(0, |first| first + 1));
    }
    let mut terminal = Terminal::default();
    terminal.read(&read);
    if !terminal.is_between() {
        read.push(CANCEL);
    }
    Ok(read)
}

/// The last bytes of a file; none if it does not exist.
fn tail(path: &Path, size: usize) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = fs::metadata(path)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(size as u64)))?;
    let mut read = Vec::new();
    file.take(size as u64).read_to_end(&mut read)?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(directory: &Path, pieces: &[&[u8]]) -> Vec<u8> {
        let settings = ConsoleSharing {
            directory: Some(directory.to_owned()),
            scrollback: 20,
            ..ConsoleSharing::default()
        };
        let tasks = Shutdown::new();
        let (store, earlier) = Store::open(&settings, "unix:/run/vm", &tasks).expect("a store");
        for piece in pieces {
            store.append(piece);
        }
        drop(store);
        tasks.retire();
        tasks.all_ended().await;
        earlier
    }

    #[tokio::test]
    async fn the_last_lines_are_there_again_and_the_files_stay_small() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        assert_eq!(written(path, &[b"one\n", b"two\n"]).await, b"");
        assert_eq!(written(path, &[b"three\n"]).await, b"one\ntwo\n");
        let lines: Vec<String> = (0..100).map(|line| format!("line {line}\n")).collect();
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        assert_eq!(written(path, &lines).await, b"one\ntwo\nthree\n");
        assert_eq!(written(path, &[b"\x1b[3"]).await, b"line 98\nline 99\n");
        assert_eq!(written(path, &[]).await, b"line 98\nline 99\n\x1b[3\x18");
        let files = fs::read_dir(path).expect("the directory");
        let sizes: Vec<u64> = files
            .map(|file| file.expect("a file").metadata().expect("its size").len())
            .collect();
        assert!(
            sizes.len() == 2 && sizes.iter().all(|size| *size < 40),
            "{sizes:?}"
        );
    }

    #[test]
    fn a_file_name_leads_nowhere_else() {
        assert_eq!(file_name("unix:/run/../vm"), "unix%3A%2Frun%2F..%2Fvm.log");
        assert_eq!(file_name(&"/".repeat(300)).len(), 68);
        assert_eq!(older(Path::new("/d/a.b.log")), Path::new("/d/a.b.log.1"));
    }
}
