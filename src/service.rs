//! One request: check its head, choose the route, ask who may pass, call one handler, and make every error
//! an answer. One access line each.
//!
//! Decides between the handlers, which do not know each other; does not look at bodies.

mod entrance;
mod error;
mod hub;
mod limits;
mod offload;
mod publish;
mod recheck;
mod session;

use std::sync::Arc;
use std::time::Instant;

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, LOCATION, STRICT_TRANSPORT_SECURITY,
    TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tracing::warn;

use crate::access::limits::Limits;
use crate::access::session::Sessions;
use crate::bridge::{self, Opened, Subprotocol};
use crate::config::{self, AccessFormat, ChannelName, Config};
use crate::files::Directory;
use crate::http::{
    Body, BodyLimits, Busy, Context, Form, Head, Lease, Rate, Refusal, Scheme, empty, full, refuse,
};
use crate::hub::{Hub, SockJs};
use crate::net::ConnectError;
use crate::proxy::{self, Forward};
use crate::router::{Route, Router};
use crate::shutdown::Shutdown;
use crate::spool::Spool;
use crate::target::{LinkError, ResolveError, Resolver, Target, Token};
use crate::telemetry::{AccessLine, Classes, Handler, Inside, Measured, Times};
use crate::tls::DialError;
use crate::upstream::{Asker, Upstream};
use crate::websocket::{Handshake, asks_for_websocket};

pub use error::BuildError;

use entrance::Entrances;
use offload::Offloads;

/// The answer to any request.
pub type Answer = Response<Measured<Body, Held>>;

/// What serves the requests of one configuration.
#[derive(Debug)]
pub struct Service {
    router: Router,
    apps: Vec<Arc<Upstream>>,
    /// How the answers of each app are counted.
    counted: Vec<Classes>,
    inside: Arc<Inside>,
    /// What each app may name.
    offloads: Vec<Offloads>,
    files: Vec<Directory>,
    bridge: config::Bridge,
    entrances: Entrances,
    sessions: Option<Arc<Sessions>>,
    /// Whether a console is only for visitors the app knows.
    asks_for_consoles: bool,
    /// The same for channels.
    asks_for_channels: bool,
    targets: Arc<Resolver>,
    hub: Hub,
    sockjs: SockJs,
    /// Tokens of the bridge that channels serve.
    channel_tokens: Vec<(String, ChannelName)>,
    body: BodyLimits,
    spool: Spool,
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

/// What an answer holds until its last byte is on its way.
#[derive(Debug)]
pub struct Held {
    /// The request is under way; an answer over HTTP/2 holds this elsewhere.
    _busy: Option<Busy>,
    _timed: Option<Timed>,
}

/// Times an answer of an app until this is dropped.
#[derive(Debug)]
struct Timed {
    begun: Instant,
    app: Arc<Upstream>,
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.app.metrics().done(self.begun.elapsed());
    }
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
    /// The service for a configuration. Reads the files that it needs, and opens nothing else. `before` is the
    /// service it takes the place of.
    ///
    /// # Errors
    /// [`BuildError`] names the file and what is wrong with it.
    pub fn new(
        config: &Config,
        hub: Hub,
        sockjs: SockJs,
        before: Option<&Self>,
        inside: &Arc<Inside>,
        shutdown: Shutdown,
    ) -> Result<Self, BuildError> {
        let header = |text: &str| {
            HeaderValue::from_str(text)
                .ok()
                .filter(|value| !value.is_empty())
        };
        let spool = Spool::new(config.spool.clone(), before.map(|before| &before.spool));
        let added = [
            (X_FRAME_OPTIONS, header(&config.headers.x_frame_options)),
            (
                X_CONTENT_TYPE_OPTIONS,
                header(&config.headers.x_content_type_options),
            ),
        ];
        let metrics = &inside.metrics;
        let known = before.map_or(&[][..], |before| &before.apps);
        let app = |settings: &config::App| {
            let counted = metrics.apps.of(&settings.name);
            Upstream::with_spool(settings.clone(), counted, &spool, known, &shutdown)
        };
        Ok(Self {
            router: Router::new(config),
            apps: config.apps.iter().map(app).collect(),
            counted: config
                .apps
                .iter()
                .map(|app| metrics.requests.of_app(&app.name))
                .collect(),
            inside: Arc::clone(inside),
            offloads: config.apps.iter().map(Offloads::new).collect(),
            files: config.files.iter().map(Directory::new).collect(),
            entrances: Entrances::new(config)?,
            sessions: Sessions::new(
                config,
                before.and_then(|before| before.sessions.as_deref()),
                &shutdown,
            )
            .map(Arc::new),
            asks_for_consoles: config.session.is_required(config.bridge.session),
            asks_for_channels: config.session.is_required(config.hub.session),
            targets: Arc::new(Resolver::new(&config.bridge)?),
            hub,
            sockjs,
            channel_tokens: channel_tokens(config),
            bridge: config.bridge.clone(),
            body: BodyLimits {
                idle: config.limits.body_idle,
                rate: Rate {
                    bytes: config.limits.minimum_rate,
                    grace: config.limits.minimum_rate_grace,
                },
                size: config.limits.body_size,
                buffer: config.limits.request_buffer,
            },
            added: added
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            spool,
            hsts: header(&config.headers.strict_transport_security),
            limits: Limits::new(&config.limits, before.map(|before| &before.limits)),
            login_paths: config.limits.login_paths.clone(),
            access: config.log.access.then_some(config.log.access_format),
            shutdown,
        })
    }

