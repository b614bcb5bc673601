//! Connection permits of tunnels. Independent of the purpose of a tunnel.

use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Version};

use crate::http::{Context, Refusal};
use crate::net::{ConnectionPermit, ConnectionPermits, NoPermit};
use crate::telemetry::Telemetry;

/// `Retry-After` for a tunnel without a connection permit.
const NO_SLOT_RETRY: Duration = Duration::from_secs(5);

/// Takes the permits of tunnels.
#[derive(Clone, Debug)]
pub(super) struct TunnelPermits {
    connection_permits: ConnectionPermits,
    telemetry: Arc<Telemetry>,
}

impl TunnelPermits {
    pub(super) fn new(connection_permits: ConnectionPermits, telemetry: Arc<Telemetry>) -> Self {
        Self {
            connection_permits,
            telemetry,
        }
    }

    /// Takes the connection permit of a tunnel that opens a socket to its target. A connection with several streams
    /// gets a permit for the tunnel, and a connection of a proxy one of the client's address. A connection that itself
    /// becomes the tunnel has a permit already, so it gets none.
    pub(super) fn take(
        &self,
        version: Version,
        context: &Context,
    ) -> Result<Option<ConnectionPermit>, Refusal> {
        let permit = if version == Version::HTTP_2 {
            self.connection_permits.take_inner(&context.peer)
        } else if context.proxies.is_some() {
            self.connection_permits.take_of_address(&context.peer)
        } else {
            return Ok(None);
        };
        let (status, limit, reason) = match permit {
            Ok(permit) => return Ok(Some(permit)),
            Err(NoPermit::Address) => (
                StatusCode::TOO_MANY_REQUESTS,
                "connections-per-address",
                "the limit on connections from one address is reached",
            ),
            Err(NoPermit::All) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "connections",
                "the limit on all connections is reached",
            ),
        };
        self.telemetry.metrics.connections.refuse(limit);
        Err(Refusal::new(status, reason).retry_after(NO_SLOT_RETRY))
    }
}
