//! `noren serve`: serves a configuration from a file, from flags, or from a file with flags on top.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use noren::config::{
    App, AppUrl, AppUrls, Certificate, ConsoleList, Endpoint, Files, HeaderRules, ListenAddress,
    Listener, PathPrefix, Protocol, RequestLimits, SourceKind, StaticTarget, TokenSource,
};
use noren::server::Inheritance;
use noren::{
    Config, Drained, Faults, Handle, Order, Orders, PendingOrder, Server, SetupError, telemetry,
};
use tokio::runtime::{Builder, Runtime};
use tracing::{error, info, warn};

use crate::cli::{DEFAULT_FILE, Failure, load_or_advise, upgrade, with_causes};
use crate::notify;
use crate::signals::{self, ControlEvent, Signals};

/// The token that `--target` gets.
const CONSOLE: &str = "console";
/// Name of noVNC's page in its directory.
const NOVNC: &str = "vnc.html";
/// The path of the pages of consoles.
const CONSOLES: &str = "/consoles";

/// The arguments of `noren serve`.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file [default: /etc/noren/noren.toml, unless flags say what to serve]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on, with TLS, in place of the file's listeners: `host:port`, a port alone, or `unix:/path`
    #[arg(long, value_name = "ADDR", value_parser = ListenAddress::parse)]
    listen: Option<ListenAddress>,
    /// The app, in place of the file's apps: `http://host:port`, `https://host:port` or `unix:/path`
    #[arg(long, value_name = "URL", value_parser = AppUrl::parse)]
    app: Option<AppUrl>,
    /// One console, `host:port` or `unix:/path`, for the token `console`, which is no secret
    #[arg(long, value_name = "ADDR", value_parser = Endpoint::parse)]
    target: Option<Endpoint>,
    /// A directory with the page of a console, such as /usr/share/novnc, or with any other files; served to all
    /// clients
    #[arg(long, value_name = "DIR", conflicts_with = "app")]
    files: Option<PathBuf>,
    /// A directory of token files as Wok and websockify use them (repeatable)
    #[arg(long, value_name = "DIR")]
    tokens: Vec<PathBuf>,
    /// A directory of UNIX sockets, each reachable by its name (repeatable)
    #[arg(long, value_name = "DIR")]
    sockets: Vec<PathBuf>,
    /// noVNC and xterm.js for the pages of consoles, in place of the package's: a directory with `novnc` and `xterm`
    #[arg(long, value_name = "DIR")]
    viewers: Option<PathBuf>,
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
        let shown = self.config.is_none();
        let page = self.page();
        let tell = |server: &Server| introduce(server, shown.then_some(page.as_str()));
        runtime.block_on(serve(config, tell, || self.configuration()))
    }

    /// Returns the path to open in a browser: noVNC's page with the token of `--target`, if it exists.
    fn page(&self) -> String {
        let page = self.files.as_ref().map(|files| files.join(NOVNC));
        match (&self.target, page.is_some_and(|page| page.is_file())) {
            (Some(_), true) => {
                format!("{NOVNC}?autoconnect=true&path=websockify%3Ftoken%3D{CONSOLE}")
            }
            (None, true) => NOVNC.to_owned(),
            (Some(_), false) if self.shows_consoles() => format!("consoles/view#{CONSOLE}"),
            _ if self.shows_consoles() => "consoles/".to_owned(),
            _ => String::new(),
        }
    }

    /// True if flags configure consoles, without a file and without an app. An app has pages of its own, which one of
    /// Noren's could hide.
    fn shows_consoles(&self) -> bool {
        let has_consoles =
            self.target.is_some() || !self.tokens.is_empty() || !self.sockets.is_empty();
        self.config.is_none() && self.app.is_none() && has_consoles
    }

    fn configuration(&self) -> Result<Config, Failure> {
        let flags_suffice = self.app.is_some()
            || self.target.is_some()
            || self.files.is_some()
            || !self.tokens.is_empty()
            || !self.sockets.is_empty();
        let mut config = match &self.config {
            Some(file) => Config::load(file).map_err(Failure::configuration)?,
            None if flags_suffice => Config::default(),
            None => load_or_advise(
                Path::new(DEFAULT_FILE),
                "say what to serve, for example with: noren serve --app http://127.0.0.1:8010",
            )?,
        };
        self.apply(&mut config).map_err(Failure::Configuration)?;
        Ok(config)
    }

    fn apply(&self, config: &mut Config) -> anyhow::Result<()> {
        if let Some(address) = &self.listen {
            config.listeners = vec![Listener {
                address: address.clone(),
                protocol: Protocol::Https,
                ..Listener::default()
            }];
        }
        if let Some(url) = &self.app {
            config.apps = vec![App {
                urls: AppUrls::one(url.clone()),
                ..App::default()
            }];
        }
        if let Some(target) = &self.target {
            config.bridge.targets.push(StaticTarget {
                subprotocols: None,
                token: CONSOLE.to_owned(),
                address: target.clone(),
                tls: None,
                rfb: None,
                shared: None,
            });
        }
        if let Some(directory) = &self.files {
            let found = std::fs::canonicalize(directory);
            let directory = found.with_context(|| format!("--files {}", directory.display()))?;
            config.files.push(Files {
                path: PathPrefix::default(),
                refuse: Vec::new(),
                hosts: Vec::new(),
                directory,
                cache_control: None,
                precompressed: false,
                response_headers: HeaderRules::default(),
                request_limits: RequestLimits::default(),
            });
        }
        if self.shows_consoles() {
            let consoles = &mut config.bridge.consoles;
            consoles.path = PathPrefix::parse(CONSOLES).ok();
            // The name of a socket is no secret, and a token in a file may be one.
            if self.tokens.is_empty() {
                consoles.list = ConsoleList::All;
            }
        }
        if let Some(directory) = &self.viewers {
            let found = std::fs::canonicalize(directory);
            let directory = found.with_context(|| format!("--viewers {}", directory.display()))?;
            config.bridge.consoles.novnc = Some(directory.join("novnc"));
            config.bridge.consoles.xterm = Some(directory.join("xterm"));
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
        Ok(())
    }
}

