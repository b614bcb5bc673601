//! Plan and commit: everything that can fail comes first and has no effect on the running server; everything with
//! an effect comes after and cannot fail.

use std::sync::Arc;

use crate::config::Config;
use crate::server::State;
use crate::service::{self, BuildError, Service, Surroundings};
use crate::tls::Acceptor;

/// A configuration whose files are all read, and which is not in force. Dropping it refuses it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    service: service::Plan,
    acceptors: Vec<Option<Acceptor>>,
}

impl Plan {
    /// Reads the files of a configuration.
    ///
    /// # Errors
    /// [`BuildError`] names the file and what is wrong with it.
    pub(super) fn new(config: Config, around: &Surroundings) -> Result<Self, BuildError> {
        Ok(Self {
            service: service::Plan::new(&config)?,
            acceptors: Acceptor::of_listeners(&config, &around.challenges)?,
            config,
        })
    }

    /// Builds the state of this plan. From here on the new limits apply to what it shares with the state `before`.
    pub(super) fn commit(self, around: &Surroundings, before: Option<&State>) -> State {
        let before = before.map(|state| state.service.as_ref());
        let service = Service::new(self.service, &self.config, around, before);
        let acceptor = self.acceptors.iter().flatten().next();
        service.hosts().certified_by(acceptor);
        State {
            acceptors: self.acceptors,
            service: Arc::new(service),
            inside: Arc::clone(&around.inside),
            config: self.config,
        }
    }
}
