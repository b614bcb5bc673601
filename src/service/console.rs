//! A request for a console: checks visitor, token and target before anything is opened.
//!
//! Decides whether a tunnel is opened; independent of the data in it.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use http::{Request, Response, StatusCode};

use crate::access::session::Visitor;
use crate::bridge::{self, Connection, NotRecorded, Subprotocol, Tap};
use crate::http::{Body, Context, Head, Incoming, Refusal, refuse};
use crate::net::ConnectError;
use crate::recording::Header;
use crate::rfb::{LoginError, Rules, Session};
use crate::service::audit_record::Attempt;
use crate::service::channel_auth::Asking;
use crate::service::limits::forgive;
use crate::service::{Service, token_watch};
use crate::tls::{DialError, Outgoing};
use crate::tokens::{LinkError, ResolveError, Target, Token};
use crate::websocket::Handshake;

impl Service {
    pub(super) async fn websockify(
        &self,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
        attempt: &mut Attempt<'_>,
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
            let visitor = self.visitor(request.headers(), head, context).await?;
            attempt.known(visitor.name());
            Some(visitor)
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
        let place = self.hold_token(context).await?;
        let asked = match self.targets.admit(token, context.peer.ip()).await {
            Ok(asked) => asked,
            Err(error) => {
                if !matches!(error, LinkError::Unsigned | LinkError::Invalid(_)) {
                    forgive(place);
                }
                return Err(not_admitted(&error));
            }
        };
        if let Some(channel) = self.channel_of(asked.token()) {
            forgive(place);
            let subprotocol = Subprotocol::choose(&handshake, &[])?;
            let names = std::slice::from_ref(&channel);
            attempt.about(crate::hub::channels_named(names));
            let asking = Asking {
                headers: request.headers(),
                query: request.uri().query(),
                head,
                context,
            };
            // A channel is as closed here as it is at the hub.
            let permit = match visitor {
                Some(visitor) => self.permit_visitor(names, visitor, asking, attempt).await?,
                None => self.permit(names, asking, attempt).await?,
            };
            let spent = self.targets.spend(&asked).await;
            spent.map_err(|error| not_admitted(&error))?;
            return self.wok_page(
                channel,
                request,
                handshake,
                &subprotocol,
                context,
                (permit.lease, attempt),
            );
        }
        let found = self.targets.resolve(&asked).await;
        if !matches!(found, Err(ResolveError::Unknown)) {
            forgive(place);
        }
        let target = found.map_err(|error| unresolved(&error))?;
        attempt.found(&target, self.tells_names);
        let rules = rules(&target, visitor.as_ref(), head);
        let subprotocol = Subprotocol::choose(&handshake, target.subprotocols())?;
        let lease = match visitor {
            Some(visitor) => Some(self.lease(visitor, &target).await?),
            None => None,
        };
        // After the permission, so that nobody else learns what the token is for.
        let rules = rules?;
        let slot = self.slot_of_tunnel(request.version(), context)?;
        // A single-use link is used up when all else has said yes, and before anything is opened.
        let spent = self.targets.spend(&asked).await;
        spent.map_err(|error| not_admitted(&error))?;
        let socket = self.connect(&target).await?;
        let socket = log_in(socket, &target, rules, attempt).await?;
        let tap = self.record(&target, attempt).await?;
        let boundary = target.boundary.clone();
        let times = token_watch::Times {
            interval: self.bridge.recheck_tokens,
            expires: target.expires,
        };
        let watch = || {
            let targets = Arc::clone(&self.targets);
            let now = (target.endpoint, target.view_only);
            token_watch::watch(targets, asked, now, times, &self.shutdown)
        };
        let is_watched = times.interval.is_some() || times.expires.is_some();
        let opened = bridge::Opened {
            socket,
            slot,
            tap,
            line: attempt.opened(),
            boundary,
            lease,
            revocation: is_watched.then(watch),
        };
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

    /// Connects once, before the handshake is accepted: there is no probe and no second attempt.
    async fn connect(&self, target: &Target) -> Result<Outgoing, Refusal> {
        let socket = target.connect(self.bridge.connect).await;
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

    /// Starts to record a console, if it is to be recorded.
    async fn record(&self, target: &Target, attempt: &Attempt<'_>) -> Result<Option<Tap>, Refusal> {
        let Some(recorder) = &self.recorder else {
            return Ok(None);
        };
        let who = attempt.who();
        let begun = UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        let begun = u64::try_from(begun).unwrap_or(u64::MAX);
        let mut header = Header::new(begun, target.to_string(), who.peer);
        header.console.clone_from(&attempt.what().console);
        let user = who.user.or(who.login).or(who.certificate);
        header.user = user.map(|user| user.to_string());
        let tap = recorder.begin(&target.name, header, &self.shutdown).await;
        tap.map_err(|error: NotRecorded| {
            let reason = "this console is only opened when it can be recorded, which is not so now";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason).because(&error)
        })
    }
}

/// Performs the handshake of RFB with the target, if it is to be spoken.
async fn log_in(
    connection: Outgoing,
    target: &Target,
    rules: Option<Rules>,
    attempt: &mut Attempt<'_>,
) -> Result<Connection, Refusal> {
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
        Refusal::new(status, reason).because(&error)
    })?;
    attempt.secured(host.method, rules);
    let session = Session::new(host, login.limit(), rules);
    Ok(Connection::Rfb(Box::new(session)))
}

/// The rules for a visitor of a console; `None` if RFB is not spoken there, in which case nobody can be held to
/// looking.
fn rules(
    target: &Target,
    visitor: Option<&Visitor>,
    head: &Head,
) -> Result<Option<Rules>, Refusal> {
    let Some(rfb) = target.rfb() else {
        return if target.view_only {
            let reason =
                "this link or token is for looking only, which this console is not set up for";
            let cause = "the token is for looking only, and Noren does not speak RFB with its target; write rfb = {} \
                         for it";
            Err(Refusal::new(StatusCode::FORBIDDEN, reason).because(&cause))
        } else {
            Ok(None)
        };
    };
    let identity = visitor.map(Visitor::identity);
    let name = identity.and_then(|identity| identity.name.as_deref());
    let names: Vec<_> = name.into_iter().chain(head.user.as_deref()).collect();
    let groups: &[Box<str>] = identity.map_or(&[], |identity| &*identity.groups);
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
