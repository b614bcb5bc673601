//! Where a request body is while it is taken in: in memory, which all bodies share, and then in a file of the spool.
//!
//! Knows nothing of how a body comes, nor of the app.

use std::time::Duration;

use bytes::Bytes;

use crate::config::WhenFull;
use crate::http::request_body::BodyFault;
use crate::shares::{Client, Denied, Share};
use crate::spool::{Spool, SpoolError, SpoolFile, SpoolReader};

/// What a client may have sent of a body that nobody reads: the window of an HTTP/2 stream.
const WINDOW: u64 = 1024 * 1024;

/// Whose memory and disk a body takes.
#[derive(Clone, Copy, Debug)]
pub struct Budget<'a> {
    /// The memory and the files.
    pub spool: &'a Spool,
    /// The client they are counted to.
    pub client: Client,
    /// Whether it may go to disk.
    pub disk: bool,
}

/// The place of one body.
pub(super) struct Store<'a> {
    /// None where nothing is counted.
    memory: Option<Share>,
    room: Option<Room<'a>>,
}

/// Where one body is kept on disk.
pub(super) struct Room<'a> {
    budget: Budget<'a>,
    file: Option<SpoolFile>,
    /// How long it waits for a file.
    wait: Duration,
    /// It is known to be larger than what may be kept of one body.
    hopeless: bool,
}

/// Why a piece of a body was not kept.
pub(super) struct Refused {
    error: SpoolError,
    when_full: WhenFull,
}

/// Bytes that count as long as somebody has them.
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
    /// For a body of this length, if that is known.
    pub(super) fn new(budget: Option<Budget<'a>>, length: Option<u64>, wait: Duration) -> Self {
        Self {
            memory: budget.map(|budget| budget.spool.request_memory(budget.client)),
            room: budget
                .filter(|budget| budget.disk)
                .map(|budget| Room::new(budget, length, wait)),
        }
    }

    /// Counts bytes that are in memory now.
    pub(super) fn remember(&mut self, bytes: usize) -> Result<(), Denied> {
        let memory = self.memory.as_mut();
        memory.map_or(Ok(()), |memory| memory.take(bytes as u64))
    }

    /// Counts what the client may send ahead of so many bytes that are to come.
    pub(super) fn remember_window(&mut self, left: u64) -> Result<(), Denied> {
        let memory = self.memory.as_mut();
        memory.map_or(Ok(()), |memory| memory.take(left.min(WINDOW)))
    }

    /// All that was in memory is on disk.
    pub(super) fn forget(&mut self) {
        if let Some(memory) = &mut self.memory {
            memory.give_back(memory.held());
        }
    }

    /// Whether so many bytes in memory should go to disk if nothing more comes for a while.
    pub(super) fn may_spill(&self, bytes: usize) -> bool {
        let room = self.room.as_ref();
        bytes > 0 && room.is_some_and(|room| !room.hopeless && room.budget.spool.is_tight())
    }

    /// Where bytes go that are not to stay in memory; none if there is no disk for them. Whoever was denied memory
    /// then gets nothing at all.
    pub(super) fn room_for(
        &mut self,
        denied: Result<(), Denied>,
    ) -> Result<Option<&mut Room<'a>>, BodyFault> {
        match &mut self.room {
            Some(room) => Ok(Some(room)),
            None => denied.map(|()| None).map_err(Into::into),
        }
    }

    /// What was kept on disk.
    pub(super) fn reader(&mut self) -> Option<SpoolReader> {
        let file = self.room.as_mut()?.file.take()?;
        Some(file.reader())
    }

    /// Bytes that go on counting.
    pub(super) fn counted(self, bytes: Bytes) -> Bytes {
        match self.memory {
            Some(share) if !bytes.is_empty() => Bytes::from_owner(Counted {
                bytes,
                _share: share,
            }),
            _ => bytes,
        }
    }

    /// What it takes of the memory.
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
    /// The most that may be kept of a body, if this one may go on to the app as it comes: it has a length, there was
    /// memory for what is here, and its client has not filled the spool itself.
    ///
    /// # Errors
    /// Why it may not.
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
