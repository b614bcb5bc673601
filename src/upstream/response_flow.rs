//! Buffer of one response between the app and a slow client: the pieces in memory and on disk, and the task that reads
//! the rest. Does not decide which client is slow.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tracing::debug;

use crate::http::BoxError;
use crate::shares::{Client, Share};
use crate::spool::{Spool, SpoolError, SpoolFile, SpoolReader};
use crate::sync::lock;
use crate::upstream::response_reader::Source;

/// Pieces below this size are copied, because each would otherwise keep its read buffer alive.
const SMALL: usize = 16 * 1024;

/// State shared between the client's side and the task.
#[derive(Debug)]
pub(super) struct Flow(Mutex<State>);

struct State {
    /// The response reader, while the client reads directly.
    source: Option<Source>,
    /// The oldest buffered pieces, with the accounted size of each.
    pieces: VecDeque<(Bytes, usize)>,
    memory: Share,
    /// The client to whom memory and disk space are accounted.
    owner: Client,
    /// Reader of the bytes on disk, which are newer than the pieces.
    disk: Option<SpoolReader>,
    /// Result of the response, once the task has read all of it.
    end: Option<Result<(), BoxError>>,
    /// True if the client holds a piece and has not polled for the next.
    clients_turn: bool,
    /// True if the client was in that state already at the previous scan.
    seen: bool,
    /// True once the client's side is dropped.
    gone: bool,
    /// Number of pieces that the client has taken.
    taken: u64,
    client: Option<Waker>,
    task: Option<Waker>,
}

