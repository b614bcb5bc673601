//! A request for a console: checks visitor, token and target before anything is opened.
//!
//! Decides whether a tunnel is opened; independent of the data in it.

use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};

use crate::access::session::Visitor;
use crate::bridge::{self, Connection, NotRecorded, Recorder, Subprotocol, Tap};
use crate::clock::now_milliseconds;
use crate::config::{self, Config};
use crate::http::{Body, ClosedFor, Head, Refusal};
use crate::net::{ConnectError, Slot};
use crate::recording::Header;
use crate::rfb::{LoginError, Rejection, Rules, Session};
use crate::service::audit_record::AuditRecord;
use crate::service::exchange::Exchange;
use crate::service::handlers::token_watch;
use crate::service::handlers::wok_page::WokPage;
use crate::service::route_auth::{Entrances, permit_page};
use crate::service::session_auth::SessionAuth;
use crate::service::shared::Shared;
use crate::service::token_limit::{TokenLimit, forgive};
use crate::service::tunnel_permits::TunnelPermits;
use crate::shutdown::Shutdown;
use crate::tls::{DialError, Outgoing};
use crate::tokens::{LinkError, ResolveError, Resolver, Target, Token, TokenError};
use crate::websocket::Handshake;

/// Handles requests for consoles.
#[derive(Debug)]
pub(super) struct Console {
    entrances: Arc<Entrances>,
    sessions: SessionAuth,
    /// True if consoles are only for visitors with a session.
    needs_session: bool,
    settings: config::Bridge,
    limit: TokenLimit,
    targets: Arc<Resolver>,
    wok_page: WokPage,
    /// True if names of consoles may be logged: they are no secrets if the app is asked about consoles by name.
    /// Otherwise the name may be the whole token.
    tells_names: bool,
    permits: TunnelPermits,
    recorder: Option<Recorder>,
    shutdown: Shutdown,
}

impl Console {
    pub(super) fn new(
        config: &Config,
        shared: &Shared,
        targets: Resolver,
        recorder: Option<Recorder>,
    ) -> Self {
        Self {
            entrances: Arc::clone(&shared.entrances),
            sessions: shared.sessions.clone(),
            needs_session: config.session.is_required(config.bridge.session),
            settings: config.bridge.clone(),
            limit: shared.tokens.clone(),
            targets: Arc::new(targets),
            wok_page: WokPage::new(config, shared),
            tells_names: config.session.token_path.is_some(),
            permits: shared.permits.clone(),
            recorder,
            shutdown: shared.shutdown.clone(),
        }
    }

    /// True if no token leads anywhere.
    pub(super) fn is_unconfigured(&self) -> bool {
        self.targets.is_empty() && self.wok_page.is_unconfigured()
    }

