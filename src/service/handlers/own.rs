//! Responses of Noren itself: proofs for an ACME authority, the redirect to https, `OPTIONS *` and the welcome page.
//! Independent of the configuration of apps and channels.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Response, StatusCode, Uri};

use crate::http::{Body, Form, Head, Refusal, empty, full, refuse};
use crate::service::exchange::Exchange;
use crate::shutdown::Shutdown;
use crate::tls::Challenges;

/// Handles requests that need no configuration.
#[derive(Debug)]
pub(in crate::service) struct Own {
    challenges: Challenges,
    shutdown: Shutdown,
}

impl Own {
    pub(in crate::service) fn new(challenges: Challenges, shutdown: Shutdown) -> Self {
        Self {
            challenges,
            shutdown,
        }
    }

    /// The response to an ACME authority's validation request, if this is one.
    pub(in crate::service) fn challenge(&self, head: &Head) -> Option<Response<Body>> {
        let text = self.challenges.file(head.path.as_str())?;
        Some(challenge(&text))
    }

    /// The refusal of a request whose route has no handler in this configuration.
    pub(super) fn not_found(&self, exchange: Exchange<'_>) -> Refusal {
        exchange.refuse(
            Refusal::not_found("nothing is served at this address"),
            &self.shutdown,
        )
    }

    /// Responds with the welcome page of an installation without a configuration.
    pub(super) fn welcome(&self, exchange: Exchange<'_>) -> Response<Body> {
        refuse(exchange.request.into_body(), &self.shutdown);
        welcome()
    }
}

/// A 308 redirect to https, with the same host and path (RFC 9110 §15.4.9).
pub(in crate::service) fn redirect(
    head: &Head,
    uri: &Uri,
    port: u16,
) -> Result<Response<Body>, Refusal> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    let host = head.authority.host();
    if head.authority.is_unknown() {
        return Err(Refusal::bad_request(
            "there is no Host, so this leads nowhere",
        ));
    }
    let location = if port == 443 {
        format!("https://{host}{path}")
    } else {
        format!("https://{host}:{port}{path}")
    };
    let location = HeaderValue::try_from(location)
        .map_err(|_| Refusal::bad_request("this address cannot be written into a redirect"))?;
    Ok(Refusal::new(
        StatusCode::PERMANENT_REDIRECT,
        "this site is served with https only",
    )
    .with(LOCATION, location)
    .into_response(Form::Text, &Method::GET))
}

/// A proof for an ACME authority (RFC 8555 §8.3).
fn challenge(text: &str) -> Response<Body> {
    let mut response = Response::new(full(text.to_owned()));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn welcome() -> Response<Body> {
    let mut response = Response::new(full(include_str!("welcome.html")));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The response to `OPTIONS *` (RFC 9110 §9.3.7).
pub(in crate::service) fn no_content() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
