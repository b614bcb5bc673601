//! Paths of apps that are for Noren alone: they take the messages of pages, and are told who listens. An app that
//! believes what comes there need not ask who sends it, so no client reaches them by itself.

use http::StatusCode;

use crate::config::{self, Config, Endpoint, PathPrefix};
use crate::http::Refusal;

/// The paths, each with the address of its app, which several routes may lead to.
#[derive(Debug)]
pub(super) struct Reserved(Vec<(Endpoint, PathPrefix)>);

impl Reserved {
    pub(super) fn new(config: &Config) -> Self {
        let paths = config.channels.iter().flat_map(|channel| {
            let app = match &channel.app {
                None => config.apps.first(),
                Some(name) => config.apps.iter().find(|app| app.name == *name),
            };
            let paths = [
                &channel.receive,
                &channel.on_first_join,
                &channel.on_last_leave,
            ];
            let paths = paths.into_iter().flatten();
            paths.filter_map(move |path| Some((app?.url.clone(), path.clone())))
        });
        Self(paths.collect())
    }

    /// Looks whether a path is one of those, or below one: apps take what follows for parameters.
    ///
    /// # Errors
    /// A [`Refusal`] (403).
    pub(super) fn check(&self, app: &config::App, path: &str) -> Result<(), Refusal> {
        let is_path = |reserved: &PathPrefix| match reserved.as_str() {
            // Below it is everything.
            "/" => path == "/",
            _ => reserved.matches(path),
        };
        let found = self
            .0
            .iter()
            .any(|(url, path)| *url == app.url && is_path(path));
        if found {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "this path of the application is for messages of channels only; send them to the channel",
            ));
        }
        Ok(())
    }
}
