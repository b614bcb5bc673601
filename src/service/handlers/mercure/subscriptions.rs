//! The documents of active subscriptions, for clients whose token permits their URLs.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, LINK};
use http::{HeaderValue, Response, StatusCode};

use crate::config::MercureVersion;
use crate::http::{Body, Refusal, full};
use crate::push::mercure::{Filter, SelectorKind};
use crate::service::exchange::Exchange;
use crate::service::handlers::mercure::{Mercure, without_body};
use crate::service::mercure_keys::Bearer;

impl Mercure {
    /// Responds with active subscriptions. `rest` is the path behind `/subscriptions/`.
    pub(super) async fn subscriptions(
        &self,
        rest: &str,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let method = exchange.request.method().clone();
        let (visitor_parts, audit) = exchange.visitor_parts();
        let grant = self
            .grant(visitor_parts, &method, Bearer::Subscriber)
            .await?;
        let Some(grant) = grant else {
            return Err(self.no_token());
        };
        audit.known(grant.subject.clone());
        let url = exchange.request.uri().path();
        if !grant.reads(url, &self.rules) {
            return Err(self.insufficient("this token does not permit to see these subscriptions"));
        }
        let not_found = || Refusal::not_found("there is no such subscription");
        let names = decoded(rest).ok_or_else(not_found)?;
        let filter = filter(grant.version, &names).ok_or_else(not_found)?;
        let last = self.updates.last_event_id();
        let found = self
            .updates
            .subscriptions(grant.version, url, &last, filter);
        let document = found.ok_or_else(not_found)?;
        let tag = format!("\"{last}\"");
        let known = exchange.request.headers().get(IF_NONE_MATCH);
        // Clients of version 0.x have sent the tag without quotation marks.
        let is_known = known
            .and_then(|known| known.to_str().ok())
            .is_some_and(|known| known == tag || known == last);
        let mut response = Response::new(full(document.to_string()));
        if is_known {
            response = without_body(response);
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let mut set = |name: HeaderName, text: &str| {
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().insert(name, value);
            }
        };
        set(ETAG, &tag);
        set(CACHE_CONTROL, "private, must-revalidate");
        match grant.version {
            MercureVersion::Draft => set(CONTENT_TYPE, "application/ld+json"),
            MercureVersion::One => {
                set(CONTENT_TYPE, "application/json");
                let last = last.replace(['"', '\\'], "");
                let link = format!(
                    "<{}>; rel=\"mercure\"; last-event-id=\"{last}\"; type=\"mercure\"; \
                     content-type=\"application/json\"",
                    self.rules.base
                );
                set(LINK, &link);
            }
        }
        Ok(response)
    }
}

/// The segments of a path, decoded. `None` if one of them is empty or not UTF-8.
fn decoded(rest: &str) -> Option<Vec<String>> {
    if rest.is_empty() {
        return Some(Vec::new());
    }
    rest.split('/')
        .map(|segment| {
            let encoded = segment.replace('+', "%2B");
            let pair = format!("x={encoded}");
            let (_, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
            (!value.is_empty()).then(|| value.into_owned())
        })
        .collect()
}

/// The filter for the subscriptions that these segments of a path name.
fn filter(version: MercureVersion, names: &[String]) -> Option<Filter<'_>> {
    let mut names = names.iter().map(String::as_str);
    let kind = match version {
        MercureVersion::Draft => None,
        MercureVersion::One => names.next(),
    };
    let (selector, subscriber) = (names.next(), names.next());
    let is_whole = names.next().is_none() && (kind.is_none() || selector.is_some());
    let kind = match kind {
        Some(name) => Some(SelectorKind::of_match_type(name)?),
        None => None,
    };
    is_whole.then_some(Filter {
        kind,
        selector,
        subscriber,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segments_of_a_path_name_subscriptions() {
        let names = decoded("https%3A%2F%2Fexample.com%2F%7Bid%7D/urn%3Auuid%3A1").expect("names");
        let found = filter(MercureVersion::Draft, &names).expect("a filter");
        assert_eq!(found.selector, Some("https://example.com/{id}"));
        assert_eq!(found.subscriber, Some("urn:uuid:1"));
        let names = decoded("exact/a+b").expect("names");
        let found = filter(MercureVersion::One, &names).expect("a filter");
        assert_eq!(
            (found.kind, found.selector),
            (Some(SelectorKind::Exact), Some("a+b"))
        );
        assert!(decoded("a//b").is_none());
        for wrong in ["exact", "Exact/a", "topic/a", "exact/a/b/c"] {
            let names = decoded(wrong).expect("names");
            assert!(filter(MercureVersion::One, &names).is_none(), "{wrong}");
        }
        assert!(filter(MercureVersion::Draft, &decoded("a/b/c").expect("names")).is_none());
        assert!(filter(MercureVersion::Draft, &[]).is_some_and(|all| all.selector.is_none()));
    }
}
