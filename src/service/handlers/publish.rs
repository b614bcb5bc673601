//! Messages published with POST: by programs with the publish token or a token of their own, and by pages, about whose
//! messages the app decides. Does not know how the app is queried.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

use crate::config::{self, ChannelName, Publisher};
use crate::http::{Body, Context, Received, Refusal, idempotency_key, refuse};
use crate::hub::{Data, Hub, Parameters, PublishError};
use crate::jwt;
use crate::push::publish_refusal;
use crate::service::audit_record::AuditRecord;
use crate::service::channel_auth::ChannelAuth;
use crate::service::exchange::{Exchange, VisitorParts, bearer};
use crate::service::handlers::page_messages::PageMessages;
use crate::service::handlers::publications::{draft, labels, own_id, publish_whole};
use crate::service::page_message::PageMessage;
use crate::service::request_bodies::RequestBodies;
use crate::service::responses::json;
use crate::service::shared_parts::SharedParts;
use crate::service::token_limit::{TokenLimit, forgive};
use crate::shutdown::Shutdown;

/// Handles messages by POST.
#[derive(Debug)]
pub(super) struct Publish {
    hub: Hub,
    auth: ChannelAuth,
    limit: TokenLimit,
    bodies: RequestBodies,
    messages: Arc<PageMessages>,
    shutdown: Shutdown,
}

impl Publish {
    pub(super) fn new(shared: &SharedParts, messages: Arc<PageMessages>) -> Self {
        Self {
            hub: shared.hub.clone(),
            auth: shared.channels.clone(),
            limit: shared.tokens.clone(),
            bodies: shared.bodies.clone(),
            messages,
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Publishes the body of a request, or forwards it to the app as a page's message.
    pub(super) async fn post(
        &self,
        name: ChannelName,
        parameters: &Parameters,
        exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let rules = self.hub.rules(&name);
        let Some(rules) = rules else {
            let refusal = Refusal::not_found(format!("there is no channel {name}"));
            return Err(exchange.refuse(refusal, &self.shutdown));
        };
        let (head, context, audit) = (exchange.head, exchange.context, exchange.audit);
        let (parts, body) = exchange.request.into_parts();
        let visitor_parts = VisitorParts {
            headers: &parts.headers,
            query: parts.uri.query(),
            head,
            context,
        };
        let trusted = match self.may_post(&name, &rules, visitor_parts, audit).await {
            Ok(trusted) => trusted,
            Err(refusal) => {
                refuse(body, &self.shutdown);
                return Err(refusal);
            }
        };
        let size = self.hub.settings().message_size;
        let received = self.bodies.whole(body, size, context, &self.shutdown);
        let bytes = match received.await? {
            Received::None => Bytes::new(),
            Received::Whole(bytes) => bytes,
            // Cannot be: all of the size is buffered.
            Received::Begun(_) => {
                let error = PublishError::TooLarge { size, limit: size };
                return Err(publish_refusal(&error, self.hub.retry()));
            }
        };
        let id = idempotency_key(&parts.headers)?;
        if trusted {
            self.count_channel(&name, &parts.headers, context)?;
            let mut draft = draft(parameters, &parts.headers, bytes)?;
            draft.id = own_id(id.as_deref())?;
            let published = publish_whole(&self.hub, &name, draft).await;
            let id = published.map_err(|error| publish_refusal(&error, self.hub.retry()))?;
            let object = serde_json::json!({"id": id.to_string()});
            return Ok(json(StatusCode::ACCEPTED, &object));
        }
        // The app is not queried about a message that cannot be published anyway.
        if let Some(fault) = labels(parameters, Data::text("")).fault() {
            return Err(Refusal::bad_request(fault));
        }
        let message = PageMessage {
            event: parameters.event.clone(),
            key: parameters.key.clone(),
            id,
            bytes,
        };
        self.messages
            .send_to_app(&name, parts, message, head, context)
            .await
    }

    /// Counts a channel that this message creates towards the share of the client's address: the bearer of a token for
    /// a pattern could otherwise use up all channels. Programs with the publish token are exempt.
    fn count_channel(
        &self,
        name: &ChannelName,
        headers: &HeaderMap,
        context: &Context,
    ) -> Result<(), Refusal> {
        if bearer(headers).is_some_and(|token| self.hub.is_publish_token(token)) {
            return Ok(());
        }
        let opened = self.hub.open_for(context.peer.counted_as(), name);
        opened.map_err(|error| publish_refusal(&error, self.hub.retry()))
    }

    /// True if the client may publish itself; if not, the app decides about the message.
    async fn may_post(
        &self,
        name: &ChannelName,
        rules: &config::Channel,
        visitor_parts: VisitorParts<'_>,
        audit: &mut AuditRecord,
    ) -> Result<bool, Refusal> {
        let by_token = rules.publish.contains(&Publisher::Token);
        let by_app = rules.publish.contains(&Publisher::App);
        let auth = &self.auth;
        if by_token {
            if let Some(token) = bearer(visitor_parts.headers)
                && self
                    .is_publish_token(token, by_app, visitor_parts.context)
                    .await?
            {
                return Ok(true);
            }
            let by_signed = auth.is_publisher(name, rules, visitor_parts, audit, !by_app);
            if by_signed.await? {
                return Ok(true);
            }
        }
        if !by_app {
            return Err(not_permitted(rules));
        }
        let permitted = auth.permit(std::slice::from_ref(name), visitor_parts, audit);
        if permitted.await?.may_publish(name, rules) {
            Ok(false)
        } else {
            let reason = "you may listen to this channel, and not publish on it";
            Err(Refusal::new(StatusCode::FORBIDDEN, reason))
        }
    }

    /// True if a bearer token is the publish token. Any other counts as a guess: each time if the channel accepts
    /// nothing else in its place, and only once if it may be a token of the app. A token that may be a signed one is
    /// counted where signed tokens are verified.
    async fn is_publish_token(
        &self,
        token: &str,
        by_app: bool,
        context: &Context,
    ) -> Result<bool, Refusal> {
        let known = self.limit.app_token(token, context);
        if by_app && known.is_counted {
            return Ok(self.hub.is_publish_token(token));
        }
        let place = self.limit.hold(context).await?;
        let is_right = self.hub.is_publish_token(token);
        let may_be_signed = self.auth.has_tokens() && jwt::is_token(token);
        if is_right || may_be_signed {
            forgive(place);
        } else if by_app {
            self.limit.keep(&known, context);
        }
        Ok(is_right)
    }
}

/// The refusal for a client that may not publish.
fn not_permitted(rules: &config::Channel) -> Refusal {
    if rules.publish.contains(&Publisher::Token) {
        let reason = "to publish here, send the publish token: Authorization: Bearer …";
        return Refusal::new(StatusCode::UNAUTHORIZED, reason)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let name = &rules.name;
    let reason = format!("{name} takes no messages over HTTP (see publish in [[channel]])");
    Refusal::new(StatusCode::FORBIDDEN, reason)
}
