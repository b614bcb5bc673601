//! Apps with GRIP: signs the requests to them, and follows the instructions in their responses.
//!
//! Nothing that a client sends is an instruction, a signature, or an event of a WebSocket: its headers under these
//! names are removed, and its requests of that media type are refused.

mod ask;
mod keys;
mod publish;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context as Digest, SHA256};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::http::{Body, Context, Head, Incoming, Lease, Refusal, refuse};
use crate::proxy::Forward;
use crate::push::grip::{
    self, Continuation, EVENTS, HoldError, Key, Order, Place, Returning, is_grip_header,
    is_instruction,
};
use crate::service::Service;
use crate::service::audit_record::Attempt;
use crate::service::hub::unsubscribed;
use crate::service::publish::collect;
use crate::tls::ClientName;

use ask::Visitor;

pub(super) use keys::GripKeys;

/// Part of an app's workers that held connections may use at a time for requests of their own.
const PART: usize = 4;

/// The apps with GRIP.
#[derive(Debug)]
pub(super) struct Grip {
    /// In the order of the apps.
    apps: Vec<Option<GripApp>>,
    order: Arc<Order>,
}

/// An app with GRIP.
#[derive(Clone, Debug)]
pub(super) struct GripApp {
    name: Arc<str>,
    keys: Arc<GripKeys>,
    refresh: Duration,
    resume: Duration,
    returning: Arc<Returning>,
    session: bool,
    over_http: bool,
    gate: Arc<Semaphore>,
}

impl Grip {
    /// Creates the apps; those of the service before pass on the messages that wait for others.
    pub(super) fn new(
        keys: Vec<Option<Arc<GripKeys>>>,
        config: &Config,
        before: Option<&Self>,
    ) -> Self {
        let app = |(app, keys): (&crate::config::App, Option<Arc<GripKeys>>)| {
            let settings = app.grip.as_ref()?;
            let mut earlier = before
                .into_iter()
                .flat_map(|before| before.apps.iter().flatten());
            let earlier = earlier.find(|earlier| *earlier.name == *app.name);
            Some(GripApp {
                name: app.name.as_str().into(),
                keys: keys?,
                refresh: settings.refresh,
                resume: settings.resume,
                returning: earlier
                    .map(|earlier| Arc::clone(&earlier.returning))
                    .unwrap_or_default(),
                session: settings.session,
                over_http: settings.over_http,
                gate: Arc::new(Semaphore::new((app.workers / PART).max(1))),
            })
        };
        Self {
            apps: config.apps.iter().zip(keys).map(app).collect(),
            order: before
                .map(|before| Arc::clone(&before.order))
                .unwrap_or_default(),
        }
    }

    /// The app of this index, if it has GRIP.
    ///
    /// # Errors
    /// The refusal of a request that the app would take for an event of a WebSocket.
    pub(super) fn app<B>(
        &self,
        index: usize,
        request: &Request<B>,
    ) -> Result<Option<GripApp>, Refusal> {
        let app = self.apps.get(index).and_then(Option::clone);
        if app.is_some() && is_of_events(request.headers()) {
            let reason = "events of a WebSocket come from the front door alone";
            return Err(Refusal::new(StatusCode::FORBIDDEN, reason));
        }
        Ok(app)
    }
}

impl GripApp {
    /// The rules by which a stream of this request goes on. It is remembered only if the file wants that.
    fn continuation(&self, parts: &Parts, head: &Head, context: &Context) -> Continuation {
        let is_remembered = !self.resume.is_zero() && parts.method == Method::GET;
        let key = || (Arc::clone(&self.returning), key(parts, head, context));
        Continuation {
            refresh: self.refresh,
            returning: is_remembered.then(key),
        }
    }

    /// True if its WebSockets are requests with their events.
    pub(super) fn is_asked_over_http(&self) -> bool {
        self.over_http
    }
}

/// The hash of the address and of all that says who the visitor is.
fn key(parts: &Parts, head: &Head, context: &Context) -> Key {
    let mut digest = Digest::new(&SHA256);
    let mut add = |part: &[u8]| {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    };
    add(head.authority.host().as_bytes());
    let target = parts.uri.path_and_query();
    add(target.map_or("", |target| target.as_str()).as_bytes());
    for name in [COOKIE, AUTHORIZATION] {
        for line in parts.headers.get_all(&name) {
            add(line.as_bytes());
        }
        add(name.as_str().as_bytes());
    }
    add(head.user.as_deref().unwrap_or_default().as_bytes());
    let certificate = context.client.as_ref().map_or("", ClientName::as_str);
    add(certificate.as_bytes());
    let mut key = Key::default();
    for (place, byte) in key.iter_mut().zip(digest.finish().as_ref()) {
        *place = *byte;
    }
    key
}