impl State {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let polled = self.poll_next(cx);
        self.clients_turn = polled.is_ready();
        self.seen = false;
        polled
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        if let Some((piece, accounted)) = self.pieces.pop_front() {
            self.memory.give_back(accounted as u64);
            self.wake_task();
            return Poll::Ready(Some(Ok(piece)));
        }
        if let Some(source) = &mut self.source {
            return source.poll(cx);
        }
        if let Some(disk) = &mut self.disk {
            match disk.poll_piece(cx) {
                Poll::Ready(Some(read)) => {
                    self.wake_task();
                    return Poll::Ready(Some(read.map_err(Into::into)));
                }
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        match self.end.take() {
            Some(Ok(())) => {
                self.end = Some(Ok(()));
                Poll::Ready(None)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                self.client = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Wakes the task after the client has taken a piece, since there may be room again.
    fn wake_task(&mut self) {
        self.taken += 1;
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    fn wake_client(&mut self) {
        if let Some(client) = self.client.take() {
            client.wake();
        }
    }

    fn disk_is_empty(&self) -> bool {
        self.disk.as_ref().is_none_or(|disk| disk.left() == 0)
    }

    /// Buffers a piece in memory if there is room. One piece always fits, or there would be no progress.
    fn keep(&mut self, piece: &Bytes, most: usize) -> bool {
        // Bytes on disk come before it.
        if !self.disk_is_empty() {
            return false;
        }
        let held: usize = self.pieces.iter().map(|(piece, _)| piece.len()).sum();
        let accounted = held + piece.len() <= most && self.memory.take(piece.len() as u64).is_ok();
        if !accounted && held > 0 {
            return false;
        }
        let small = piece.len() < SMALL;
        let kept = if small {
            Bytes::copy_from_slice(piece)
        } else {
            piece.clone()
        };
        let accounted = if accounted { kept.len() } else { 0 };
        self.pieces.push_back((kept, accounted));
        self.wake_client();
        true
    }
}

impl Flow {
    /// Creates the buffer of a response that its client still reads directly, after these pieces.
    pub(super) fn new(
        pieces: VecDeque<Bytes>,
        source: Source,
        client: Client,
        spool: &Spool,
    ) -> Self {
        Self(Mutex::new(State {
            source: Some(source),
            pieces: pieces.into_iter().map(|piece| (piece, 0)).collect(),
            memory: spool.memory(client),
            owner: client,
            disk: None,
            end: None,
            clients_turn: true,
            seen: false,
            gone: false,
            taken: 0,
            client: None,
            task: None,
        }))
    }

    /// Returns the next piece for the client.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        self.lock().poll(cx)
    }

    /// Ends the client's side.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.gone = true;
        let (source, task) = (state.source.take(), state.task.take());
        drop(state);
        drop(source);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Returns the response reader if the client has not polled since the previous scan.
    pub(super) fn take_from_slow_client(&self) -> Option<Source> {
        let mut state = self.lock();
        if state.clients_turn && state.seen {
            return state.source.take();
        }
        state.seen = state.clients_turn;
        None
    }

    /// Reads a response to its end on behalf of a slow client.
    pub(super) async fn buffer_rest(self: Arc<Self>, mut source: Source, spool: Spool) {
        spool.count_response();
        let client = self.lock().owner;
        let mut disk = Disk::new(spool, client);
        let end = loop {
            let next = poll_fn(|cx| {
                if self.is_gone(cx) {
                    return Poll::Ready(None);
                }
                source.poll(cx).map(Some)
            });
            match next.await {
                None => return,
                Some(None) => break Ok(()),
                Some(Some(Err(error))) => break Err(error),
                Some(Some(Ok(piece))) => self.keep(piece, &mut disk).await,
            }
        };
        // Releases the worker before the client sees the end.
        drop(source);
        let mut state = self.lock();
        state.end = Some(end);
        state.wake_client();
    }

    /// Buffers a piece in memory or on disk, or waits until the client has made room.
    async fn keep(&self, piece: Bytes, disk: &mut Disk) {
        let most = disk.spool.settings().answer_buffer;
        loop {
            // Before the try, so that what the client takes meanwhile counts.
            let taken = self.lock().taken;
            let in_memory = self.lock().keep(&piece, most);
            if in_memory || disk.keep(&piece, self).await {
                return;
            }
            if self.waits_for_more_than(taken).await {
                return;
            }
        }
    }

    /// Waits until the client has taken more pieces than `taken`; true if it has left.
    async fn waits_for_more_than(&self, taken: u64) -> bool {
        poll_fn(|cx| {
            if self.is_gone(cx) {
                return Poll::Ready(true);
            }
            if self.lock().taken == taken {
                return Poll::Pending;
            }
            Poll::Ready(false)
        })
        .await
    }

    /// True if the client has left. Otherwise the task is woken when it leaves or takes a piece.
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.lock();
        state.task = Some(cx.waker().clone());
        state.gone
    }

    /// Rewinds the file if all of it was read.
    fn rewind(&self) -> bool {
        match &mut self.lock().disk {
            Some(disk) if disk.left() == 0 => {
                disk.rewind();
                true
            }
            _ => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// The task's writer for the file of one response.
struct Disk {
    spool: Spool,
    client: Client,
    file: Option<SpoolFile>,
    /// True once writing has failed; it is not tried again.
    broken: bool,
}

impl Disk {
    fn new(spool: Spool, client: Client) -> Self {
        Self {
            broken: !spool.has_disk(),
            spool,
            client,
            file: None,
        }
    }

    /// Writes a piece to disk; false if there is no room.
    async fn keep(&mut self, piece: &Bytes, flow: &Flow) -> bool {
        if self.broken {
            return false;
        }
        if self.file.is_none() {
            self.file = self
                .spool
                .file(
                    self.spool.settings().answer_size,
                    self.client,
                    Duration::ZERO,
                )
                .await
                .ok();
        }
        let Some(file) = &mut self.file else {
            self.broken = true;
            return false;
        };
        if flow.rewind() {
            file.rewind();
        }
        match file.append(piece).await {
            Ok(()) => {}
            Err(error) => {
                self.broken = matches!(error, SpoolError::Disk { .. });
                debug!(%error, "a response waits for its client");
                return false;
            }
        }
        let mut state = flow.lock();
        let length = file.length();
        state
            .disk
            .get_or_insert_with(|| file.reader())
            .extend_to(length);
        state.wake_client();
        true
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}
