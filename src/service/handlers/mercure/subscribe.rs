//! Subscribing to the Mercure hub: the permission, the parameters and the headers of a stream.

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderValue, Method, Response, StatusCode};

use crate::config::MercureVersion;
use crate::http::{Body, Lease, Refusal, empty, refuse};
use crate::push;
use crate::push::mercure::{Client, Grant, Order};
use crate::service::exchange::Exchange;
use crate::service::handlers::mercure::Mercure;
use crate::service::handlers::mercure::publish::is_form;
use crate::service::handlers::subscriptions::unsubscribed;
use crate::service::mercure_keys::Bearer;

impl Mercure {
    /// Opens the stream of a subscriber.
    pub(super) async fn subscribe(
        &self,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let (grant, lease) = match self.reader(&mut exchange).await {
            Ok(permitted) => permitted,
            Err(refusal) => return Err(exchange.refuse(refusal, &self.shutdown)),
        };
        let Exchange {
            request,
            context,
            audit,
            ..
        } = exchange;
        let (parts, body) = request.into_parts();
        let form = if parts.method.as_str() == "QUERY" {
            self.form(body, context).await?
        } else {
            refuse(body, &self.shutdown);
            Bytes::new()
        };
        let order = Order::read(parts.uri.query(), &form, &parts.headers, &self.rules);
        let order = order.map_err(|reason| Refusal::new(StatusCode::BAD_REQUEST, reason))?;
        let version = order.version;
        if let Some(grant) = &grant {
            audit.known(grant.subject.clone());
        }
        self.updates.await_cursor(&order).await;
        let (mut response, cursor) = if parts.method == Method::HEAD {
            (Response::new(empty()), self.updates.cursor(&order))
        } else {
            let client = Client {
                address: context.peer.counted_as(),
                peer: context.peer,
                audited_as: audit.subscriber(lease.as_ref()),
                lease,
            };
            let subscribed = self.updates.subscribe(order, grant, client);
            subscribed.map_err(|error| unsubscribed(&error, self.hub.retry()))?
        };
        push::set_headers(&mut response);
        if let Some(cursor) = cursor.and_then(|cursor| HeaderValue::try_from(cursor).ok()) {
            let name = match version {
                MercureVersion::Draft => "last-event-id",
                MercureVersion::One => "mercure-last-event-id",
            };
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), cursor);
        }
        Ok(response)
    }

    /// The permission to subscribe: by the token, if one is required, and by the session, if that is required.
    async fn reader(
        &self,
        exchange: &mut Exchange<'_>,
    ) -> Result<(Option<Grant>, Option<Lease>), Refusal> {
        let method = exchange.request.method().clone();
        let (visitor_parts, _) = exchange.visitor_parts();
        if method.as_str() == "QUERY" {
            is_form(visitor_parts.headers)?;
        }
        let grant = self
            .grant(visitor_parts, &method, Bearer::Subscriber)
            .await?;
        let settings = &self.rules.settings;
        if grant.is_none() && !settings.anonymous {
            return Err(self.no_token());
        }
        let token = grant.as_ref().map(Grant::lease);
        if !settings.session {
            return Ok((grant, token));
        }
        let visitor = self.sessions.visitor(
            visitor_parts.headers,
            visitor_parts.head,
            visitor_parts.context,
        );
        let session = visitor.await?.watch();
        let lease = match token {
            Some(token) => session.and_until(&token),
            None => session,
        };
        Ok((grant, Some(lease)))
    }
}
