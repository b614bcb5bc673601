//! The parts of a service for which a configuration can be refused. Does not touch the running service.

use std::sync::Arc;

use crate::access::tokens::Tokens;
use crate::config::{App, Config};
use crate::faults::Faults;
use crate::service::grip_keys::GripKeys;
use crate::service::mercure_keys::MercureKeys;
use crate::service::route_auth::Entrances;
use crate::service::setup_error::SetupError;
use crate::telemetry::TokenSourceCounts;
use crate::tls::{Connector, TlsError};
use crate::tokens::Resolver;

/// All parts of a [`Service`](crate::service::Service) that are read from files: users, keys, certificates. It shares
/// nothing with the running service, so that dropping a plan has no effect.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) entrances: Entrances,
    pub(super) tokens: Option<Tokens>,
    pub(super) targets: Resolver,
    /// TLS connector of each app, in the order of the configuration; `None` for an app without TLS.
    pub(super) connectors: Vec<Option<Connector>>,
    /// The keys of each app with GRIP, in the order of the configuration.
    pub(super) grip: Vec<Option<Arc<GripKeys>>>,
    /// The keys of the Mercure hub, if there is one.
    pub(super) mercure: Option<MercureKeys>,
}

impl Plan {
    /// Reads the files of a configuration.
    ///
    /// # Errors
    /// A [`SetupError`] for each file that cannot be used.
    pub(crate) fn new(config: &Config) -> Result<Self, Faults<SetupError>> {
        let mut faults = Faults::default();
        let entrances = faults.keep_all(Entrances::new(config));
        let tokens = faults.keep_all(Tokens::new(&config.hub.tokens));
        let targets = faults.keep_all(Resolver::new(&config.bridge));
        let connectors = Faults::gather(config.apps.iter().map(connector));
        let connectors = faults.keep_all(connectors);
        let grip = faults.keep_all(GripKeys::all(config));
        let mercure = faults.keep_all(MercureKeys::open(config.mercure.as_ref()));
        let (Some(entrances), Some(tokens), Some(targets)) = (entrances, tokens, targets) else {
            return Err(faults);
        };
        let (Some(connectors), Some(grip), Some(mercure)) = (connectors, grip, mercure) else {
            return Err(faults);
        };
        Ok(Self {
            entrances,
            tokens,
            targets,
            connectors,
            grip,
            mercure,
        })
    }

    /// The counters of look-ups for each token source in the network, which start at 0.
    #[must_use]
    pub(crate) fn token_sources(&self) -> Vec<Arc<TokenSourceCounts>> {
        self.targets.source_counts()
    }
}

/// The TLS connector of an app; `None` for plain HTTP.
fn connector(app: &App) -> Result<Option<Connector>, TlsError> {
    let tls = app.tls.clone().unwrap_or_default();
    app.urls
        .has_https()
        .then(|| Connector::for_http(&tls))
        .transpose()
}
