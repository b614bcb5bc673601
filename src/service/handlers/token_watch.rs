//! Token watch: closes a tunnel whose token no longer leads to its target, because the token was removed from its
//! source, leads to another target, or has expired.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::bridge::Revocation;
use crate::clock::unix_time;
use crate::shutdown::Shutdown;
use crate::tokens::{CloudServer, ResolveError, Resolver, TargetRequest};

/// The times at which a token is checked again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Interval between two lookups of a token at its source; `None` means never.
    pub(super) interval: Option<Duration>,
    /// Expiry of the token in Unix seconds, if it has one.
    pub(super) expires: Option<u64>,
}

impl Times {
    /// True if the token is ever checked again.
    pub(super) fn are_any(self) -> bool {
        self.interval.is_some() || self.expires.is_some()
    }
}

/// The target of the token when the tunnel was opened.
#[derive(Debug)]
pub(super) struct WatchedTarget {
    /// Identity of the target: its address and other distinguishing properties.
    pub(super) key: Arc<str>,
    /// True if the token permitted viewing only.
    pub(super) view_only: bool,
    /// The server of a cloud to which the target belongs.
    pub(super) server: Option<CloudServer>,
}

/// Resolves the token again at each interval, until the returned value is dropped with its tunnel.
pub(super) fn watch(
    targets: Arc<Resolver>,
    asked: TargetRequest,
    seen: WatchedTarget,
    times: Times,
    shutdown: &Shutdown,
) -> Revocation {
    let (revoked, closed) = (CancellationToken::new(), CancellationToken::new());
    let held: DropGuard = closed.clone().drop_guard();
    let (stop, told) = (shutdown.clone(), revoked.clone());
    shutdown.spawn(async move {
        let watching = async {
            let Some(interval) = times.interval else {
                return pending().await;
            };
            // Boxed, so that only those that are being resolved have room for it.
            while Box::pin(is_still(&targets, &asked, &seen)).await {
                tokio::time::sleep(interval).await;
            }
        };
        tokio::select! {
            () = watching => told.cancel(),
            () = expired(times.expires) => told.cancel(),
            () = closed.cancelled() => {}
            () = stop.tunnels_requested() => {}
        }
    });
    Revocation::new(revoked, held)
}

/// Waits for the expiry of a token.
async fn expired(end: Option<u64>) {
    let Some(end) = end else {
        return pending().await;
    };
    let left = Duration::from_secs(end).saturating_sub(unix_time(SystemTime::now()));
    tokio::time::sleep(left).await;
}

/// True if the tunnel may stay open: the token still has the same target and was not reduced to viewing, or its source
/// could not be read in time, or the console may outlive its token.
async fn is_still(targets: &Resolver, asked: &TargetRequest, seen: &WatchedTarget) -> bool {
    match targets.resolve_again(asked).await {
        Ok(now) => now.key() == seen.key && (seen.view_only || !now.view_only),
        Err(ResolveError::Unknown) => match &seen.server {
            Some(server) => server.holds_consoles().await,
            None => false,
        },
        Err(ResolveError::Forbidden { .. }) => false,
        Err(_) => true,
    }
}
