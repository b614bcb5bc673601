//! Metrics of requests, by handler and status.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::sync::lock;

/// The handler that responded to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// An app; its requests are counted under the app's name, by [`AppMetrics`](super::AppMetrics).
    App,
    /// The bridge.
    Bridge,
    /// The hub.
    Hub,
    /// The Mercure hub.
    Mercure,
    /// The admin page.
    Page,
    /// A directory of files.
    Files,
    /// No handler: there was no route, or the head was invalid.
    None,
}

impl Handler {
    const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Bridge => "bridge",
            Self::Hub => "hub",
            Self::Mercure => "mercure",
            Self::Page => "page",
            Self::Files => "files",
            Self::None => "none",
        }
    }
}

/// The classes of status codes (RFC 9110 §15), for a bounded number of series.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The labels of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    handler: &'static str,
    app: String,
    code: &'static str,
}

/// The label of a refusal: its status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

/// The counters of one handler, one for each class of status codes.
#[derive(Clone, Debug)]
pub struct Classes([Counter; 5]);

impl Classes {
    /// Counts a response.
    pub fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.0.get(class) {
            counter.inc();
        }
    }
}

/// The handles of requests.
#[derive(Clone, Debug)]
pub struct Requests {
    all: Family<Labels, Counter>,
    refused: Family<StatusLabel, Counter>,
    bridge: Classes,
    hub: Classes,
    mercure: Classes,
    page: Classes,
    files: Classes,
    none: Classes,
    apps: Arc<Mutex<HashMap<String, Classes>>>,
}

impl Requests {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Family::default();
        let refused = Family::default();
        registry.register(
            "http_requests",
            "Requests by handler and class of status",
            Family::clone(&all),
        );
        registry.register(
            "http_refusals",
            "Requests that Noren itself refused, by status",
            Family::clone(&refused),
        );
        let classes = |handler: Handler| classes(&all, handler, "");
        Self {
            bridge: classes(Handler::Bridge),
            hub: classes(Handler::Hub),
            mercure: classes(Handler::Mercure),
            page: classes(Handler::Page),
            files: classes(Handler::Files),
            none: classes(Handler::None),
            apps: Arc::default(),
            all,
            refused,
        }
    }

    /// Returns the counters of an app.
    #[must_use]
    pub fn of_app(&self, name: &str) -> Classes {
        let own = classes(&self.all, Handler::App, name);
        let mut apps = lock(&self.apps);
        apps.insert(name.to_owned(), own.clone());
        own
    }

    /// Total number of responses, and of those with a 5xx status.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let apps = lock(&self.apps);
        let own = [
            &self.bridge,
            &self.hub,
            &self.mercure,
            &self.page,
            &self.files,
            &self.none,
        ];
        let all = own.into_iter().chain(apps.values());
        all.fold((0, 0), |(all, errors), classes| {
            let [.., server_errors] = &classes.0;
            let count: u64 = classes.0.iter().map(Counter::get).sum();
            (all + count, errors + server_errors.get())
        })
    }

    /// Counts a response that does not come from an app.
    pub fn count(&self, handler: Handler, status: StatusCode) {
        match handler {
            Handler::Bridge => self.bridge.count(status),
            Handler::Hub => self.hub.count(status),
            Handler::Mercure => self.mercure.count(status),
            Handler::Page => self.page.count(status),
            Handler::Files => self.files.count(status),
            Handler::App | Handler::None => self.none.count(status),
        }
    }

    /// Counts a refusal, in addition to the request itself.
    pub fn refuse(&self, status: StatusCode) {
        let status = status.as_u16();
        self.refused.get_or_create(&StatusLabel { status }).inc();
    }
}

fn classes(all: &Family<Labels, Counter>, handler: Handler, app: &str) -> Classes {
    Classes(CLASSES.map(|code| {
        let labels = Labels {
            handler: handler.as_str(),
            app: app.to_owned(),
            code,
        };
        all.get_or_create_owned(&labels)
    }))
}
