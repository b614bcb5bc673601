//! Plan and commit: all steps that can fail come first and have no effect on the running server; all steps with an
//! effect come afterwards and cannot fail.

use std::sync::Arc;

use tracing::warn;

use crate::cluster::Cluster;
use crate::config::{Config, ListenAddress, SourceKind};
use crate::faults::Faults;
use crate::hub;
use crate::net::Listener;
use crate::server::{State, descriptors};
use crate::service::{self, Live, Service, SetupError};
use crate::sources;
use crate::tls::{Acceptor, Acceptors, Challenges, TlsError};
use crate::viewers;

/// A configuration whose files have been read. Nothing was created, and nothing is in force.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) config: Config,
    budget: descriptors::Budget,
    service: service::Plan,
    acceptors: Acceptors,
}

/// A configuration that can be put in force. Dropping it refuses it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    budget: descriptors::Budget,
    service: service::Plan,
    acceptors: Vec<Option<Acceptor>>,
}

impl Findings {
    /// Reads the files of a configuration.
    ///
    /// # Errors
    /// A [`SetupError`] for each file that cannot be used.
    pub(super) fn read(mut config: Config) -> Result<Self, Faults<SetupError>> {
        let budget = descriptors::plan(&mut config);
        let mut faults = Faults::default();
        let service = faults.keep_all(service::Plan::new(&config));
        let acceptors = faults.keep_all(Acceptors::read(&config));
        let (Some(service), Some(acceptors)) = (service, acceptors) else {
            return Err(faults);
        };
        Ok(Self {
            config,
            budget,
            service,
            acceptors,
        })
    }

    /// Warnings about certificates that clients refuse, and about missing files and directories.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let certificates = self.acceptors.warnings().cloned();
        certificates.chain(absent(&self.config))
    }

    /// Creates a certificate if there is none. That is the only effect of a plan which remains if the plan is refused,
    /// so it comes last.
    ///
    /// # Errors
    /// [`TlsError`] says why the certificate cannot be created.
    pub(super) fn open(self, challenges: &Challenges) -> Result<Plan, TlsError> {
        let acceptors = self.acceptors.open(&self.config, challenges)?;
        for warning in absent(&self.config) {
            warn!("{warning}");
        }
        Ok(Plan {
            config: self.config,
            budget: self.budget,
            service: self.service,
            acceptors,
        })
    }
}

impl Plan {
    /// Puts this plan in force in all parts that outlive it, and returns the state for further requests.
    pub(super) fn commit(self, live: &Live) -> State {
        descriptors::commit(&self.budget, &self.config);
        live.forget_responses();
        let sources = self.service.token_sources();
        live.telemetry.token_sources.store(Arc::new(sources));
        let service = Service::new(self.service, &self.config, live);
        live.apps.replace(service.apps().to_vec());
        let limits = &self.config.limits;
        live.connection_permits
            .change(limits.connections, limits.connections_per_address);
        let acceptor = self.acceptors.iter().flatten().next();
        service.hosts().certified_by(acceptor);
        State {
            acceptors: self.acceptors,
            service: Arc::new(service),
            telemetry: Arc::clone(&live.telemetry),
            config: self.config,
        }
    }
}

/// Warnings about missing files and directories that are looked up again with each request: they may be created later.
fn absent(config: &Config) -> Vec<String> {
    let tokens = config.bridge.tokens.iter().filter_map(|source| {
        let path = match &source.kind {
            SourceKind::Directory(path)
            | SourceKind::File(path)
            | SourceKind::FileName(path)
            | SourceKind::Sockets(path) => path,
            SourceKind::Http(_) | SourceKind::Nova(_) | SourceKind::Redis(_) => return None,
        };
        let shown = path.display();
        (!path.exists())
            .then(|| format!("bridge.tokens: {shown} is not there; until it is, none of its tokens opens a console"))
    });
    let files = config
        .files
        .iter()
        .filter(|files| !files.directory.exists());
    let files = files.map(|files| {
        let shown = files.directory.display();
        format!("files: {shown} is not there; until it is, its paths are not found")
    });
    let shows_consoles = config.bridge.consoles.path.is_some() || config.admin.recordings;
    let viewers = shows_consoles.then(|| viewers::lacking(&config.bridge.consoles));
    tokens
        .chain(files)
        .chain(viewers.into_iter().flatten())
        .collect()
}

/// Checks the paths that a start opens in addition to the files. Opens and creates nothing.
pub(super) fn check(config: &Config) -> Faults<SetupError> {
    let mut faults = Faults::default();
    faults.keep_all(hub::check(config).or(()));
    faults.keep(Cluster::of(config));
    faults.keep_all(sources::check(config).err().unwrap_or_default().or(()));
    let admin = &config.admin;
    let socket = admin.socket.clone().map(ListenAddress::Unix);
    let address = admin.address.clone().map(ListenAddress::Tcp);
    let own = config.listeners.iter().map(|listener| &listener.address);
    for address in own.chain(socket.iter()).chain(address.iter()) {
        faults.keep(Listener::check(address));
    }
    faults
}
