//! Draining of one address by an operator: it gets no further requests, and requests in progress complete.

use std::sync::Arc;

use tracing::{info, warn};

use crate::upstream::Upstream;
use crate::upstream::availability::ClosedReason;
use crate::upstream::backend::Backend;

/// Reasons why an address is not drained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DrainError {
    /// There is no such app.
    #[error("there is no app {app}; {known}")]
    NoApp {
        /// The name, as it was given.
        app: String,
        /// The apps that there are.
        known: String,
    },
    /// Another process is taking over.
    #[error("Noren is being upgraded; give the order again")]
    Moving,
    /// The app has no such address.
    #[error("the app {app} has no address {address}; it has {known}")]
    Unknown {
        /// Name of the app.
        app: String,
        /// The address, as it was given.
        address: String,
        /// The addresses of the app.
        known: String,
    },
    /// The address is the last one that is not drained.
    #[error(
        "{address} is the only address of the app {app} that is not drained; without it no request would be served"
    )]
    Last {
        /// Name of the app.
        app: String,
        /// The address.
        address: String,
    },
}

impl Upstream {
    /// Drains an address, or ends the drain; returns the address as the status shows it, and a sentence about the
    /// result. A drain lasts until it is undone, even over a reload.
    ///
    /// # Errors
    /// [`DrainError`] says why nothing was changed.
    pub(super) fn drain(
        &self,
        address: &str,
        drains: bool,
    ) -> Result<(String, String), DrainError> {
        let app = self.settings.name.clone();
        let Some(backend) = self.backends.iter().find(|one| is_named(one, address)) else {
            return Err(DrainError::Unknown {
                app,
                address: address.to_owned(),
                known: self.settings.urls.to_string(),
            });
        };
        let is_drained = |one: &Backend| one.shared.availability.is(ClosedReason::Drained);
        let mut others = self
            .backends
            .iter()
            .filter(|one| !Arc::ptr_eq(one, backend));
        if drains && others.all(|one| is_drained(one)) {
            return Err(DrainError::Last {
                app,
                address: backend.url.to_string(),
            });
        }
        let address = &backend.url;
        if !backend
            .shared
            .availability
            .set(ClosedReason::Drained, drains)
        {
            let state = if drains { "drained" } else { "in use" };
            let done = format!("{address} of the app {app} is {state} already");
            return Ok((address.to_string(), done));
        }
        info!(app, %address, drains, "an administrator drains an address of the app, or ends that");
        if !drains {
            let done = format!("{address} of the app {app} gets requests again");
            return Ok((address.to_string(), done));
        }
        backend.close_idle();
        let (_, busy) = self.queue.load_of(backend);
        let done =
            format!("{address} of the app {app} gets no further requests; {busy} are in progress");
        Ok((address.to_string(), done))
    }

    /// Ends all drains if a reload has left only drained addresses: the command was about the former addresses.
    pub(super) fn keep_one_open(&self) {
        let is_drained = |one: &Arc<Backend>| one.shared.availability.is(ClosedReason::Drained);
        if !self.backends.iter().all(is_drained) {
            return;
        }
        for backend in &self.backends {
            backend
                .shared
                .availability
                .set(ClosedReason::Drained, false);
            let address = &backend.url;
            let app = &self.settings.name;
            warn!(app, %address, "the drain of the address has ended: the app has no other address any more");
        }
    }
}

/// True for the address as the status shows it, or as the configuration has it.
fn is_named(backend: &Backend, address: &str) -> bool {
    let shown = backend.url.to_string();
    shown == address
        || address
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'))
            == Some(&shown)
}