    /// The apps, in the order of the configuration.
    #[must_use]
    pub fn apps(&self) -> &[Arc<Upstream>] {
        &self.apps
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
        let begun = Instant::now();
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
        let mut route = None;
        let asked = self
            .dispatch(request, context, role, times, &mut route)
            .await;
        let mut response = match asked {
            Ok(response) => response,
            Err(mut refusal) => {
                cause = refusal
                    .cause
                    .take()
                    .or_else(|| Some(refusal.reason.to_string()));
                self.inside.metrics.requests.refuse(refusal.status);
                if line.is_none() && refusal.status.is_server_error() {
                    warn!(peer = %context.peer, status = refusal.status.as_u16(), cause, "request failed");
                }
                refusal.into_response(Form::preferred(accept.as_ref()))
            }
        };
        pending.answered();
        self.finish(&mut response, context, version, close);
        let status = response.status();
        let timed = self.count(route, status, begun);
        response.map(|body| {
            let (body, busy) = match &context.watch {
                Some(watch) => (watch.over(body, busy), None),
                None => (body, Some(busy)),
            };
            let held = Held {
                _busy: busy,
                _timed: timed,
            };
            Measured::new(body, line, status, cause, held)
        })
    }

    /// Counts an answer, and times it to its end if it is an app's.
    fn count(&self, route: Option<Route>, status: StatusCode, begun: Instant) -> Option<Timed> {
        let handler = match route {
            Some(Route::App(index)) => {
                self.counted.get(index)?.count(status);
                let app = Arc::clone(self.apps.get(index)?);
                return Some(Timed { begun, app });
            }
            Some(Route::Websockify) => Handler::Bridge,
            Some(Route::Hub(_)) => Handler::Hub,
            Some(Route::Files(_)) => Handler::Files,
            None => Handler::None,
        };
        self.inside.metrics.requests.count(handler, status);
        None
    }

    async fn dispatch(
        self: &Arc<Self>,
        request: Request<Incoming>,
        context: &Context,
        role: Role,
        times: Option<&Times>,
        route: &mut Option<Route>,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let decided = self
            .within_rate(context)
            .and_then(|()| Head::check(&parts, context))
            .and_then(|head| Ok((self.decide(&parts, &head, role)?, head)));
        let (decision, mut head) = match decided {
            Ok(decided) => decided,
            Err(refusal) => {
                refuse(body, &self.shutdown);
                return Err(refusal);
            }
        };
        let mut request = Request::from_parts(parts, body);
        if let Decision::Route(decided) = &decision {
            *route = Some(*decided);
            let attempt = match self.basic_attempt(request.headers(), context) {
                Ok(attempt) => attempt,
                Err(refusal) => {
                    refuse(request.into_body(), &self.shutdown);
                    return Err(refusal);
                }
            };
            if let Err(refusal) = self.enter(*decided, &mut request, &mut head, context).await {
                self.attempted(attempt, Some(refusal.status), context);
                refuse(request.into_body(), &self.shutdown);
                return Err(refusal);
            }
        }
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
            Decision::Route(Route::Files(index)) => self.file(index, request).await,
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
            if let Some(entrance) = self.entrances.apps.get(index) {
                Self::permit_page(entrance, request.headers(), head, context)?;
            }
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
        let offloads = self.offloads.get(index);
        let asked = offloads.and_then(|offloads| Some((offloads, offloads.remember(&request)?)));
        let answer = forward.request(request).await;
        let status = answer.as_ref().ok().map(Response::status);
        self.attempted(attempt, status, context);
        let mut answer = answer?;
        if let Some((offloads, asked)) = asked {
            answer = offloads.resolve(asked, answer).await?;
        }
        if let Some((sessions, leaving)) = leaving
            && !answer.status().is_client_error()
            && !answer.status().is_server_error()
        {
            sessions.end(&leaving);
        }
        Ok(answer)
    }

