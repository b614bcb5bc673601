//! The service that responds to the requests of a connection. Must not know the version of HTTP.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::http::Context;
use crate::server::State;
use crate::service::{Role, Service};

/// The service of a connection, and its facts that every request has in common.
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
    /// The current service, and the current `limits.body-idle`.
    pub(super) fn service(&self) -> (Arc<Service>, Duration) {
        let state = self.current.load();
        (Arc::clone(&state.service), state.config.limits.body_idle)
    }
}
