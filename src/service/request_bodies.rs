//! Limits of request bodies, and the memory that they count towards. Must not know the purpose of a body.

use crate::config::Config;
use crate::http::{BodyLimits, Budget, Context, Incoming, Rate, Received, Refusal, receive};
use crate::shares::{Client, Share};
use crate::shutdown::Shutdown;
use crate::spool::Spool;

/// Receives request bodies.
#[derive(Clone, Debug)]
pub(super) struct RequestBodies {
    limits: BodyLimits,
    spool: Spool,
}

impl RequestBodies {
    pub(super) fn new(config: &Config, spool: Spool) -> Self {
        let limits = &config.limits;
        Self {
            limits: BodyLimits {
                idle: limits.body_idle,
                rate: Rate {
                    bytes: limits.minimum_rate,
                    grace: limits.minimum_rate_grace,
                },
                size: limits.body_size,
                buffer: limits.request_buffer,
                trailers: limits.headers,
            },
            spool,
        }
    }

    /// The limits of a body that is forwarded to an app.
    pub(super) fn limits(&self) -> BodyLimits {
        self.limits
    }

    /// Receives the body of a message, of at most `size` bytes, into memory: [`Received::Begun`] is never the result.
    pub(super) async fn whole(
        &self,
        body: Incoming,
        size: usize,
        context: &Context,
        tasks: &Shutdown,
    ) -> Result<Received, Refusal> {
        let limits = BodyLimits {
            size: size as u64,
            buffer: size,
            ..self.limits
        };
        Ok(receive(body, limits, Some(self.budget(context)), tasks).await?)
    }

    /// The memory budget of a message while it arrives. A message is never written to disk.
    pub(super) fn budget(&self, context: &Context) -> Budget<'_> {
        Budget {
            spool: &self.spool,
            client: Client {
                address: context.peer.counted_as(),
                session: None,
            },
            disk: false,
        }
    }

    /// The memory for bytes that a connection has received and no handler has read yet. A connection of a trusted proxy
    /// carries many clients, so it counts for no single address.
    pub(super) fn unread_memory(&self, context: &Context) -> Share {
        let counted = context.proxies.is_none();
        let address = counted.then(|| context.peer.counted_as()).flatten();
        self.spool.request_memory(Client {
            address,
            session: None,
        })
    }
}