/// Logs how to reach the server: the certificate that was made, if there is no other, and the URL with this path.
fn introduce(server: &Server, page: Option<&str>) {
    let url = server.url();
    if let Some(own) = server.self_signed() {
        info!(
            certificate = %own.file.display(),
            sha256 = own.fingerprint,
            "the certificate is self-signed: a browser warns of it once; curl needs --cacert, noren \
             subscribe with --ca"
        );
    }
    if let (Some(url), Some(page)) = (url, page) {
        info!("open {url}{page}");
    }
}

/// A runtime with this many worker threads; 0 means one for each core.
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

/// Serves until a signal requests a stop; a reload uses the configuration that `again` returns.
async fn serve(
    config: Config,
    tell: impl Fn(&Server),
    again: impl Fn() -> Result<Config, Failure>,
) -> Result<(), Failure> {
    signals::survive_file_limit().context("install the signal handlers")?;
    refused(Server::check(&config).faults)?;
    let mut server = bind(config, upgrade::inheritance()?)?;
    tell(&server);
    let handle = server.handle();
    let orders = server.orders();
    let signals = Signals::install().context("install the signal handlers")?;
    notify::ready();
    let beating = handle.clone();
    let stop = async {
        let wishes = ControlEvents { signals, orders };
        tokio::select! {
            () = handle_events(wishes, &handle, again) => {}
            () = notify::feed_watchdog(move || beat(beating.clone())) => {}
        }
    };
    log_end(server.run(stop).await);
    Ok(())
}

async fn beat(handle: Handle) {
    handle.heartbeat().await;
}

