//! The steps of a request: check, route, authorise, handle, finish. Chooses between the handlers, which do not know
//! each other; does not read bodies.

use std::borrow::Cow;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use tokio::time::sleep;

use crate::access::limits::Limits;
use crate::config::Methods;
use crate::http::{Body, Context, Head, Incoming, PathFault, Refusal, refuse};
use crate::router::{Route, RouteKey, Router};
use crate::service::Role;
use crate::service::app_requests::AppRequests;
use crate::service::audit_record::AuditRecord;
use crate::service::exchange::Exchange;
use crate::service::handlers::{Handlers, no_content, redirect};
use crate::service::login_limit::LoginLimit;
use crate::service::methods::{
    is_for_no_resource, not_allowed, of_app, permit_method, permit_own_method, with_get,
};
use crate::service::respond::Progress;
use crate::service::route_auth::RouteAuth;
use crate::service::route_limits::RouteLimits;
use crate::service::token_limit::too_many;
use crate::shutdown::Shutdown;
use crate::telemetry::Timings;
use crate::websocket::asks_for_websocket;

/// The steps of every request.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) limits: Arc<Limits>,
    pub(super) router: Router,
    pub(super) apps: Arc<AppRequests>,
    pub(super) route_auth: RouteAuth,
    pub(super) logins: LoginLimit,
    pub(super) route_limits: RouteLimits,
    pub(super) handlers: Handlers,
    pub(super) shutdown: Shutdown,
}

/// The next step of a request whose head is checked.
enum Step {
    /// Send this response.
    Respond(Box<Response<Body>>),
    /// Pass the request to the handler of GRIP messages.
    Grip,
    /// Authorise the request, and call the handler of this route.
    Handle(Route),
}

impl Pipeline {
    /// Takes a request through the steps. `progress` receives the route, once it is known, and the permit.
    pub(super) async fn run(
        &self,
        request: Request<Incoming>,
        context: &Context,
        role: Role,
        times: Option<&Timings>,
        progress: &mut Progress,
    ) -> Result<Response<Body>, Refusal> {
        let (step, mut request, mut head) = self.decide(request, context, role)?;
        let route = match step {
            Step::Respond(response) => return Ok(*response),
            Step::Grip => return self.handlers.grip().handle(request, &head, context).await,
            Step::Handle(route) => route,
        };
        progress.route = Some(route);
        if let Err(refusal) = self.admit(route, &request, context, progress).await {
            return Err(self.refuse(request, refusal));
        }
        let mut audit = AuditRecord::new(route, &request, context);
        let guess = self.logins.may_guess(route, &request, &head, context).await;
        let authorised = match &guess {
            Ok(_) => {
                let auth = &self.route_auth;
                auth.enter(route, &mut request, &mut head, context).await
            }
            Err(refusal) => Err(refusal.clone()),
        };
        let handled = match authorised {
            Ok(()) => {
                audit.entered(&head);
                let exchange = Exchange {
                    request,
                    head: &head,
                    context,
                    audit: &mut audit,
                    times,
                };
                self.handlers.handle(route, exchange).await
            }
            Err(refusal) => Err(self.refuse(request, refusal)),
        };
        if let Ok(Some(guess)) = guess {
            self.logins.guessed(guess, &handled, &head, context);
        }
        if let Err(refusal) = &handled {
            audit.refused(refusal);
        }
        handled
    }

    /// Checks and routes a request, by its head alone.
    fn decide(
        &self,
        request: Request<Incoming>,
        context: &Context,
        role: Role,
    ) -> Result<(Step, Request<Incoming>, Head), Refusal> {
        let websocket = asks_for_websocket(&request);
        let (parts, body) = request.into_parts();
        let decided = if is_for_no_resource(&parts) {
            Err(self.refuse_method(&parts, context, role))
        } else {
            self.check(&parts, context)
                .and_then(|head| Ok((self.route(&parts, &head, websocket, context, role)?, head)))
        };
        match decided {
            Ok((step, head)) => Ok((step, Request::from_parts(parts, body), head)),
            Err(refusal) => {
                refuse(body, &self.shutdown);
                Err(refusal)
            }
        }
    }

