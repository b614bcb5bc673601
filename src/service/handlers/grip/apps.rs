//! The apps with GRIP, and the refusal of requests that such an app would take for requests of Noren itself. Does not
//! know how an instruction is carried out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use aws_lc_rs::digest::{Context as Digest, SHA256};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};

use crate::config::{self, Config};
use crate::http::{Context, Head, Refusal, drop_hop_by_hop};
use crate::hub::Hub;
use crate::push::grip::{Continuation, EVENTS, Key, Order, ResumableStreams};
use crate::service::grip_keys::GripKeys;
use crate::service::handlers::grip::turns::RequestPermits;
use crate::shares;
use crate::sync::lock;
use crate::tls::ClientName;

/// Divisor of the number of an app's workers: the part that requests of held connections may use at the same time.
const PART: usize = 4;

/// Headers that differ in each request of a visitor for the same stream.
const DIFFERENT: [&str; 4] = ["last-event-id", "x-request-id", "traceparent", "tracestate"];

/// Messages of GRIP apps that wait for an earlier message, and streams that may be resumed. Clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::service) struct GripMemory {
    order: Arc<Order>,
    /// Streams that may be resumed, by the name of the app; those of an app that is no longer configured are removed.
    returning: Arc<Mutex<HashMap<String, Weak<ResumableStreams>>>>,
}

impl GripMemory {
    fn returning(&self, app: &str, parts: shares::Parts) -> Arc<ResumableStreams> {
        let mut known = lock(&self.returning);
        known.retain(|_, returning| returning.strong_count() > 0);
        let found = known.get(app).and_then(Weak::upgrade);
        if let Some(found) = found {
            found.change(parts);
            return found;
        }
        let returning = Arc::new(ResumableStreams::new(parts));
        known.insert(app.to_owned(), Arc::downgrade(&returning));
        returning
    }

    /// Publishes all messages that wait for an earlier one, before the hub is packed. From then on no message waits.
    pub(in crate::service) fn end_waiting(&self, hub: &Hub) {
        self.order.close(hub);
    }

    /// Reverts [`end_waiting`](Self::end_waiting).
    pub(in crate::service) fn wait_again(&self) {
        self.order.open();
    }
}

/// The apps with GRIP.
#[derive(Debug)]
pub(in crate::service) struct GripApps {
    /// The GRIP settings of the apps, in the order of the apps.
    apps: Vec<Option<GripApp>>,
    /// True for each app at whose address any app has GRIP, so that requests with WebSocket events may be sent there.
    events: Vec<bool>,
    pub(super) order: Arc<Order>,
}

/// An app with GRIP.
#[derive(Clone, Debug)]
pub(in crate::service::handlers) struct GripApp {
    pub(super) name: Arc<str>,
    pub(super) keys: Arc<GripKeys>,
    refresh: Duration,
    resume: Duration,
    returning: Arc<ResumableStreams>,
    /// True if a held connection ends with the visitor's session.
    pub(super) session: bool,
    over_http: bool,
    pub(super) turns: Arc<RequestPermits>,
}

impl GripApps {
    /// Creates the apps, with the streams that may be resumed.
    pub(in crate::service) fn new(
        keys: Vec<Option<Arc<GripKeys>>>,
        config: &Config,
        memory: &GripMemory,
    ) -> Self {
        let app = |(app, keys): (&config::App, Option<Arc<GripKeys>>)| {
            let settings = app.grip.as_ref()?;
            Some(GripApp {
                name: app.name.as_str().into(),
                keys: keys?,
                refresh: settings.refresh,
                resume: settings.resume,
                returning: memory.returning(&app.name, shares::Parts::from(&config.limits)),
                session: settings.session,
                over_http: settings.over_http,
                turns: Arc::new(RequestPermits::new((app.workers / PART).max(1))),
            })
        };
        Self {
            apps: config.apps.iter().zip(keys).map(app).collect(),
            events: config
                .apps
                .iter()
                .map(|app| app.siblings.speak_grip)
                .collect(),
            order: Arc::clone(&memory.order),
        }
    }

    /// All apps with GRIP.
    pub(super) fn all(&self) -> impl Iterator<Item = &GripApp> {
        self.apps.iter().flatten()
    }

    /// The app of this index, if it has GRIP.
    ///
    /// # Errors
    /// The refusal of a request that the app would take for an event of a WebSocket.
    pub(in crate::service::handlers) fn app<B>(
        &self,
        index: usize,
        request: &Request<B>,
    ) -> Result<Option<GripApp>, Refusal> {
        let app = self.apps.get(index).and_then(Option::clone);
        if self.events.get(index) == Some(&true) && is_of_events(request.headers()) {
            let reason = "events of a WebSocket come from the front door alone";
            return Err(Refusal::new(StatusCode::FORBIDDEN, reason));
        }
        Ok(app)
    }
}

impl GripApp {
    /// The rules for resuming a stream of this request. The stream is stored only if the configuration says so.
    pub(super) fn continuation(
        &self,
        parts: &Parts,
        head: &Head,
        context: &Context,
    ) -> Continuation {
        let is_remembered = !self.resume.is_zero() && parts.method == Method::GET;
        let key = || (Arc::clone(&self.returning), key(parts, head, context));
        Continuation {
            refresh: self.refresh,
            resume: self.resume,
            returning: is_remembered.then(key),
        }
    }

    /// True if WebSockets of this app are carried as requests with their events.
    pub(in crate::service::handlers) fn is_over_http(&self) -> bool {
        self.over_http
    }
}

/// Hash of the properties of a request that an app may use, without those that differ each time. An app may identify
/// its visitors by any header, or by their address.
fn key(parts: &Parts, head: &Head, context: &Context) -> Key {
    let mut digest = Digest::new(&SHA256);
    let mut add = |part: &[u8]| {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    };
    add(head.authority.host().as_bytes());
    let target = parts.uri.path_and_query();
    add(target.map_or("", |target| target.as_str()).as_bytes());
    add(context.scheme.as_str().as_bytes());
    let address = context.peer.ip().map(|address| address.to_string());
    add(address.unwrap_or_default().as_bytes());
    let mut headers = parts.headers.clone();
    drop_hop_by_hop(&mut headers);
    for name in DIFFERENT {
        headers.remove(name);
    }
    let mut names: Vec<_> = headers.keys().collect();
    names.sort_unstable_by_key(|name| name.as_str());
    for name in names {
        add(name.as_str().as_bytes());
        for line in headers.get_all(name) {
            add(line.as_bytes());
        }
    }
    add(head.user.as_deref().unwrap_or_default().as_bytes());
    let certificate = context.client.as_ref().map_or("", ClientName::as_str);
    add(certificate.as_bytes());
    let mut key = Key::default();
    for (target, byte) in key.iter_mut().zip(digest.finish().as_ref()) {
        *target = *byte;
    }
    key
}

/// True if any GRIP library would take the request for one with WebSocket events.
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