/// Executes control events until one of them is a stop.
async fn handle_events(
    mut wishes: ControlEvents,
    handle: &Handle,
    again: impl Fn() -> Result<Config, Failure>,
) {
    loop {
        let (wish, ordered) = wishes.next().await;
        let outcome = match wish {
            ControlEvent::Stop => break notify::stopping(),
            ControlEvent::Reload => reload(handle, &again),
            ControlEvent::Upgrade => replace(handle).await,
        };
        let over = wish == ControlEvent::Upgrade && outcome.is_ok();
        if let Some(ordered) = ordered {
            ordered.answer(outcome);
        }
        if over {
            return wait_for_tunnels(&mut wishes, handle).await;
        }
    }
}

fn reload(handle: &Handle, again: impl Fn() -> Result<Config, Failure>) -> Result<String, String> {
    notify::reloading();
    let reloaded = again().and_then(|config| handle.reload(config).map_err(Failure::configuration));
    notify::ready();
    reloaded.map(|()| "the configuration is in force".to_owned()).map_err(|failure| {
        error!(reason = %failure, "nothing was reloaded; the configuration before stays in force");
        failure.to_string()
    })
}

async fn replace(handle: &Handle) -> Result<String, String> {
    let own = handle.clone();
    let started = tokio::task::spawn_blocking(move || upgrade::hand_over(&own)).await;
    let started = started
        .map_err(anyhow::Error::from)
        .and_then(|started| started);
    match started {
        Ok(process) => {
            notify::replaced_by(process);
            Ok(format!(
                "process {process} serves now; process {} stays until its tunnels have ended",
                std::process::id()
            ))
        }
        Err(failure) => {
            let failure = with_causes(&failure);
            error!(
                reason = failure,
                "no other process took over; this one continues to serve"
            );
            Err(failure)
        }
    }
}

/// Waits, after an upgrade, until the last tunnel ends, a limit passes, or a stop is requested.
async fn wait_for_tunnels(wishes: &mut ControlEvents, handle: &Handle) {
    let limit = async {
        match handle.handover_limit() {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = handle.all_ended() => {}
        () = limit => {}
        () = wishes.signals.stop() => {}
    }
}

/// Control events: signals, and commands on the admin socket.
struct ControlEvents {
    signals: Signals,
    orders: Option<Orders>,
}

impl ControlEvents {
    /// Waits for the next control event, with the sender of its outcome.
    async fn next(&mut self) -> (ControlEvent, Option<PendingOrder>) {
        let ordered = async {
            match &mut self.orders {
                Some(orders) => orders.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            wish = self.signals.next() => (wish, None),
            ordered = ordered => (
                match ordered.order {
                    Order::Reload => ControlEvent::Reload,
                    Order::Upgrade => ControlEvent::Upgrade,
                },
                Some(ordered),
            ),
        }
    }
}

/// Converts faults to the reason why the program ends. A restart does not help, unless each fault may end by itself.
pub(super) fn refused(faults: Faults<SetupError>) -> Result<(), Failure> {
    let may_pass = faults.iter().all(SetupError::may_pass);
    faults.or(()).map_err(|faults| {
        if may_pass {
            Failure::Other(faults.into())
        } else {
            Failure::configuration(faults)
        }
    })
}

/// Binds the server. A fault of a certificate is one of the configuration, and a restart does not help; a port that is
/// in use may be free in a moment.
pub(super) fn bind(config: Config, before: Option<Inheritance>) -> Result<Server, Failure> {
    let bound = match before {
        Some(before) => Server::take_over(config, before),
        None => Server::bind(config),
    };
    bound.map_err(|error| {
        if error.may_pass() {
            Failure::Other(error.into())
        } else {
            Failure::configuration(error)
        }
    })
}

/// Logs the end of the process.
pub(super) fn log_end(drained: Drained) {
    match drained.left {
        0 => info!("stopped"),
        left => warn!(
            left,
            "stopped; connections and tunnels were cut off because the grace had passed"
        ),
    }
}
