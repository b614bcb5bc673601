//! Sends one query to the app, and interprets its response.
//!
//! Independent of the waiting visitors, and of how long the response is cached.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

use crate::access::session::{Denied, Identity};
use crate::config::{
    self, CHANNEL_PLACEHOLDER, ChannelName, ChannelPattern, GUEST_PLACEHOLDER, KIND_PLACEHOLDER,
    NAME_PLACEHOLDER,
};
use crate::http::{Context, Forwarded, Head, apply_to_request};
use crate::net::{ConnectError, Peer};
use crate::text::percent::encoded;
use crate::tls::DialError;
use crate::tokens::Console;
use crate::upstream::{Payload, Requester, Upstream, UpstreamBody, UpstreamError};

/// Limits on reading the rest of a response, in bytes and in time, so that its connection can be reused. Beyond them a
/// new connection costs less.
const DRAINED: usize = 256 * 1024;
const DRAIN: Duration = Duration::from_secs(1);
/// Limit on waiting queries. Each is a waiting visitor, so the limit on connections is usually reached first.
const QUEUE: usize = 10_000;
/// Length limit of a user or group name from the app.
const LONGEST_NAME: usize = 256;
/// Limit on groups of one user.
const MOST_GROUPS: usize = 256;
/// Limit on channels, or patterns of their names, in one response.
const MOST_CHANNELS: usize = 256;

/// Header that marks every query, as opposed to a visitor's request; clients cannot send it.
const QUERY_HEADER: &str = "noren-question";

/// The verdict of the app: what it grants to the visitor, or the reason for a refusal.
pub(super) type Verdict = Result<Granted, Denied>;

/// A positive response of the app.
#[derive(Clone, Debug, Default)]
pub(super) struct Granted {
    pub(super) identity: Identity,
    /// The channels to which the session may subscribe; `None` if the response does not name channels, so that each is
    /// queried separately.
    pub(super) channels: Option<Arc<[ChannelPattern]>>,
}

/// The object of a query other than the session itself.
#[derive(Clone, Debug)]
pub(super) enum QueryObject {
    Console(Console),
    Channel(ChannelName),
}

impl QueryObject {
    /// Sets headers that describe the object, which no client can send; values are percent-encoded.
    fn set_headers(&self, headers: &mut HeaderMap) {
        let mut set = |name, value: &str| {
            if let Ok(value) = HeaderValue::try_from(encoded(value)) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        match self {
            Self::Console(console) => {
                set("noren-console", &console.name);
                set("noren-console-guest", &console.guest);
                set("noren-console-kind", console.kind.as_str());
            }
            Self::Channel(name) => set("noren-channel", name.as_str()),
        }
    }
}

/// The configured queries.
#[derive(Debug)]
pub(super) struct Queries {
    upstream: Arc<Upstream>,
    method: Method,
    session: String,
    console: Option<String>,
    channel: Option<String>,
    headers: HeaderMap,
    name: Option<HeaderName>,
    groups: Option<HeaderName>,
    channels: Option<HeaderName>,
}

impl Queries {
    /// Creates the queries of a configuration, if there are any.
    pub(super) fn new(settings: &config::Session, upstream: &Upstream) -> Option<Self> {
        let app = upstream.settings();
        // Its own connections and workers: a busy app still answers, and queries take no more than their share.
        let share = config::App {
            workers: settings.workers,
            queue: QUEUE,
            queue_wait: settings.timeout,
            connect: app.connect.min(settings.timeout),
            response: settings.timeout,
            response_idle: settings.timeout,
            ..app.clone()
        };
        let below = |path: &str| below_root(path, app);
        let header = |name: Option<&String>| name.and_then(|name| name.parse().ok());
        let parsed = |(name, value): (&String, &String)| {
            let name = HeaderName::try_from(name).ok()?;
            Some((name, HeaderValue::try_from(value).ok()?))
        };
        let mut headers = HeaderMap::new();
        apply_to_request(&app.request_headers, &mut headers);
        for (name, value) in settings.headers.iter().filter_map(parsed) {
            headers.insert(name, value);
        }
        Some(Self {
            session: below(settings.path.as_ref()?),
            console: settings.token_path.as_deref().map(below),
            channel: settings.channel_path.as_deref().map(below),
            upstream: upstream.for_own_requests(share),
            method: settings.method.parse().unwrap_or_default(),
            headers,
            name: header(settings.name_header.as_ref()),
            groups: header(settings.groups_header.as_ref()),
            channels: header(settings.channels_header.as_ref()),
        })
    }

