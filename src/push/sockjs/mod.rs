//! `SockJS` (protocol 0.3.3) for pages that use its client library: the same messages over whichever transport
//! works.
//!
//! A base URL is `<hub.path>/sockjs/<channels>`. There are `websocket`, `xhr_streaming`, `eventsource` and `xhr`
//! with `xhr_send`; not there are the transports for browsers that are gone (`jsonp`, `htmlfile`, all iframes).
//!
//! **Messages** are those of the hub's own WebSocket: each text that the page gets is an envelope or a control
//! object (`open` is the first), and each text it sends is an object with a channel and data.
//!
//! **Resuming.** The library keeps the query of its base URL, so a page that comes back opens
//! `…/sockjs/wok?last-event-id=<id>`. The cursor counts where a session begins; later requests of the session
//! carry the same one, and there it means nothing.
//!
//! **Sessions** over HTTP hold a place in the history, no messages. Their ids are chosen by clients, so an id says
//! nothing about who comes: a session belongs to who shows all cookies that the one who opened it has shown, and
//! to others it does not exist. One answer receives at a time; without any it lives for five seconds. An answer that
//! breaks off ends it, since nobody knows what of it has arrived; the page opens another, with its cursor.
//!
//! Does not know who may listen: the caller has asked for that, has checked the origin of the page, and says in the
//! answer that this origin may read it.

mod resource;
mod response;
mod send;
mod session;
mod stream;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION, COOKIE, ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use crate::http::{Body, BodyLimits, Budget, Context, Incoming, Lease, Refusal, refuse};
use crate::hub::From;
use crate::hub::Parameters;
use crate::hub::Subscription;
use crate::hub::{Format, Hub, SubscribeError};
use crate::push::client_messages::Receiver;
use crate::push::websocket::{Form, Listening, open_socket};
use crate::shutdown::Shutdown;
use crate::telemetry::audit::AuditClient;
use crate::websocket::{Handshake, asks_for_websocket};

pub(crate) use resource::SockJsResource;

use crate::push::sockjs_frames::Framing;
use resource::{Duty, Transport};
use session::{Credential, Sessions};

/// The `SockJS` endpoint of a hub. Clones share it; like the hub it outlives a reload.
#[derive(Clone)]
pub(crate) struct SockJs(Arc<Shared>);

struct Shared {
    hub: Hub,
    sessions: Sessions,
    /// Keys for hashing the credentials of visitors. They are random, so that nobody can search for a collision.
    keys: RandomState,
}

/// The visitor that makes a request, and the limits for the request.
pub(crate) struct Visitor<'a> {
    /// Identity of the visitor for the audit.
    pub audit_client: AuditClient,
    /// Lease of the permission to subscribe, if the app granted one.
    pub lease: Option<Lease>,
    /// Callback for messages of the page; without one they are refused.
    pub receiver: Option<Receiver>,
    /// Limits on a request body: here its size, and how long it may stall.
    pub body: BodyLimits,
    /// Memory budget that a request body counts towards.
    pub budget: Budget<'a>,
    /// Context of the client's connection.
    pub client: &'a Context,
    /// Task tracker for WebSocket tasks.
    pub tasks: &'a Shutdown,
}

impl SockJs {
    /// Creates the endpoint of this hub, without sessions.
    #[must_use]
    pub(crate) fn new(hub: Hub) -> Self {
        Self(Arc::new(Shared {
            hub,
            sessions: Sessions::default(),
            keys: RandomState::new(),
        }))
    }

    /// Removes abandoned sessions; to be called about once a second.
    pub(crate) fn look_after(&self) {
        self.0.sessions.sweep(Instant::now());
    }

    /// Responds to a request below a base URL. If [`SockJsResource::needs_permission`], the caller has checked the
    /// permission.
    ///
    /// # Errors
    /// The refusal to send: the hub takes no more subscribers, the session does not exist, or the request is
    /// invalid.
    pub(crate) async fn respond(
        &self,
        asked: SockJsResource,
        request: Request<Incoming>,
        visitor: Visitor<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let headers = request.headers();
        let wished = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let wished = wished.filter(|_| headers.contains_key(ORIGIN));
        let mut response = if matches!(asked.duty, Duty::Socket | Duty::RawSocket) {
            self.socket(asked, request, visitor)?
        } else if *request.method() == Method::OPTIONS {
            refuse(request.into_body(), visitor.tasks);
            response::preflight(&asked.duty.method())
        } else if *request.method() != asked.duty.method() {
            refuse(request.into_body(), visitor.tasks);
            response::wrong_method(asked.duty.methods())
        } else {
            self.serve(asked, request, visitor).await?
        };
        response::allow_headers(wished, &mut response);
        Ok(response)
    }

