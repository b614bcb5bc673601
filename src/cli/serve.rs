//! `noren serve`: from a file, from flags, or from a file with flags on top.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use noren::config::{
    App, Certificate, Endpoint, ListenAddress, Listener, Protocol, SourceKind, TokenSource,
};
use noren::{Config, Drained, Server, StartError, telemetry};
use tokio::runtime::{Builder, Runtime};
use tracing::{error, info, warn};

use crate::cli::{DEFAULT_FILE, Failure};
use crate::{notify, signals};

/// The arguments of `noren serve`.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file [default: /etc/noren/noren.toml, unless --app, --tokens or --sockets is given]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, with TLS, in place of the file's listeners
    #[arg(long, value_name = "ADDR", value_parser = ListenAddress::parse)]
    listen: Option<ListenAddress>,
    /// The app behind the door, in place of the file's apps: `http://host:port` or `unix:/path`
    #[arg(long, value_name = "URL", value_parser = Endpoint::parse_url)]
    app: Option<Endpoint>,
    /// A directory of token files as Wok and websockify use them (repeatable)
    #[arg(long, value_name = "DIR")]
    tokens: Vec<PathBuf>,
    /// A directory of UNIX sockets, each reachable by its name (repeatable)
    #[arg(long, value_name = "DIR")]
    sockets: Vec<PathBuf>,
    /// The certificate chain (PEM), in place of the file's; without any, one is made
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.configuration()?;
        telemetry::install(&config.log);
        let runtime = runtime(config.server.threads)?;
        runtime.block_on(serve(config, || self.configuration()))
    }

    fn configuration(&self) -> Result<Config, Failure> {
        let flags_suffice =
            self.app.is_some() || !self.tokens.is_empty() || !self.sockets.is_empty();
        let mut config = match &self.config {
            Some(file) => Config::load(file).map_err(Failure::configuration)?,
            None if flags_suffice => Config::default(),
            None => Config::load(Path::new(DEFAULT_FILE))
                .context(
                    "say what to serve, for example with: noren serve --app http://127.0.0.1:8010",
                )
                .map_err(Failure::Configuration)?,
        };
        self.apply(&mut config);
        Ok(config)
    }

    fn apply(&self, config: &mut Config) {
        if let Some(address) = &self.listen {
            config.listeners = vec![Listener {
                address: address.clone(),
                protocol: Protocol::Https,
                ..Listener::default()
            }];
        }
        if let Some(url) = &self.app {
            config.apps = vec![App {
                url: url.clone(),
                ..App::default()
            }];
        }
        let sources = &mut config.bridge.tokens;
        let directories = self.tokens.iter().cloned().map(SourceKind::Directory);
        let sockets = self.sockets.iter().cloned().map(SourceKind::Sockets);
        sources.extend(directories.chain(sockets).map(TokenSource::trusted));
        if let (Some(certificate), Some(key)) = (&self.cert, &self.key) {
            config.tls.certificates = vec![Certificate {
                certificate: certificate.clone(),
                key: key.clone(),
                names: Vec::new(),
            }];
        }
    }
}

/// A runtime with so many worker threads; 0 is one for each core.
pub(super) fn runtime(threads: usize) -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    Ok(builder
        .enable_all()
        .build()
        .context("start the worker threads")?)
}

/// Serves until a signal says stop; reloads on SIGHUP what `again` gives.
async fn serve(config: Config, again: impl Fn() -> Result<Config, Failure>) -> Result<(), Failure> {
    let server = bind(config)?;
    let handle = server.handle();
    let mut signals = signals::Signals::install().context("install the signal handlers")?;
    notify::ready();
    let stop = async {
        while signals.next().await == signals::Wish::Reload {
            notify::reloading();
            let reloaded =
                again().and_then(|config| handle.reload(config).map_err(Failure::configuration));
            if let Err(failure) = reloaded {
                error!(reason = %failure, "nothing was reloaded; the configuration before stays in force");
            }
            notify::ready();
        }
        notify::stopping();
    };
    told(server.run(stop).await);
    Ok(())
}

/// Opens the server. A certificate is a matter of configuration, and starting again will not mend it; a port
/// that is taken may be free in a moment.
pub(super) fn bind(config: Config) -> Result<Server, Failure> {
    Server::bind(config).map_err(|error| match error {
        StartError::Tls(_) | StartError::Users(_) | StartError::Links(_) | StartError::Hub(_) => {
            Failure::configuration(error)
        }
        StartError::Listen(_) | StartError::Source(_) => Failure::Other(error.into()),
    })
}

/// The last line of the log.
pub(super) fn told(drained: Drained) {
    match drained.left {
        0 => info!("stopped"),
        left => warn!(
            left,
            "stopped; connections and tunnels were cut off because the grace had passed"
        ),
    }
}
