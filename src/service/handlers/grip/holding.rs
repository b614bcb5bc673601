//! The context of a held connection: its lease, which ends with the visitor's session, and the refusals of connections
//! that cannot be held. Must not know the transport.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::http::{Context, Head, Lease, Refusal};
use crate::hub::Hub;
use crate::push::grip::{HoldContext, HoldError};
use crate::service::audit_record::AuditRecord;
use crate::service::handlers::grip::apps::GripApp;
use crate::service::handlers::subscriptions::unsubscribed;
use crate::service::session_auth::SessionAuth;
use crate::service::shared_parts::SharedParts;
use crate::shutdown::Shutdown;

/// Creates the contexts of held connections.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    hub: Hub,
    sessions: SessionAuth,
    shutdown: Shutdown,
}

impl Holding {
    pub(super) fn new(shared: &SharedParts) -> Self {
        Self {
            hub: shared.hub.clone(),
            sessions: shared.sessions.clone(),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Creates the context of a held connection.
    pub(super) fn hold_context(
        &self,
        app: &GripApp,
        lease: Option<Lease>,
        transport: &'static str,
        context: &Context,
        audit: &AuditRecord,
    ) -> HoldContext {
        HoldContext {
            hub: self.hub.clone(),
            app: Arc::clone(&app.name),
            address: context.peer.counted_as(),
            peer: context.peer,
            audit_client: audit.subscriber(lease.as_ref()),
            lease,
            tasks: self.shutdown.clone(),
            transport,
            queried: 0,
        }
    }

    /// Offset of the newest message.
    pub(super) fn newest_offset(&self) -> u64 {
        self.hub.newest_offset()
    }

    /// The lease of the visitor's session, with which a held connection ends. A visitor without a login has none: the
    /// app has decided to hold the connection.
    pub(super) async fn lease(
        &self,
        app: &GripApp,
        headers: &HeaderMap,
        head: &Head,
        context: &Context,
    ) -> Option<Lease> {
        if !app.session {
            return None;
        }
        let visitor = self.sessions.visitor(headers, head, context).await.ok()?;
        Some(visitor.watch())
    }

    /// The refusal of a connection that cannot be held.
    pub(super) fn unheld(&self, app: &GripApp, error: &HoldError) -> Refusal {
        match error {
            HoldError::Instruction(fault) => {
                let reason = "the application gave an instruction that cannot be followed";
                let cause = format!("app {}: {fault}", app.name);
                Refusal::new(StatusCode::BAD_GATEWAY, reason).because(&cause)
            }
            HoldError::Subscribe(error) => unsubscribed(error, self.hub.retry()),
        }
    }
}
