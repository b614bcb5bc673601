//! Read coalescing: while a broker sends quickly, what it sends is read every few milliseconds and not as it comes.
//!
//! Each read wakes lapin's thread, that wakes the consumer, and the consumer wakes the subscribers; with thousands of
//! messages a second these wake-ups cost more than the messages. Network cards moderate their interrupts for the same
//! reason. A message that comes after a pause is read at once, so only a busy broker is delayed, and by no more than
//! [`PAUSE`]. Must not know the protocol.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Pause between two reads of a busy broker: the longest delay of a message. It is well below what a person notices,
/// and ten messages are read together where 2,000 come in a second.
const PAUSE: Duration = Duration::from_millis(5);
/// Interval within which the next read counts as quick. It is longer than the pause, so that reads after a pause are.
const QUICK: Duration = Duration::from_millis(10);
/// Number of quick reads in a row after which the broker counts as busy. The dialogue at the start has fewer.
const BUSY: u32 = 16;
/// Size of a read after which there is no pause: there is more than the pause would gather.
const LARGE: usize = 32 << 10;
/// Size of the buffer: more than a large read.
const BUFFER: usize = 64 << 10;

/// A stream whose reads are coalesced. Each read fills a buffer, so that what has come is read at once even if its
/// reader takes little of it at a time, as TLS does.
pub(super) struct Coalesced<S>(BufReader<Paused<S>>);

/// A stream that has nothing to read during a pause.
struct Paused<S> {
    stream: S,
    reads: Coalescing,
}

/// State of the reads of one connection.
#[derive(Debug)]
struct Coalescing {
    pause: Pin<Box<Sleep>>,
    is_paused: bool,
    last: Instant,
    quick: u32,
}

impl<S: AsyncRead + Unpin> Coalesced<S> {
    /// Must be called inside a tokio runtime; lapin polls from a thread of its own.
    pub(super) fn new(stream: S) -> Self {
        let reads = Coalescing::new();
        Self(BufReader::with_capacity(BUFFER, Paused { stream, reads }))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paused<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.reads.poll_ready(cx));
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.reads.record(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalesced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Coalesced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.get_ref().stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.get_mut().stream).poll_shutdown(cx)
    }
}

impl Coalescing {
    fn new() -> Self {
        Self {
            pause: Box::pin(sleep(Duration::ZERO)),
            is_paused: false,
            last: Instant::now(),
            quick: 0,
        }
    }

    /// Pending while the pause after the last read lasts.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_paused {
            ready!(self.pause.as_mut().poll(cx));
            self.is_paused = false;
        }
        Poll::Ready(())
    }

    /// Records a read of so many bytes, and begins a pause if the broker is busy.
    fn record(&mut self, bytes: usize) {
        let now = Instant::now();
        let is_quick = now.duration_since(self.last) < QUICK;
        self.last = now;
        self.quick = if is_quick {
            self.quick.saturating_add(1)
        } else {
            0
        };
        if self.quick >= BUSY && bytes < LARGE {
            self.pause.as_mut().reset(now + PAUSE);
            self.is_paused = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// Time until the next read may begin.
    async fn delay(reads: &mut Coalescing) -> Duration {
        let begun = Instant::now();
        poll_fn(|cx| reads.poll_ready(cx)).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_busy_broker_is_delayed_and_a_message_after_a_pause_is_not() {
        let mut reads = Coalescing::new();
        for _ in 0..BUSY - 1 {
            reads.record(100);
            assert_eq!(delay(&mut reads).await, Duration::ZERO);
        }
        for _ in 0..100 {
            reads.record(100);
            let delay = delay(&mut reads).await;
            assert!(delay >= PAUSE && delay < QUICK, "{delay:?}");
        }
        reads.record(LARGE);
        assert_eq!(delay(&mut reads).await, Duration::ZERO);
        sleep(QUICK).await;
        reads.record(100);
        assert_eq!(delay(&mut reads).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_more_slowly_than_the_pause_is_never_delayed() {
        let mut reads = Coalescing::new();
        for _ in 0..100 {
            sleep(PAUSE * 2).await;
            assert_eq!(delay(&mut reads).await, Duration::ZERO);
            reads.record(100);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_little_at_a_time_does_not_wait_for_what_has_come() {
        let (mut broker, stream) = duplex(1 << 20);
        let mut stream = Coalesced::new(stream);
        let mut piece = [0; 100];
        for _ in 0..=BUSY {
            broker.write_all(&piece).await.expect("it reads");
            stream.read_exact(&mut piece).await.expect("a piece");
        }
        broker.write_all(&vec![0; 30_000]).await.expect("it reads");
        let begun = Instant::now();
        for _ in 0..300 {
            stream.read_exact(&mut piece).await.expect("a piece");
        }
        assert!(begun.elapsed() < QUICK, "{:?}", begun.elapsed());
    }
}
