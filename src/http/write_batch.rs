//! Write coalescing for HTTP/2: h2 makes a small write for each frame, and each would be a TLS record and a system
//! call.
//!
//! Written bytes are collected until the flush, which lets all other ready tasks run first, so that the responses
//! of several streams join. Large writes pass through, behind the collected ones. No bytes are held between
//! flushes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};

/// Limit on collected bytes, which fits into one TLS record (RFC 8446 §5.1).
const MOST: usize = 16 * 1024;
/// Size of writes that pass through: collecting them saves nothing, and they would have to be copied.
const LARGE: usize = MOST / 2;

/// The bytes collected for the next flush.
#[derive(Default)]
pub(super) struct WriteBatch {
    waiting: BytesMut,
    turn: Turn,
}

/// Progress of yielding to other ready tasks since the last flush.
#[derive(Default)]
enum Turn {
    #[default]
    Theirs,
    Yielding(Pin<Box<dyn Future<Output = ()> + Send>>),
    Over,
}

/// Action for a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// The bytes were collected.
    Taken,
    /// Write the bytes at once; no bytes are collected.
    Direct,
    /// Write the collected bytes first, and then these.
    Behind,
}

impl WriteBatch {
    /// Collects a write if it is small and there is room for it.
    pub(super) fn take(&mut self, pieces: &[IoSlice<'_>]) -> Write {
        let size: usize = pieces.iter().map(|piece| piece.len()).sum();
        match (self.waiting.len(), size) {
            (0, LARGE..) => return Write::Direct,
            (waiting, size) if size >= LARGE || waiting + size > MOST => return Write::Behind,
            (0, _) => self.waiting.reserve(MOST),
            _ => {}
        }
        for piece in pieces {
            self.waiting.extend_from_slice(piece);
        }
        Write::Taken
    }

    /// Ready when a flush may continue: at once if no bytes are collected.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_empty() {
            return Poll::Ready(());
        }
        if matches!(self.turn, Turn::Theirs) {
            self.turn = Turn::Yielding(Box::pin(tokio::task::yield_now()));
        }
        if let Turn::Yielding(turn) = &mut self.turn {
            ready!(turn.as_mut().poll(cx));
            self.turn = Turn::Over;
        }
        Poll::Ready(())
    }

    /// Writes all collected bytes.
    pub(super) fn poll_write_out(
        &mut self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            match ready!(write(&self.waiting))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.waiting.advance(written),
            }
        }
        // An idle connection has no need of it.
        self.waiting = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Records that a flush is complete.
    pub(super) fn flushed(&mut self) {
        self.turn = Turn::Theirs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(gather: &mut WriteBatch, size: usize) -> Write {
        let (head, body) = (vec![b'h'; 9], vec![b'b'; size - 9]);
        gather.take(&[IoSlice::new(&head), IoSlice::new(&body)])
    }

    /// Sizes of the resulting writes, on a stream that accepts this much at once.
    fn written(gather: &mut WriteBatch, at_once: usize) -> Vec<usize> {
        let mut sizes = Vec::new();
        let done = gather.poll_write_out(|bytes| {
            sizes.push(bytes.len().min(at_once));
            Poll::Ready(Ok(bytes.len().min(at_once)))
        });
        assert!(matches!(done, Poll::Ready(Ok(()))));
        sizes
    }

    #[test]
    fn small_writes_leave_as_one_and_nothing_is_held_afterwards() {
        let mut gather = WriteBatch::default();
        for _ in 0..10 {
            assert_eq!(take(&mut gather, 1000), Write::Taken);
        }
        assert_eq!(written(&mut gather, MOST), [10_000]);
        assert_eq!(written(&mut gather, MOST), [0; 0]);
        assert_eq!(gather.waiting.capacity(), 0);
    }

    #[test]
    fn what_is_large_or_does_not_fit_waits_for_what_came_before() {
        let mut gather = WriteBatch::default();
        assert_eq!(take(&mut gather, LARGE), Write::Direct);
        assert_eq!(take(&mut gather, 100), Write::Taken);
        assert_eq!(take(&mut gather, LARGE), Write::Behind);
        for _ in 0..16 {
            assert_eq!(take(&mut gather, 1000), Write::Taken);
        }
        assert_eq!(take(&mut gather, 1000), Write::Behind);
        assert_eq!(written(&mut gather, 10_000), [10_000, 6_100]);
        assert_eq!(take(&mut gather, 1000), Write::Taken);
    }

    #[tokio::test]
    async fn a_flush_lets_others_have_their_turn_once() {
        let mut gather = WriteBatch::default();
        let mut turns = 0;
        let mut flush = async |gather: &mut WriteBatch| {
            std::future::poll_fn(|cx| {
                turns += 1;
                gather.poll_turn(cx)
            })
            .await;
            std::mem::take(&mut turns)
        };
        assert_eq!(flush(&mut gather).await, 1, "nothing waits");
        assert_eq!(take(&mut gather, 100), Write::Taken);
        assert_eq!(flush(&mut gather).await, 2);
        assert_eq!(flush(&mut gather).await, 1, "they had it");
        gather.flushed();
        assert_eq!(flush(&mut gather).await, 2);
    }
}
