//! An answer that is taken off the worker faster than its client takes it.
//!
//! As long as the client keeps up, it reads the answer itself, and this costs a lock. A client that does not
//! come back for the next piece is noticed by the look of [`Lagging`]; from then on a task takes the answer in,
//! as fast as the app gives it, to memory and then to disk, and the worker is free when it is complete. Where
//! there is no more room the task waits for the client, as everybody did before.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tracing::debug;

use crate::http::BoxError;
use crate::shares::{Client, Share};
use crate::spool::{Spool, SpoolError, SpoolFile, SpoolReader};
use crate::upstream::Upstream;
use crate::upstream::lagging::Place;
use crate::upstream::source::Source;

/// Pieces below this size are copied: each would otherwise keep alive the buffer it was read into.
const SMALL: usize = 16 * 1024;

/// An answer on its way to the client.
pub(super) struct Kept {
    flow: Arc<Flow>,
    /// How many bytes the client is still to get, if that is known.
    left: Option<u64>,
    place: Place,
}

/// What the client's side and the task share.
#[derive(Debug)]
pub(super) struct Flow(Mutex<State>);

struct State {
    /// Here as long as the client reads by itself.
    source: Option<Source>,
    /// The oldest bytes there are, and how many of each are accounted for.
    pieces: VecDeque<(Bytes, usize)>,
    memory: Share,
    /// Its disk counts as this client's too.
    owner: Client,
    /// Younger than the pieces, if there are bytes in it.
    disk: Option<SpoolReader>,
    /// How the answer ended, once the task has all of it.
    end: Option<Result<(), BoxError>>,
    /// A piece was handed out, and the next one not asked for yet.
    clients_turn: bool,
    /// That was so at the last look already.
    seen: bool,
    /// The client's side is gone.
    gone: bool,
    /// How many pieces it has taken.
    taken: u64,
    client: Option<Waker>,
    task: Option<Waker>,
}

impl Kept {
    pub(super) fn new(
        pieces: VecDeque<Bytes>,
        source: Source,
        client: Client,
        upstream: &Arc<Upstream>,
    ) -> Self {
        let here: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let left = source.left().map(|left| left + here);
        let flow = Arc::new(Flow(Mutex::new(State {
            source: Some(source),
            pieces: pieces.into_iter().map(|piece| (piece, 0)).collect(),
            memory: upstream.spool.memory(client),
            owner: client,
            disk: None,
            end: None,
            clients_turn: true,
            seen: false,
            gone: false,
            taken: 0,
            client: None,
            task: None,
        })));
        let place = upstream.lagging.watch(&flow, upstream);
        Self { flow, left, place }
    }

    /// How many bytes the client is still to get, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }

    /// The next piece for the client.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let polled = self.flow.lock().poll(cx);
        if let (Some(left), Poll::Ready(Some(Ok(piece)))) = (&mut self.left, &polled) {
            *left = left.saturating_sub(piece.len() as u64);
        }
        polled
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.place.leave();
        let mut state = self.flow.lock();
        state.gone = true;
        let (source, task) = (state.source.take(), state.task.take());
        drop(state);
        drop(source);
        if let Some(task) = task {
            task.wake();
        }
    }
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

    /// The client has taken something: there may be room again.
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

    /// Keeps a piece in memory, if it may be there. One always may, or nothing would get on.
    fn keep(&mut self, piece: &Bytes, most: usize) -> bool {
        // What is on disk comes before it.
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
    /// Gives the answer away if its client has not come back since the last look.
    pub(super) fn look(&self) -> Option<Source> {
        let mut state = self.lock();
        if state.clients_turn && state.seen {
            return state.source.take();
        }
        state.seen = state.clients_turn;
        None
    }

    /// Takes an answer in to its end, for a client that takes its time.
    pub(super) async fn take_in(self: Arc<Self>, mut source: Source, spool: Spool) {
        spool.count_answer();
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
        // Gives the worker back before the client is told.
        drop(source);
        let mut state = self.lock();
        state.end = Some(end);
        state.wake_client();
    }

    /// Keeps a piece in memory or on disk, or waits until the client has made room.
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

    /// Waits until the client has taken something; true if it is gone.
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

    /// Whether the client's side is gone. If not, the task is woken when it is, or when it has taken a piece.
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.lock();
        state.task = Some(cx.waker().clone());
        state.gone
    }

    /// Lets the file be used from its beginning again, if all of it was read.
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task's end of the file of one answer.
struct Disk {
    spool: Spool,
    client: Client,
    file: Option<SpoolFile>,
    /// It has failed once, which is enough.
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

    /// Writes a piece to the disk; false if it has no room.
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
                debug!(%error, "an answer waits for its client");
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
