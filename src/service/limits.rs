//! The limits of a client as steps of a request: whose it is, whether there may be one more, what counts as a
//! failed login or a made-up token, and which tunnels take a place among the connections.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode, Version};

use crate::access::limits::TooMany;
use crate::config::{self, PathPrefix};
use crate::http::{Body, Claimed, Context, Head, Refusal, RequestPath};
use crate::net::{NoSlot, Slot};
use crate::router::Route;
use crate::service::Service;

/// When a client may come back for whose tunnel there is no place.
const NO_SLOT_RETRY: Duration = Duration::from_secs(5);

/// A way to try a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// Nothing of the kind.
    None,
    /// A request to a login path that may change something. It counts from the beginning, so that many at once are
    /// not as good as one.
    Login,
    /// Another request to a login path, which usually shows the form. It counts when it has failed.
    LoginPage,
    /// A request with a credential of any scheme, which browsers send with everything once they are let in. It
    /// counts when it has failed.
    Credential,
}

/// What is known of a client when a trusted proxy has said so; none if nobody has.
pub(super) fn named(headers: &HeaderMap, context: &Context) -> Option<Context> {
    let proxies = context.proxies.as_deref()?;
    let claimed = Claimed::read(headers, proxies);
    let mut named = context.clone();
    named.peer = claimed.peer.unwrap_or(context.peer);
    named.scheme = claimed.scheme.unwrap_or(context.scheme);
    Some(named)
}

impl Service {
    /// Counts a request.
    pub(super) fn within_rate(&self, context: &Context) -> Result<(), Refusal> {
        let taken = self.limits.requests().take(context.peer);
        taken.map_err(|wait| too_many("requests", wait))
    }

    /// Looks whether a request tries a password, and whether there may be one more.
    pub(super) fn may_guess<B>(
        &self,
        route: Route,
        request: &Request<B>,
        head: &Head,
        context: &Context,
    ) -> Result<Guess, Refusal> {
        let logins = self.limits.logins();
        let too_many = |wait| too_many("failed logins", wait);
        let guess = if self.is_login_of(route, &head.path) {
            // Many apps log in by whatever method comes.
            if !request.method().is_safe() {
                logins.take(context.peer).map_err(too_many)?;
                return Ok(Guess::Login);
            }
            Guess::LoginPage
        } else if request.headers().contains_key(AUTHORIZATION) {
            Guess::Credential
        } else {
            return Ok(Guess::None);
        };
        logins.check(context.peer).map_err(too_many)?;
        Ok(guess)
    }

    /// Counts a guess by what came of it.
    pub(super) fn guessed(
        &self,
        guess: Guess,
        answered: &Result<Response<Body>, Refusal>,
        context: &Context,
    ) {
        let failed = has_failed(guess, answered);
        let logins = self.limits.logins();
        match guess {
            Guess::Login if !failed => logins.forgive(context.peer),
            Guess::LoginPage | Guess::Credential if failed => logins.count(context.peer),
            Guess::None | Guess::Login | Guess::LoginPage | Guess::Credential => {}
        }
    }

    /// Whether a token may be looked at.
    pub(super) fn may_try_token(&self, context: &Context) -> Result<(), Refusal> {
        let checked = self.limits.tokens().check(context.peer);
        checked.map_err(|wait| too_many("tokens that are not known here", wait))
    }

    /// Counts a token that is not known.
    pub(super) fn wrong_token(&self, context: &Context) {
        self.limits.tokens().count(context.peer);
    }

    /// The place of a tunnel that opens a socket to its target: its own where the connection it is in has many
    /// streams, one of its client's where the connection is a proxy's, and none where the connection becomes the
    /// tunnel, which has one already.
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

    /// Whether the app could take a path for one of its logins, in whatever spelling: what lies below one may be the
    /// arguments of the same page (`PATH_INFO`).
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

/// Whether a guess was wrong, as far as the answer says so.
fn has_failed(guess: Guess, answered: &Result<Response<Body>, Refusal>) -> bool {
    match answered {
        // Elsewhere 403 is for a user who is known.
        Ok(answer) if answer.status() == StatusCode::FORBIDDEN => guess != Guess::Credential,
        Ok(answer) => answer.status() == StatusCode::UNAUTHORIZED,
        // Tokens for channels have a limit of their own, which those that have only expired do not count for.
        Err(refusal) => refusal.status == StatusCode::UNAUTHORIZED && !refusal.asks_for(b"Bearer"),
    }
}

fn too_many(what: &str, TooMany(wait): TooMany) -> Refusal {
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        format!("too many {what} came from your address; please wait a moment"),
    )
    // Rounded up, or a client that comes back at the second would come too early.
    .retry_after(wait + Duration::from_secs(1))
}
