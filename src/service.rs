//! One request: check its head, choose the route, ask who may pass, call one handler, and make every error
//! an answer. One access line each.
//!
//! Decides between the handlers, which do not know each other; does not look at bodies.

mod hub;
mod limits;
mod publish;
mod session;

use std::sync::Arc;

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, LOCATION, STRICT_TRANSPORT_SECURITY,
    TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tracing::warn;

use crate::access::limits::Limits;
use crate::access::origin::OriginPolicy;
use crate::access::session::Sessions;
use crate::bridge::{self, Opened, Subprotocol};
use crate::config::{self, AccessFormat, ChannelName, Config};
use crate::http::{
    Body, BodyLimits, Busy, Context, Form, Head, Lease, Refusal, Scheme, empty, full, refuse,
};
use crate::hub::{Hub, SockJs};
use crate::net::{ConnectError, connect};
use crate::proxy::{self, Forward};
use crate::router::{Route, Router};
use crate::shutdown::Shutdown;
use crate::target::{ResolveError, Resolver, Target, Token};
use crate::telemetry::{AccessLine, Measured, Times};
use crate::upstream::{Asker, Upstream};
use crate::websocket::{Handshake, asks_for_websocket};

/// The answer to any request.
pub type Answer = Response<Measured<Body, Option<Busy>>>;

/// What serves the requests of one configuration.
#[derive(Debug)]
pub struct Service {
    router: Router,
    apps: Vec<Arc<Upstream>>,
    bridge: config::Bridge,
    origins: OriginPolicy,
    sessions: Option<Arc<Sessions>>,
    /// Whether a console is only for visitors the app knows.
    asks_for_consoles: bool,
    /// The same for channels.
    asks_for_channels: bool,
    targets: Resolver,
    hub: Hub,
    sockjs: SockJs,
    hub_origins: OriginPolicy,
    /// Tokens of the bridge that channels serve.
    channel_tokens: Vec<(String, ChannelName)>,
    body: BodyLimits,
    added: Vec<(HeaderName, HeaderValue)>,
    hsts: Option<HeaderValue>,
    limits: Limits,
    login_paths: Vec<String>,
    access: Option<AccessFormat>,
    shutdown: Shutdown,
}

/// What to do with a request.
enum Decision {
    /// Nothing more: this is the answer.
    Answer(Box<Response<Body>>),
    /// Give it to a handler.
    Route(Route),
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves the routes.
    Serve,
    /// Sends everybody to the same address with https, at this port.
    Redirect(u16),
}

impl Service {
    /// The service for a configuration. Opens nothing. `before` is the service it takes the place of.
    #[must_use]
    pub fn new(
        config: &Config,
        hub: Hub,
        sockjs: SockJs,
        before: Option<&Self>,
        shutdown: Shutdown,
    ) -> Self {
        let header = |text: &str| {
            HeaderValue::from_str(text)
                .ok()
                .filter(|value| !value.is_empty())
        };
        let added = [
            (X_FRAME_OPTIONS, header(&config.headers.x_frame_options)),
            (
                X_CONTENT_TYPE_OPTIONS,
                header(&config.headers.x_content_type_options),
            ),
        ];
        Self {
            router: Router::new(config),
            apps: {
                let known = before.map_or(&[][..], |before| &before.apps);
                let settings = config.apps.iter().cloned();
                settings
                    .map(|settings| Upstream::new(settings, known, &shutdown))
                    .collect()
            },
            origins: OriginPolicy::new(&config.bridge.origins, config.bridge.missing_origin),
            sessions: Sessions::new(
                config,
                before.and_then(|before| before.sessions.as_deref()),
                &shutdown,
            )
            .map(Arc::new),
            asks_for_consoles: config.session.is_required(config.bridge.session),
            asks_for_channels: config.session.is_required(config.hub.session),
            targets: Resolver::new(&config.bridge),
            hub,
            sockjs,
            hub_origins: OriginPolicy::new(&config.hub.origins, config.hub.missing_origin),
            channel_tokens: channel_tokens(config),
            bridge: config.bridge.clone(),
            body: BodyLimits {
                idle: config.limits.body_idle,
                size: config.limits.body_size,
                buffer: config.limits.request_buffer,
            },
            added: added
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            hsts: header(&config.headers.strict_transport_security),
            limits: Limits::new(&config.limits, before.map(|before| &before.limits)),
            login_paths: config.limits.login_paths.clone(),
            access: config.log.access.then_some(config.log.access_format),
            shutdown,
        }
    }

    /// Closes connections to the apps that were idle for too long; to be called about once a second.
    pub fn close_idle(&self) {
        for app in &self.apps {
            app.close_idle();
        }
        if let Some(sessions) = &self.sessions {
            sessions.close_idle();
        }
    }

    /// Asks the app again about what is open, as far as it is due; to be called about once a second.
    pub async fn ask_again(&self) {
        if let Some(sessions) = &self.sessions {
            sessions.ask_again(&self.shutdown).await;
        }
    }

