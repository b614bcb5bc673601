//! Failures of accept(2): decides whether an accept loop has to wait, and reports each outage once. Independent of
//! the listener, and of where a report goes.

use std::io;
use std::time::Duration;

/// Wait when the system is out of descriptors or memory. An immediate retry would fail again and occupy a core.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// Failures of one accept loop since its last connection.
#[derive(Debug, Default)]
pub struct AcceptRetry {
    is_failing: bool,
}

impl AcceptRetry {
    /// Waits until it makes sense to accept again. There are three classes of failures: a connection that is gone
    /// already, without a wait; a system that lacks a resource for now; and a broken listener, which does not
    /// recover but must not spin. The last two are reported once, and not five times a second.
    pub async fn after(&mut self, failure: &io::Error, report: impl FnOnce()) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(
            failure.kind(),
            ConnectionAborted | ConnectionReset | Interrupted
        ) {
            return;
        }
        if !std::mem::replace(&mut self.is_failing, true) {
            report();
        }
        tokio::time::sleep(EXHAUSTED).await;
    }

    /// Resets the failures after a connection; true if it is the first after an outage.
    #[must_use]
    pub fn ends(&mut self) -> bool {
        std::mem::take(&mut self.is_failing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error for exhausted descriptors (errno 24 of Linux).
    fn no_descriptors() -> io::Error {
        io::Error::from_raw_os_error(24)
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_reported_once_and_waited_for_each_time() {
        let begun = tokio::time::Instant::now();
        let (mut retry, mut reports) = (AcceptRetry::default(), 0);
        for _ in 0..5 {
            retry.after(&no_descriptors(), || reports += 1).await;
        }
        assert_eq!((reports, begun.elapsed()), (1, EXHAUSTED * 5));
        assert!(retry.ends() && !retry.ends());
        retry.after(&no_descriptors(), || reports += 1).await;
        assert_eq!(reports, 2, "another outage");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_gone_already_is_neither_reported_nor_waited_for() {
        let begun = tokio::time::Instant::now();
        let mut retry = AcceptRetry::default();
        for kind in [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::Interrupted,
        ] {
            retry.after(&kind.into(), || panic!("{kind}")).await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(!retry.ends());
    }
}
