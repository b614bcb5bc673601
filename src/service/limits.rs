//! The limits of a client as steps of a request: whose it is, whether there may be one more, and what counts as a
//! failed login or a made-up token.

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, StatusCode};

use crate::access::limits::TooMany;
use crate::config;
use crate::http::{Claimed, Context, Refusal};
use crate::service::Service;

/// What a request may be that tries a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// Nothing of the kind.
    None,
    /// A form. It counts from the beginning, so that many at once are not as good as one.
    Form,
    /// HTTP Basic, which browsers send with everything once they are let in. It counts when it has failed.
    Basic,
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

    /// Looks whether a request to an app is a login, and whether there may be one more.
    pub(super) fn may_log_in<B>(
        &self,
        app: &config::App,
        request: &Request<B>,
        context: &Context,
    ) -> Result<Guess, Refusal> {
        let logins = self.limits.logins();
        let too_many = |wait| too_many("failed logins", wait);
        if request.method() == Method::POST && self.is_login(app, request.uri().path()) {
            logins.take(context.peer).map_err(too_many)?;
            return Ok(Guess::Form);
        }
        self.may_guess(request.headers(), context)
    }

    /// Looks whether a request shows a password, and whether there may be one more.
    pub(super) fn may_guess(
        &self,
        headers: &HeaderMap,
        context: &Context,
    ) -> Result<Guess, Refusal> {
        if !is_basic(headers) {
            return Ok(Guess::None);
        }
        let checked = self.limits.logins().check(context.peer);
        checked.map_err(|wait| too_many("failed logins", wait))?;
        Ok(Guess::Basic)
    }

    /// Counts a guess by what came of it; without a status there was no answer of the app.
    pub(super) fn guessed(&self, guess: Guess, status: Option<StatusCode>, context: &Context) {
        let failed = matches!(
            status,
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        );
        match guess {
            Guess::Form if !failed => self.limits.logins().forgive(context.peer),
            // 403 is for a user who is known.
            Guess::Basic if status == Some(StatusCode::UNAUTHORIZED) => {
                self.limits.logins().count(context.peer);
            }
            Guess::None | Guess::Form | Guess::Basic => {}
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

    fn is_login(&self, app: &config::App, path: &str) -> bool {
        let below = app
            .server_root
            .as_ref()
            .and_then(|root| path.strip_prefix(root.as_str()));
        let is = |login: &String| login == path || Some(login.as_str()) == below;
        self.login_paths.iter().any(is)
    }
}

fn is_basic(headers: &HeaderMap) -> bool {
    let scheme = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().get(..6));
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
}

fn too_many(what: &str, TooMany(wait): TooMany) -> Refusal {
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        format!("too many {what} came from your address; please wait a moment"),
    )
    // Rounded up, or a client that comes back at the second would come too early.
    .retry_after(wait + std::time::Duration::from_secs(1))
}