    /// Looks after the channels; to be called about once a second.
    pub fn look_after_channels(&self) {
        self.look_after_hub();
        self.sockjs.look_after();
    }

    /// Answers a request; every failure is an answer too.
    pub async fn respond(
        self: &Arc<Self>,
        request: Request<Incoming>,
        context: &Context,
        role: Role,
    ) -> Answer {
        let busy = context.activity.begin();
        let pending = context.activity.pending();
        let named = limits::named(request.headers(), context);
        let context = named.as_ref().unwrap_or(context);
        let version = request.version();
        let line = self.access.map(|format| {
            let line = AccessLine::begin(&context.peer, &request, context.activity.fate().clone());
            match format {
                AccessFormat::Fields => line,
                AccessFormat::Combined => line.combined(&request),
            }
        });
        let times = line.as_ref().map(AccessLine::times);
        // RFC 9112 §6.1: hyper takes a chunked body and ignores a length beside it. Another proxy before us may
        // have believed the length, so nothing that follows on such a connection can be trusted.
        let close = version < Version::HTTP_2 && request.headers().contains_key(TRANSFER_ENCODING);
        let accept = request.headers().get(http::header::ACCEPT).cloned();
        let mut cause = None;
        let mut response = match self.dispatch(request, context, role, times).await {
            Ok(response) => response,
            Err(mut refusal) => {
                cause = refusal
                    .cause
                    .take()
                    .or_else(|| Some(refusal.reason.to_string()));
                if line.is_none() && refusal.status.is_server_error() {
                    warn!(peer = %context.peer, status = refusal.status.as_u16(), cause, "request failed");
                }
                refusal.into_response(Form::preferred(accept.as_ref()))
            }
        };
        pending.answered();
        self.finish(&mut response, context, version, close);
        let status = response.status();
        response.map(|body| match &context.watch {
            Some(watch) => Measured::new(watch.over(body, busy), line, status, cause, None),
            None => Measured::new(body, line, status, cause, Some(busy)),
        })
    }

    async fn dispatch(
        self: &Arc<Self>,
        request: Request<Incoming>,
        context: &Context,
        role: Role,
        times: Option<&Times>,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let decided = self
            .within_rate(context)
            .and_then(|()| Head::check(&parts, context))
            .and_then(|head| Ok((self.decide(&parts, &head, role)?, head)));
        let (decision, head) = match decided {
            Ok(decided) => decided,
            Err(refusal) => {
                refuse(body, &self.shutdown);
                return Err(refusal);
            }
        };
        let request = Request::from_parts(parts, body);
        match decision {
            Decision::Answer(response) => Ok(*response),
            Decision::Route(Route::Websockify) => self.websockify(request, &head, context).await,
            Decision::Route(Route::Hub(at)) => {
                let path = request.uri().path().to_owned();
                let rest = path.get(at..).unwrap_or_default();
                self.hub(rest, request, &head, context).await
            }
            Decision::Route(Route::App(index)) => {
                self.app(index, request, &head, context, times).await
            }
        }
    }

    /// What a checked head alone decides.
    fn decide(&self, parts: &Parts, head: &Head, role: Role) -> Result<Decision, Refusal> {
        if let Role::Redirect(port) = role {
            return redirect(head, &parts.uri, port)
                .map(|answer| Decision::Answer(Box::new(answer)));
        }
        if head.asterisk {
            return Ok(Decision::Answer(Box::new(no_content())));
        }
        let route = self.router.route(head.authority.host(), parts.uri.path())?;
        if route == Route::Websockify && self.targets.is_empty() && self.channel_tokens.is_empty() {
            return Err(Refusal::not_found(
                "no tokens are configured here ([[bridge.tokens]])",
            ));
        }
        Ok(Decision::Route(route))
    }

