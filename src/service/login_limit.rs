//! The limit on failed logins as a step of a request, before and after its handler. Independent of how a password is
//! verified.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};

use crate::access::limits::{Limits, Place};
use crate::access::proven::{Extent, Mark, Standing};
use crate::config::{self, Config, PathPrefix};
use crate::http::{Body, Context, Head, Refusal, RequestPath, is_basic};
use crate::router::Route;
use crate::service::app_requests::AppRequests;
use crate::service::token_limit::too_many;

/// Counts failed logins per client.
#[derive(Debug)]
pub(super) struct LoginLimit {
    limits: Arc<Limits>,
    apps: Arc<AppRequests>,
    login_paths: Vec<String>,
}

/// An attempt to log in.
pub(super) struct Guess {
    /// True if the request is for a login path.
    at_login: bool,
    /// The credential, which a client sends with every request once it has been accepted.
    credential: Option<Credential>,
    /// Provisional place in the limit, taken at the start, so that many concurrent requests do not count as one. All
    /// requests with a basic credential that was accepted for another page share a place. A credential of another
    /// scheme may change with each request, so its place is held only briefly. `None` for a request that shows a login
    /// form.
    place: Option<Place>,
}

/// A credential, and the page for which it is sent.
#[derive(Clone, Copy)]
struct Credential {
    mark: Mark,
    is_basic: bool,
    /// The page; `None` for an unsafe method, because the body, which is not known here, may select it.
    page: Option<Mark>,
}

impl LoginLimit {
    pub(super) fn new(config: &Config, limits: Arc<Limits>, apps: Arc<AppRequests>) -> Self {
        Self {
            limits,
            apps,
            login_paths: config.limits.login_paths.clone(),
        }
    }

    /// Checks the limit for a request that attempts a login.
    pub(super) async fn may_guess<B: http_body::Body>(
        &self,
        route: Route,
        request: &Request<B>,
        head: &Head,
        context: &Context,
    ) -> Result<Option<Guess>, Refusal> {
        let login = self.login_of(route, &head.path);
        let credential = request.headers().get(AUTHORIZATION);
        if login.is_none() && credential.is_none() {
            return Ok(None);
        }
        let credential =
            credential.map(|line| self.credential(route, line.as_bytes(), request, head));
        let standing = credential.map(
            |Credential {
                 mark,
                 is_basic,
                 page,
             }| {
                let accepted = self.limits.accepted();
                (accepted.standing(context.peer, mark, page), mark, is_basic)
            },
        );
        let logins = self.limits.logins();
        // Many apps accept a login with any method, and arguments in any place.
        let tries = login.is_some_and(|login| login.has_arguments || !is_bare(request));
        let place = match standing {
            _ if tries => logins.hold(context.peer, None),
            Some((Standing::Unknown, _, true)) => logins.hold(context.peer, None),
            Some((Standing::Elsewhere, mark, true)) => logins.hold(context.peer, Some(mark)),
            Some((Standing::Unknown, ..)) => logins.hold_briefly(context.peer).await,
            Some(_) | None => logins.check(context.peer).map(|()| None),
        };
        Ok(Some(Guess {
            at_login: login.is_some(),
            credential,
            place: place.map_err(|wait| too_many("failed logins", wait))?,
        }))
    }

    /// The hashes of a credential and its page. They differ for each app, since another app may accept other
    /// credentials.
    fn credential<B>(
        &self,
        route: Route,
        line: &[u8],
        request: &Request<B>,
        head: &Head,
    ) -> Credential {
        let accepted = self.limits.accepted();
        let app = match route {
            Route::App(index) => self.apps.get(index),
            _ => None,
        };
        let app = app.map(|app| app.settings().name.as_str());
        let credential = (app, line);
        let page = request.method().is_safe().then(|| {
            let query = request.uri().query();
            let host = head.authority.as_str();
            let page = (request.method(), host, head.path.as_sent(), query);
            accepted.mark((credential, page))
        });
        Credential {
            mark: accepted.mark(credential),
            is_basic: is_basic(line),
            page,
        }
    }

    /// Counts an attempt by its result.
    pub(super) fn guessed(
        &self,
        guess: Guess,
        answered: &Result<Response<Body>, Refusal>,
        head: &Head,
        context: &Context,
    ) {
        let accepted = self.limits.accepted();
        // The app does not get a credential of Noren's own users, so its response says nothing about it.
        let is_proven = head.user.is_some();
        let failed = guess.has_failed(answered) && (guess.at_login || !is_proven);
        match guess.credential {
            Some(credential) if is_proven => {
                accepted.keep(context.peer, credential.mark, Extent::Everywhere);
            }
            Some(credential) if failed => accepted.forget(context.peer, credential.mark),
            Some(credential) if is_accepted(answered) => {
                let extent = credential.page.map_or(Extent::Somewhere, Extent::Page);
                accepted.keep(context.peer, credential.mark, extent);
            }
            _ => {}
        }
        let counts_itself = guess.place.as_ref().is_some_and(Place::counts);
        if failed && !counts_itself {
            self.limits.logins().count(context.peer);
        }
        // It counts when it is dropped, unless it is forgiven.
        if let Some(place) = guess.place
            && !failed
        {
            place.forgive();
        }
    }

    fn login_of(&self, route: Route, path: &RequestPath) -> Option<Login> {
        let Route::App(index) = route else {
            return None;
        };
        self.login(self.apps.get(index)?.settings(), path)
    }

    /// Returns the login, if the app could read a path as one of its login paths, in any spelling. A path below one may
    /// be the same page with an argument (`PATH_INFO`).
    fn login(&self, app: &config::App, path: &RequestPath) -> Option<Login> {
        let folds = app.siblings.fold_case;
        let mut logins = self.login_paths.iter().flat_map(|login| {
            // Below `/` is all of the app.
            let is_root = login == "/";
            let roots = app.siblings.roots.iter().map(PathPrefix::decoded);
            let below_roots = roots.map(move |root| Cow::from(format!("{root}{login}")));
            let own = std::iter::once(Cow::Borrowed(login.as_str()));
            own.chain(below_roots).map(move |login| (login, is_root))
        });
        let is_one =
            |login: &str| path.may_be(login, folds) || path.may_be_in_a_format(login, folds);
        let is_below = |login: &str, is_root: bool| !is_root && path.may_be_below(login, folds);
        let has_arguments = |login: &str| !is_one(login) || path.others().next().is_some();
        let login = logins.find(|(login, is_root)| is_one(login) || is_below(login, *is_root));
        login.map(|(login, _)| Login {
            has_arguments: has_arguments(&login),
        })
    }
}

/// A path that the app may treat as a login.
#[derive(Clone, Copy)]
struct Login {
    /// True if the path contains more than the login.
    has_arguments: bool,
}

/// True if a request can only show a page: it has a safe method, and neither a query nor a body.
fn is_bare<B: http_body::Body>(request: &Request<B>) -> bool {
    request.method().is_safe() && request.uri().query().is_none() && request.body().is_end_stream()
}

impl Guess {
    /// True if the response says that the login failed.
    fn has_failed(&self, answered: &Result<Response<Body>, Refusal>) -> bool {
        match answered {
            // Elsewhere a 403 concerns a user who is known.
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
