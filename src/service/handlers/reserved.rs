//! Paths of apps that only Noren may request: for messages of pages, and for presence. An app that trusts these
//! requests need not verify their sender, so no request of a client may reach them.

use std::collections::{HashMap, HashSet};

use http::StatusCode;

use crate::config::{self, CanonicalAddress, Config, PathPrefix};
use crate::http::{Refusal, RequestPath};

/// The reserved paths, each with a location of its app, to which several routes may lead.
#[derive(Debug)]
pub(super) struct Reserved(Vec<(CanonicalAddress, PathPrefix)>);

impl Reserved {
    pub(super) fn new(config: &Config) -> Self {
        let by_name = config.apps.iter().map(|app| (&*app.name, app));
        let by_name: HashMap<_, _> = by_name.collect();
        let paths = config.channels.iter().flat_map(|channel| {
            let app = match &channel.app {
                None => config.apps.first(),
                Some(name) => by_name.get(name.as_str()).copied(),
            };
            let paths = [
                &channel.receive,
                &channel.on_first_join,
                &channel.on_last_leave,
            ];
            let paths = paths.into_iter().flatten();
            paths.flat_map(move |path| {
                let addresses = app.into_iter().flat_map(|app| app.urls.canonical());
                addresses.map(|address| (address.clone(), path.clone()))
            })
        });
        // Thousands of channels may share a few: each request looks through them.
        let paths: HashSet<_> = paths.collect();
        Self(paths.into_iter().collect())
    }

    /// Checks that no server could read a path as one of the reserved paths, or as one below: apps take the rest of
    /// such a path for parameters.
    ///
    /// # Errors
    /// A [`Refusal`] (403).
    pub(super) fn check(&self, app: &config::App, path: &RequestPath) -> Result<(), Refusal> {
        let mut paths = self
            .0
            .iter()
            .filter(|(address, _)| app.urls.canonical().contains(address));
        let is_one = paths.any(|(_, reserved)| {
            let is_below = |path: &str| {
                reserved.matches(path)
                    || (app.siblings.fold_case && reserved.matches_in_any_case(path))
            };
            // Below the root is everything.
            let is_root = reserved.as_str() == "/";
            path.may_be(reserved.decoded(), app.siblings.fold_case)
                || path.may_be_in_a_format(reserved.decoded(), app.siblings.fold_case)
                || (!is_root && (is_below(path.as_str()) || path.others().any(is_below)))
        });
        if is_one {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "this path of the application is for messages of channels only; send them to the channel",
            ));
        }
        Ok(())
    }
}