/// True if some library would take the request for one with events of a WebSocket.
fn is_of_events(headers: &HeaderMap) -> bool {
    let lines = headers
        .get_all(CONTENT_TYPE)
        .iter()
        .chain(headers.get_all(ACCEPT));
    lines
        .map(|line| line.as_bytes().to_ascii_lowercase())
        .any(|line| {
            line.windows(EVENTS.len())
                .any(|part| part == EVENTS.as_bytes())
        })
}

impl Service {
    /// Forwards a request to an app with GRIP, and follows the instruction in the response.
    pub(super) async fn request_of_grip(
        self: &Arc<Self>,
        app: GripApp,
        forward: Forward<'_>,
        request: Request<Incoming>,
        (head, context, attempt): (&Head, &Context, &Attempt<'_>),
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let kept = parts.clone();
        let visitor = Visitor::new(
            self,
            forward.upstream,
            &app.keys,
            Arc::clone(&app.gate),
            kept.clone(),
            (head, context),
        );
        let continuation = app.continuation(&kept, head, context);
        let last_event = kept
            .headers
            .get("last-event-id")
            .and_then(|id| id.to_str().ok());
        if let (Some(_), Some(last_event)) = (&continuation.returning, last_event) {
            let lease = self.lease_of_held(&app, &kept.headers, head, context).await;
            let place = self.place(&app, lease, "grip", (context, attempt));
            let ask = visitor.clone().ask();
            let resumed = grip::resume(place, last_event, app.resume, ask, continuation.clone());
            if let Some(response) = resumed {
                refuse(body, &self.shutdown);
                return Ok(response);
            }
        }
        let own = app
            .keys
            .headers()
            .await
            .map_err(|cause| unsigned(&app, &cause))?;
        let request = Request::from_parts(parts, body);
        let answer = forward.request_with(request, own, is_instruction).await?;
        if !is_instruction(answer.headers()) {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let body = collect(body).await.map_err(|error| {
            let reason = "the application's instruction could not be read";
            Refusal::new(StatusCode::BAD_GATEWAY, reason).because(&error)
        })?;
        let lease = self.lease_of_held(&app, &kept.headers, head, context).await;
        let place = self.place(&app, lease, "grip", (context, attempt));
        let followed = grip::follow(place, &parts, body, visitor.ask(), continuation).await;
        let mut response = followed.map_err(|error| self.unheld(&app, &error))?;
        let headers = response.headers_mut();
        let doomed: Vec<HeaderName> = headers
            .keys()
            .filter(|name| is_grip_header(name))
            .cloned()
            .collect();
        for name in doomed {
            headers.remove(name);
        }
        *response.extensions_mut() = parts.extensions;
        Ok(response)
    }

    fn place(
        &self,
        app: &GripApp,
        lease: Option<Lease>,
        transport: &'static str,
        (context, attempt): (&Context, &Attempt<'_>),
    ) -> Place {
        Place {
            hub: self.hub.clone(),
            app: Arc::clone(&app.name),
            address: context.peer.counted_as(),
            peer: context.peer,
            who: attempt.listener(lease.as_ref()),
            lease,
            tasks: self.shutdown.clone(),
            transport,
        }
    }

    /// The visitor's session, with which a held connection ends. Without a login there is none: the app has decided.
    async fn lease_of_held(
        &self,
        app: &GripApp,
        headers: &HeaderMap,
        head: &Head,
        context: &Context,
    ) -> Option<Lease> {
        if !app.session {
            return None;
        }
        let visitor = self.visitor(headers, head, context).await.ok()?;
        Some(visitor.watch())
    }

    fn unheld(&self, app: &GripApp, error: &HoldError) -> Refusal {
        match error {
            HoldError::Instruction(fault) => {
                let reason = "the application gave an instruction that cannot be followed";
                let cause = format!("app {}: {fault}", app.name);
                Refusal::new(StatusCode::BAD_GATEWAY, reason).because(&cause)
            }
            HoldError::Subscribe(error) => unsubscribed(error, self.hub.retry()),
        }
    }
}

fn unsigned(app: &GripApp, cause: &str) -> Refusal {
    let reason = "the request could not be signed for the application";
    let cause = format!("app {}: app.grip.keys: {cause}", app.name);
    Refusal::new(StatusCode::BAD_GATEWAY, reason).because(&cause)
}
