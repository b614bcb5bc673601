//! The metadata of the Mercure hub as a protected resource (RFC 9728), for clients of version 1.0.

use http::{Response, StatusCode};
use serde_json::json;

use crate::http::Body;
use crate::push::mercure::{DETAIL, Rules};
use crate::service::handlers::mercure::token::COOKIE_OF_ONE;
use crate::service::responses;

/// Responds with the metadata. Authorisation servers are not listed: the issuers sign tokens themselves, and Noren does
/// not know if any is a server of OAuth 2.0.
pub(super) fn respond(rules: &Rules) -> Response<Body> {
    let mut document = json!({
        "resource": rules.settings.url,
        "authorization_details_types_supported": [DETAIL],
        "bearer_methods_supported": ["header"],
        "mercure_cookie": COOKIE_OF_ONE,
        "mercure_matcher_types_supported": ["exact", "urlpattern"],
    });
    if rules.settings.subscriptions
        && let Some(document) = document.as_object_mut()
    {
        document.insert("mercure_subscriptions".to_owned(), true.into());
    }
    responses::json(StatusCode::OK, &document)
}
