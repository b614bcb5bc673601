//! Accepts connections, performs the handshake, and serves HTTP on them: [`Server::bind`], then [`Server::run`].
//!
//! `bind` opens sockets, loads certificates and spawns only the sources of channels; it reports every fault of a
//! configuration on this machine. Must not know the purpose of a request.

mod accept;
mod connection;
mod descriptors;
mod dormant;
mod handover;
mod http1;
mod plan;
mod reload;
mod renewal;
mod responder;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tracing::{info, warn};

use crate::acme::Renewer;
use crate::admin::{Admin, Orders, View};
use crate::bridge::Consoles;
use crate::clock::{unix_milliseconds, unix_time};
use crate::cluster::Cluster;
use crate::config::{self, Config, Protocol};
use crate::faults::Faults;
use crate::hub::Hub;
use crate::net::{ConnectionPermits, Inherited, Listener, Proxies};
use crate::service::{Live, Role, Service, SetupError};
use crate::shutdown::{Drained, Shutdown};
use crate::sources::Sources;
use crate::spool::SpoolUse;
use crate::telemetry::{FileLabel, Telemetry};
use crate::tls::{Acceptor, Challenges, SelfSigned};
use crate::upstream::Apps;

use plan::{Findings, Plan};

pub use handover::{HandoverError, Inheritance};
pub use reload::Handle;

/// Interval between two closings of idle connections to the apps.
const SWEEP: Duration = Duration::from_secs(1);

/// A server whose sockets are open.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(Arc<Listener>, config::Listener)>,
    admin: Option<Admin>,
    orders: Option<Orders>,
    state: Arc<ArcSwap<State>>,
    live: Live,
    sources: Sources,
    acme: Renewer,
    /// Serialises reload, certificate renewal and hand-over.
    turn: Arc<Mutex<()>>,
    /// Connection to the process that this one replaces, and the addresses of that process's shared consoles.
    before: Option<(UnixStream, Vec<Arc<str>>)>,
}

/// The state that a reload replaces as a whole.
#[derive(Debug)]
struct State {
    config: Config,
    service: Arc<Service>,
    /// TLS acceptor of each listener; `None` for one without TLS.
    acceptors: Vec<Option<Acceptor>>,
    telemetry: Arc<Telemetry>,
}

/// Result of checking a configuration against this machine.
#[derive(Debug, Default)]
pub struct Checked {
    /// Reasons why a start would be refused.
    pub faults: Faults<SetupError>,
    /// Properties about which clients will complain, one sentence each.
    pub warnings: Vec<String>,
}

impl Server {
    /// Loads the certificates, opens all listening sockets, and starts the sources of channels; nothing else is
    /// spawned. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`SetupError`] names the file or the address, the reason, and the remedy.
    pub fn bind(config: Config) -> Result<Self, SetupError> {
        Self::open(config, None)
    }

    /// Binds a server with the sockets and the messages of another process, which continues to serve until
    /// [`run`](Self::run) is called.
    ///
    /// # Errors
    /// As for [`bind`](Self::bind).
    pub fn take_over(config: Config, inheritance: Inheritance) -> Result<Self, SetupError> {
        Self::open(config, Some(inheritance))
    }

    /// Checks for all faults on this machine for which a start with this configuration would be refused: reads each
    /// file that it names, and checks each path at which a start opens or creates something. Changes nothing, and opens
    /// no socket. Must be called inside a tokio runtime.
    #[must_use]
    pub fn check(config: &Config) -> Checked {
        let mut checked = Checked::default();
        match Findings::read(config.clone()) {
            Ok(found) => checked.warnings.extend(found.warnings()),
            Err(faults) => checked.faults = faults,
        }
        checked.faults.keep_all(plan::check(config).or(()));
        checked
    }