    /// True if each console is queried separately.
    pub(super) fn has_consoles(&self) -> bool {
        self.console.is_some()
    }

    /// True if the app decides about channels: by the response about the session, or separately.
    pub(super) fn has_channels(&self) -> bool {
        self.channel.is_some() || self.channels.is_some()
    }

    pub(super) fn close_idle(&self) {
        self.upstream.close_idle();
    }

    /// Queries the app about a session, or about one console or channel for it. `visitor` is the result of
    /// [`visitor`].
    pub(super) async fn send(&self, object: Option<&QueryObject>, visitor: &HeaderMap) -> Verdict {
        let path = match (object, &self.console, &self.channel) {
            (Some(QueryObject::Console(console)), Some(path), _) => path
                .replace(GUEST_PLACEHOLDER, &segment(&console.guest)?)
                .replace(NAME_PLACEHOLDER, &segment(&console.name)?)
                .replace(KIND_PLACEHOLDER, console.kind.as_str()),
            // The name of a channel holds nothing that would have to be encoded.
            (Some(QueryObject::Channel(name)), _, Some(path)) => {
                path.replace(CHANNEL_PLACEHOLDER, name.as_str())
            }
            // Without a query of its own, an object is as open as the session.
            _ => self.session.clone(),
        };
        let broken = |what: String| {
            let app = &self.upstream.settings().name;
            Denied::Broken(format!("app {app}: {what}").into())
        };
        let uri = path.parse::<Uri>();
        let uri = uri.map_err(|error| broken(format!("{path}: {error}")))?;
        let requester = Requester::unknown(address(visitor));
        let mut request = self.request(uri, visitor);
        let kind = match object {
            None => "session",
            Some(QueryObject::Console(_)) => "console",
            Some(QueryObject::Channel(_)) => "channel",
        };
        let headers = request.headers_mut();
        headers.insert(
            HeaderName::from_static(QUERY_HEADER),
            HeaderValue::from_static(kind),
        );
        if let Some(object) = object {
            object.set_headers(request.headers_mut());
        }
        let answer = match self.upstream.send(request, requester).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.unavailable(&error)),
        };
        let (status, granted) = (answer.status(), self.granted(answer.headers()));
        drain(answer.into_body()).await;
        match status.as_u16() {
            200..=299 => Ok(granted),
            // Apps with a login page for people send everybody there.
            401 | 302 | 303 | 307 => Err(Denied::NotLoggedIn),
            403 => Err(Denied::Forbidden),
            // The client gets the same refusal for an object that does not exist and for one that is hidden from
            // it.
            404 if object.is_some() => Err(Denied::Forbidden),
            _ => Err(broken(format!("it answered {status} to the question"))),
        }
    }

    fn request(&self, uri: Uri, visitor: &HeaderMap) -> Request<Payload> {
        let mut request = Request::new(Payload::Empty);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        if self.method == Method::POST {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        for (name, value) in visitor {
            headers.insert(name, value.clone());
        }
        request
    }

    /// The visitor's identity and channels in a response.
    fn granted(&self, answer: &HeaderMap) -> Granted {
        let values = |name: &Option<HeaderName>| {
            let values = name.as_ref().map(|name| answer.get_all(name).iter());
            let texts = values.into_iter().flatten();
            texts.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        };
        let groups = values(&self.groups).flat_map(|list| list.split(','));
        let identity = Identity {
            name: values(&self.name).next().and_then(name).map(Arc::from),
            groups: groups
                .filter_map(name)
                .take(MOST_GROUPS)
                .map(Box::from)
                .collect(),
        };
        // An answer without the header leaves channels to their own query, and refuses them where there is none.
        let says = self
            .channels
            .as_ref()
            .is_some_and(|name| answer.contains_key(name) || self.channel.is_none());
        let channels = values(&self.channels).flat_map(|list| list.split(','));
        let channels = channels.filter_map(|text| ChannelPattern::parse(text.trim()).ok());
        Granted {
            identity,
            channels: says.then(|| channels.take(MOST_CHANNELS).collect()),
        }
    }

    fn unavailable(&self, error: &UpstreamError) -> Denied {
        let cause = format!("app {}: {error}", self.upstream.settings().name).into();
        match error {
            UpstreamError::QueueFull(_) => Denied::Busy(cause),
            UpstreamError::QueueSlow(_)
            | UpstreamError::Slow(_)
            | UpstreamError::Connect(
                DialError::Connect(ConnectError::Slow { .. }) | DialError::Slow { .. },
            ) => Denied::Slow(cause),
            UpstreamError::Connect(
                DialError::Connect(ConnectError::Refused { .. }) | DialError::Handshake { .. },
            )
            | UpstreamError::Unhealthy(_)
            | UpstreamError::Broken(_) => Denied::Broken(cause),
        }
    }
}

