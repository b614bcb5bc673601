//! Subscribing over HTTP: chooses the transport of the hub by the request, once its channels are known. Independent of
//! permissions, and of how a message is sent.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, HeaderMap};
use http::{Method, Response, StatusCode};

use crate::config::ChannelName;
use crate::http::{Body, Form as Preference, Refusal, empty};
use crate::hub::{self, End, Format, Hub, Parameters, Subscription, etag};
use crate::push::{self, EventStreamOptions, Form, Listening, Wait};
use crate::service::channel_auth::ChannelAuth;
use crate::service::exchange::Exchange;
use crate::service::handlers::page_library::page_of;
use crate::service::handlers::page_messages::PageMessages;
use crate::service::handlers::subscriptions::{compresses, subscribe};
use crate::service::shared_parts::SharedParts;
use crate::shutdown::Shutdown;
use crate::websocket::Handshake;

/// Longest wait that a client may request for a poll.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Handles requests to subscribe to channels.
#[derive(Debug)]
pub(super) struct Subscribe {
    hub: Hub,
    auth: ChannelAuth,
    messages: Arc<PageMessages>,
    shutdown: Shutdown,
}

impl Subscribe {
    pub(super) fn new(shared: &SharedParts, messages: Arc<PageMessages>) -> Self {
        Self {
            hub: shared.hub.clone(),
            auth: shared.channels.clone(),
            messages,
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Responds to a GET with an event stream, a page or a poll, and to a HEAD with the headers of one.
    pub(super) async fn get(
        &self,
        names: &[ChannelName],
        parameters: &Parameters,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let transport = Transport::preferred(exchange.request.headers());
        if exchange.request.method() == Method::HEAD {
            let mut response = Response::new(empty());
            if transport == Transport::Stream {
                push::set_headers(&mut response);
            }
            return Ok(response);
        }
        let (visitor_parts, audit) = exchange.visitor_parts();
        let permit = self.auth.permit(names, visitor_parts, audit).await?;
        if transport == Transport::Page {
            // Only now is it said which channels there are.
            if let Some(unknown) = names.iter().find(|name| self.hub.rules(name).is_none()) {
                return Err(Refusal::not_found(format!("there is no channel {unknown}")));
            }
            return Ok(page_of(&self.hub, names));
        }
        let lease = permit.lease;
        let by = match transport {
            Transport::Stream => "event stream",
            _ => "long poll",
        };
        let client = audit.subscriber(lease.as_ref());
        let compress = compresses(&self.hub, names, lease.is_some());
        let subscription = subscribe(&self.hub, names, parameters, lease, visitor_parts)?;
        let subscription = subscription.identify(by, visitor_parts.context.peer);
        if transport == Transport::Stream {
            let format = parameters.format.unwrap_or(match names {
                [_] => Format::Plain,
                _ => Format::Json,
            });
            let subscription = subscription.audited(client, names);
            let coding = compress
                .then(|| push::preferred(visitor_parts.headers))
                .flatten();
            let options = EventStreamOptions::new(format)
                .with_named_keep_alive(parameters.named_keep_alive)
                .with_coding(coding);
            return Ok(push::event_stream(&self.hub, subscription, options));
        }
        self.poll(subscription, parameters, visitor_parts.headers)
            .await
    }

    async fn poll(
        &self,
        subscription: Subscription,
        parameters: &Parameters,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        let fresh = parameters.begin(headers) == hub::From::Now;
        let limit = parameters
            .wait
            .unwrap_or(self.hub.settings().poll_wait)
            .min(LONGEST_WAIT);
        let wait = Wait {
            // A client without a cursor gets one at once.
            limit: if fresh { Duration::ZERO } else { limit },
            conditional: etag(headers).is_some(),
        };
        let answered = push::poll(subscription, wait).await;
        answered.map_err(ended)
    }

    /// Opens a WebSocket.
    pub(super) async fn socket(
        &self,
        names: Vec<ChannelName>,
        parameters: &Parameters,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let handshake = Handshake::check(&exchange.request)?;
        let (visitor_parts, audit) = exchange.visitor_parts();
        let permit = self.auth.permit(&names, visitor_parts, audit).await?;
        let receiver = self.messages.receiver(&names, &permit, visitor_parts);
        let client = audit.subscriber(permit.lease.as_ref());
        let compress = compresses(&self.hub, &names, permit.lease.is_some());
        let subscription = subscribe(&self.hub, &names, parameters, permit.lease, visitor_parts)?
            .identify("websocket", visitor_parts.context.peer);
        let listening = Listening {
            subscription: subscription.audited(client, &names),
            receiver,
            names,
            form: Form::Events(parameters.format.unwrap_or(Format::Json)),
            protocol: None,
            compress,
        };
        Ok(push::open_socket(
            &self.hub,
            exchange.request,
            handshake,
            listening,
            exchange.context,
            &self.shutdown,
        ))
    }
}

/// The refusal of a poll whose permission ended while it waited.
fn ended(end: End) -> Refusal {
    let (status, reason) = match end {
        End::Refused => (
            StatusCode::FORBIDDEN,
            "the application no longer permits you to use one of these channels",
        ),
        End::Expired => (
            StatusCode::UNAUTHORIZED,
            "your token has expired; ask for a new one",
        ),
        _ => (
            StatusCode::UNAUTHORIZED,
            "your session has ended; log in, and try again",
        ),
    };
    Refusal::new(status, reason)
}

/// The transports of a GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Stream,
    Page,
    Poll,
}

impl Transport {
    /// The transport that the client prefers. A browser accepts `text/event-stream` in an `EventSource` and `text/html`
    /// in a tab; other programs poll.
    fn preferred(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT);
        let accepted = accept
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let ranges = || {
            accepted
                .split(',')
                .map(|range| range.split(';').next().unwrap_or_default().trim())
        };
        if ranges().any(|range| range.eq_ignore_ascii_case("text/event-stream")) {
            Self::Stream
        } else if Preference::preferred(accept) == Preference::Html {
            Self::Page
        } else {
            Self::Poll
        }
    }
}
