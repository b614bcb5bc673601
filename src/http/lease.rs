//! Revocable permission for a long-lived connection.
//!
//! Issued by `access` and held by a tunnel or a subscription, so that neither depends on the other.

use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Permission to keep a connection open. Clones are the same permission; when the last one is dropped, its issuer
/// learns that no connection is open any more.
#[derive(Clone)]
pub(crate) struct Lease {
    /// Cancellation tokens; the first one that is cancelled ends the lease.
    ended: Arc<[CancellationToken]>,
    /// Time of expiry.
    until: Option<Instant>,
    user: Option<Arc<str>>,
    session: Option<NonZeroU64>,
    /// Leases of the parts that may end earlier than the whole.
    parts: Arc<[Self]>,
    _held: Arc<dyn Send + Sync>,
}

impl Lease {
    /// Creates a lease that ends with the token. `user` is the user it belongs to, and `held` is dropped with it.
    pub(crate) fn new(
        ended: CancellationToken,
        user: Option<Arc<str>>,
        held: Arc<impl Send + Sync + 'static>,
    ) -> Self {
        Self {
            ended: Arc::new([ended]),
            until: None,
            user,
            session: None,
            parts: Arc::new([]),
            _held: held,
        }
    }

    /// Sets the number of the session to which the lease belongs.
    #[must_use]
    pub(crate) fn of_session(mut self, number: NonZeroU64) -> Self {
        self.session = Some(number);
        self
    }

    /// Adds leases for parts of the connection, such as single channels, that may end separately. The end of a part
    /// does not end the whole.
    #[must_use]
    pub(crate) fn with_parts(mut self, parts: Vec<Self>) -> Self {
        self.parts = parts.into();
        self
    }

    /// The leases of the parts, in the order of the request.
    #[must_use]
    pub(crate) fn parts(&self) -> &[Self] {
        &self.parts
    }

    /// Creates a lease that only ends at a given time, if there is one.
    #[must_use]
    pub(crate) fn until(until: Option<Instant>, user: Option<Arc<str>>) -> Self {
        Self {
            ended: Arc::new([]),
            until,
            user,
            session: None,
            parts: Arc::new([]),
            _held: Arc::new(()),
        }
    }

    /// Shortens the lease to the expiry of another one.
    #[must_use]
    pub(crate) fn and_until(mut self, other: &Self) -> Self {
        self.until = match (self.until, other.until) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        };
        self
    }

    /// True once the connection must be closed.
    #[must_use]
    pub(crate) fn has_ended(&self) -> bool {
        self.has_expired() || self.ended.iter().any(CancellationToken::is_cancelled)
    }

    /// True once the lease has expired.
    #[must_use]
    pub(crate) fn has_expired(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }

    /// Waits until the connection must be closed.
    pub(crate) async fn ended(&self) {
        self.ended_owned().await;
    }

    /// Like [`ended`](Self::ended), as a future that owns its data.
    pub(crate) fn ended_owned(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;
        let owned =
            |token: &CancellationToken| -> Wait { Box::pin(token.clone().cancelled_owned()) };
        let mut waits: Vec<Wait> = self.ended.iter().map(owned).collect();
        if let Some(until) = self.until {
            waits.push(Box::pin(sleep_until(until)));
        }
        poll_fn(move |cx| {
            let ended = waits
                .iter_mut()
                .any(|wait| wait.as_mut().poll(cx).is_ready());
            if ended {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }

    /// Number of its session, if it belongs to one.
    #[must_use]
    pub(crate) fn session(&self) -> Option<NonZeroU64> {
        self.session
    }

    /// The user to whom it belongs, if known.
    #[must_use]
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
}

/// Omits its contents, which may include a credential.
impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_part_is_not_that_of_the_whole() {
        let tokens = [CancellationToken::new(), CancellationToken::new()];
        let one = |token: &CancellationToken| Lease::new(token.clone(), None, Arc::new(()));
        let whole = CancellationToken::new();
        let lease = one(&whole).with_parts(tokens.iter().map(one).collect());
        tokens.last().expect("two").cancel();
        let ended: Vec<_> = lease.parts().iter().map(Lease::has_ended).collect();
        assert_eq!(
            (ended.as_slice(), lease.has_ended()),
            (&[false, true][..], false)
        );
        whole.cancel();
        lease.ended().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_with_a_limit_ends_by_itself() {
        let until = Instant::now() + std::time::Duration::from_secs(60);
        let lease = Lease::until(Some(until), None);
        assert!(!lease.has_ended());
        lease.ended().await;
        assert!(lease.has_expired() && lease.has_ended());
        assert!(!Lease::until(None, None).has_ended());
    }
}
