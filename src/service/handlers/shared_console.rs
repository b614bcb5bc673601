//! Shared consoles for the handlers: the settings of a target, joining, and requests of pages about viewers and
//! keyboard. Does not decide about permission.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::json;

use crate::bridge::{
    Connected, ConsoleRequest, ConsoleView, Consoles, Dialled, Extras, Newcomer, Presence,
    Recorder, Redial, Store, Viewer,
};
use crate::config::{self, Bridge};
use crate::http::{Body, Refusal, parameter};
use crate::recording::Header;
use crate::service::handlers::target_connection::{connect, record};
use crate::service::responses::json;
use crate::shutdown::Shutdown;
use crate::telemetry::Tunnels;
use crate::tokens::Target;
use crate::websocket::asks_for_websocket;

/// Length limit of the name that a page gives its connection.
const LONGEST_NAME: usize = 64;

/// The shared consoles of a configuration.
#[derive(Debug)]
pub(super) struct SharedConsoles {
    consoles: Consoles,
    /// True if any target or source may be shared.
    is_configured: bool,
    /// Time limit for connecting to a guest.
    connect: Duration,
    recorder: Option<Recorder>,
    shutdown: Shutdown,
}

/// A request about the viewers of a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ViewersRequest {
    /// The viewers now.
    Now,
    /// The viewers now, and again after each change.
    Events,
    /// Give the keyboard to the requesting viewer.
    Take,
    /// Take the keyboard from the requesting viewer.
    Give,
}

impl SharedConsoles {
    pub(super) fn new(
        bridge: &Bridge,
        consoles: Consoles,
        recorder: Option<Recorder>,
        shutdown: Shutdown,
    ) -> Self {
        let own = bridge.tokens.iter().map(|source| &source.shared);
        let own = own.chain(bridge.targets.iter().map(|target| &target.shared));
        let is_configured = own
            .flatten()
            .chain([&bridge.shared])
            .any(|shared| shared.enabled);
        Self {
            consoles,
            is_configured,
            connect: bridge.connect,
            recorder,
            shutdown,
        }
    }

    /// True if any console is shared, or may be.
    pub(super) fn are_possible(&self) -> bool {
        self.is_configured || !self.consoles.is_empty()
    }

    /// Parses a request about viewers or the keyboard; `None` for a WebSocket.
    pub(super) fn parse_request<B>(
        &self,
        request: &Request<B>,
    ) -> Result<Option<ViewersRequest>, Refusal> {
        if asks_for_websocket(request) || !self.are_possible() {
            return Ok(None);
        }
        match *request.method() {
            Method::GET if accepts(request.headers(), "text/event-stream") => {
                Ok(Some(ViewersRequest::Events))
            }
            Method::GET if accepts(request.headers(), "application/json") => {
                Ok(Some(ViewersRequest::Now))
            }
            Method::POST => match parameter(request.uri().query(), "keyboard")?.as_deref() {
                Some("take") => Ok(Some(ViewersRequest::Take)),
                Some("give") => Ok(Some(ViewersRequest::Give)),
                _ => Err(Refusal::bad_request("say keyboard=take or keyboard=give")),
            },
            _ => Ok(None),
        }
    }

    /// The settings by which a target is shared. An open console stays shared until it ends, whatever a reload changes:
    /// another connection to its guest would disturb it.
    pub(super) fn settings(&self, target: &Target) -> Option<Arc<config::ConsoleSharing>> {
        if let Some(shared) = target.shared() {
            return Some(Arc::clone(shared));
        }
        if self.consoles.is_empty() || target.rfb().is_some() {
            return None;
        }
        self.consoles.settings(&target.key())
    }

    /// The viewers of a target, if its console is open.
    pub(super) fn view(&self, target: &Target) -> Option<ConsoleView> {
        self.consoles.open(&target.key())
    }

