//! Limits per client as steps of a request: identifies the client, checks its limits, counts failed logins and
//! made-up tokens, and takes connection permits for tunnels.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode, Version};

use crate::access::accepted::Mark;
use crate::access::limits::{Place, TooMany};
use crate::config::{self, PathPrefix};
use crate::http::{Body, Claimed, Context, Head, Refusal, RequestPath, is_basic};
use crate::net::{NoSlot, Slot};
use crate::router::Route;
use crate::service::Service;

/// `Retry-After` for a tunnel without a connection permit.
const NO_SLOT_RETRY: Duration = Duration::from_secs(5);

/// An attempt to log in.
pub(super) struct Guess {
    /// True if it goes to a login path.
    at_login: bool,
    /// The basic credential, which a browser sends with every request once it is accepted.
    basic: Option<Mark>,
    /// Its place in the limit, taken at the start, so that many at once do not count as one; `None` for a request
    /// that shows a login form, for a recently accepted credential and for one of another scheme, which count when
    /// they have failed.
    place: Option<Place>,
}

/// The connection's context with the client that a trusted proxy reports; `None` without a proxy.
pub(super) fn named(headers: &HeaderMap, context: &Context) -> Option<Context> {
    let proxies = context.proxies.as_deref()?;
    let claimed = Claimed::read(headers, proxies);
    let mut named = context.clone();
    named.peer = claimed.peer.unwrap_or(context.peer);
    named.scheme = claimed.scheme.unwrap_or(context.scheme);
    Some(named)
}

impl Service {
    /// Counts a request towards the rate limit.
    pub(super) fn within_rate(&self, context: &Context) -> Result<(), Refusal> {
        let taken = self.limits.requests().take(context.peer);
        taken.map_err(|wait| too_many("requests", wait))
    }

    /// Checks the limit for a request that attempts a login.
    pub(super) fn may_guess<B>(
        &self,
        route: Route,
        request: &Request<B>,
        head: &Head,
        context: &Context,
    ) -> Result<Option<Guess>, Refusal> {
        let at_login = self.is_login_of(route, &head.path);
        let credential = request.headers().get(AUTHORIZATION);
        if !at_login && credential.is_none() {
            return Ok(None);
        }
        let accepted = self.limits.accepted();
        let basic = credential
            .filter(|line| is_basic(line.as_bytes()))
            .map(|line| accepted.mark(line.as_bytes()));
        let is_new = basic.is_some_and(|mark| !accepted.has(context.peer, mark));
        let logins = self.limits.logins();
        // Many apps log in by whatever method comes.
        let place = if is_new || (at_login && !request.method().is_safe()) {
            logins.hold(context.peer)
        } else {
            logins.check(context.peer).map(|()| None)
        };
        Ok(Some(Guess {
            at_login,
            basic,
            place: place.map_err(|wait| too_many("failed logins", wait))?,
        }))
    }

    /// Counts an attempt by its result.
    pub(super) fn guessed(
        &self,
        guess: Guess,
        answered: &Result<Response<Body>, Refusal>,
        context: &Context,
    ) {
        let accepted = self.limits.accepted();
        let failed = guess.has_failed(answered);
        match guess.basic {
            Some(mark) if failed => accepted.forget(context.peer, mark),
            Some(mark) if is_accepted(answered) => accepted.keep(context.peer, mark),
            _ => {}
        }
        match guess.place {
            Some(place) if !failed => place.forgive(),
            None if failed => self.limits.logins().count(context.peer),
            // It counts as it is given up.
            _ => {}
        }
    }

    /// Checks the limit on wrong tokens.
    pub(super) fn may_try_token(&self, context: &Context) -> Result<(), Refusal> {
        let checked = self.limits.tokens().check(context.peer);
        checked.map_err(|wait| too_many("tokens that are not known here", wait))
    }

    /// Counts an unknown token.
    pub(super) fn wrong_token(&self, context: &Context) {
        self.limits.tokens().count(context.peer);
    }

    /// Takes the connection permit of a tunnel that opens a socket to its target: a permit of its own on a
    /// connection with several streams, one of its client's on a connection of a proxy, and none if the connection
    /// becomes the tunnel, which has one already.
    pub(super) fn slot_of_tunnel(
        &self,
        version: Version,
        context: &Context,
    ) -> Result<Option<Slot>, Refusal> {
        let slot = if version == Version::HTTP_2 {
            self.slots.take_inner(&context.peer)
        } else if context.proxies.is_some() {
            self.slots.take_of_address(&context.peer)
        } else {
            return Ok(None);
        };
        let (status, limit, reason) = match slot {
            Ok(slot) => return Ok(Some(slot)),
            Err(NoSlot::Address) => (
                StatusCode::TOO_MANY_REQUESTS,
                "connections-per-address",
                "as many connections are open from your address as may be",
            ),
            Err(NoSlot::All) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "connections",
                "all connections that there may be are open",
            ),
        };
        self.inside.metrics.connections.refuse(limit);
        Err(Refusal::new(status, reason).retry_after(NO_SLOT_RETRY))
    }

    fn is_login_of(&self, route: Route, path: &RequestPath) -> bool {
        let Route::App(index) = route else {
            return false;
        };
        let app = self.apps.get(index);
        app.is_some_and(|app| self.is_login(app.settings(), path))
    }

    /// True if the app could read a path as one of its logins, in any spelling: the part below one may be an
    /// argument of the same page (`PATH_INFO`).
    fn is_login(&self, app: &config::App, path: &RequestPath) -> bool {
        let folds = app.case_insensitive;
        let is = |login: &str, is_root: bool| {
            path.may_be(login, folds) || (!is_root && path.may_be_below(login, folds))
        };
        let root = app.server_root.as_ref().map(PathPrefix::decoded);
        self.login_paths.iter().any(|login| {
            // Below `/` is all of the app.
            let is_root = login == "/";
            is(login, is_root) || root.is_some_and(|root| is(&format!("{root}{login}"), is_root))
        })
    }
}

impl Guess {
    /// True if the response says that the login failed.
    fn has_failed(&self, answered: &Result<Response<Body>, Refusal>) -> bool {
        match answered {
            // Elsewhere 403 is for a user who is known.
            Ok(answer) if answer.status() == StatusCode::FORBIDDEN => self.at_login,
            Ok(answer) => answer.status() == StatusCode::UNAUTHORIZED,
            // Tokens for channels have a limit of their own, which those that have only expired do not count for.
            Err(refusal) => {
                refusal.status == StatusCode::UNAUTHORIZED && !refusal.asks_for(b"Bearer")
            }
        }
    }
}

/// True if the response says that the client is logged in.
fn is_accepted(answered: &Result<Response<Body>, Refusal>) -> bool {
    answered.as_ref().is_ok_and(|answer| {
        let status = answer.status();
        let is_same = status == StatusCode::NOT_MODIFIED;
        status.is_success() || is_same || status == StatusCode::SWITCHING_PROTOCOLS
    })
}

fn too_many(what: &str, TooMany(wait): TooMany) -> Refusal {
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        format!("too many {what} came from your address; please wait a moment"),
    )
    // Rounded up, or a client that comes back at the second would come too early.
    .retry_after(wait + Duration::from_secs(1))
}
