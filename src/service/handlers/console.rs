//! A request for a console: checks visitor, token and target before anything is opened.
//!
//! Decides if a tunnel is opened; independent of the data in it.

mod permission;

use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};

use crate::access::session::Visitor;
use crate::bridge::{self, Connection, Consoles, Newcomer, Recorder, Subprotocol, Tap};
use crate::config::{self, ChannelName, Config};
use crate::http::{Body, ClosedFor, Lease, Refusal, refuse};
use crate::net::ConnectionPermit;
use crate::rfb::Rejection;
use crate::service::exchange::Exchange;
use crate::service::handlers::console_refusals::{not_admitted, not_shared, unresolved};
use crate::service::handlers::console_rules::Rules;
use crate::service::handlers::presence_stream::{Rights, presence_stream};
use crate::service::handlers::shared_console::{SharedConsoles, ViewersRequest, viewer_name};
use crate::service::handlers::target_connection::{
    HostRefusal, NotConnected, connect, header, log_in, record,
};
use crate::service::handlers::token_watch;
use crate::service::handlers::wok_page::WokPage;
use crate::service::route_auth::{Entrances, permit_page};
use crate::service::session_auth::SessionAuth;
use crate::service::shared_parts::SharedParts;
use crate::service::token_limit::{TokenLimit, forgive};
use crate::service::tunnel_permits::TunnelPermits;
use crate::shutdown::Shutdown;
use crate::tokens::{LinkError, ResolveError, Resolver, Target, TargetRequest, Token, TokenError};
use crate::websocket::Handshake;

/// Interval of the heartbeat of a presence stream, if consoles have no heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Handles requests for consoles.
#[derive(Debug)]
pub(super) struct Console {
    entrances: Arc<Entrances>,
    sessions: SessionAuth,
    /// True if consoles are only open to visitors with a session.
    needs_session: bool,
    settings: config::Bridge,
    limit: TokenLimit,
    targets: Arc<Resolver>,
    wok_page: WokPage,
    /// True if names of consoles may be logged: they are no secrets if the app is queried about consoles by name.
    /// Otherwise a name may be the whole token.
    tells_names: bool,
    permits: TunnelPermits,
    recorder: Option<Recorder>,
    shared: SharedConsoles,
    /// The lists of consoles in progress.
    lists: permission::Lists,
    shutdown: Shutdown,
}

impl Console {
    pub(super) fn new(
        config: &Config,
        shared: &SharedParts,
        targets: Resolver,
        recorder: Option<Recorder>,
        consoles: Consoles,
    ) -> Self {
        let bridge = &config.bridge;
        Self {
            shared: SharedConsoles::new(
                bridge,
                consoles,
                recorder.clone(),
                shared.shutdown.clone(),
            ),
            entrances: Arc::clone(&shared.entrances),
            sessions: shared.sessions.clone(),
            needs_session: config.session.is_required(config.bridge.session),
            settings: config.bridge.clone(),
            limit: shared.tokens.clone(),
            targets: Arc::new(targets),
            wok_page: WokPage::new(config, shared),
            tells_names: config.session.token_path.is_some(),
            permits: shared.permits.clone(),
            lists: permission::Lists::default(),
            recorder,
            shutdown: shared.shutdown.clone(),
        }
    }

    /// True if no token can lead to a target or a channel.
    pub(super) fn is_unconfigured(&self) -> bool {
        self.targets.is_empty() && self.wok_page.is_unconfigured()
    }

