//! Authentication by certificate and password as a step of a request, with its refusals. Must not know the handlers of
//! routes.

use std::sync::Arc;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, StatusCode};

use crate::access::UsersError;
use crate::access::entrance::{Entrance, NotAdmitted};
use crate::access::hosts::KnownHosts;
use crate::access::users::Unproven;
use crate::config::Config;
use crate::faults::Faults;
use crate::http::{Context, Head, Incoming, Refusal, Scheme};
use crate::router::Route;
use crate::service::exchange::{Exchange, VisitorParts};

/// `Retry-After` if too many passwords are being compared.
const COME_BACK: std::time::Duration = std::time::Duration::from_secs(2);

/// Admits clients to the routes.
#[derive(Debug)]
pub(super) struct RouteAuth {
    entrances: Arc<Entrances>,
    hosts: KnownHosts,
    /// True if the host name of a request for a console is its token.
    host_token: bool,
}

/// The requirements of all routes.
#[derive(Debug)]
pub(super) struct Entrances {
    pub(super) bridge: Entrance,
    pub(super) hub: Entrance,
    /// Requirements of the Mercure hub, if there is one.
    pub(super) mercure: Option<Entrance>,
    /// Requirements of the apps, in the order of the configuration.
    pub(super) apps: Vec<Entrance>,
    /// True if the bridge and the hub have the same users.
    has_one_file_of_users: bool,
    /// True for each app that requires nothing of a visitor that the hub does not require.
    covered: Vec<bool>,
}

impl Entrances {
    pub(super) fn new(config: &Config) -> Result<Self, Faults<UsersError>> {
        let app =
            |app: &crate::config::App| Entrance::new(&format!("app.{}", app.name), &app.entrance);
        let mut faults = Faults::default();
        let bridge = faults.keep(Entrance::new("bridge", &config.bridge.entrance));
        let hub = faults.keep(Entrance::new("hub", &config.hub.entrance));
        let mercure = config.mercure.as_ref();
        let mercure = mercure.map(|mercure| Entrance::new("mercure", &mercure.entrance));
        let mercure = faults.keep(mercure.transpose());
        let apps = faults.keep_all(Faults::gather(config.apps.iter().map(app)));
        let (Some(bridge), Some(hub), Some(mercure), Some(apps)) = (bridge, hub, mercure, apps)
        else {
            return Err(faults);
        };
        let of_hub = &config.hub.entrance;
        let covered = config.apps.iter();
        let covered = covered.map(|app| of_hub.admits_no_more_than(&app.entrance, false));
        Ok(Self {
            bridge,
            hub,
            mercure,
            apps,
            covered: covered.collect(),
            has_one_file_of_users: config.bridge.entrance.users == config.hub.entrance.users,
        })
    }

    /// Authenticates a request for the bridge by the rules of the hub too, because its token may name a channel.
    /// Removes a password of the hub from the headers. The result matters only if the token names a channel.
    pub(super) async fn enter_hub(&self, exchange: &mut Exchange<'_>) -> Result<(), Refusal> {
        let client = exchange.context.client.as_ref();
        // The password belonged to the bridge and was removed.
        let is_proven = exchange.head.user.is_some() && self.has_one_file_of_users;
        let admitted = if is_proven {
            self.hub.admit_certificate(client).map(|()| None)
        } else {
            self.hub.admit(exchange.request.headers(), client).await
        };
        let user = admitted.map_err(|reason| not_admitted(reason, &self.hub))?;
        if user.is_some() {
            exchange.request.headers_mut().remove(AUTHORIZATION);
        }
        permit_page(&self.hub, exchange.visitor_parts().0)
    }

    /// True if a visitor whom the hub has admitted may send messages to the app of this index.
    pub(super) fn hub_covers(&self, index: usize) -> bool {
        self.covered.get(index) == Some(&true)
    }

    /// Authenticates a message of a page by the rules of its app, to which it is an ordinary request. Returns the head
    /// with the user of the app; removes a password of Noren from the headers.
    pub(super) async fn enter_app(
        &self,
        index: usize,
        headers: &mut HeaderMap,
        head: &Head,
        context: &Context,
    ) -> Result<Head, Refusal> {
        let mut head = head.clone();
        let Some(entrance) = self.apps.get(index).filter(|_| !self.hub_covers(index)) else {
            return Ok(head);
        };
        let admitted = entrance.admit(headers, context.client.as_ref()).await;
        // A user name of the hub may belong to another person at the app.
        head.user = admitted.map_err(|reason| not_admitted(reason, entrance))?;
        if head.user.is_some() {
            headers.remove(AUTHORIZATION);
        }
        Ok(head)
    }

