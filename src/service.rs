//! One request: checks its head, chooses the route, checks permission, calls one handler, and converts every error
//! to a response. Each request has one access line.
//!
//! Decides between the handlers, which do not know each other; does not read bodies.

mod audit_record;
mod channel_auth;
mod console;
mod error;
mod grip;
mod headers;
mod hub;
mod limits;
mod methods;
mod page;
mod page_message;
mod plan;
mod publish;
mod reserved;
mod respond;
mod responses;
mod route_auth;
mod sendfile;
mod session;
mod token_watch;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};

use crate::access::hosts::KnownHosts;
use crate::access::limits::Limits;
use crate::access::session::Sessions;
use crate::access::tokens::Tokens;
use crate::admin::Page;
use crate::bridge::Recorder;
use crate::config::{self, AccessFormat, ChannelName, Config, Needs};
use crate::files::{Directory, Named};
use crate::http::{
    Body, BodyLimits, Context, Head, Incoming, PathFault, Rate, Refusal, Scheme, refuse,
};
use crate::hub::Hub;
use crate::net::Slots;
use crate::proxy::{self, Forward};
use crate::push::SockJs;
use crate::router::{Asked, Route, Router};
use crate::shutdown::Shutdown;
use crate::spool::Spool;
use crate::telemetry::audit::{Kind, Opened, What};
use crate::telemetry::{Classes, Inside, Measured, Timings};
use crate::tls::{Challenges, Connector};
use crate::tokens::Resolver;
use crate::upstream::{Asker, Upstream};
use crate::websocket::{Handshake, asks_for_websocket};

pub use error::BuildError;
pub use plan::Plan;

use audit_record::Attempt;
use headers::ResponseHeaders;
use methods::permit_method;
use reserved::Reserved;
use respond::Held;
use responses::{challenge, no_content, redirect, welcome};
use route_auth::Entrances;
use sendfile::Offloads;

/// The response to any request.
pub type Answer = Response<AnswerBody>;

/// The body of a response.
pub type AnswerBody = Measured<Body, Held>;

/// Handles the requests of one configuration.
#[derive(Debug)]
pub struct Service {
    router: Router,
    apps: Vec<Arc<Upstream>>,
    /// Response counters of each app.
    counted: Vec<Classes>,
    inside: Arc<Inside>,
    admin_page: Option<Arc<Page>>,
    /// Users who may see the admin page.
    admins: Vec<String>,
    /// Directories that each app may name files in.
    offloads: Vec<Offloads>,
    reserved: Reserved,
    files: Vec<Directory>,
    bridge: config::Bridge,
    entrances: Entrances,
    sessions: Option<Arc<Sessions>>,
    /// True if consoles are only for visitors with a session.
    asks_for_consoles: bool,
    /// The requirement of channels without one of their own.
    channels_need: Needs,
    tokens: Option<Tokens>,
    targets: Arc<Resolver>,
    /// True if names of consoles may be logged: they are no secrets if the app is asked about consoles by name.
    /// Otherwise the name may be the whole token.
    tells_names: bool,
    recorder: Option<Recorder>,
    hub: Hub,
    grip: grip::Grip,
    sockjs: SockJs,
    /// Tokens of the bridge that name channels.
    channel_tokens: Vec<(String, ChannelName)>,
    body: BodyLimits,
    spool: Spool,
    headers: ResponseHeaders,
    limits: Limits,
    hosts: KnownHosts,
    login_paths: Vec<String>,
    access: Option<AccessFormat>,
    traces: bool,
    challenges: Challenges,
    slots: Slots,
    shutdown: Shutdown,
}

/// The next step for a request.
enum Decision {
    /// Send this response.
    Answer(Box<Response<Body>>),
    /// Call the handler of this route.
    Route(Route),
}

/// Shared parts that outlive a service.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The channels.
    pub hub: Hub,
    /// Their `SockJS` sessions.
    pub sockjs: SockJs,
    /// Telemetry of the server.
    pub inside: Arc<Inside>,
    /// The admin page, if there is one.
    pub admin_page: Option<Arc<Page>>,
    /// Proofs for an ACME authority.
    pub challenges: Challenges,
    /// Connection permits.
    pub slots: Slots,
    /// The stop signal.
    pub shutdown: Shutdown,
}