    /// Methods of consoles: pages request the keyboard of a shared console with POST.
    pub(super) fn methods(&self) -> &'static str {
        if self.shared.are_possible() {
            "GET, POST"
        } else {
            "GET"
        }
    }

    /// Opens a console, opens the channel that the token names, or responds with the viewers of a console.
    pub(super) async fn handle(
        &self,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let viewers_request = self.shared.parse_request(&exchange.request);
        if let Some(viewers_request) = viewers_request.transpose() {
            let answered = match viewers_request {
                Ok(viewers_request) => Box::pin(self.answer(viewers_request, &mut exchange)).await,
                Err(refusal) => Err(refusal),
            };
            return match answered {
                Ok(response) => {
                    refuse(exchange.request.into_body(), &self.shutdown);
                    Ok(response)
                }
                Err(refusal) => Err(exchange.refuse(refusal, &self.shutdown)),
            };
        }
        match Handshake::check(&exchange.request) {
            Ok(handshake) => self.open(handshake, exchange).await,
            Err(refusal) => Err(exchange.refuse(refusal, &self.shutdown)),
        }
    }

    /// Opens a console or a channel: a list of steps in the order that security requires.
    async fn open(
        &self,
        handshake: Handshake,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let context = exchange.context;
        let (found, at_hub) = self.find(&mut exchange).await?;
        let FoundTarget {
            asked,
            visitor,
            leads_to,
        } = found;
        let target = match leads_to {
            TokenTarget::Channel(channel) => {
                at_hub?;
                let subprotocol = Subprotocol::choose(&handshake, &[])?;
                let page = &self.wok_page;
                let opening = page.permit(channel, subprotocol, visitor, &mut exchange);
                let opening = opening.await?;
                let spent = self.targets.mark_used(&asked).await;
                spent.map_err(|error| not_admitted(&error))?;
                return page.open(opening, exchange, handshake);
            }
            TokenTarget::Console(target) => *target,
        };
        let rules = Rules::of(&self.shared, &target, visitor.as_ref(), exchange.head);
        let subprotocol = Subprotocol::choose(&handshake, target.subprotocols())?;
        let lease = match visitor {
            Some(visitor) => Some(self.sessions.lease(visitor, &target).await?),
            None => None,
        };
        // After the permission, so that no other visitor learns the purpose of the token.
        let rules = rules?;
        let permit = self.permits.take(exchange.request.version(), context)?;
        // A single-use link is used up when all else has said yes, and before anything is opened.
        let spent = self.targets.mark_used(&asked).await;
        spent.map_err(|error| not_admitted(&error))?;
        let connecting = self.connect(&target, rules, lease.as_ref(), &mut exchange);
        let (socket, tap) = match connecting.await {
            Ok(connected) => connected,
            Err(NotConnected::Refused(refusal)) => return Err(refusal),
            Err(NotConnected::HostRefusal(turned_away)) => {
                return Ok(self.refuse_in_rfb(
                    exchange,
                    handshake,
                    subprotocol,
                    permit,
                    turned_away,
                ));
            }
        };
        let boundary = target.boundary.clone();
        let times = self.times(&target);
        let watch = || {
            let targets = Arc::clone(&self.targets);
            token_watch::watch(
                targets,
                asked,
                watched_target(&target),
                times,
                &self.shutdown,
            )
        };
        let opened = bridge::Opened {
            socket,
            subprotocol,
            permit,
            tap,
            line: exchange.audit.opened(),
            console: target.key(),
            boundary,
            lease,
            revocation: times.are_any().then(watch),
        };
        Ok(bridge::open(
            exchange.request,
            handshake,
            opened,
            context,
            &self.settings,
            &self.shutdown,
        ))
    }

    /// Looks up the token of a request, for a page that may open consoles. Also returns if the hub admits the client,
    /// which matters if the token names a channel.
    async fn find(
        &self,
        exchange: &mut Exchange<'_>,
    ) -> Result<(FoundTarget, Result<(), Refusal>), Refusal> {
        permit_page(&self.entrances.bridge, exchange.visitor_parts().0)?;
        self.limit.check(exchange.context)?;
        // Before the query to the app, which gets no password of Noren.
        let at_hub = self.wok_page.enter(exchange).await;
        Ok((self.look_up(exchange).await?, at_hub))
    }

    /// Looks up the token of a request, after a check of the visitor's session. The rate of wrong tokens must have been
    /// checked before.
    async fn look_up(&self, exchange: &mut Exchange<'_>) -> Result<FoundTarget, Refusal> {
        let context = exchange.context;
        // Before the look-up: a visitor without a login must not learn which tokens exist.
        let visitor = self.visitor(exchange).await?;
        let token = self.token(exchange)?;
        let place = self.limit.hold(context).await?;
        let asked = match self.targets.admit(token, context.peer).await {
            Ok(asked) => asked,
            Err(error) => {
                if !matches!(error, LinkError::Unsigned | LinkError::Invalid(_)) {
                    forgive(place);
                }
                return Err(not_admitted(&error));
            }
        };
        let leads_to = if let Some(channel) = self.wok_page.channel_of(asked.token()) {
            forgive(place);
            TokenTarget::Channel(channel)
        } else {
            let found = self.targets.resolve(&asked).await;
            if !matches!(found, Err(ResolveError::Unknown)) {
                forgive(place);
            }
            let target = found.map_err(|error| unresolved(&error))?;
            // The id of a server is no secret, as a token is.
            let tells_name = self.tells_names || target.server.is_some();
            exchange.audit.found(&target, tells_name);
            TokenTarget::Console(Box::new(target))
        };
        Ok(FoundTarget {
            asked,
            visitor,
            leads_to,
        })
    }

    /// The visitor, if consoles are only open to visitors with a session.
    async fn visitor(&self, exchange: &mut Exchange<'_>) -> Result<Option<Visitor>, Refusal> {
        if !self.needs_session {
            return Ok(None);
        }
        let headers = exchange.request.headers();
        let visitor = self
            .sessions
            .visitor(headers, exchange.head, exchange.context);
        let visitor = visitor.await?;
        exchange.audit.known(visitor.name());
        Ok(Some(visitor))
    }

    /// Connects to a target, or joins its viewers, by the rules for the visitor.
    async fn connect(
        &self,
        target: &Target,
        rules: Rules,
        lease: Option<&Lease>,
        exchange: &mut Exchange<'_>,
    ) -> Result<(Connection, Option<Tap>), NotConnected> {
        let rfb = match rules {
            Rules::Shared(settings, view_only) => {
                exchange.audit.shared(view_only);
                let user = lease
                    .and_then(Lease::user)
                    .or(exchange.head.user.as_deref());
                let newcomer = Newcomer {
                    user: user.map(Into::into),
                    name: viewer_name(exchange.request.uri().query())?,
                    view_only,
                };
                let header = header(target, exchange.audit);
                let tunnels = &exchange.context.telemetry.tunnels;
                let joined = self
                    .shared
                    .join(target, settings, newcomer, header, tunnels);
                // One recording is for all viewers.
                return Ok((Connection::Shared(Box::new(joined.await?)), None));
            }
            Rules::Rfb(rules) => Some(rules),
            Rules::None => None,
        };
        let socket = connect(target, self.settings.connect).await?;
        let socket = log_in(socket, target, rfb, exchange.audit).await?;
        let header = header(target, exchange.audit);
        let tap = record(self.recorder.as_ref(), target, header, &self.shutdown).await?;
        Ok((socket, tap))
    }

    /// Responds to a page's request about the viewers of a console, for a visitor who may open it.
    async fn answer(
        &self,
        viewers_request: ViewersRequest,
        exchange: &mut Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let (found, _) = self.find(exchange).await?;
        let FoundTarget {
            asked,
            visitor,
            leads_to: TokenTarget::Console(target),
        } = found
        else {
            return Err(not_shared());
        };
        let lease = match visitor {
            Some(visitor) => Some(self.sessions.lease(visitor, &target).await?),
            None => None,
        };
        let settings = self.shared.settings(&target).ok_or_else(not_shared)?;
        let name = viewer_name(exchange.request.uri().query())?;
        let view = self.shared.view(&target);
        // The link is good for one connection, and for what the page of this one asks.
        let is_there = name
            .as_deref()
            .zip(view.as_ref())
            .is_some_and(|(name, view)| view.has(name));
        let is_single_use = asked.is_single_use();
        if is_single_use && !is_there {
            return Err(not_admitted(&LinkError::Used));
        }
        if let (ViewersRequest::Events, Some(view)) = (viewers_request, &view) {
            // It lasts as long as a console, and its token is checked as often.
            let permit = self
                .permits
                .take(exchange.request.version(), exchange.context)?;
            let times = self.times(&target);
            let watch = || {
                let targets = Arc::clone(&self.targets);
                token_watch::watch(
                    targets,
                    asked,
                    watched_target(&target),
                    times,
                    &self.shutdown,
                )
            };
            let rights = Rights {
                lease,
                revocation: times.are_any().then(watch),
                are_of_viewer: is_single_use,
                _permit: permit,
            };
            let interval = self.settings.heartbeat.unwrap_or(HEARTBEAT);
            return Ok(presence_stream(
                view.clone(),
                name,
                rights,
                interval,
                &self.shutdown,
            ));
        }
        SharedConsoles::answer(viewers_request, view.as_ref(), &settings, name.as_deref())
    }

    /// The times at which the token of a target is checked again.
    fn times(&self, target: &Target) -> token_watch::Times {
        token_watch::Times {
            interval: self.settings.recheck_tokens,
            expires: target.expires,
        }
    }

    /// Opens a WebSocket only to refuse the client in the RFB protocol: viewers show a reason that arrives this way,
    /// and nothing of an HTTP response. The access line shows the refusal like an ordinary one.
    fn refuse_in_rfb(
        &self,
        exchange: Exchange<'_>,
        handshake: Handshake,
        subprotocol: Subprotocol,
        permit: Option<ConnectionPermit>,
        turned_away: HostRefusal,
    ) -> Response<Body> {
        let HostRefusal {
            reason,
            limit,
            refusal,
        } = turned_away;
        exchange.audit.refused(&refusal);
        let rejection = Rejection::new(reason, limit);
        let around = (exchange.context, &self.settings, &self.shutdown);
        let request = exchange.request;
        let mut response =
            bridge::refuse_in_rfb(request, handshake, subprotocol, rejection, permit, around);
        response.extensions_mut().insert(ClosedFor(refusal));
        response
    }

    /// The token of a request: from its parameter, otherwise from its cookie, or from the host name if host names are
    /// tokens.
    fn token(&self, exchange: &Exchange<'_>) -> Result<Token, Refusal> {
        let token = if self.settings.host_token {
            Token::from_host(exchange.head.authority.host())
        } else {
            let in_query = Token::from_query(exchange.request.uri().query());
            match (in_query, &self.settings.token_cookie) {
                (Err(TokenError::Missing | TokenError::Empty), Some(name)) => {
                    Token::from_cookie(exchange.request.headers(), name)
                }
                (token, _) => token,
            }
        };
        token.map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, fault.to_string()))
    }
}

/// The properties of a target that the token watch compares later.
fn watched_target(target: &Target) -> token_watch::WatchedTarget {
    token_watch::WatchedTarget {
        key: target.key(),
        view_only: target.view_only,
        server: target.server.clone(),
    }
}

/// The result of looking up a token.
struct FoundTarget {
    asked: TargetRequest,
    visitor: Option<Visitor>,
    leads_to: TokenTarget,
}

/// The object that a token leads to.
enum TokenTarget {
    Channel(ChannelName),
    Console(Box<Target>),
}
