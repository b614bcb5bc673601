//! The TLS acceptors of all listeners of a configuration, in two steps: reading the files, which changes nothing, and
//! opening, which may create a self-signed certificate.

use std::fmt;
use std::sync::Arc;

use rustls::server::danger::ClientCertVerifier;
use tracing::warn;

use crate::config::{Config, Listener, Protocol};
use crate::faults::Faults;
use crate::fs::FileIds;
use crate::tls::settings::{challenge_config, server_config};
use crate::tls::store::Loaded;
use crate::tls::{Acceptor, Challenges, TlsError, client_auth};

/// The files of the listeners with TLS, read and valid; `None` if no listener has TLS.
#[derive(Debug)]
pub(crate) struct Acceptors(Option<Files>);

struct Files {
    prints: FileIds,
    certificates: Loaded,
    /// The verifier of client certificates for each listener.
    clients: Vec<Option<Arc<dyn ClientCertVerifier>>>,
}

impl Acceptors {
    /// Reads the certificates, once for all listeners, and the authorities for client certificates. Changes nothing.
    ///
    /// # Errors
    /// A [`TlsError`] for each file that cannot be used.
    pub(crate) fn read(config: &Config) -> Result<Self, Faults<TlsError>> {
        if !config.listeners.iter().any(has_tls) {
            return Ok(Self(None));
        }
        let issued = config.acme.as_ref().map_or_else(Vec::new, |acme| {
            let names = acme.names.iter();
            names.map(|name| acme.certificate(name)).collect()
        });
        let pairs = config.tls.certificates.iter().chain(&issued);
        let prints = FileIds::of(pairs.flat_map(|pair| [&pair.certificate, &pair.key]));
        let mut faults = Faults::default();
        let certificates = faults.keep_all(Loaded::read(&config.tls, &issued));
        let clients = config.listeners.iter().map(|listener| {
            let clients = listener.clients.as_ref().filter(|_| has_tls(listener));
            clients.map(client_auth::verifier).transpose()
        });
        let clients = faults.keep_all(Faults::gather(clients));
        let (Some(certificates), Some(clients)) = (certificates, clients) else {
            return Err(faults);
        };
        Ok(Self(Some(Files {
            prints,
            certificates,
            clients,
        })))
    }

    /// Properties of the certificates that clients will complain about, one sentence each.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &String> {
        let files = self.0.iter();
        files.flat_map(|files| files.certificates.warnings())
    }

    /// Creates the acceptor of each listener; `None` for a listener without TLS. Creates a certificate if none is
    /// configured.
    ///
    /// # Errors
    /// [`TlsError`]: the certificate cannot be made, or the library refuses the settings.
    pub(crate) fn open(
        self,
        config: &Config,
        challenges: &Challenges,
    ) -> Result<Vec<Option<Acceptor>>, TlsError> {
        let Some(files) = self.0 else {
            return Ok(vec![None; config.listeners.len()]);
        };
        let certificates = Arc::new(files.certificates.store(&config.tls)?);
        for warning in certificates.warnings() {
            warn!("{warning}");
        }
        let proving = Arc::new(challenge_config(challenges.clone())?);
        let listeners = config.listeners.iter().zip(files.clients);
        let acceptor = |(listener, clients): (&Listener, _)| {
            if !has_tls(listener) {
                return Ok(None);
            }
            let certificates = Arc::clone(&certificates);
            let settings = server_config(&config.tls, Arc::clone(&certificates), clients)?;
            let (prints, challenges) = (files.prints.clone(), challenges.clone());
            let proving = Arc::clone(&proving);
            Ok(Some(Acceptor::new(
                settings,
                certificates,
                prints,
                challenges,
                proving,
            )))
        };
        listeners.map(acceptor).collect()
    }
}

fn has_tls(listener: &Listener) -> bool {
    listener.protocol == Protocol::Https
}

/// Omits the verifiers.
impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files")
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}
