//! The response to each request of a connection, by the service of the configuration in force. Must not know the
//! version of HTTP.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};

use crate::http::{Context, Incoming};
use crate::server::State;
use crate::service::{Role, ServiceBody};

/// Responds to the requests of a connection.
///
/// Each request is served by the configuration in force when it arrives: a browser keeps its connection for hours, and
/// would otherwise continue to use routes that a reload has removed.
pub(super) struct Responder {
    /// The current state.
    pub(super) current: Arc<ArcSwap<State>>,
    pub(super) context: Context,
    pub(super) role: Role,
}

impl Responder {
    /// Responds to a request. Also returns `limits.body-idle`, in force for the response.
    pub(super) async fn respond(
        &self,
        request: Request<Incoming>,
    ) -> (Response<ServiceBody>, Duration) {
        let state = self.current.load_full();
        let limit = state.config.limits.body_idle;
        let service = Arc::clone(&state.service);
        drop(state);
        let response = service.respond(request, &self.context, self.role).await;
        if let Some(interim) = &self.context.interim {
            interim.all_sent().await;
        }
        (response, limit)
    }

    /// The current `limits.body-idle`.
    pub(super) fn body_idle(&self) -> Duration {
        self.current.load().config.limits.body_idle
    }
}
