//! Sends requests of held connections to their app on behalf of the visitor. Must not know how a connection is held.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Uri, response};

use crate::http::{Context, Head, Refusal, drop_method_overrides};
use crate::push::grip::{AppSender, FollowUp, FollowUpKind};
use crate::service::app_requests::{AppRequests, collect};
use crate::service::grip_keys::GripKeys;
use crate::service::handlers::grip::apps::GripApp;
use crate::service::handlers::grip::turns::RequestPermits;
use crate::upstream::Upstream;

/// Headers of the first request that do not apply to later ones.
const OF_FIRST: [HeaderName; 8] = [
    CONTENT_LENGTH,
    CONTENT_TYPE,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    RANGE,
];

/// The visitor of a held connection, who sends later requests.
#[derive(Clone)]
pub(super) struct Visitor {
    apps: Arc<AppRequests>,
    upstream: Arc<Upstream>,
    keys: Arc<GripKeys>,
    head: Head,
    context: Context,
    parts: Parts,
    turns: Arc<RequestPermits>,
}

impl Visitor {
    /// Creates a visitor from the head of the first request.
    pub(super) fn new(
        apps: &Arc<AppRequests>,
        upstream: &Arc<Upstream>,
        app: &GripApp,
        parts: &Parts,
        (head, context): (&Head, &Context),
    ) -> Self {
        let mut context = context.clone();
        // No client waits for interim responses.
        context.interim = None;
        Self {
            apps: Arc::clone(apps),
            upstream: Arc::clone(upstream),
            keys: Arc::clone(&app.keys),
            head: head.clone(),
            context,
            parts: parts.clone(),
            turns: Arc::clone(&app.turns),
        }
    }

    /// Returns the callback with which a held connection sends requests.
    pub(super) fn sender(self) -> AppSender {
        let visitor = Arc::new(self);
        Arc::new(move |follow_up| {
            let visitor = Arc::clone(&visitor);
            Box::pin(async move { visitor.send(follow_up).await })
        })
    }

    /// The head for a later request, derived from the first one.
    pub(super) fn parts(&self) -> Parts {
        self.parts.clone()
    }

    async fn send(&self, follow_up: FollowUp) -> Result<(response::Parts, Bytes), String> {
        let parts = self.request(&follow_up)?;
        let mut own = HeaderMap::new();
        if !follow_up.last.is_empty() {
            own.insert(HeaderName::from_static("grip-last"), last(&follow_up.last)?);
        }
        let has_left = matches!(follow_up.kind, FollowUpKind::Gone(_));
        let turn = self.turns.take(has_left).await?;
        let answered = self.submit(parts, Bytes::new(), own).await;
        drop(turn);
        answered.map_err(|refusal| reason(&refusal))
    }

    /// Sends a request of the visitor, and returns the complete response.
    pub(super) async fn submit(
        &self,
        parts: Parts,
        body: Bytes,
        mut own: HeaderMap,
    ) -> Result<(response::Parts, Bytes), Refusal> {
        let broken = |cause: String| {
            let reason = "the application's answer could not be read";
            Refusal::new(http::StatusCode::BAD_GATEWAY, reason).because(&cause)
        };
        own.extend(self.keys.headers().await.map_err(broken)?);
        let forward = self.apps.forward(&self.upstream, &self.head, &self.context);
        let (parts, body) = forward.submit(parts, body, own).await?.into_parts();
        let body = collect(body)
            .await
            .map_err(|error| broken(error.to_string()))?;
        Ok((parts, body))
    }

    fn request(&self, follow_up: &FollowUp) -> Result<Parts, String> {
        let mut parts = self.parts.clone();
        match &follow_up.kind {
            FollowUpKind::Next(uri) => {
                parts.method = Method::GET;
                parts.uri = resolve(&self.parts.uri, uri)?;
            }
            FollowUpKind::Gone(uri) => {
                parts.method = Method::POST;
                parts.uri = resolve(&self.parts.uri, uri)?;
            }
            FollowUpKind::Again => {
                if !matches!(parts.method, Method::GET | Method::HEAD) {
                    return Err(format!("a {} is not repeated", parts.method));
                }
                return Ok(parts);
            }
        }
        for name in &OF_FIRST {
            parts.headers.remove(name);
        }
        drop_method_overrides(&mut parts.headers);
        parts.headers.remove("last-event-id");
        Ok(parts)
    }
}

/// The text of a refusal for the log.
fn reason(refusal: &Refusal) -> String {
    let cause = refusal.cause.as_deref();
    cause.unwrap_or(&refusal.reason).to_owned()
}

/// Value of `Grip-Last`: the last id of each channel.
fn last(channels: &[(String, String)]) -> Result<HeaderValue, String> {
    let values = channels.iter();
    let values: Vec<_> = values
        .map(|(channel, id)| format!("{channel}; last-id={id}"))
        .collect();
    HeaderValue::from_str(&values.join(", ")).map_err(|_| "an id is no header value".to_owned())
}

/// Resolves a link to the address of a request to the same app (RFC 3986 §5.2, without dot segments). The host of an
/// absolute link is ignored: the app may know itself by another name.
fn resolve(base: &Uri, link: &str) -> Result<Uri, String> {
    let path = base.path();
    let schemes = ["http://", "https://", "//"];
    let absolute = schemes.iter().find_map(|scheme| link.strip_prefix(scheme));
    let target = if let Some(rest) = absolute {
        let end = rest.find(['/', '?']);
        match end.and_then(|end| rest.get(end..)) {
            Some(query) if query.starts_with('?') => format!("/{query}"),
            Some(path) => path.to_owned(),
            None => "/".to_owned(),
        }
    } else if link.starts_with('/') {
        link.to_owned()
    } else if link.starts_with('?') {
        format!("{path}{link}")
    } else {
        let directory = path.rfind('/').and_then(|end| path.get(..=end));
        format!("{}{link}", directory.unwrap_or("/"))
    };
    let target = target.split('#').next().unwrap_or_default();
    target
        .parse()
        .map_err(|_| format!("Grip-Link: {link:?} is no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_same_app() {
        let base = "/events/time?x=1".parse().expect("an address");
        for (link, target) in [
            ("/a?b=c", "/a?b=c"),
            ("more", "/events/more"),
            ("?recover=true", "/events/time?recover=true"),
            ("http://other.example/a?b", "/a?b"),
            ("https://other.example", "/"),
            ("https://other.example?a", "/?a"),
            ("//other.example/a#b", "/a"),
        ] {
            let found = resolve(&base, link).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), Ok(target), "{link}");
        }
        assert!(resolve(&base, "/a b").is_err());
    }
}
