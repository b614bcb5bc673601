//! The accept loop of every listening socket: pauses after failures of accept(2), and reports each outage once.
//! Independent of the listener, and of the receiver of reports.

use std::io;
use std::time::Duration;

/// Pause when the system is out of descriptors or memory. An immediate retry would fail again and occupy a core.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// A report of an accept loop.
#[derive(Debug)]
pub(crate) enum AcceptReport<'e> {
    /// No connection can be accepted; reported once for each outage.
    Failed(&'e io::Error),
    /// The first connection after an outage was accepted.
    Again,
}

/// The state of one accept loop.
#[derive(Debug, Default)]
pub(crate) struct AcceptLoop {
    is_failing: bool,
}

impl AcceptLoop {
    /// Accepts the next connection, no matter how often that fails. Can be dropped at any time.
    pub(crate) async fn next<T, F>(
        &mut self,
        mut accept: impl FnMut() -> F,
        report: impl Fn(AcceptReport<'_>),
    ) -> T
    where
        F: Future<Output = io::Result<T>>,
    {
        loop {
            match accept().await {
                Ok(connection) => {
                    self.recover(&report);
                    return connection;
                }
                Err(failure) => self.pause_after(&failure, &report).await,
            }
        }
    }

    /// Waits until it makes sense to accept again. There are three classes of failures: a connection that is gone
    /// already, which needs no pause; a lack of a system resource, which ends by itself; and a broken listener, which
    /// does not recover but must not spin. The last two are reported once, and not five times a second.
    pub(crate) async fn pause_after(
        &mut self,
        failure: &io::Error,
        report: &impl Fn(AcceptReport<'_>),
    ) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(
            failure.kind(),
            ConnectionAborted | ConnectionReset | Interrupted
        ) {
            return;
        }
        if !std::mem::replace(&mut self.is_failing, true) {
            report(AcceptReport::Failed(failure));
        }
        tokio::time::sleep(EXHAUSTED).await;
    }

    /// Ends an outage, if there is one.
    pub(crate) fn recover(&mut self, report: &impl Fn(AcceptReport<'_>)) {
        if std::mem::take(&mut self.is_failing) {
            report(AcceptReport::Again);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::VecDeque;

    use super::*;

    /// The error for exhausted descriptors (errno 24 of Linux).
    fn no_descriptors() -> io::Error {
        io::Error::from_raw_os_error(24)
    }

    /// Accepts once after these failures; returns the numbers of reported failures and recoveries.
    async fn after(
        accepting: &mut AcceptLoop,
        failures: impl IntoIterator<Item = io::Error>,
    ) -> (usize, usize) {
        let mut failures: VecDeque<_> = failures.into_iter().collect();
        let (failed, again) = (Cell::new(0), Cell::new(0));
        let accept = || std::future::ready(failures.pop_front().map_or(Ok(()), Err));
        let report = |report: AcceptReport<'_>| {
            let count = match report {
                AcceptReport::Failed(_) => &failed,
                AcceptReport::Again => &again,
            };
            count.set(count.get() + 1);
        };
        accepting.next(accept, report).await;
        (failed.get(), again.get())
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_reported_once_and_waited_for_each_time() {
        let started_at = tokio::time::Instant::now();
        let mut accepting = AcceptLoop::default();
        let outage = || (0..5).map(|_| no_descriptors());
        assert_eq!(after(&mut accepting, outage()).await, (1, 1));
        assert_eq!(started_at.elapsed(), EXHAUSTED * 5);
        assert_eq!(after(&mut accepting, []).await, (0, 0));
        assert_eq!(after(&mut accepting, outage()).await, (1, 1), "another");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_gone_already_is_neither_reported_nor_waited_for() {
        let started_at = tokio::time::Instant::now();
        let gone = [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::Interrupted,
        ];
        let gone = gone.map(io::Error::from);
        assert_eq!(after(&mut AcceptLoop::default(), gone).await, (0, 0));
        assert_eq!(started_at.elapsed(), Duration::ZERO);
    }
}
