//! A request in the pipeline, as each handler gets it. Independent of routes and handlers.

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request};

use crate::http::{Claimed, Context, Head, Incoming, Refusal, refuse};
use crate::service::audit_record::AuditRecord;
use crate::shutdown::Shutdown;
use crate::telemetry::Timings;

/// A request with a checked head, and its context. A handler consumes the request; the context remains in the pipeline,
/// which needs it for the response.
pub(super) struct Exchange<'a> {
    pub(super) request: Request<Incoming>,
    pub(super) head: &'a Head,
    /// The client's connection.
    pub(super) context: &'a Context,
    pub(super) audit: &'a mut AuditRecord,
    /// Durations for the access line, if it contains any.
    pub(super) times: Option<&'a Timings>,
}

/// The parts of a request that identify its visitor.
#[derive(Clone, Copy)]
pub(super) struct VisitorParts<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) query: Option<&'a str>,
    pub(super) head: &'a Head,
    pub(super) context: &'a Context,
}

impl Exchange<'_> {
    /// The identifying parts, and the audit record, to which an authorisation adds the visitor.
    pub(super) fn visitor_parts(&mut self) -> (VisitorParts<'_>, &mut AuditRecord) {
        let visitor_parts = VisitorParts {
            headers: self.request.headers(),
            query: self.request.uri().query(),
            head: self.head,
            context: self.context,
        };
        (visitor_parts, self.audit)
    }

    /// Discards the body, so that its sender gets the response, and returns the refusal.
    pub(super) fn refuse(self, refusal: Refusal, tasks: &Shutdown) -> Refusal {
        refuse(self.request.into_body(), tasks);
        refusal
    }
}

/// The connection's context with the client that a trusted proxy reports; `None` if there is no trusted proxy.
pub(super) fn reported_client(headers: &HeaderMap, context: &Context) -> Option<Context> {
    let proxies = context.proxies.as_deref()?;
    let claimed = Claimed::read(headers, proxies);
    let mut named = context.clone();
    named.peer = claimed.peer.unwrap_or(context.peer);
    named.scheme = claimed.scheme.unwrap_or(context.scheme);
    Some(named)
}

/// The bearer token of a request (RFC 6750 §2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
