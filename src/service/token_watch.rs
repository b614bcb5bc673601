//! Token watch: closes a tunnel whose token has changed its meaning, because it was removed from its source or
//! leads to another target.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::bridge::Revocation;
use crate::config::Endpoint;
use crate::shutdown::Shutdown;
use crate::tokens::{Asked, ResolveError, Resolver};

/// Resolves the token again every `interval`, until the returned value is dropped with its tunnel.
pub(super) fn watch(
    targets: Arc<Resolver>,
    asked: Asked,
    (target, view_only): (Endpoint, bool),
    interval: Duration,
    shutdown: &Shutdown,
) -> Revocation {
    let (revoked, closed) = (CancellationToken::new(), CancellationToken::new());
    let held: DropGuard = closed.clone().drop_guard();
    let (stop, told) = (shutdown.clone(), revoked.clone());
    shutdown.spawn(async move {
        let watching = async {
            while is_still(&targets, &asked, &target, view_only).await {
                tokio::time::sleep(interval).await;
            }
            told.cancel();
        };
        tokio::select! {
            () = watching => {}
            () = closed.cancelled() => {}
            () = stop.tunnels_requested() => {}
        }
    });
    Revocation::new(revoked, held)
}

/// True if the token still has the same target, and is not for looking only now, or its source could not be read in
/// time.
async fn is_still(targets: &Resolver, asked: &Asked, target: &Endpoint, view_only: bool) -> bool {
    match targets.resolve(asked).await {
        Ok(now) => now.endpoint == *target && (view_only || !now.view_only),
        Err(ResolveError::Unknown | ResolveError::Forbidden { .. }) => false,
        Err(_) => true,
    }
}
