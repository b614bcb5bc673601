//! A future that is polled only after it was woken, although the rest of its task is polled often.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use atomic_waker::AtomicWaker;

/// A future that is polled only after it was woken. A connection waits for the stop of the server, and each poll of
/// that wait takes locks that all connections share.
#[derive(Debug)]
pub(super) struct Dormant<F> {
    future: Pin<Box<F>>,
    waker: Waker,
    flag: Arc<WakeFlag>,
}

/// The waker of such a future, which also wakes its task.
#[derive(Debug)]
struct WakeFlag {
    is_set: AtomicBool,
    task: AtomicWaker,
}

impl<F> Dormant<F> {
    /// Wraps a future; it is first polled when its task is polled next.
    pub(super) fn new(future: F) -> Self {
        let flag = Arc::new(WakeFlag {
            is_set: AtomicBool::new(true),
            task: AtomicWaker::new(),
        });
        Self {
            future: Box::pin(future),
            waker: Waker::from(Arc::clone(&flag)),
            flag,
        }
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_set.swap(true, Ordering::AcqRel) {
            self.task.wake();
        }
    }
}

impl<F: Future> Future for Dormant<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        // Before the look at the flag, so that a flag that is set meanwhile wakes this task.
        this.flag.task.register(cx.waker());
        if !this.flag.is_set.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        this.future
            .as_mut()
            .poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_dormant_future_is_polled_when_it_is_woken_and_not_before() {
        let (sender, mut receiver) = oneshot::channel();
        let mut polls = 0;
        let mut dormant = Dormant::new(poll_fn(|cx| {
            polls += 1;
            Pin::new(&mut receiver).poll(cx)
        }));
        for _ in 0..5 {
            let busy = &mut Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut dormant).poll(busy).is_pending());
        }
        let waiting = async { (&mut dormant).await };
        let reporting_to = async {
            tokio::task::yield_now().await;
            assert!(sender.send(7).is_ok());
        };
        let (told, ()) = tokio::join!(waiting, reporting_to);
        assert_eq!(told, Ok(7));
        drop(dormant);
        assert_eq!(polls, 2);
    }
}