    fn open(config: Config, inheritance: Option<Inheritance>) -> Result<Self, SetupError> {
        descriptors::raise();
        let challenges = Challenges::default();
        let plan = Findings::read(config).map_err(SetupError::Several)?;
        let plan = plan.open(&challenges)?;
        let config = &plan.config;
        let shutdown = Shutdown::new();
        let drained = inheritance.as_ref().map(|found| found.drained.clone());
        let elsewhere = inheritance.as_ref().map(|found| found.consoles.clone());
        let (sockets, snapshot, before) = match inheritance.map(Inheritance::open) {
            Some((sockets, snapshot, line)) => (sockets, Some(snapshot), Some(line)),
            None => (Vec::new(), None, None),
        };
        let mut inherited = Inherited::from_env().with(sockets);
        let mut listeners = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            let bound = Listener::bind(&listener.address, listener.mode, &mut inherited)?;
            listeners.push((Arc::new(bound), listener.clone()));
        }
        let telemetry = Telemetry::new();
        let cluster = Cluster::of(config)?;
        let sequencer = cluster.as_ref().map(Cluster::sequencer);
        let channels = telemetry.metrics.channels.clone();
        let hub = Hub::measured(config, snapshot, channels, sequencer.unwrap_or_default())?;
        let connection_permits = ConnectionPermits::new(
            config.limits.connections,
            config.limits.connections_per_address,
        );
        let sources = Sources::start(&hub, config, &shutdown)?;
        let acme = Renewer::new(challenges, Arc::clone(&telemetry));
        let view = View {
            hub,
            cluster,
            sources: sources.clone(),
            apps: Apps::default(),
            consoles: Consoles::default(),
            connection_permits,
            spool: SpoolUse::default(),
            acme: acme.clone(),
            telemetry,
            shutdown,
            started_at: Instant::now(),
        };
        let live = Live::new(config, &view);
        let state = plan.commit(&live);
        live.apps.drain(&drained.unwrap_or_default());
        let (admin, orders) = Admin::bind(&state.config, &view, &mut inherited)?.unzip();
        state.show_certificates();
        Ok(Self {
            listeners,
            sources,
            live,
            admin,
            orders,
            state: Arc::new(ArcSwap::from_pointee(state)),
            acme,
            turn: Arc::default(),
            before: before.map(|line| (line, elsewhere.unwrap_or_default())),
        })
    }

    /// The queue of control commands from the admin socket, for their executor; `None` without an admin socket,
    /// and after the first call.
    pub fn orders(&mut self) -> Option<Orders> {
        self.orders.take()
    }

    /// The TCP addresses of the listeners, with their real ports, in the order of the configuration.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|(listener, ..)| listener.tcp_address())
            .collect()
    }

    /// The certificate that Noren created because none is configured, if there is a listener with TLS.
    #[must_use]
    pub fn self_signed(&self) -> Option<SelfSigned> {
        let state = self.state.load();
        let acceptor = state.acceptors.iter().flatten().next();
        acceptor.and_then(Acceptor::self_signed).cloned()
    }

    /// The address of the first listener with TLS, or otherwise of the first without, as a URL for a browser; `None` if
    /// all are UNIX sockets.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        let of = |protocol: Protocol| {
            let mut listeners = self.listeners.iter();
            listeners.find_map(|(listener, settings)| {
                let is_meant = settings.protocol == protocol;
                listener.tcp_address().filter(|_| is_meant)
            })
        };
        let (scheme, address) = match (of(Protocol::Https), of(Protocol::Http)) {
            (Some(address), _) => ("https", address),
            (None, Some(address)) => ("http", address),
            (None, None) => return None,
        };
        let ip = address.ip();
        let own = [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ];
        let host = if ip.is_unspecified() || own.contains(&ip) {
            format!("localhost:{}", address.port())
        } else {
            address.to_string()
        };
        Some(format!("{scheme}://{host}/"))
    }

    /// The TCP address of `[admin]`, with its real port, if there is one.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.tcp_address()
    }

    /// A handle to reload the configuration of the running server.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self)
    }

    /// Serves until `stop` is ready, and then drains: no new connections are accepted, and requests and tunnels may end
    /// within `server.drain`.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Drained {
        let handle = self.handle();
        let Live {
            hub,
            cluster,
            telemetry,
            admin_page,
            shutdown,
            connection_permits,
            consoles,
            ..
        } = self.live;
        for (index, (listener, settings)) in self.listeners.into_iter().enumerate() {
            let protocol = settings.protocol;
            info!(address = %listener, %protocol, "listening");
            let role = match protocol {
                Protocol::Redirect => Role::Redirect(settings.redirect_port),
                Protocol::Grip => Role::Grip,
                Protocol::Https | Protocol::Http => Role::Serve,
            };
            let public_listener = accept::PublicListener {
                listener,
                index,
                tls: protocol == Protocol::Https,
                role,
                state: Arc::clone(&self.state),
                connection_permits: connection_permits.clone(),
                proxies: Arc::new(Proxies::new(&settings)),
                telemetry: Arc::clone(&telemetry),
                shutdown: shutdown.clone(),
            };
            shutdown.spawn(public_listener.accept_all());
        }
        if let Some(admin) = self.admin {
            admin.run();
        }
        if let Some(page) = admin_page {
            let stop = shutdown.requested_owned();
            shutdown.spawn(async move {
                stop.await;
                page.dismiss().await;
            });
        }
        if let Some(cluster) = cluster {
            cluster.follow(&hub, &shutdown);
        }
        shutdown.spawn_keeper(sweep(Arc::clone(&self.state), shutdown.clone()));
        let state = Arc::clone(&self.state);
        let drain = hub.drain(shutdown.clone(), move || state.load().config.server.drain);
        shutdown.spawn(drain);
        shutdown.spawn_keeper(repeat_queries(Arc::clone(&self.state), shutdown.clone()));
        shutdown.spawn(renewal::watch(handle.clone(), shutdown.clone()));
        shutdown.spawn(renewal::keep(self.acme, handle.clone(), shutdown.clone()));
        if let Some((mut before, elsewhere)) = self.before.take() {
            handle.keep_sockets();
            if let Err(error) = handover::confirm(&mut before) {
                warn!(%error, "the hand-over cannot be confirmed to the previous process");
            }
            consoles.wait_for(elsewhere, before, &shutdown);
        }
        stop.await;
        let grace = self.state.load().config.server.drain;
        info!(?grace, "stopping");
        shutdown.drain(grace).await
    }
}

