//! A lingering close (RFC 9112 §9.6): the end of what was sent is announced first, and what the client still sends is
//! read and thrown away for a moment. The kernel answers unread bytes of a closed socket with a reset, which can
//! destroy the response that the client was just getting.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::http::transport::Layered;
use crate::shutdown::Shutdown;

/// How long a client has to read what was sent and to close its side.
const TIME: Duration = Duration::from_secs(2);
/// How much of what it still sends is read.
const BYTES: usize = 1024 * 1024;
const PIECE: usize = 16 * 1024;

/// The knowledge of a stream that decides about its close.
#[derive(Debug)]
pub(super) struct Linger {
    tasks: Shutdown,
    /// Something was sent that a reset could destroy.
    pub(super) wrote: bool,
    /// The client has closed its side, or the stream is broken: nothing is left to wait for.
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

    /// Closes a stream that nobody else needs, in a task of its own where that takes time.
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
