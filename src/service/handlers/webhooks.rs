//! Requests of other services with a signature (`source = "webhook"`): reads and verifies them, and passes them to
//! their source. Must not know the signature formats.

use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};

use crate::http::{Body, Context, Head, Received, Refusal, refuse};
use crate::hub::{Hub, PublishError};
use crate::push::publish_refusal;
use crate::service::exchange::Exchange;
use crate::service::request_bodies::RequestBodies;
use crate::service::responses::json;
use crate::service::shared_parts::SharedParts;
use crate::service::token_limit::{TokenLimit, forgive};
use crate::shutdown::Shutdown;
use crate::sources::{Delivery, Sources, Unbelieved, Webhook, WebhookFault};

/// The handler of all webhooks.
#[derive(Debug)]
pub(super) struct Webhooks {
    sources: Sources,
    hub: Hub,
    bodies: RequestBodies,
    tokens: TokenLimit,
    shutdown: Shutdown,
}

impl Webhooks {
    pub(super) fn new(shared: &SharedParts, sources: Sources) -> Self {
        Self {
            sources,
            hub: shared.hub.clone(),
            bodies: shared.bodies.clone(),
            tokens: shared.tokens.clone(),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Handles a request at the path of a webhook.
    pub(super) async fn handle(&self, exchange: Exchange<'_>) -> Result<Response<Body>, Refusal> {
        let Exchange {
            request,
            head,
            context,
            audit,
            ..
        } = exchange;
        let (parts, body) = request.into_parts();
        let webhook = match self.expected(&parts, head, context).await {
            Ok(webhook) => webhook,
            Err(refusal) => {
                refuse(body, &self.shutdown);
                return Err(refusal);
            }
        };
        let size = webhook.body_size();
        let received = self.bodies.whole(body, size, context, &self.shutdown);
        let Received::Whole(bytes) = received.await? else {
            return Err(Refusal::bad_request("there is no body"));
        };
        let delivery = self.verified(&webhook, &parts.headers, &bytes, context);
        let delivery = delivery.await?;
        let published = webhook.publish(delivery, &parts.headers, &bytes);
        let (channel, published) = published.map_err(|fault| match fault {
            WebhookFault::Refused(error) => publish_refusal(&error, self.hub.retry()),
            fault => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, fault.to_string()),
        })?;
        audit.set_object(channel.to_string());
        let id = published.acknowledged().await;
        let id = id.map_err(|error| publish_refusal(&error, self.hub.retry()))?;
        let object = serde_json::json!({"id": id.to_string()});
        Ok(json(StatusCode::ACCEPTED, &object))
    }

    /// The webhook of a request, if the request has a signature, so that its body is worth reading.
    async fn expected(
        &self,
        parts: &Parts,
        head: &Head,
        context: &Context,
    ) -> Result<Webhook, Refusal> {
        // Its source is there as long as the route, but for the moment of a reload or an upgrade.
        let webhook = self.sources.webhook(head.path.as_str());
        let webhook =
            webhook.ok_or_else(|| publish_refusal(&PublishError::Moving, self.hub.retry()))?;
        self.tokens.check(context)?;
        if !webhook.is_signed(&parts.headers) {
            // Its place is not given back: it counts as a wrong token.
            let place = self.tokens.hold(context).await?;
            let refusal = Refusal::new(StatusCode::FORBIDDEN, "it has no signature");
            webhook.refuse(&refusal.reason);
            drop(place);
            return Err(refusal);
        }
        Ok(webhook)
    }

    /// Verifies a request. It counts as a wrong token unless its signature is valid.
    async fn verified(
        &self,
        webhook: &Webhook,
        headers: &HeaderMap,
        body: &[u8],
        context: &Context,
    ) -> Result<Delivery, Refusal> {
        let place = self.tokens.hold(context).await?;
        let verified = webhook.verify(headers, body);
        if !matches!(verified, Err(Unbelieved::Wrong | Unbelieved::Unsigned(_))) {
            forgive(place);
        }
        verified.map_err(|unbelieved| {
            webhook.refuse(&unbelieved);
            // The sender learns no more than that.
            let reason = match unbelieved {
                Unbelieved::Late(..) => "it was signed too long ago, or one of the clocks is wrong",
                Unbelieved::Wrong | Unbelieved::Unsigned(_) => "its signature is not right",
            };
            Refusal::new(StatusCode::FORBIDDEN, reason).because(&unbelieved)
        })
    }
}
