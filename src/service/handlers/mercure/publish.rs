//! Publishing to the Mercure hub: a form by POST, with a token that permits all of its topics.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::http::{Body, Context, Incoming, Received, Refusal, full};
use crate::push::mercure::{FormFault, Grant, Publication};
use crate::push::publish_refusal;
use crate::service::exchange::Exchange;
use crate::service::handlers::mercure::Mercure;
use crate::service::mercure_keys::Bearer;

/// The media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";
/// Longest encoding of one byte of an update in a form: a percent escape.
const ESCAPE: usize = 3;

impl Mercure {
    /// Handles an update by POST.
    pub(super) async fn publish(
        &self,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let grant = match self.publisher(&mut exchange).await {
            Ok(grant) => grant,
            Err(refusal) => return Err(exchange.refuse(refusal, &self.shutdown)),
        };
        exchange.audit.known(grant.subject.clone());
        let bytes = self
            .form(exchange.request.into_body(), exchange.context)
            .await?;
        let publication = Publication::read(&bytes, grant.version, &self.rules);
        let publication = publication.map_err(|fault| refused(&fault))?;
        if !grant.publishes(&publication.update.topics, &self.rules) {
            let reason = "this token does not permit to publish on all of these topics";
            return Err(self.insufficient(reason));
        }
        let published = self.updates.publish(publication).await;
        let id = published.map_err(|error| publish_refusal(&error, self.hub.retry()))?;
        let mut response = Response::new(full(id));
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    async fn publisher(&self, exchange: &mut Exchange<'_>) -> Result<Grant, Refusal> {
        let method = exchange.request.method().clone();
        let (visitor_parts, _) = exchange.visitor_parts();
        let grant = self
            .grant(visitor_parts, &method, Bearer::Publisher)
            .await?;
        let grant = grant.ok_or_else(|| self.no_token())?;
        is_form(visitor_parts.headers)?;
        Ok(grant)
    }

    /// Receives the body of a form. It may be three times as long as the largest update.
    pub(super) async fn form(&self, body: Incoming, context: &Context) -> Result<Bytes, Refusal> {
        let size = self.hub.settings().message_size.saturating_mul(ESCAPE);
        match self
            .bodies
            .whole(body, size, context, &self.shutdown)
            .await?
        {
            Received::Whole(bytes) => Ok(bytes),
            Received::None | Received::Begun(_) => Ok(Bytes::new()),
        }
    }
}

/// Checks that the body is a form.
pub(super) fn is_form(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case(FORM) {
        Ok(())
    } else {
        let reason = "the body is no form; send application/x-www-form-urlencoded";
        Err(Refusal::new(StatusCode::BAD_REQUEST, reason))
    }
}

fn refused(fault: &FormFault) -> Refusal {
    let status = match fault {
        FormFault::Malformed(_) => StatusCode::BAD_REQUEST,
        FormFault::Reserved => StatusCode::FORBIDDEN,
        FormFault::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
    };
    Refusal::new(status, fault.to_string())
}
