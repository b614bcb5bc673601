//! Sets the header fields of every response by the rules of `[headers]`, of the app and of the `[[files]]`. Must not
//! know the origin of a response.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, StatusCode};

use crate::config::{Config, HeaderRules};
use crate::http::{Scheme, apply_to_response, replaced_fields};
use crate::router::Route;

/// The rules for each route, with general and specific ones merged.
#[derive(Debug)]
pub(super) struct ResponseHeaders {
    own: Rules,
    apps: Vec<Rules>,
    files: Vec<Rules>,
}

#[derive(Debug)]
struct Rules {
    rules: HeaderRules,
    /// The fields that rules replace, so that an app cannot send them; `None` if there are none.
    replaced: Option<Arc<[HeaderName]>>,
}

impl Rules {
    fn new(own: &HeaderRules, general: &HeaderRules) -> Self {
        let rules = own.combined_with(general);
        let replaced = replaced_fields(&rules);
        Self {
            rules,
            replaced: (!replaced.is_empty()).then(|| replaced.into()),
        }
    }
}

impl ResponseHeaders {
    pub(super) fn new(config: &Config) -> Self {
        let general = config.headers.general();
        let rules = |own: &HeaderRules| Rules::new(own, &general);
        let apps = config.apps.iter().map(|app| &app.response_headers);
        let files = config.files.iter().map(|files| &files.response_headers);
        Self {
            own: rules(&config.headers.own),
            apps: apps.map(rules).collect(),
            files: files.map(rules).collect(),
        }
    }

    /// Applies the rules for a route to a response.
    pub(super) fn apply(
        &self,
        headers: &mut HeaderMap,
        status: StatusCode,
        route: Option<Route>,
        scheme: Scheme,
    ) {
        let is_error = status.is_client_error() || status.is_server_error();
        let rules = &self.of(route).rules;
        apply_to_response(rules, headers, scheme == Scheme::Https, is_error);
    }

    /// The fields of an app that never reach the clients of a route; `None` if there are none.
    pub(super) fn replaced(&self, route: Option<Route>) -> Option<&Arc<[HeaderName]>> {
        self.of(route).replaced.as_ref()
    }

    fn of(&self, route: Option<Route>) -> &Rules {
        let found = match route {
            Some(Route::App(index)) => self.apps.get(index),
            Some(Route::Files(index)) => self.files.get(index),
            _ => None,
        };
        found.unwrap_or(&self.own)
    }
}
