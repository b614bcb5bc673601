//! Stall detection: limits on the time without progress, and on a rate that is too low.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The minimum rate while a side waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Bytes per second; 0 means no limit.
    pub bytes: u64,
    /// Total waiting time for which the rate may be lower. Faster progress gives time back.
    pub grace: Duration,
}

impl Rate {
    /// No minimum rate.
    pub(crate) const NONE: Self = Self {
        bytes: 0,
        grace: Duration::MAX,
    };
}

/// Stall timer: measures the time without progress. It has a timer of the runtime only while it waits, so that idle or
/// fast connections hold none.
#[derive(Debug)]
pub(crate) struct Stall {
    limit: Duration,
    rate: Option<Rate>,
    /// Waiting time so far, minus the time that the received bytes would take at the minimum rate.
    spent: Duration,
    since: Option<Instant>,
    clock: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// Creates a timer that is not running.
    #[must_use]
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            rate: None,
            spent: Duration::ZERO,
            since: None,
            clock: None,
        }
    }

    /// Creates a timer with a minimum rate as well, for progress that is counted in bytes.
    #[must_use]
    pub(crate) fn with_rate(limit: Duration, rate: Rate) -> Self {
        Self {
            rate: (rate.bytes > 0).then_some(rate),
            ..Self::new(limit)
        }
    }

    /// A new timer with the same limits.
    #[must_use]
    pub(crate) fn again(&self) -> Self {
        Self {
            rate: self.rate,
            ..Self::new(self.limit)
        }
    }

    /// The time limit.
    #[must_use]
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// The minimum rate, if the wait has ended because of it.
    #[must_use]
    pub(crate) fn too_slow(&self) -> Option<Rate> {
        self.rate.filter(|rate| self.spent() >= rate.grace)
    }

    /// True from the first [`waited`](Self::waited) to the next progress.
    #[must_use]
    pub(crate) fn is_waiting(&self) -> bool {
        self.clock.is_some()
    }

    /// Records progress: the time is measured anew from the next [`waited`](Self::waited).
    pub(crate) fn progressed(&mut self) {
        self.progressed_by(0);
    }

    /// Records progress by a number of bytes.
    pub(crate) fn progressed_by(&mut self, bytes: usize) {
        self.clock = None;
        let Some(rate) = self.rate else { return };
        self.spent = self.spent();
        self.since = None;
        if !self.spent.is_zero() {
            let nanoseconds = (bytes as u128 * 1_000_000_000) / u128::from(rate.bytes);
            let earned = u64::try_from(nanoseconds).map_or(Duration::MAX, Duration::from_nanos);
            self.spent = self.spent.saturating_sub(earned);
        }
    }

    /// Starts to measure the time, without a task to wake.
    pub(crate) fn begin(&mut self) {
        if self.rate.is_some() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// Records waiting. True once a limit has passed; until then the task is woken when it does.
    pub(crate) fn waited(&mut self, cx: &mut Context<'_>) -> bool {
        self.begin();
        let left = self
            .rate
            .map_or(Duration::MAX, |rate| rate.grace.saturating_sub(self.spent));
        let limit = self.limit.min(left);
        let clock = self.clock.get_or_insert_with(|| Box::pin(sleep(limit)));
        clock.as_mut().poll(cx).is_ready()
    }

    fn spent(&self) -> Duration {
        self.spent + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// The timer of a deadline that moves with each request and is rarely reached. To create and remove a timer each time
/// would cost more than the rest of a wait; this one keeps running, and is set again when it fires too early.
#[derive(Debug, Default)]
pub(crate) struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    /// True once this time has come; until then the task is woken when it does.
    pub(crate) fn has_passed(&mut self, cx: &mut Context<'_>, at: Instant) -> bool {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= at {
                return true;
            }
            timer.as_mut().reset(at);
        }
        false
    }

    /// Frees a timer that has fired, so that idle connections hold none.
    pub(crate) fn release(&mut self) {
        if self.0.as_ref().is_some_and(|timer| timer.is_elapsed()) {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::time::timeout;

    use super::*;

    const RATE: Rate = Rate {
        bytes: 100,
        grace: Duration::from_secs(10),
    };

    /// Waits for some seconds; true if a limit passed meanwhile.
    async fn waits(stall: &mut Stall, seconds: u64) -> bool {
        let late = poll_fn(|cx| {
            if stall.waited(cx) {
                return Poll::Ready(());
            }
            Poll::Pending
        });
        timeout(Duration::from_secs(seconds), late).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_uses_up_its_grace_though_it_never_stops() {
        let mut stall = Stall::with_rate(Duration::from_secs(60), RATE);
        for _ in 0..4 {
            assert!(!waits(&mut stall, 2).await);
            stall.progressed_by(1);
        }
        assert!(waits(&mut stall, 3).await);
        assert_eq!(stall.too_slow(), Some(RATE));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_fast_enough_goes_on_for_ever_and_saves_nothing_up() {
        let mut stall = Stall::with_rate(Duration::from_secs(60), RATE);
        for _ in 0..100 {
            assert!(!waits(&mut stall, 5).await);
            stall.progressed_by(501);
        }
        stall.progressed_by(1_000_000);
        assert!(waits(&mut stall, 11).await, "the grace, and no more");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_byte_the_limit_ends_it_and_without_a_rate_nothing_else_does() {
        let mut stall = Stall::with_rate(Duration::from_secs(5), RATE);
        assert!(waits(&mut stall, 6).await);
        assert_eq!(stall.too_slow(), None);
        let mut stall = Stall::with_rate(Duration::from_secs(5), Rate { bytes: 0, ..RATE });
        for _ in 0..100 {
            assert!(!waits(&mut stall, 4).await);
            stall.progressed_by(1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_passes_when_it_comes_and_not_before() {
        let mut deadline = Deadline::default();
        let started_at = Instant::now();
        let seconds = |seconds| started_at + Duration::from_secs(seconds);
        let mut passes = async |at: u64, wait: u64| {
            let passed = poll_fn(|cx| {
                if deadline.has_passed(cx, seconds(at)) {
                    return Poll::Ready(());
                }
                Poll::Pending
            });
            timeout(Duration::from_secs(wait), passed).await.is_ok()
        };
        assert!(!passes(10, 4).await);
        assert!(!passes(14, 9).await, "the timer fired for the first");
        assert_eq!(started_at.elapsed().as_secs(), 13);
        assert!(passes(14, 4).await);
        assert_eq!(started_at.elapsed().as_secs(), 14);
        assert!(!passes(60, 1).await);
        assert!(passes(20, 30).await, "it is earlier than the timer");
        assert_eq!(started_at.elapsed().as_secs(), 20);
        deadline.release();
        assert!(deadline.0.is_none());
    }
}
