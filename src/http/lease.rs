//! How long something that a request has opened may stay open.
//!
//! Made by what decides who may pass, kept by what is open; neither knows the other.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// The permission to keep something open. Clones are the same permission; dropping the last one tells its
/// maker that nothing is open any more.
#[derive(Clone)]
pub struct Lease {
    ended: CancellationToken,
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
            ended,
            user,
            _held: held,
        }
    }

    /// Whether what the lease is for must be closed.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Returns when what the lease is for must be closed.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// The same as [`ended`](Self::ended), as a future that owns what it needs.
    pub fn ended_owned(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.ended.clone().cancelled_owned()
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
