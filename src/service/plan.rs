//! The parts of a service that a configuration can be refused for. Must not reach anything that serves already.

use crate::access::tokens::Tokens;
use crate::config::Config;
use crate::service::entrance::Entrances;
use crate::service::error::BuildError;
use crate::target::Resolver;

/// Everything of a [`Service`](crate::service::Service) that is read from files: users, keys, certificates. It
/// shares nothing with the service that runs, so that a plan which is dropped has changed nothing.
#[derive(Debug)]
pub struct Plan {
    pub(super) entrances: Entrances,
    pub(super) tokens: Option<Tokens>,
    pub(super) targets: Resolver,
}

impl Plan {
    /// Reads the files of a configuration.
    ///
    /// # Errors
    /// [`BuildError`] names the file and what is wrong with it.
    pub fn new(config: &Config) -> Result<Self, BuildError> {
        Ok(Self {
            entrances: Entrances::new(config)?,
            tokens: Tokens::new(&config.hub.tokens)?,
            targets: Resolver::new(&config.bridge)?,
        })
    }
}
