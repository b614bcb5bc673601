//! Recordings of consoles on the admin page: their list, their files, and the pages that play them.
//!
//! The service decides who may see them. A recording that is being written is sent as it grows, so that a console can
//! be watched; the reader cannot affect the console. The content of a recording is untrusted data, so it is sent in a
//! form that no browser executes.

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::admin::responses::object;
use crate::bridge::{Recorder, Watcher};
use crate::config::Config;
use crate::http::{Body, BoxError, Lease, Refusal};
use crate::recording::{is_being_written, list, summary};
use crate::shutdown::Shutdown;
use crate::telemetry::audit::Opened;
use crate::viewers::{Subject, Viewers};

/// Limit on recordings in the list; it has the newest.
const MOST: usize = 500;
/// Size of a read, and limit on pieces that wait for the client.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4;
/// Interval of checking a recording that is being written.
const LOOK: Duration = Duration::from_millis(100);
/// Header of a file that says whether it is still being written: `open` or `ended`.
const STATE: HeaderName = HeaderName::from_static("noren-recording");

/// The pages of recordings.
#[derive(Debug)]
pub(crate) struct RecordingPages {
    recorder: Recorder,
    viewers: Viewers,
    shutdown: Shutdown,
}

/// A recording in the directory.
#[derive(Debug)]
pub(crate) struct RecordingFile {
    /// Name of the file.
    pub name: String,
    path: PathBuf,
    file: File,
}

impl RecordingPages {
    /// Creates the pages, if the configuration has them.
    #[must_use]
    pub(crate) fn new(
        config: &Config,
        recorder: Option<&Recorder>,
        shutdown: &Shutdown,
    ) -> Option<Self> {
        let page = config
            .admin
            .page
            .as_ref()
            .filter(|_| config.admin.recordings)?;
        let path = format!("{}/recordings", page.decoded().trim_end_matches('/'));
        Some(Self {
            recorder: recorder?.clone(),
            viewers: Viewers::new(Subject::Recordings, &config.bridge.consoles, &path),
            shutdown: shutdown.clone(),
        })
    }

    /// Responds to a GET for the list or a file of the pages. `name` is the path below the recordings, `path` is the
    /// whole path.
    ///
    /// # Errors
    /// A refusal, if there is nothing of this name, or the list could not be made.
    pub(crate) async fn serve(
        &self,
        method: &Method,
        name: &str,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        if name != "list" {
            return self.viewers.serve(method, name, path, headers).await;
        }
        let directory = self.recorder.directory().to_owned();
        let made = spawn_blocking(move || listed(&directory)).await;
        let made = made.map_err(|error| {
            let reason = "the recordings could not be listed";
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason).because(&error)
        })?;
        Ok(object(StatusCode::OK, &made))
    }

    /// Opens the recording that a path names; `None` if there is none.
    ///
    /// # Errors
    /// 404 if there is no such recording.
    pub(crate) async fn file(&self, name: &str) -> Result<Option<RecordingFile>, Refusal> {
        let Some(name) = name.strip_prefix("file/").map(str::to_owned) else {
            return Ok(None);
        };
        let directory = self.recorder.directory().to_owned();
        let find = move || {
            // Of the names that are there: whatever the path says, it leads nowhere else.
            let found = list(&directory).into_iter();
            let mut found = found.map(|(path, _)| path);
            let path = found.find(|path| path.file_name() == Some(OsStr::new(&name)))?;
            let file = File::open(&path).ok()?;
            Some(RecordingFile { name, path, file })
        };
        let found = spawn_blocking(find).await.ok().flatten();
        found.map(Some).ok_or_else(|| {
            Refusal::not_found(
                "there is no such recording; it may have been deleted for its age or for room",
            )
        })
    }

    /// Sends a recording, and whatever is added while it is being written. The response ends with the lease, and the
    /// audit line ends with the response.
    pub(crate) fn stream(&self, file: RecordingFile, line: Opened, lease: Lease) -> Response<Body> {
        let is_open = is_being_written(&file.file);
        let (sender, pieces) = mpsc::channel(PIECES);
        let stop = self.shutdown.clone();
        let watcher = is_open.then(|| self.recorder.watch(&file.path)).flatten();
        self.shutdown.spawn(async move {
            tokio::select! {
                () = send(file.file, &sender) => {}
                () = sender.closed() => {}
                () = stop.requested() => {}
            }
        });
        let ended = lease.clone();
        let sent = Sent {
            pieces,
            ended: Box::pin(async move { ended.ended().await }),
            line,
            _lease: lease,
            _watcher: watcher,
        };
        let mut response = Response::new(sent.boxed_unsync());
        let headers = response.headers_mut();
        for (name, value) in [
            (CONTENT_TYPE, "application/octet-stream"),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
            (STATE, if is_open { "open" } else { "ended" }),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// The newest recordings of a directory. Blocks.
fn listed(directory: &std::path::Path) -> Value {
    let mut files = list(directory);
    let complete = files.len() <= MOST;
    files.reverse();
    files.truncate(MOST);
    let count = files.len();
    let found = files.iter().filter_map(|(path, _)| summary(path).ok());
    let recordings: Vec<_> = found.map(|summary| summary.json()).collect();
    let unreadable = count - recordings.len();
    json!({ "recordings": recordings, "complete": complete, "unreadable": unreadable })
}

/// Sends a file, and whatever is added to it until its writer releases the lock.
async fn send(file: File, to: &mpsc::Sender<std::io::Result<Bytes>>) {
    let lock = file.try_clone();
    let mut file = tokio::fs::File::from_std(file);
    // Checked before the end is reached, so that nothing is missed that was written before the lock was released.
    let mut was_open = true;
    loop {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await;
        let is_open = lock.as_ref().is_ok_and(is_being_written);
        let sent = match read {
            Ok(0) if !was_open => return,
            Ok(0) => {
                was_open = is_open;
                sleep(if is_open { LOOK } else { Duration::ZERO }).await;
                continue;
            }
            Ok(_) => to.send(Ok(piece.freeze())).await,
            Err(error) => {
                let _ = to.send(Err(error)).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The body of a recording.
struct Sent {
    pieces: mpsc::Receiver<std::io::Result<Bytes>>,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    line: Opened,
    _lease: Lease,
    _watcher: Option<Watcher>,
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.ended.as_mut().poll(cx).is_ready() {
            this.line.because("the session has ended");
            return Poll::Ready(None);
        }
        this.pieces.poll_recv(cx).map(|piece| match piece {
            Some(Ok(piece)) => {
                this.line.count(0, piece.len() as u64);
                Some(Ok(Frame::data(piece)))
            }
            Some(Err(error)) => {
                this.line.because("the recording cannot be read");
                Some(Err(error.into()))
            }
            None => {
                this.line.because("the recording was sent");
                None
            }
        })
    }
}
