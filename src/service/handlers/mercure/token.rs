//! The token of a request to the Mercure hub: its location in the request, its permissions, and the refusals of both
//! versions (RFC 6750).

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, ORIGIN, REFERER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use crate::config::MercureVersion;
use crate::http::Refusal;
use crate::push::mercure::Grant;
use crate::router::METADATA;
use crate::service::exchange::VisitorParts;
use crate::service::handlers::mercure::Mercure;
use crate::service::mercure_keys::{Bearer, TokenFault};
use crate::service::route_auth::permit_page;
use crate::service::token_limit::forgive;

/// The cookie of version 1.0.
pub(super) const COOKIE_OF_ONE: &str = "__Secure-mercure_access_token";
/// Query parameter with a token (0.x).
const QUERY: &str = "authorization";

/// A token, and the part of the request that contained it.
struct PresentedToken {
    token: String,
    by_cookie: bool,
}

impl Mercure {
    /// Finds the token of a request: in the header, otherwise in the query (0.x), otherwise in a cookie.
    fn find(&self, visitor_parts: VisitorParts<'_>) -> Result<Option<PresentedToken>, Refusal> {
        let mut lines = visitor_parts.headers.get_all(AUTHORIZATION).iter();
        if let Some(line) = lines.next() {
            let token = line.to_str().ok().and_then(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
            });
            return match (token, lines.next()) {
                (Some(token), None) => Ok(Some(PresentedToken {
                    token: token.to_owned(),
                    by_cookie: false,
                })),
                _ => Err(self.challenge(
                    StatusCode::UNAUTHORIZED,
                    "the Authorization header has no bearer token",
                    Some("invalid_token"),
                )),
            };
        }
        let settings = &self.rules.settings;
        if settings.query_token && self.rules.speaks(MercureVersion::Draft) {
            let query = visitor_parts.query.unwrap_or_default();
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            if let Some((_, token)) = pairs.find(|(name, _)| name == QUERY) {
                return Ok(Some(PresentedToken {
                    token: token.into_owned(),
                    by_cookie: false,
                }));
            }
        }
        let one = (MercureVersion::One, COOKIE_OF_ONE);
        let draft = (MercureVersion::Draft, settings.cookie.as_str());
        let mut names = [one, draft]
            .into_iter()
            .filter(|(version, _)| self.rules.speaks(*version));
        let token = names.find_map(|(_, name)| cookie(visitor_parts.headers, name));
        Ok(token.map(|token| PresentedToken {
            token,
            by_cookie: true,
        }))
    }

    /// A refusal with the challenge of RFC 6750 §3. Without an error code it means that no token was sent.
    pub(super) fn challenge(
        &self,
        status: StatusCode,
        reason: &'static str,
        error: Option<&'static str>,
    ) -> Refusal {
        let mut parameters = Vec::new();
        if let Some(error) = error {
            parameters.push(format!("error=\"{error}\""));
        }
        let settings = &self.rules.settings;
        if let Some(origin) = settings
            .url
            .as_ref()
            .map(|_| self.rules.base.origin().ascii_serialization())
        {
            parameters.push(format!(
                "resource_metadata=\"{origin}{METADATA}{}\"",
                settings.path
            ));
        }
        let text = format!("Bearer {}", parameters.join(", "));
        let value = HeaderValue::try_from(text.trim_end());
        let value = value.unwrap_or(HeaderValue::from_static("Bearer"));
        Refusal::new(status, reason).with(WWW_AUTHENTICATE, value)
    }

    /// The refusal of a token that does not permit the request.
    pub(super) fn insufficient(&self, reason: &'static str) -> Refusal {
        self.challenge(StatusCode::FORBIDDEN, reason, Some("insufficient_scope"))
    }

    /// The refusal of a request without a token.
    pub(super) fn no_token(&self) -> Refusal {
        let reason = "a token is required; send it: Authorization: Bearer …";
        self.challenge(StatusCode::UNAUTHORIZED, reason, None)
    }
}

impl Mercure {
    /// The permissions of a request's token; `None` without a token. An invalid token is refused.
    pub(super) async fn grant(
        &self,
        visitor_parts: VisitorParts<'_>,
        method: &Method,
        bearer: Bearer,
    ) -> Result<Option<Grant>, Refusal> {
        let Some(shown) = self.find(visitor_parts)? else {
            return Ok(None);
        };
        if shown.by_cookie && *method == Method::POST {
            self.permit_sender(visitor_parts)?;
        }
        let place = self.tokens.hold(visitor_parts.context).await?;
        let rules = Arc::clone(&self.rules);
        let fault = match self.keys.check(shown.token, bearer, rules).await {
            Ok(grant) => {
                forgive(place);
                return Ok(Some(grant));
            }
            Err(fault) => fault,
        };
        // Only what may be a guess counts.
        if !matches!(fault, TokenFault::Invalid(_)) {
            forgive(place);
        }
        let refusal = match &fault {
            TokenFault::Invalid(_) | TokenFault::Expired => self.challenge(
                StatusCode::UNAUTHORIZED,
                "this token is not valid",
                Some("invalid_token"),
            ),
            TokenFault::Keys(_) => Refusal::new(
                StatusCode::BAD_GATEWAY,
                "tokens cannot be checked; the log of Noren says why",
            ),
            TokenFault::Slow => Refusal::new(
                StatusCode::GATEWAY_TIMEOUT,
                "the token could not be checked in time",
            ),
        };
        Err(refusal.because(&fault))
    }

    /// Checks that a page which publishes with its visitor's cookie has a permitted origin: any other page could send
    /// the same form.
    fn permit_sender(&self, visitor_parts: VisitorParts<'_>) -> Result<(), Refusal> {
        let denied =
            |reason| self.challenge(StatusCode::UNAUTHORIZED, reason, Some("invalid_token"));
        if self.any_origin {
            return Err(denied(
                "a cookie permits to publish only to pages of named origins (mercure.origins)",
            ));
        }
        let sent = visitor_parts.headers.get(ORIGIN).cloned().or_else(|| {
            let referer = visitor_parts.headers.get(REFERER)?.to_str().ok()?;
            let page = Url::parse(referer).ok()?;
            HeaderValue::try_from(page.origin().ascii_serialization()).ok()
        });
        let Some(sent) = sent else {
            return Err(denied("to publish with a cookie, send Origin or Referer"));
        };
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, sent);
        let visitor_parts = VisitorParts {
            headers: &headers,
            ..visitor_parts
        };
        match &self.entrances.mercure {
            Some(entrance) => permit_page(entrance, visitor_parts),
            None => Ok(()),
        }
    }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let found = pairs.find_map(|pair| {
        let pair = std::str::from_utf8(pair.trim_ascii()).ok()?;
        let (own, value) = pair.split_once('=')?;
        (own == name).then(|| value.trim_matches('"').to_owned())
    });
    // An empty one is what is left of a cookie that was taken away.
    found.filter(|value| !value.is_empty())
}
