//! Ordinary requests to apps with GRIP: signs them, and carries out the instructions in their responses.

use std::sync::Arc;

use http::{Request, Response, StatusCode};

use crate::http::{Body, Refusal, refuse};
use crate::proxy::Forward;
use crate::push::grip::{self, HoldContext, drop_grip_headers, is_instruction};
use crate::service::app_requests::{AppRequests, collect};
use crate::service::exchange::Exchange;
use crate::service::handlers::grip::apps::GripApp;
use crate::service::handlers::grip::holding::Holding;
use crate::service::handlers::grip::visitor::Visitor;
use crate::service::shared_parts::SharedParts;
use crate::shutdown::Shutdown;

/// Forwards requests to apps with GRIP.
#[derive(Debug)]
pub(in crate::service::handlers) struct GripRequests {
    apps: Arc<AppRequests>,
    holding: Holding,
    shutdown: Shutdown,
}

impl GripRequests {
    pub(in crate::service::handlers) fn new(shared: &SharedParts) -> Self {
        Self {
            apps: Arc::clone(&shared.apps),
            holding: Holding::new(shared),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Forwards a request, and carries out the instruction in the response.
    pub(in crate::service::handlers) async fn request(
        &self,
        app: GripApp,
        forward: Forward<'_>,
        exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let (head, context, audit) = (exchange.head, exchange.context, exchange.audit);
        let (parts, body) = exchange.request.into_parts();
        let kept = parts.clone();
        let visitor = Visitor::new(&self.apps, forward.upstream, &app, &kept, (head, context));
        let continuation = app.continuation(&kept, head, context);
        let last_event = kept
            .headers
            .get("last-event-id")
            .and_then(|id| id.to_str().ok());
        if let (Some(_), Some(last_event)) = (&continuation.returning, last_event) {
            let lease = self.holding.lease(&app, &kept.headers, head, context).await;
            let hold_context = self
                .holding
                .hold_context(&app, lease, "grip", context, audit);
            let sender = visitor.clone().sender();
            let resumed = grip::resume(hold_context, last_event, sender, continuation.clone());
            if let Some(response) = resumed {
                refuse(body, &self.shutdown);
                return Ok(response);
            }
        }
        let own = app
            .keys
            .headers()
            .await
            .map_err(|cause| unsigned(&app, &cause))?;
        let request = Request::from_parts(parts, body);
        let queried = self.holding.newest_offset();
        let answer = forward.request_with(request, own, is_instruction).await?;
        if !is_instruction(answer.headers()) {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let body = collect(body).await.map_err(|error| {
            let reason = "the application's instruction could not be read";
            Refusal::new(StatusCode::BAD_GATEWAY, reason).because(&error)
        })?;
        let lease = self.holding.lease(&app, &kept.headers, head, context).await;
        let hold_context = HoldContext {
            queried,
            ..self
                .holding
                .hold_context(&app, lease, "grip", context, audit)
        };
        let followed =
            grip::follow(hold_context, &parts, body, visitor.sender(), continuation).await;
        let mut response = followed.map_err(|error| self.holding.unheld(&app, &error))?;
        drop_grip_headers(response.headers_mut());
        *response.extensions_mut() = parts.extensions;
        Ok(response)
    }
}

fn unsigned(app: &GripApp, cause: &str) -> Refusal {
    let reason = "the request could not be signed for the application";
    let cause = format!("app {}: app.grip.keys: {cause}", app.name);
    Refusal::new(StatusCode::BAD_GATEWAY, reason).because(&cause)
}
