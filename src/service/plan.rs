//! The parts of a service that can make a configuration be refused. Does not touch the running service.

use crate::access::tokens::Tokens;
use crate::config::{App, Config};
use crate::service::entrance::Entrances;
use crate::service::error::BuildError;
use crate::target::Resolver;
use crate::tls::{Connector, TlsError};

/// All parts of a [`Service`](crate::service::Service) that are read from files: users, keys, certificates. Shares
/// nothing with the running service, so that dropping a plan has no effect.
#[derive(Debug)]
pub struct Plan {
    pub(super) entrances: Entrances,
    pub(super) tokens: Option<Tokens>,
    pub(super) targets: Resolver,
    /// The way to each app with TLS, in the order of the configuration.
    pub(super) connectors: Vec<Option<Connector>>,
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
            connectors: config
                .apps
                .iter()
                .map(connector)
                .collect::<Result<_, _>>()?,
        })
    }
}

/// The TLS of an app; none for plain HTTP.
fn connector(app: &App) -> Result<Option<Connector>, TlsError> {
    let tls = app.tls.clone().unwrap_or_default();
    app.url
        .is_https
        .then(|| Connector::for_http(&tls))
        .transpose()
}