    /// Joins the viewers of a target, and connects to the target if its console is not open.
    pub(super) async fn join(
        &self,
        target: &Target,
        settings: Arc<config::ConsoleSharing>,
        newcomer: Newcomer,
        header: Header,
        tunnels: &Tunnels,
    ) -> Result<Viewer, Refusal> {
        let key = target.key();
        if !self.consoles.has(&key) && tunnels.has_alone(&key) {
            let reason = "this console was opened for one client alone before it became a shared one; it can be \
                          opened when that client has left";
            return Err(Refusal::new(StatusCode::CONFLICT, reason));
        }
        let limit = self.connect;
        let redial = target.stays().then(|| {
            let target = target.clone();
            let redial: Redial = Box::new(move || -> Dialled {
                let target = target.clone();
                Box::pin(async move { target.connect(limit).await })
            });
            redial
        });
        let (recorder, tasks) = (self.recorder.clone(), self.shutdown.clone());
        let (found, begin) = (target, header.clone());
        let target = target.clone();
        let wanted = ConsoleRequest {
            key: Arc::clone(&key),
            target: target.to_string(),
            settings: Arc::clone(&settings),
            redial,
        };
        let opening = async move {
            let connection = connect(&target, limit).await?;
            let tap = record(recorder.as_ref(), &target, header, &tasks).await?;
            // What one guest has said is not for the next that has its port.
            let is_kept = target.is_identified();
            let open = move || is_kept.then(|| Store::open(&settings, &key, &tasks));
            let (store, earlier) = tokio::task::spawn_blocking(open)
                .await
                .ok()
                .flatten()
                .flatten()
                .unzip();
            let extras = Extras {
                tap,
                store,
                earlier: earlier.unwrap_or_default(),
            };
            Ok::<_, Refusal>(Connected { connection, extras })
        };
        let joining = self
            .consoles
            .join(wanted, newcomer, opening, &self.shutdown);
        let viewer = joining.await?;
        // The console may have been opened by a name that is not recorded.
        if !viewer.is_recorded()
            && let Some(tap) = record(self.recorder.as_ref(), found, begin, &self.shutdown).await?
        {
            viewer.record(tap);
        }
        Ok(viewer)
    }

    /// Responds to a request about viewers or the keyboard, except a request for events.
    pub(super) fn answer(
        request: ViewersRequest,
        view: Option<&ConsoleView>,
        settings: &config::ConsoleSharing,
        name: Option<&str>,
    ) -> Result<Response<Body>, Refusal> {
        let viewer = || match (view, name) {
            (Some(view), Some(name)) => Ok((view, name)),
            (None, _) => Err(Refusal::not_found("nobody views this console now")),
            (_, None) => Err(Refusal::bad_request(
                "name your viewer: viewer=NAME, as in the address of its WebSocket",
            )),
        };
        match request {
            ViewersRequest::Now | ViewersRequest::Events => {}
            ViewersRequest::Take => {
                let (view, name) = viewer()?;
                view.take_keyboard(name)?;
            }
            ViewersRequest::Give => {
                let (view, name) = viewer()?;
                view.give_keyboard(name)?;
            }
        }
        let presence = match view {
            Some(view) => view.presence(name),
            None => Presence::nobody(settings.typing),
        };
        Ok(json(StatusCode::OK, &json!(presence)))
    }
}

/// The name that a page gives its connection, with which it requests the keyboard.
pub(super) fn viewer_name(query: Option<&str>) -> Result<Option<Box<str>>, Refusal> {
    let Some(name) = parameter(query, "viewer")? else {
        return Ok(None);
    };
    let is_plain = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain)
    };
    if !is_plain(&name) {
        return Err(Refusal::bad_request(
            "the name of a viewer has at most 64 letters, digits and the signs - _ .",
        ));
    }
    Ok(Some(Cow::into_owned(name).into()))
}

/// True if a client accepts this media type by name.
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let lines = headers.get_all(ACCEPT).iter();
    let lines = lines.filter_map(|value| value.to_str().ok());
    let mut types = lines.flat_map(|line| line.split(','));
    types.any(|range| {
        range
            .split(';')
            .next()
            .is_some_and(|name| name.trim() == wanted)
    })
}