    async fn app(
        &self,
        index: usize,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
        times: Option<&Times>,
    ) -> Result<Response<Body>, Refusal> {
        let Some(upstream) = self.apps.get(index) else {
            return Err(Refusal::not_found("nothing is served at this address"));
        };
        let is_known = |headers: &HeaderMap| self.knows(headers, context);
        let forward = Forward {
            upstream,
            body: self.body,
            context,
            head,
            asker: Asker {
                address: context.peer.counted_as(),
                is_known: &is_known,
                times,
            },
            tasks: &self.shutdown,
        };
        if asks_for_websocket(&request) {
            let handshake = Handshake::check(&request)?;
            return proxy::open_tunnel(forward, request, handshake).await;
        }
        if request.method() == http::Method::CONNECT {
            return Err(Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "the only protocol for CONNECT known here is websocket",
            ));
        }
        let attempt = match self.attempt(upstream.settings(), &request, context) {
            Ok(attempt) => attempt,
            Err(refusal) => {
                refuse(request.into_body(), &self.shutdown);
                return Err(refusal);
            }
        };
        let leaving = self
            .sessions
            .as_ref()
            .and_then(|sessions| Some((sessions, sessions.leaving(index, &request, context)?)));
        let answer = forward.request(request).await;
        let status = answer.as_ref().ok().map(Response::status);
        self.attempted(attempt, status, context);
        let answer = answer?;
        if let Some((sessions, leaving)) = leaving
            && !answer.status().is_client_error()
            && !answer.status().is_server_error()
        {
            sessions.end(&leaving);
        }
        Ok(answer)
    }

    async fn websockify(
        &self,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
    ) -> Result<Response<Body>, Refusal> {
        let handshake = match Handshake::check(&request) {
            Ok(handshake) => handshake,
            Err(refusal) => {
                refuse(request.into_body(), &self.shutdown);
                return Err(refusal);
            }
        };
        self.origins
            .permits(
                request.headers(),
                context.scheme.as_str(),
                head.authority.as_str(),
            )
            .map_err(|denied| Refusal::new(StatusCode::FORBIDDEN, denied.to_string()))?;
        self.may_try_token(context)?;
        // Before the token is looked at: who is not logged in does not learn which tokens there are.
        let visitor = if self.asks_for_consoles {
            Some(self.visitor(request.headers(), head, context).await?)
        } else {
            None
        };
        let token = Token::from_query(request.uri().query())
            .map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, fault.to_string()))?;
        if let Some(channel) = self.channel_of(&token) {
            let subprotocol = Subprotocol::choose(&handshake)?;
            let lease = visitor.map(|visitor| visitor.watch());
            return self.wok_page(channel, request, handshake, subprotocol, context, lease);
        }
        let target = self.targets.resolve(&token).await.map_err(|error| {
            if matches!(error, ResolveError::Unknown) {
                self.wrong_token(context);
            }
            unresolved(&error)
        })?;
        let subprotocol = Subprotocol::choose(&handshake)?;
        let lease = match visitor {
            Some(visitor) => Some(self.lease(visitor, &target).await?),
            None => None,
        };
        let opened = self.connect(&target, lease).await?;
        Ok(bridge::open(
            request,
            handshake,
            subprotocol,
            opened,
            context,
            &self.bridge,
            &self.shutdown,
        ))
    }

    /// Connects once, and before the handshake is answered: there is no probe and no second try.
    async fn connect(&self, target: &Target, lease: Option<Lease>) -> Result<Opened, Refusal> {
        let socket = connect(&target.endpoint, self.bridge.connect).await;
        let socket = socket.map_err(|error| {
            let (status, reason) = match error {
                ConnectError::Slow { .. } => (
                    StatusCode::GATEWAY_TIMEOUT,
                    "the console behind this token did not answer in time",
                ),
                ConnectError::Refused { .. } => (
                    StatusCode::BAD_GATEWAY,
                    "the console behind this token is not running",
                ),
            };
            Refusal::new(status, reason).because(&error)
        })?;
        Ok(Opened {
            socket,
            name: target.to_string(),
            boundary: target.boundary.clone(),
            lease,
        })
    }

    /// The headers every answer has unless the app set them, and what the version of HTTP needs.
    fn finish(
        &self,
        response: &mut Response<Body>,
        context: &Context,
        version: Version,
        close: bool,
    ) {
        let headers = response.headers_mut();
        for (name, value) in &self.added {
            if !headers.contains_key(name) {
                headers.insert(name.clone(), value.clone());
            }
        }
        // RFC 6797 §7.2: not without TLS.
        if context.scheme == Scheme::Https
            && let Some(value) = &self.hsts
            && !headers.contains_key(STRICT_TRANSPORT_SECURITY)
        {
            headers.insert(STRICT_TRANSPORT_SECURITY, value.clone());
        }
        if version == Version::HTTP_2 {
            headers.remove(CONNECTION);
        } else if close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Which tokens of the bridge lead to channels.
fn channel_tokens(config: &Config) -> Vec<(String, ChannelName)> {
    let named = config.channels.iter();
    named
        .filter_map(|channel| Some((channel.token.clone()?, channel.name.name()?)))
        .collect()
}

/// 308 to the same host and path with https (RFC 9110 §15.4.9).
fn redirect(head: &Head, uri: &http::Uri, port: u16) -> Result<Response<Body>, Refusal> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    let host = head.authority.host();
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
    .into_response(Form::Text))
}

fn json(status: StatusCode, object: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(full(format!("{object}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn unresolved(error: &ResolveError) -> Refusal {
    let refusal = match error {
        // A malformed line is told in the log; no one else's fault must show whether a token exists.
        ResolveError::Unknown | ResolveError::Malformed { .. } => {
            Refusal::not_found("this token is not known here; the console may have been closed")
        }
        ResolveError::Slow => Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            "the token could not be looked up in time",
        ),
        ResolveError::Refused { .. } => Refusal::not_found("this token does not lead to a socket"),
        ResolveError::Unreadable { .. } => Refusal::new(
            StatusCode::BAD_GATEWAY,
            "the tokens cannot be read; the log of Noren says which file, and why",
        ),
    };
    refusal.because(error)
}
