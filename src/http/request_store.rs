//! Storage of a request body while it is buffered: in memory, which all bodies share, and then in a file of the
//! spool.
//!
//! Independent of how the body arrives, and of the app.

use std::time::Duration;

use bytes::Bytes;

use crate::config::WhenFull;
use crate::http::body_fault::BodyFault;
use crate::shares::{Client, Denied, Share};
use crate::spool::{Spool, SpoolError, SpoolFile, SpoolReader};

/// Number of bytes that a client may have sent of an unread body: the window of an HTTP/2 stream.
const WINDOW: u64 = 1024 * 1024;

/// The memory and disk budget of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget<'a> {
    /// The spool, which accounts for memory and files.
    pub spool: &'a Spool,
    /// The client to whom the bytes are accounted.
    pub client: Client,
    /// True if the body may be written to disk.
    pub disk: bool,
}

/// Storage of one body.
pub(super) struct Store<'a> {
    /// Share of the memory; `None` without accounting.
    memory: Option<Share>,
    room: Option<Room<'a>>,
}

/// Storage of one body on disk.
pub(super) struct Room<'a> {
    budget: Budget<'a>,
    file: Option<SpoolFile>,
    /// Time limit of waiting for a file.
    wait: Duration,
    /// True if the body is known to exceed the size limit of one body, so that writing it to disk is useless.
    hopeless: bool,
}

/// Reason why a piece of a body was not stored.
pub(super) struct Refused {
    error: SpoolError,
    when_full: WhenFull,
}

/// Bytes that are accounted for until they are dropped.
struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<'a> Store<'a> {
    /// Creates the storage for a body of this length, if it is known.
    pub(super) fn new(budget: Option<Budget<'a>>, length: Option<u64>, wait: Duration) -> Self {
        Self {
            memory: budget.map(|budget| budget.spool.request_memory(budget.client)),
            room: budget
                .filter(|budget| budget.disk)
                .map(|budget| Room::new(budget, length, wait)),
        }
    }

    /// Accounts for bytes in memory.
    pub(super) fn remember(&mut self, bytes: usize) -> Result<(), Denied> {
        let memory = self.memory.as_mut();
        memory.map_or(Ok(()), |memory| memory.take(bytes as u64))
    }

    /// Accounts for the bytes that the client may send ahead, when `left` bytes have not arrived yet.
    pub(super) fn remember_window(&mut self, left: u64) -> Result<(), Denied> {
        let memory = self.memory.as_mut();
        memory.map_or(Ok(()), |memory| memory.take(left.min(WINDOW)))
    }

    /// Releases the memory: all bytes are on disk.
    pub(super) fn forget(&mut self) {
        if let Some(memory) = &mut self.memory {
            memory.give_back(memory.held());
        }
    }

    /// True if these bytes in memory should be written to disk when no more arrive for a while.
    pub(super) fn may_spill(&self, bytes: usize) -> bool {
        let room = self.room.as_ref();
        bytes > 0 && room.is_some_and(|room| !room.hopeless && room.budget.spool.is_tight())
    }

    /// Returns the disk storage for bytes that do not stay in memory; `None` if there is none. Without disk storage,
    /// denied memory is an error.
    pub(super) fn room_for(
        &mut self,
        denied: Result<(), Denied>,
    ) -> Result<Option<&mut Room<'a>>, BodyFault> {
        match &mut self.room {
            Some(room) => Ok(Some(room)),
            None => denied.map(|()| None).map_err(Into::into),
        }
    }

    /// A reader of the bytes on disk.
    pub(super) fn reader(&mut self) -> Option<SpoolReader> {
        let file = self.room.as_mut()?.file.take()?;
        Some(file.reader())
    }

    /// Converts bytes to ones that stay accounted for until they are dropped.
    pub(super) fn counted(self, bytes: Bytes) -> Bytes {
        match self.memory {
            Some(share) if !bytes.is_empty() => Bytes::from_owner(Counted {
                bytes,
                _share: share,
            }),
            _ => bytes,
        }
    }

    /// The share of the memory.
    pub(super) fn into_memory(self) -> Option<Share> {
        self.memory
    }
}

impl<'a> Room<'a> {
    fn new(budget: Budget<'a>, length: Option<u64>, wait: Duration) -> Self {
        let most = budget.spool.settings().request_size;
        Self {
            budget,
            file: None,
            wait,
            hopeless: length.is_some_and(|length| length > most) || !budget.spool.has_disk(),
        }
    }

    pub(super) async fn keep(&mut self, piece: &Bytes) -> Result<(), Refused> {
        let (spool, client) = (self.budget.spool, self.budget.client);
        let most = spool.settings().request_size;
        let kept = async {
            if self.hopeless {
                return Err(SpoolError::TooLarge(most));
            }
            let file = match &mut self.file {
                Some(file) => file,
                none => {
                    spool.count_request();
                    none.insert(spool.file(most, client, self.wait).await?)
                }
            };
            file.append(piece).await
        };
        kept.await.map_err(|error| Refused {
            error,
            when_full: spool.settings().when_full,
        })
    }
}

impl Refused {
    /// The limit on stored bytes of a body that may be streamed to the app: it has a length, there was memory for
    /// its beginning, and its client has not filled the spool itself.
    ///
    /// # Errors
    /// The reason why it may not be streamed.
    pub(super) fn streams(
        self,
        denied: Result<(), Denied>,
        has_length: bool,
    ) -> Result<u64, BodyFault> {
        let (full, most) = match self.error {
            SpoolError::Share => return Err(BodyFault::Share),
            SpoolError::TooLarge(most) => (false, most),
            SpoolError::Full(most) => (true, most),
            SpoolError::TooManyFiles(_) | SpoolError::Disk { .. } => (true, 0),
        };
        if full && (!has_length || self.when_full == WhenFull::Refuse) {
            return Err(BodyFault::NoRoom);
        }
        denied?;
        Ok(most)
    }
}