    async fn serve(
        &self,
        asked: SockJsResource,
        request: Request<Incoming>,
        visitor: Visitor<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let (session, transport) = match asked.duty {
            Duty::Session(session, transport) => (session, transport),
            Duty::Info => return Ok(response::info()),
            Duty::Greeting | Duty::RawSocket | Duty::Socket => return Ok(response::greeting()),
        };
        let key = (asked.channels, session);
        let credential = self.credential(request.headers());
        if transport == Transport::Send {
            let session = self.0.sessions.find(&key, &credential);
            return send::send(&self.0.hub, session, request.into_body(), &visitor).await;
        }
        let from = begin(&request)?;
        refuse(request.into_body(), visitor.tasks);
        let channels = key.0.clone();
        let peer = visitor.client.peer;
        let address = peer.counted_as();
        let attached = self.0.sessions.attach(&self.0.hub, key, credential, || {
            let subscribed = self
                .0
                .hub
                .subscribe_from(address, &channels, from, visitor.lease);
            let subscription = subscribed?.identify("sockjs", peer);
            Ok(subscription.audited(visitor.audit_client, &channels))
        });
        let attached = attached.map_err(|error| self.refused(&error))?;
        if let session::Attached::Opened(reception) = &attached {
            reception.tell_open(&channels);
        }
        let body = match transport {
            Transport::Poll | Transport::Send => stream::poll(attached).await,
            Transport::Streaming => stream::stream(attached, Framing::Lines),
            Transport::EventSource => stream::stream(attached, Framing::Events),
        };
        body.map(|body| response::receiving(body, transport == Transport::EventSource))
            .ok_or_else(no_session)
    }

    fn socket(
        &self,
        asked: SockJsResource,
        request: Request<Incoming>,
        visitor: Visitor<'_>,
    ) -> Result<Response<Body>, Refusal> {
        if !asks_for_websocket(&request) {
            let answer = match *request.method() {
                Method::GET => response::no_socket(request.headers().contains_key(UPGRADE)),
                _ => response::wrong_method(Duty::Socket.methods()),
            };
            refuse(request.into_body(), visitor.tasks);
            return Ok(answer);
        }
        // The protocol wants 405 for an upgrade with another method; CONNECT is how HTTP/2 opens WebSockets.
        if !matches!(*request.method(), Method::GET | Method::CONNECT) {
            refuse(request.into_body(), visitor.tasks);
            return Ok(response::wrong_method(Duty::Socket.methods()));
        }
        let handshake = Handshake::check(&request)?;
        let subscription = self
            .subscribe(&asked, begin(&request)?, visitor.lease, visitor.client)?
            .identify("sockjs websocket", visitor.client.peer)
            .audited(visitor.audit_client, &asked.channels);
        let listening = Listening {
            subscription,
            names: asked.channels,
            form: match asked.duty {
                Duty::RawSocket => Form::Events(Format::Json),
                _ => Form::SockJs,
            },
            receiver: visitor.receiver,
            protocol: None,
            compress: false,
        };
        Ok(open_socket(
            &self.0.hub,
            request,
            handshake,
            listening,
            visitor.client,
            visitor.tasks,
        ))
    }

    fn subscribe(
        &self,
        asked: &SockJsResource,
        from: From,
        lease: Option<Lease>,
        client: &Context,
    ) -> Result<Subscription, Refusal> {
        let address = client.peer.counted_as();
        let subscribed = self
            .0
            .hub
            .subscribe_from(address, &asked.channels, from, lease);
        subscribed.map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &SubscribeError) -> Refusal {
        match error {
            SubscribeError::Unknown(_) => Refusal::not_found(error.to_string()),
            error if error.is_of_client() => {
                Refusal::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
                    .retry_after(self.0.hub.retry())
            }
            _ => Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "there are too many subscribers",
            )
            .because(error)
            .retry_after(self.0.hub.retry()),
        }
    }

    /// Collects hashes of all cookies that identify a visitor. HTTP/2 sends cookies one by one, HTTP/1.1 in one
    /// line.
    fn credential(&self, headers: &HeaderMap) -> Credential {
        let lines = headers.get_all(COOKIE).into_iter();
        let cookies = lines.flat_map(|line| line.as_bytes().split(|sign| *sign == b';'));
        let bearer = headers.get_all(AUTHORIZATION).into_iter();
        let shown = cookies
            .map(<[u8]>::trim_ascii)
            .chain(bearer.map(HeaderValue::as_bytes));
        let hashes = shown.map(|text| self.0.keys.hash_one(text));
        let mut credential: Credential = hashes.collect();
        credential.sort_unstable();
        credential
    }
}

fn begin(request: &Request<Incoming>) -> Result<From, Refusal> {
    let parameters = Parameters::parse(request.uri().query()).map_err(Refusal::bad_request)?;
    Ok(parameters.begin(request.headers()))
}

fn no_session() -> Refusal {
    Refusal::not_found("there is no such session; it may have ended")
}

impl fmt::Debug for SockJs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJs").finish_non_exhaustive()
    }
}