impl State {
    /// Publishes the expiry of each certificate in the metrics and in the status.
    fn show_certificates(&self) {
        let shown = &self.telemetry.metrics.connections.certificates;
        shown.clear();
        let expiries = self
            .acceptors
            .iter()
            .flatten()
            .next()
            .map_or(&[][..], Acceptor::expiries);
        let mut files = Vec::new();
        for (file, expires) in expiries {
            let ends = unix_time(*expires);
            let label = FileLabel {
                file: file.display().to_string(),
            };
            // Those of an authority are shown by their names.
            let is_issued = |acme: &config::Acme| file.starts_with(&acme.store);
            if !self.config.acme.as_ref().is_some_and(is_issued) {
                files.push((label.file.clone(), unix_milliseconds(*expires)));
            }
            let seconds = i64::try_from(ends.as_secs()).unwrap_or(i64::MAX);
            shown.get_or_create(&label).set(seconds);
        }
        self.telemetry.certificates.store(Arc::new(files));
    }
}

/// Repeats the session queries for open connections. Separate from the sweep, which must not wait for an app.
async fn repeat_queries(state: Arc<ArcSwap<State>>, shutdown: Shutdown) {
    let asking = async {
        loop {
            tokio::time::sleep(SWEEP).await;
            let service = Arc::clone(&state.load().service);
            service.repeat_queries().await;
        }
    };
    tokio::select! {
        () = asking => {}
        () = shutdown.tunnels_requested() => {}
    }
}

async fn sweep(state: Arc<ArcSwap<State>>, shutdown: Shutdown) {
    let sweeping = async {
        loop {
            tokio::time::sleep(SWEEP).await;
            let state = state.load_full();
            state.telemetry.heartbeat.beat();
            let service = Arc::clone(&state.service);
            service.close_idle();
            service.look_after_channels();
            service.look_after_recordings();
            if let Some(page) = service.admin_page() {
                page.sample();
            }
        }
    };
    tokio::select! {
        () = sweeping => {}
        () = shutdown.tunnels_requested() => {}
    }
}
