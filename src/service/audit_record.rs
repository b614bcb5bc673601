//! The audit record of a request: the client and the object of the request, as far as they are known.

use std::sync::Arc;

use http::{Method, Request};

use crate::config::RfbSecurity;
use crate::http::{Context, Head, Lease, Refusal};
use crate::net::Peer;
use crate::rfb::Rules;
use crate::router::Route;
use crate::telemetry::audit::{self, AuditClient, AuditObject, Kind, Opened};
use crate::telemetry::{Rfb, Viewing};
use crate::tls::ClientName;
use crate::tokens::Target;
use crate::websocket::asks_for_websocket;

/// The audit record of a request to open or to publish something.
#[derive(Debug)]
pub(super) struct AuditRecord {
    peer: Peer,
    certificate: Option<ClientName>,
    login: Option<Arc<str>>,
    user: Option<Arc<str>>,
    object: AuditObject,
}

impl AuditRecord {
    pub(super) fn new(route: Route, request: &Request<impl Sized>, context: &Context) -> Self {
        let kind = match route {
            Route::Websockify => Kind::Console,
            Route::Webhook => Kind::Message,
            Route::Hub(_) | Route::Mercure if request.method() == Method::POST => Kind::Message,
            Route::Hub(_) | Route::Mercure => Kind::Stream,
            Route::App(_) if asks_for_websocket(request) => Kind::WebSocket,
            Route::App(_)
            | Route::Files(_)
            | Route::Page(_)
            | Route::Consoles(_)
            | Route::Welcome => Kind::Request,
        };
        Self {
            peer: context.peer,
            certificate: context.client.clone(),
            login: None,
            user: None,
            object: AuditObject {
                kind,
                target: None,
                console: None,
                rfb: None,
                shared: None,
            },
        }
    }

    /// Adds the user of a verified password.
    pub(super) fn entered(&mut self, head: &Head) {
        self.login.clone_from(&head.user);
    }

    /// Adds the user name from the app.
    pub(super) fn known(&mut self, user: Option<Arc<str>>) {
        self.user = user;
    }

    /// Adds the console to which the token leads; its name only if names are no secrets.
    pub(super) fn found(&mut self, target: &Target, with_name: bool) {
        self.object.target = Some(target.to_string());
        self.object.console = with_name.then(|| target.name.clone());
    }

    /// Adds the security method that a host and Noren agreed on, and the rights of the visitor.
    pub(super) fn secured(&mut self, security: RfbSecurity, rules: Rules) {
        self.object.rfb = Some(Rfb {
            security: security.as_str(),
            view_only: rules.view_only,
        });
    }

    /// Adds that the visitor is one of several viewers, and if the visitor may only view.
    pub(super) fn shared(&mut self, view_only: bool) {
        self.object.shared = Some(Viewing { view_only });
    }

    /// Sets a recording that is to be played as the object.
    pub(super) fn plays(&mut self, user: Option<&str>, file: &str) {
        self.user = user.map(Arc::from);
        self.object.kind = Kind::Recording;
        self.object.target = Some(file.to_owned());
    }

    /// Sets another object.
    pub(super) fn set_object(&mut self, target: String) {
        self.object.target = Some(target);
    }

    /// The object of the request.
    pub(super) fn object(&self) -> &AuditObject {
        &self.object
    }

    /// The client.
    pub(super) fn client(&self) -> AuditClient {
        let certificate = self.certificate.as_ref().map(ClientName::as_str);
        AuditClient {
            peer: self.peer.to_string(),
            user: self.user.clone(),
            login: self.login.clone(),
            certificate: certificate.map(Arc::from),
        }
    }

    /// The client as a subscriber, with the user name of its lease.
    pub(super) fn subscriber(&self, lease: Option<&Lease>) -> AuditClient {
        let client = self.client();
        let user = lease.and_then(Lease::user).map(Arc::from).or(client.user);
        AuditClient { user, ..client }
    }

    /// Writes the audit line for the opening.
    pub(super) fn opened(&self) -> Opened {
        Opened::new(self.client(), self.object.clone())
    }

    /// Writes the audit line for a refusal by Noren itself. Failures of an app are in the access log only.
    pub(super) fn refused(&self, refusal: &Refusal) {
        let of_app = matches!(self.object.kind, Kind::Request | Kind::WebSocket);
        if of_app && !matches!(refusal.status.as_u16(), 401 | 403) {
            return;
        }
        let reason = refusal.cause.as_deref().unwrap_or(&refusal.reason);
        let status = Some(refusal.status.as_u16());
        audit::refused(&self.client(), &self.object, status, reason);
    }
}