    /// Refuses a method that no resource supports, and lists the methods of the requested resource.
    fn refuse_method(&self, parts: &Parts, context: &Context, role: Role) -> Refusal {
        let asked = with_get(parts);
        let method = &parts.method;
        let head = match self.check(&asked, context) {
            Ok(head) => head,
            // The host of a CONNECT is the one that a forward proxy would connect to.
            Err(refusal)
                if *method == Method::CONNECT
                    && refusal.status != StatusCode::TOO_MANY_REQUESTS =>
            {
                return not_allowed(method, "");
            }
            Err(refusal) => return refusal,
        };
        let allow = match role {
            Role::Grip => Cow::Borrowed("POST"),
            Role::Redirect(_) => of_app(&Methods::default()),
            Role::Serve => self.methods(&head, &asked),
        };
        not_allowed(method, &allow)
    }

    /// The methods of the requested resource; empty if nothing is served there.
    fn methods(&self, head: &Head, parts: &Parts) -> Cow<'static, str> {
        let route = self.router.route(RouteKey {
            host: head.authority.host(),
            path: &head.path,
            query: parts.uri.query(),
            websocket: false,
        });
        let own = match route {
            Ok(Route::App(index)) => {
                let app = self.apps.get(index);
                return app.map_or(Cow::Borrowed(""), |app| of_app(&app.settings().methods));
            }
            Ok(route) => self.handlers.methods(route, head),
            Err(_) => None,
        };
        Cow::Borrowed(own.unwrap_or_default())
    }

    /// Checks the limits of a route, and waits if they hold a request back.
    async fn admit(
        &self,
        route: Route,
        request: &Request<Incoming>,
        context: &Context,
        progress: &mut Progress,
    ) -> Result<(), Refusal> {
        let websocket = asks_for_websocket(request);
        let (delay, permit) = self.route_limits.admit(route, websocket, context)?;
        progress.permit = permit;
        if !delay.is_zero() {
            // Rare, so that other requests have no room for it.
            Box::pin(sleep(delay)).await;
        }
        Ok(())
    }

    /// Discards the body of a refused request, so that its sender gets the response.
    fn refuse(&self, request: Request<Incoming>, refusal: Refusal) -> Refusal {
        refuse(request.into_body(), &self.shutdown);
        refusal
    }

    /// Checks the rate of the client and the head of the request. For a path with dot segments below the `SockJS`
    /// endpoint, the response is 404, as for other paths that it does not have.
    fn check(&self, parts: &Parts, context: &Context) -> Result<Head, Refusal> {
        let taken = self.limits.requests().take(context.peer);
        taken.map_err(|wait| too_many("requests", wait))?;
        Head::check(parts, context).map_err(|refusal| {
            let has_dots = refusal.reason == PathFault::DotSegment.to_string();
            if has_dots && self.router.is_sockjs(parts.uri.path()) {
                Refusal::not_found("SockJS has nothing at this address").closing()
            } else {
                refusal
            }
        })
    }

    /// Decides as much as the checked head alone permits.
    fn route(
        &self,
        parts: &Parts,
        head: &Head,
        websocket: bool,
        context: &Context,
        role: Role,
    ) -> Result<Step, Refusal> {
        if role == Role::Grip {
            return Ok(Step::Grip);
        }
        if let Some(challenge) = self.handlers.own().challenge(head) {
            return Ok(Step::Respond(Box::new(challenge)));
        }
        if let Role::Redirect(port) = role {
            let redirect = redirect(head, &parts.uri, port)?;
            return Ok(Step::Respond(Box::new(redirect)));
        }
        if head.asterisk {
            return Ok(Step::Respond(Box::new(no_content())));
        }
        let route = self.router.route(RouteKey {
            host: head.authority.host(),
            path: &head.path,
            query: parts.uri.query(),
            websocket,
        })?;
        self.route_auth.permit_host(route, head, context)?;
        match route {
            Route::App(index) => {
                if let Some(app) = self.apps.get(index) {
                    permit_method(&app.settings().methods, parts)?;
                }
            }
            // Their protocols ask for responses of their own; and a WebSocket over HTTP/2 (RFC 8441 §4) is a GET.
            Route::Hub(_) if self.router.is_sockjs(head.path.as_str()) => {}
            Route::Hub(_) | Route::Websockify if parts.method == Method::CONNECT => {}
            _ => {
                if let Some(methods) = self.handlers.methods(route, head) {
                    permit_own_method(methods, &parts.method)?;
                }
            }
        }
        if route == Route::Websockify && self.handlers.has_no_tokens() {
            return Err(Refusal::not_found(
                "no tokens are configured here ([[bridge.tokens]])",
            ));
        }
        Ok(Step::Handle(route))
    }
}
