//! Waits for the upgraded stream behind an accepted handshake.

use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::time::timeout;
use tracing::debug;

/// Time limit from our 101 to the upgraded stream. Both are on our side, so this only guards against a client that
/// vanishes in between.
const UPGRADE_LIMIT: Duration = Duration::from_secs(10);

/// The stream behind an accepted handshake; `None` if the client has left meanwhile.
pub async fn upgraded(upgrade: OnUpgrade) -> Option<Upgraded> {
    match timeout(UPGRADE_LIMIT, upgrade).await {
        Ok(Ok(upgraded)) => Some(upgraded),
        Ok(Err(error)) => {
            debug!(%error, "the client left during the upgrade");
            None
        }
        Err(_) => {
            debug!("the client left during the upgrade");
            None
        }
    }
}