    /// Opens a console, or the channel that the token names: a list of steps in the order that security needs.
    pub(super) async fn handle(
        &self,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let handshake = match Handshake::check(&exchange.request) {
            Ok(handshake) => handshake,
            Err(refusal) => return Err(exchange.refuse(refusal, &self.shutdown)),
        };
        let context = exchange.context;
        permit_page(&self.entrances.bridge, exchange.asking().0)?;
        self.limit.check(context)?;
        // Before the app is asked, which sees no password of Noren.
        let at_hub = self.wok_page.enter(&mut exchange).await;
        // Before the token is looked at: who is not logged in does not learn which tokens there are.
        let visitor = if self.needs_session {
            let headers = exchange.request.headers();
            let visitor = self.sessions.visitor(headers, exchange.head, context);
            let visitor = visitor.await?;
            exchange.audit.known(visitor.name());
            Some(visitor)
        } else {
            None
        };
        let token = self.token(&exchange)?;
        let place = self.limit.hold(context).await?;
        let asked = match self.targets.admit(token, context.peer.ip()).await {
            Ok(asked) => asked,
            Err(error) => {
                if !matches!(error, LinkError::Unsigned | LinkError::Invalid(_)) {
                    forgive(place);
                }
                return Err(not_admitted(&error));
            }
        };
        if let Some(channel) = self.wok_page.channel_of(asked.token()) {
            forgive(place);
            at_hub?;
            let subprotocol = Subprotocol::choose(&handshake, &[])?;
            let page = &self.wok_page;
            let opening = page.permit(channel, subprotocol, visitor, &mut exchange);
            let opening = opening.await?;
            let spent = self.targets.spend(&asked).await;
            spent.map_err(|error| not_admitted(&error))?;
            return page.open(opening, exchange, handshake);
        }
        let found = self.targets.resolve(&asked).await;
        if !matches!(found, Err(ResolveError::Unknown)) {
            forgive(place);
        }
        let target = found.map_err(|error| unresolved(&error))?;
        // The id of a server is no secret, as a token is.
        let tells_name = self.tells_names || target.server.is_some();
        exchange.audit.found(&target, tells_name);
        let rules = rules(&target, visitor.as_ref(), exchange.head);
        let subprotocol = Subprotocol::choose(&handshake, target.subprotocols())?;
        let lease = match visitor {
            Some(visitor) => Some(self.sessions.lease(visitor, &target).await?),
            None => None,
        };
        // After the permission, so that nobody else learns what the token is for.
        let rules = rules?;
        let slot = self.permits.take(exchange.request.version(), context)?;
        // A single-use link is used up when all else has said yes, and before anything is opened.
        let spent = self.targets.spend(&asked).await;
        spent.map_err(|error| not_admitted(&error))?;
        let socket = self.connect(&target).await?;
        let socket = match log_in(socket, &target, rules, exchange.audit).await {
            Ok(socket) => socket,
            Err(turned_away) => {
                return Ok(self.turn_away(exchange, handshake, subprotocol, slot, turned_away));
            }
        };
        let tap = self.record(&target, exchange.audit).await?;
        let boundary = target.boundary.clone();
        let times = token_watch::Times {
            interval: self.settings.recheck_tokens,
            expires: target.expires,
        };
        let watch = || {
            let targets = Arc::clone(&self.targets);
            let now = token_watch::Seen {
                target: target.endpoint,
                view_only: target.view_only,
                server: target.server,
            };
            token_watch::watch(targets, asked, now, times, &self.shutdown)
        };
        let is_watched = times.interval.is_some() || times.expires.is_some();
        let opened = bridge::Opened {
            socket,
            subprotocol,
            slot,
            tap,
            line: exchange.audit.opened(),
            boundary,
            lease,
            revocation: is_watched.then(watch),
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

    /// The token of a request: its parameter, or else its cookie, or the host name where hosts are tokens.
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

    /// Connects once, before the handshake is accepted: there is no probe and no second audit.
    async fn connect(&self, target: &Target) -> Result<Outgoing, Refusal> {
        let socket = target.connect(self.settings.connect).await;
        socket.map_err(|error| {
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
        })
    }

    /// Opens a WebSocket only to refuse the client in the words of RFB: viewers show a reason that comes so, and
    /// nothing of an HTTP response. The log has the refusal as if it were one.
    fn turn_away(
        &self,
        exchange: Exchange<'_>,
        handshake: Handshake,
        subprotocol: Subprotocol,
        slot: Option<Slot>,
        turned_away: TurnedAway,
    ) -> Response<Body> {
        let TurnedAway {
            reason,
            limit,
            refusal,
        } = turned_away;
        exchange.audit.refused(&refusal);
        let rejection = Rejection::new(reason, limit);
        let around = (exchange.context, &self.settings, &self.shutdown);
        let request = exchange.request;
        let mut response =
            bridge::turn_away(request, handshake, subprotocol, rejection, slot, around);
        response.extensions_mut().insert(ClosedFor(refusal));
        response
    }

    /// Starts to record a console, if it is to be recorded.
    async fn record(&self, target: &Target, audit: &AuditRecord) -> Result<Option<Tap>, Refusal> {
        let Some(recorder) = &self.recorder else {
            return Ok(None);
        };
        let who = audit.who();
        let mut header = Header::new(now_milliseconds(), target.to_string(), who.peer);
        header.console.clone_from(&audit.what().console);
        let user = who.user.or(who.login).or(who.certificate);
        header.user = user.map(|user| user.to_string());
        let tap = recorder.begin(&target.name, header, &self.shutdown).await;
        tap.map_err(|error: NotRecorded| {
            let reason = "this console is only opened when it can be recorded, which is not so now";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason).because(&error)
        })
    }
}

/// A host that was reached and does not let Noren in: the reason for the browser, and the refusal for the log.
struct TurnedAway {
    reason: &'static str,
    /// Time limit for the browser to say its version.
    limit: Duration,
    refusal: Refusal,
}

/// Performs the handshake of RFB with the target, if it is to be spoken.
async fn log_in(
    connection: Outgoing,
    target: &Target,
    rules: Option<Rules>,
    audit: &mut AuditRecord,
) -> Result<Connection, TurnedAway> {
    let (Some(rfb), Some(rules)) = (target.rfb(), rules) else {
        return Ok(Connection::Raw(connection));
    };
    let login = &rfb.login;
    let performed = login.perform(connection, &target.endpoint, target.password.as_ref());
    let host = performed.await.map_err(|error: LoginError| {
        let (status, reason) = if error.is_slow() {
            (
                StatusCode::GATEWAY_TIMEOUT,
                "the console behind this token did not answer in time",
            )
        } else {
            (
                StatusCode::BAD_GATEWAY,
                "the console behind this token does not let Noren in; its log says why",
            )
        };
        TurnedAway {
            reason,
            limit: login.limit(),
            refusal: Refusal::new(status, reason).because(&error),
        }
    })?;
    audit.secured(host.method, rules);
    let session = Session::new(host, login.limit(), rules);
    Ok(Connection::Rfb(Box::new(session)))
}

/// The rules for a visitor of a console; `None` if RFB is not spoken there, in which case a visitor cannot be
/// restricted to viewing.
fn rules(
    target: &Target,
    visitor: Option<&Visitor>,
    head: &Head,
) -> Result<Option<Rules>, Refusal> {
    let identity = visitor.map(Visitor::identity);
    let name = identity.and_then(|identity| identity.name.as_deref());
    let names: Vec<_> = name.into_iter().chain(head.user.as_deref()).collect();
    let groups: &[Box<str>] = identity.map_or(&[], |identity| &*identity.groups);
    let Some(rfb) = target.rfb() else {
        let elsewhere = target.access_elsewhere();
        let is_viewer = elsewhere.is_some_and(|access| access.is_viewer(&names, groups));
        return if target.view_only || is_viewer {
            let reason =
                "this link or token is for looking only, which this console is not set up for";
            let cause = "the visitor may only look, and Noren does not speak RFB with the target; write rfb = {} for \
                         it, or see rfb.ports";
            Err(Refusal::new(StatusCode::FORBIDDEN, reason).because(&cause))
        } else {
            Ok(None)
        };
    };
    Ok(Some(Rules {
        view_only: target.view_only || rfb.access.is_viewer(&names, groups),
        clipboard: rfb.access.clipboard,
    }))
}

/// The refusal for a client whose link is not valid. It reveals nothing about existing targets.
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
