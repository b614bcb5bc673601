//! Lingering close (RFC 9112 §9.6): announces the end of the output first, and reads and discards what the client
//! still sends for a moment. The kernel answers unread bytes of a closed socket with a reset, which can destroy
//! the response that the client is still receiving.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::http::layered::Layered;
use crate::shutdown::Shutdown;

/// Time that a client has to read the output and to close its side.
const TIME: Duration = Duration::from_secs(2);
/// Limit on bytes that are read and discarded.
const BYTES: usize = 1024 * 1024;
const PIECE: usize = 16 * 1024;

/// State of a stream that decides how it is closed.
#[derive(Debug)]
pub(super) struct Linger {
    tasks: Shutdown,
    /// True if bytes were sent that a reset could destroy.
    pub(super) wrote: bool,
    /// True if the client has closed its side, or the stream is broken, so that there is nothing to wait for.
    pub(super) over: bool,
}

impl Linger {
    pub(super) fn new(tasks: &Shutdown) -> Self {
        Self {
            tasks: tasks.clone(),
            wrote: false,
            over: false,
        }
    }

    /// Closes a stream, in a task of its own if that takes time.
    pub(super) fn close(self, stream: Layered) {
        // Within a runtime that ends nothing can be spawned any more.
        let can_wait = tokio::runtime::Handle::try_current().is_ok();
        if self.wrote && !self.over && can_wait {
            self.tasks.spawn(async move {
                let _ = timeout(TIME, discard(stream)).await;
            });
        }
    }
}

async fn discard(mut stream: Layered) {
    let Some(raw) = stream.ended() else { return };
    if raw.shutdown().await.is_err() {
        return;
    }
    let mut unread = vec![0; PIECE];
    let mut left = BYTES;
    while let Ok(read @ 1..) = raw.read(&mut unread).await {
        match left.checked_sub(read) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
