//! Plan and commit: everything that can fail comes first and has no effect on the running server; everything with
//! an effect comes after and cannot fail.

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

/// A configuration with its files read. Nothing was created, and nothing is in force.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) config: Config,
    need: descriptors::Need,
    service: service::Plan,
    acceptors: Acceptors,
}

/// A configuration that can be put in force. To drop it is to refuse it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    need: descriptors::Need,
    service: service::Plan,
    acceptors: Vec<Option<Acceptor>>,
}

impl Findings {
    /// Reads the files of a configuration.
    ///
    /// # Errors
    /// A [`SetupError`] for each file that cannot be used.
    pub(super) fn read(mut config: Config) -> Result<Self, Faults<SetupError>> {
        let need = descriptors::plan(&mut config);
        let mut faults = Faults::default();
        let service = faults.keep_all(service::Plan::new(&config));
        let acceptors = faults.keep_all(Acceptors::read(&config));
        let (Some(service), Some(acceptors)) = (service, acceptors) else {
            return Err(faults);
        };
        Ok(Self {
            config,
            need,
            service,
            acceptors,
        })
    }

    /// Sentences about certificates that clients refuse, and about places that are missing.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let certificates = self.acceptors.warnings().cloned();
        certificates.chain(absent(&self.config))
    }

    /// Makes a certificate if there is none: the one thing of a plan that stays if it is refused, so it comes last.
    ///
    /// # Errors
    /// [`TlsError`] says why that cannot be.
    pub(super) fn open(self, challenges: &Challenges) -> Result<Plan, TlsError> {
        let acceptors = self.acceptors.open(&self.config, challenges)?;
        for warning in absent(&self.config) {
            warn!("{warning}");
        }
        Ok(Plan {
            config: self.config,
            need: self.need,
            service: self.service,
            acceptors,
        })
    }
}

impl Plan {
    /// Puts this plan in force in all that outlives it, and returns the state for the requests to come.
    pub(super) fn commit(self, live: &Live) -> State {
        descriptors::commit(&self.need, &self.config);
        live.forget_responses();
        let sources = self.service.token_sources();
        live.telemetry.token_sources.store(Arc::new(sources));
        let service = Service::new(self.service, &self.config, live);
        live.apps.replace(service.apps().to_vec());
        let limits = &self.config.limits;
        live.slots
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

/// Warnings about missing places that are looked up again with each request: their content may come later.
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

/// Checks the places that a start opens beside the files. Opens and makes nothing.
pub(super) fn look(config: &Config) -> Faults<SetupError> {
    let mut faults = Faults::default();
    faults.keep_all(hub::look(config).or(()));
    faults.keep(Cluster::of(config));
    faults.keep_all(sources::look(config).err().unwrap_or_default().or(()));
    let admin = &config.admin;
    let socket = admin.socket.clone().map(ListenAddress::Unix);
    let address = admin.address.clone().map(ListenAddress::Tcp);
    let own = config.listeners.iter().map(|listener| &listener.address);
    for address in own.chain(socket.iter()).chain(address.iter()) {
        faults.keep(Listener::look(address));
    }
    faults
}