    fn of(&self, route: Route) -> Option<&Entrance> {
        match route {
            Route::App(index) => self.apps.get(index),
            // A visitor who may not open a console does not get its page either.
            Route::Websockify | Route::Consoles(_) => Some(&self.bridge),
            Route::Hub(_) => Some(&self.hub),
            Route::Mercure => self.mercure.as_ref(),
            // Files are open to everybody; the admin page has a rule of its own, and so have signatures.
            Route::Files(_) | Route::Page(_) | Route::Webhook | Route::Welcome => None,
        }
    }
}

impl RouteAuth {
    pub(super) fn new(config: &Config, entrances: Arc<Entrances>) -> Self {
        Self {
            entrances,
            hosts: KnownHosts::new(config),
            host_token: config.bridge.host_token,
        }
    }

    /// The known host names. The names from certificates change while the service runs.
    pub(super) fn hosts(&self) -> &KnownHosts {
        &self.hosts
    }

    /// Authenticates a request for a route. A verified password is Noren's, so it is removed before the handler gets
    /// the request.
    pub(super) async fn enter(
        &self,
        route: Route,
        request: &mut Request<Incoming>,
        head: &mut Head,
        context: &Context,
    ) -> Result<(), Refusal> {
        let Some(entrance) = self.entrances.of(route) else {
            return Ok(());
        };
        let admitted = entrance.admit(request.headers(), context.client.as_ref());
        head.user = admitted
            .await
            .map_err(|reason| not_admitted(reason, entrance))?;
        if head.user.is_some() {
            request.headers_mut().remove(AUTHORIZATION);
        }
        Ok(())
    }

    /// Checks that the host of a request for Noren's own resources is known. Apps and directories have `hosts` of their
    /// own, and a host that is a token (`bridge.host-token`) is itself a credential.
    pub(super) fn permit_host(
        &self,
        route: Route,
        head: &Head,
        context: &Context,
    ) -> Result<(), Refusal> {
        let is_open = match route {
            Route::App(_) | Route::Files(_) => true,
            Route::Websockify => self.host_token,
            Route::Hub(_)
            | Route::Mercure
            | Route::Page(_)
            | Route::Consoles(_)
            | Route::Webhook
            | Route::Welcome => false,
        };
        let host = head.authority.host();
        // With TLS the certificate is for the name, or the browser has said that it is not.
        if is_open || context.scheme == Scheme::Https || self.hosts.permits(host) {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "this server is not known under the name {host} without TLS; if it is one of its names, \
                 write it into hosts of [server]"
            ),
        ))
    }
}

/// Checks that the page which opens a WebSocket has a permitted origin.
pub(super) fn permit_page(
    entrance: &Entrance,
    visitor_parts: VisitorParts<'_>,
) -> Result<(), Refusal> {
    let scheme = visitor_parts.context.scheme.as_str();
    let authority = visitor_parts.head.authority.as_str();
    let permitted = entrance
        .origins
        .permits(visitor_parts.headers, scheme, authority);
    permitted.map_err(|denied| Refusal::new(StatusCode::FORBIDDEN, denied.to_string()))
}

/// The refusal for a client that is not admitted.
fn not_admitted(reason: NotAdmitted, entrance: &Entrance) -> Refusal {
    let refusal = match reason {
        NotAdmitted::NoCertificate => Refusal::new(
            StatusCode::FORBIDDEN,
            "a client certificate is required here",
        ),
        NotAdmitted::OtherCertificate => Refusal::new(
            StatusCode::FORBIDDEN,
            "your client certificate is not permitted here",
        ),
        NotAdmitted::Password(Unproven::Busy) => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many passwords are being checked at the moment; please try again",
        )
        .retry_after(COME_BACK),
        NotAdmitted::Password(_) => Refusal::new(
            StatusCode::UNAUTHORIZED,
            "a user name and a password are required here",
        )
        .with(WWW_AUTHENTICATE, entrance.challenge()),
    };
    refusal.because(&reason)
}