    async fn file(
        &self,
        index: usize,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        // Nobody wants it, and its sender still gets the answer.
        refuse(body, &self.shutdown);
        let Some(directory) = self.files.get(index) else {
            return Err(Refusal::not_found("nothing is served at this address"));
        };
        let path = parts.uri.path();
        directory.serve(&parts.method, path, &parts.headers).await
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
        Self::permit_page(&self.entrances.bridge, request.headers(), head, context)?;
        self.may_try_token(context)?;
        // Before the token is looked at: who is not logged in does not learn which tokens there are.
        let visitor = if self.asks_for_consoles {
            Some(self.visitor(request.headers(), head, context).await?)
        } else {
            None
        };
        let token = if self.bridge.host_token {
            Token::from_host(head.authority.host())
        } else {
            Token::from_query(request.uri().query())
        };
        let token =
            token.map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, fault.to_string()))?;
        let asked = self.targets.admit(token, context.peer.ip()).await;
        let asked = asked.map_err(|error| {
            if matches!(error, LinkError::Unsigned | LinkError::Invalid(_)) {
                self.wrong_token(context);
            }
            not_admitted(&error)
        })?;
        if let Some(channel) = self.channel_of(asked.token()) {
            let subprotocol = Subprotocol::choose(&handshake)?;
            let names = std::slice::from_ref(&channel);
            let lease = match visitor {
                Some(visitor) => Some(self.lease_for(visitor, names).await?),
                None => None,
            };
            let spent = self.targets.spend(&asked).await;
            spent.map_err(|error| not_admitted(&error))?;
            return self.wok_page(channel, request, handshake, subprotocol, context, lease);
        }
        let target = self.targets.resolve(&asked).await.map_err(|error| {
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
        // A single-use link is used up when all else has said yes, and before anything is opened.
        let spent = self.targets.spend(&asked).await;
        spent.map_err(|error| not_admitted(&error))?;
        let mut opened = self.connect(&target, lease).await?;
        if let Some(interval) = self.bridge.recheck_tokens {
            let targets = Arc::clone(&self.targets);
            let watched = recheck::watch(targets, asked, target.endpoint, interval, &self.shutdown);
            opened.revocation = Some(watched);
        }
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
        let socket = target.connect(self.bridge.connect).await;
        let socket = socket.map_err(|error| {
            let (status, reason) = match error {
                DialError::Slow { .. } | DialError::Connect(ConnectError::Slow { .. }) => (
                    StatusCode::GATEWAY_TIMEOUT,
                    "the console behind this token did not answer in time",
                ),
                DialError::Handshake { .. } => (
                    StatusCode::BAD_GATEWAY,
                    "the console behind this token cannot be connected to safely",
                ),
                DialError::Connect(ConnectError::Refused { .. }) => (
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
            revocation: None,
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

/// What a client is told whose link opens nothing. It says nothing of what there is.
fn not_admitted(error: &LinkError) -> Refusal {
    let (status, reason) = match error {
        LinkError::Unsigned => (StatusCode::FORBIDDEN, "only signed links are accepted here"),
        LinkError::Invalid(_) => (StatusCode::FORBIDDEN, "this link is not valid"),
        LinkError::Expired => (
            StatusCode::FORBIDDEN,
            "this link has expired; ask for a new one",
        ),
        LinkError::Early => (StatusCode::FORBIDDEN, "this link is not valid yet"),
        LinkError::Elsewhere => (
            StatusCode::FORBIDDEN,
            "this link was made for another address",
        ),
        LinkError::Used => (
            StatusCode::FORBIDDEN,
            "this link was used already; ask for a new one",
        ),
        LinkError::Keys(_) | LinkError::Store(_) => (
            StatusCode::BAD_GATEWAY,
            "links cannot be checked; the log of Noren says why",
        ),
        LinkError::Slow => (
            StatusCode::GATEWAY_TIMEOUT,
            "the link could not be checked in time",
        ),
    };
    Refusal::new(status, reason).because(error)
}

fn unresolved(error: &ResolveError) -> Refusal {
    let refusal = match error {
        // A malformed line is told in the log; no one else's fault must show whether a token exists.
        // Neither must it show whether it leads to something that is not permitted.
        ResolveError::Unknown | ResolveError::Malformed { .. } | ResolveError::Forbidden { .. } => {
            Refusal::not_found("this token is not known here; the console may have been closed")
        }
        ResolveError::Slow => Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            "the token could not be looked up in time",
        ),
        ResolveError::Refused { .. } => Refusal::not_found("this token does not lead to a socket"),
        ResolveError::Unreadable { .. } | ResolveError::Failed { .. } => Refusal::new(
            StatusCode::BAD_GATEWAY,
            "the tokens cannot be read; the log of Noren says where, and why",
        ),
    };
    refusal.because(error)
}
