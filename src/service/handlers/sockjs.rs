//! The `SockJS` endpoint of the hub: checks permission when the protocol opens or resumes a session. Independent of the
//! protocol's transports.

use std::sync::Arc;

use http::Response;

use crate::http::{Body, Refusal};
use crate::hub::channels_named;
use crate::push::{SockJs, SockJsResource, Visitor};
use crate::service::channel_auth::{ChannelAuth, Permit};
use crate::service::exchange::Exchange;
use crate::service::handlers::page_messages::PageMessages;
use crate::service::request_bodies::RequestBodies;
use crate::service::shared_parts::SharedParts;
use crate::shutdown::Shutdown;

/// Handles requests of `SockJS` clients.
#[derive(Debug)]
pub(super) struct SockJsHandler {
    sessions: SockJs,
    auth: ChannelAuth,
    messages: Arc<PageMessages>,
    bodies: RequestBodies,
    shutdown: Shutdown,
}

impl SockJsHandler {
    pub(super) fn new(shared: &SharedParts, sessions: SockJs, messages: Arc<PageMessages>) -> Self {
        Self {
            sessions,
            auth: shared.channels.clone(),
            messages,
            bodies: shared.bodies.clone(),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Responds to a request below the endpoint; `rest` is the remaining path.
    pub(super) async fn handle(
        &self,
        rest: &str,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        // The protocol has nothing behind an empty segment, which a canonical path has none of.
        let path = exchange.head.path.as_sent();
        let is_whole = !path.trim_start_matches('/').contains("//");
        let Some(asked) = SockJsResource::parse(rest).filter(|_| is_whole) else {
            let refusal = Refusal::not_found("SockJS has nothing at this address");
            return Err(exchange.refuse(refusal, &self.shutdown));
        };
        exchange.audit.set_object(channels_named(&asked.channels));
        let permit = if asked.needs_permission(exchange.request.method()) {
            let (visitor_parts, audit) = exchange.visitor_parts();
            let permitted = self
                .auth
                .permit(&asked.channels, visitor_parts, audit)
                .await;
            match permitted {
                Ok(permit) => permit,
                Err(denied) => return Err(exchange.refuse(denied, &self.shutdown)),
            }
        } else {
            Permit::default()
        };
        let (visitor_parts, audit) = exchange.visitor_parts();
        let visitor = Visitor {
            audit_client: audit.subscriber(permit.lease.as_ref()),
            receiver: self
                .messages
                .receiver(&asked.channels, &permit, visitor_parts),
            lease: permit.lease,
            body: self.bodies.limits(),
            budget: self.bodies.budget(exchange.context),
            client: exchange.context,
            tasks: &self.shutdown,
        };
        self.sessions
            .respond(asked, exchange.request, visitor)
            .await
    }
}
