//! How long something that a request has opened may stay open.
//!
//! Made by what decides who may pass, kept by what is open; neither knows the other.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The permission to keep something open. Clones are the same permission; dropping the last one tells its
/// maker that nothing is open any more.
#[derive(Clone)]
pub struct Lease {
    /// It ends when the first of these does.
    ended: Arc<[CancellationToken]>,
    user: Option<Arc<str>>,
    _held: Arc<dyn Send + Sync>,
}

impl Lease {
    /// A lease that ends with the token. `user` is for whom it is, and `held` is dropped with it.
    pub fn new(
        ended: CancellationToken,
        user: Option<Arc<str>>,
        held: Arc<impl Send + Sync + 'static>,
    ) -> Self {
        Self {
            ended: Arc::new([ended]),
            user,
            _held: held,
        }
    }

    /// Whether what the lease is for must be closed.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.iter().any(CancellationToken::is_cancelled)
    }

    /// One lease that ends when the first of these does; none of none. They are all for the same user.
    #[must_use]
    pub fn all(leases: Vec<Self>) -> Option<Self> {
        let ended = leases.iter().flat_map(|lease| lease.ended.iter().cloned());
        Some(Self {
            ended: ended.collect(),
            user: leases.first()?.user.clone(),
            _held: Arc::new(leases),
        })
    }

    /// Returns when what the lease is for must be closed.
    pub async fn ended(&self) {
        self.ended_owned().await;
    }

    /// The same as [`ended`](Self::ended), as a future that owns what it needs.
    pub fn ended_owned(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let owned = |token: &CancellationToken| Box::pin(token.clone().cancelled_owned());
        let mut waits: Vec<Pin<Box<WaitForCancellationFutureOwned>>> =
            self.ended.iter().map(owned).collect();
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

    /// For whom it is, if that is known.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
}

/// Without what it holds, which may be a credential.
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
    async fn a_lease_of_several_ends_with_the_first_of_them() {
        let tokens = [CancellationToken::new(), CancellationToken::new()];
        let one = |token: &CancellationToken| Lease::new(token.clone(), None, Arc::new(()));
        let lease = Lease::all(tokens.iter().map(one).collect()).expect("two leases");
        let mut ended = Box::pin(lease.ended_owned());
        let waits = poll_fn(|cx| Poll::Ready(ended.as_mut().poll(cx).is_pending())).await;
        assert!(waits);
        tokens.last().expect("two").cancel();
        ended.await;
        assert!(Lease::all(Vec::new()).is_none());
    }
}