/// The role of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serve the routes.
    Serve,
    /// Redirect all requests to https, at this port.
    Redirect(u16),
    /// Take messages of GRIP apps, and nothing else.
    Grip,
}

impl Service {
    /// Creates the service for a configuration and its plan. `before` is the service that it replaces: its
    /// workers, sessions and counts continue under the new limits from here on. It cannot fail, and belongs to the
    /// commit of a reload: everything that can fail comes before it.
    #[must_use]
    pub fn new(plan: Plan, config: &Config, around: &Surroundings, before: Option<&Self>) -> Self {
        let Surroundings {
            hub,
            sockjs,
            inside,
            admin_page,
            challenges,
            slots,
            shutdown,
        } = around.clone();
        let spool = Spool::new(
            config.spool.clone(),
            &config.limits,
            before.map(|before| &before.spool),
        );
        let metrics = &inside.metrics;
        let known = before.map_or(&[][..], |before| &before.apps);
        let app = |(settings, tls): (&config::App, &Option<Connector>)| {
            let counted = metrics.apps.of(&settings.name);
            let (settings, tls) = (settings.clone(), tls.as_ref());
            Upstream::new(settings, tls, counted, &spool, known, &shutdown)
        };
        let apps: Vec<_> = config.apps.iter().zip(&plan.connectors).map(app).collect();
        let asked = before.and_then(|before| before.sessions.as_deref());
        Self {
            router: Router::new(config),
            sessions: Sessions::new(config, &apps, asked).map(Arc::new),
            apps,
            counted: config
                .apps
                .iter()
                .map(|app| metrics.requests.of_app(&app.name))
                .collect(),
            inside: Arc::clone(&inside),
            admin_page,
            admins: config.admin.users.clone(),
            offloads: config.apps.iter().map(Offloads::new).collect(),
            reserved: Reserved::new(config),
            files: config.files.iter().map(Directory::new).collect(),
            entrances: plan.entrances,
            asks_for_consoles: config.session.is_required(config.bridge.session),
            channels_need: config.needs(None),
            tokens: plan.tokens,
            targets: Arc::new(plan.targets),
            tells_names: config.session.token_path.is_some(),
            recorder: Recorder::new(
                &config.bridge.recording,
                before.and_then(|before| before.recorder.as_ref()),
            ),
            hub,
            grip: grip::Grip::new(plan.grip, config, before.map(|before| &before.grip)),
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
                trailers: config.limits.headers,
            },
            headers: ResponseHeaders::new(config),
            spool,
            hosts: KnownHosts::new(config),
            limits: Limits::new(&config.limits, before.map(|before| &before.limits)),
            login_paths: config.limits.login_paths.clone(),
            access: config.log.access.then_some(config.log.access_format),
            traces: config.server.traces,
            challenges,
            slots,
            shutdown,
        }
    }

    /// The known host names; those in certificates change during the life of a service.
    #[must_use]
    pub fn hosts(&self) -> &KnownHosts {
        &self.hosts
    }

    /// The admin page, if there is one.
    #[must_use]
    pub fn admin_page(&self) -> Option<&Arc<Page>> {
        self.admin_page.as_ref()
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

    /// Repeats due session queries for open connections; to be called about once a second.
    pub async fn ask_again(&self) {
        if let Some(sessions) = &self.sessions {
            sessions.ask_again(&self.shutdown).await;
        }
    }

    /// Runs the hub's housekeeping; to be called about once a second.
    pub fn look_after_channels(&self) {
        self.look_after_hub();
        self.sockjs.look_after();
        for told in self.hub.ended_elsewhere() {
            if let Some(sessions) = &self.sessions {
                sessions.end_told(&told);
            }
        }
    }

    async fn dispatch(
        self: &Arc<Self>,
        request: Request<Incoming>,
        context: &Context,
        role: Role,
        times: Option<&Timings>,
        route: &mut Option<Route>,
    ) -> Result<Response<Body>, Refusal> {
        let websocket = asks_for_websocket(&request);
        let (parts, body) = request.into_parts();
        let decided = self
            .within_rate(context)
            .and_then(|()| self.checked(&parts, context))
            .and_then(|head| Ok((self.decide(&parts, &head, websocket, context, role)?, head)));
        let (decision, mut head) = match decided {
            Ok(decided) => decided,
            Err(refusal) => {
                refuse(body, &self.shutdown);
                return Err(refusal);
            }
        };
        let mut request = Request::from_parts(parts, body);
        if role == Role::Grip {
            return self.grip_messages(request, &head, context).await;
        }
        let decided = match decision {
            Decision::Answer(response) => return Ok(*response),
            Decision::Route(decided) => decided,
        };
        *route = Some(decided);
        let mut attempt = Attempt::new(decided, &request, context);
        let guess = self.may_guess(decided, &request, &head, context).await;
        let entered = match &guess {
            Ok(_) => self.enter(decided, &mut request, &mut head, context).await,
            Err(refusal) => Err(refusal.clone()),
        };
        let answered = match entered {
            Ok(()) => {
                attempt.entered(&head);
                self.answer(decided, request, &head, context, times, &mut attempt)
                    .await
            }
            Err(refusal) => {
                refuse(request.into_body(), &self.shutdown);
                Err(refusal)
            }
        };
        if let Ok(Some(guess)) = guess {
            self.guessed(guess, &answered, &head, context);
        }
        if let Err(refusal) = &answered {
            attempt.refused(refusal);
        }
        answered
    }

    /// Checks the head of a request. `SockJS` has nothing at a path with dot segments, and says so as for other paths
    /// that it does not have.
    fn checked(&self, parts: &Parts, context: &Context) -> Result<Head, Refusal> {
        Head::check(parts, context).map_err(|refusal| {
            let has_dots = refusal.reason == PathFault::DotSegment.to_string();
            if has_dots && self.router.is_sockjs(parts.uri.path()) {
                Refusal::not_found("SockJS has nothing at this address").closing()
            } else {
                refusal
            }
        })
    }

    async fn answer(
        self: &Arc<Self>,
        route: Route,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
        times: Option<&Timings>,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response<Body>, Refusal> {
        // A future has room for the largest of its branches and is moved as a whole, so all branches but the one of
        // apps are boxed; so are the rare ones below it.
        match route {
            Route::Websockify => Box::pin(self.websockify(request, head, context, attempt)).await,
            Route::Hub(at) => {
                let rest = head.path.as_str().get(at..).unwrap_or_default();
                Box::pin(self.hub(rest, request, head, context, attempt)).await
            }
            Route::Page(at) => {
                let rest = head.path.as_str().get(at..);
                Box::pin(self.page(rest, request, head, context)).await
            }
            Route::Welcome => {
                refuse(request.into_body(), &self.shutdown);
                Ok(welcome())
            }
            Route::App(index) => {
                self.app(index, request, head, context, times, attempt)
                    .await
            }
            Route::Files(index) => Box::pin(self.file(index, request, head)).await,
        }
    }

    /// Decides as much as the checked head alone permits.
    fn decide(
        &self,
        parts: &Parts,
        head: &Head,
        websocket: bool,
        context: &Context,
        role: Role,
    ) -> Result<Decision, Refusal> {
        if let Some(text) = self.challenges.file(head.path.as_str()) {
            return Ok(Decision::Answer(Box::new(challenge(&text))));
        }
        if let Role::Redirect(port) = role {
            return redirect(head, &parts.uri, port)
                .map(|answer| Decision::Answer(Box::new(answer)));
        }
        if role == Role::Grip {
            return Ok(Decision::Route(Route::Welcome));
        }
        if head.asterisk {
            return Ok(Decision::Answer(Box::new(no_content())));
        }
        let route = self.router.route(Asked {
            host: head.authority.host(),
            path: &head.path,
            query: parts.uri.query(),
            websocket,
        })?;
        self.permit_host(route, head, context)?;
        if let Route::App(index) = route
            && let Some(app) = self.apps.get(index)
        {
            permit_method(&app.settings().methods, parts)?;
        }
        if route == Route::Websockify && self.targets.is_empty() && self.channel_tokens.is_empty() {
            return Err(Refusal::not_found(
                "no tokens are configured here ([[bridge.tokens]])",
            ));
        }
        Ok(Decision::Route(route))
    }

    async fn app(
        self: &Arc<Self>,
        index: usize,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
        times: Option<&Timings>,
        attempt: &Attempt<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let Some(upstream) = self.apps.get(index) else {
            return Err(Refusal::not_found("nothing is served at this address"));
        };
        let reserved = self.reserved.check(upstream.settings(), &head.path);
        if let Err(refusal) = reserved {
            refuse(request.into_body(), &self.shutdown);
            return Err(refusal);
        }
        let is_known = |headers: &HeaderMap| self.knows(headers);
        let forward = Forward {
            upstream,
            body: self.body,
            context,
            head,
            asker: Asker {
                address: context.peer.counted_as(),
                is_https: context.scheme == Scheme::Https,
                is_known: &is_known,
                times,
            },
            tasks: &self.shutdown,
            removed: self.headers.replaced(Some(Route::App(index))),
        };
        let grip = match self.grip.app(index, &request) {
            Ok(app) => app,
            Err(refusal) => {
                refuse(request.into_body(), &self.shutdown);
                return Err(refusal);
            }
        };
        if asks_for_websocket(&request) {
            let handshake = Handshake::check(&request)?;
            if let Some(entrance) = self.entrances.apps.get(index) {
                Self::permit_page(entrance, request.headers(), head, context)?;
            }
            let slot = self.slot_of_tunnel(request.version(), context)?;
            if let Some(app) = grip.filter(grip::GripApp::is_asked_over_http) {
                let visitor = (head, context, attempt);
                let socket =
                    self.socket_of_grip(app, upstream, request, (handshake, slot), visitor);
                return Box::pin(socket).await;
            }
            let opened = |app| Opened::new(attempt.who(), What::new(Kind::WebSocket, app));
            let tunnel = proxy::open_tunnel(forward, request, handshake, slot, opened);
            return Box::pin(tunnel).await;
        }
        if request.method() == http::Method::CONNECT {
            return Err(Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "the only protocol for CONNECT known here is websocket",
            ));
        }
        let change = match &self.sessions {
            Some(sessions) => {
                let asked = (request.method(), request.headers());
                let change = sessions.change(index, asked, head, context);
                Box::pin(change).await.map(|change| (sessions, change))
            }
            None => None,
        };
        let offloads = self.offloads.get(index);
        let asked = offloads.and_then(|offloads| Some((offloads, offloads.remember(&request)?)));
        let mut answer = match grip {
            Some(app) => {
                let visitor = (head, context, attempt);
                Box::pin(self.request_of_grip(app, forward, request, visitor)).await?
            }
            None => forward.request(request).await?,
        };
        if let Some((offloads, asked)) = asked {
            answer = Box::pin(offloads.resolve(asked, answer)).await?;
        }
        if let Some((sessions, change)) = change
            && sessions.make(&change, answer.status(), &self.shutdown)
        {
            for told in sessions.to_tell(&change) {
                self.hub.tell_ended(told);
            }
        }
        Ok(answer)
    }

    async fn file(
        &self,
        index: usize,
        request: Request<Incoming>,
        head: &Head,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        // Nobody wants it, and its sender still gets the answer.
        refuse(body, &self.shutdown);
        let Some(directory) = self.files.get(index) else {
            return Err(Refusal::not_found("nothing is served at this address"));
        };
        let file = Named {
            path: head.path.with_parameters(),
            query: parts.uri.query(),
        };
        directory.serve(&parts.method, file, &parts.headers).await
    }
}

/// The tokens of the bridge that name channels.
fn channel_tokens(config: &Config) -> Vec<(String, ChannelName)> {
    let named = config.channels.iter();
    named
        .filter_map(|channel| Some((channel.token.clone()?, channel.name.name()?)))
        .collect()
}