/// Returns a name of a user or a group if it is valid: without characters that could break a line of the log.
fn name(text: &str) -> Option<&str> {
    let name = text.trim();
    let fits = (1..=LONGEST_NAME).contains(&name.len()) && !name.contains(char::is_control);
    fits.then_some(name)
}

/// The headers of a query about this visitor: the credential, and its origin.
pub(super) fn visitor(headers: &HeaderMap, context: &Context, head: &Head) -> HeaderMap {
    let mut own = HeaderMap::new();
    // Several lines become one, as for every other request (RFC 6265 §5.4).
    for (name, between) in [(COOKIE, "; "), (AUTHORIZATION, ", ")] {
        let lines: Vec<&[u8]> = headers
            .get_all(&name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        if lines.is_empty() {
            continue;
        }
        // A value joined from header values is a valid one.
        if let Ok(mut value) = HeaderValue::from_bytes(&lines.join(between.as_bytes())) {
            value.set_sensitive(true);
            own.insert(name, value);
        }
    }
    own.insert(HOST, head.authority.to_header());
    let forwarded = Forwarded {
        peer: context.peer,
        scheme: context.scheme,
        authority: &head.authority,
    };
    forwarded.set(&mut own);
    own
}

/// The address under which a query waits in the queue, so that a client with many invented sessions only delays itself:
/// the one in the headers for the app.
fn address(visitor: &HeaderMap) -> Option<IpAddr> {
    let address = visitor.get("x-real-ip")?.to_str().ok()?.parse().ok()?;
    Peer::tcp(SocketAddr::new(address, 0)).counted_as()
}

/// A path of `[session]` in the form in which it is requested from the app.
pub(super) fn below_root(path: &str, app: &config::App) -> String {
    match &app.server_root {
        Some(root) if !root.matches(path) => format!("{}{path}", root.as_str()),
        _ => path.to_owned(),
    }
}

/// Encodes a name as exactly one path segment. A name that could be read as anything else is refused.
fn segment(name: &str) -> Result<String, Denied> {
    if matches!(name, "" | "." | "..")
        || name.contains(['/', '\\'])
        || name.contains(char::is_control)
    {
        return Err(Denied::Forbidden);
    }
    Ok(encoded(name))
}

/// Reads and discards the rest of a response. A failure only costs the connection.
async fn drain(body: UpstreamBody) {
    let _ = timeout(DRAIN, Limited::new(body, DRAINED).collect()).await;
}

#[cfg(test)]
mod tests;
