//! One address of an app: its connections, its condition, and the repeated attempts to connect after a failure.
//!
//! Must not know requests, or the choice between addresses.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::config::{self, AppUrl};
use crate::shutdown::Shutdown;
use crate::sync::lock;
use crate::tls::{Connector, DialError, Outgoing, dial};
use crate::upstream::UpstreamError;
use crate::upstream::affinity::Tag;
use crate::upstream::availability::{Availability, ClosedReason};
use crate::upstream::condition::{State, Watch};
use crate::upstream::connection::Connection;
use crate::upstream::pool::Pool;
use crate::upstream::probe::Probe;
use crate::upstream::reachability::Reachability;

/// Time limit for connecting when an operator or a metric checks the reachability.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// One address of an app, for the requests of one configuration.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) url: AppUrl,
    /// Identifies the address in an affinity cookie without revealing it.
    pub(super) tag: Tag,
    pub(super) pool: Pool,
    pub(super) shared: Arc<AddressState>,
    app: String,
    /// TLS settings; `None` for plain HTTP.
    tls: Option<Connector>,
    /// Time limit to connect.
    limit: Duration,
    /// Pause between two attempts to connect to an unreachable address.
    interval: Duration,
    probe: Probe,
    /// True once a reload has put another in its place, or has removed the address.
    is_retired: AtomicBool,
    tasks: Shutdown,
}

/// The part of an address that outlives a reload, and that requests of visitors and of Noren itself share.
#[derive(Debug, Default)]
pub(super) struct AddressState {
    pub(super) availability: Availability,
    pub(super) watch: Watch,
    pub(super) reachability: Reachability,
    /// Number of open WebSockets.
    pub(super) tunnels: AtomicUsize,
    /// Number of times the address was taken out of use because connecting failed or it did not respond.
    pub(super) failures: AtomicUsize,
    /// The address with the settings in force, for later attempts to connect.
    latest: Mutex<Weak<Backend>>,
    /// True while a task attempts to connect to the unreachable address.
    is_recovering: AtomicBool,
    /// True while a probe of the address is in progress.
    pub(super) is_probed: AtomicBool,
    /// Time of the last successful attempt to connect after a failure.
    recovered_at: Mutex<Option<Instant>>,
}

/// Guard that counts an open WebSocket.
#[derive(Debug)]
pub(crate) struct Tunnel(Arc<AddressState>);

impl Backend {
    /// Creates an address without connections; `shared` is the part of it that outlives a reload.
    pub(super) fn new(
        url: &AppUrl,
        tls: Option<&Connector>,
        settings: &config::App,
        shared: Arc<AddressState>,
        tasks: &Shutdown,
    ) -> Arc<Self> {
        Arc::new(Self {
            url: url.clone(),
            tag: Tag::of(&settings.name, url),
            pool: Pool::new(settings.keep_alive),
            shared,
            app: settings.name.clone(),
            tls: tls.filter(|_| url.is_https).cloned(),
            limit: settings.connect,
            interval: settings.health_interval,
            probe: Probe::of(settings),
            is_retired: AtomicBool::new(false),
            tasks: tasks.clone(),
        })
    }

    /// Creates the same address with its own connections and limits.
    pub(super) fn for_own_requests(&self, settings: &config::App) -> Arc<Self> {
        let shared = Arc::clone(&self.shared);
        Self::new(&self.url, self.tls.as_ref(), settings, shared, &self.tasks)
    }

    /// Replaces the address of an earlier configuration by this one.
    pub(super) fn put_in_force(self: &Arc<Self>) {
        *self.shared.latest() = Arc::downgrade(self);
        if self.shared.is_failed() {
            self.start_recovery();
        }
    }

    /// True if requests may be sent to this address.
    pub(super) fn is_open(&self) -> bool {
        self.shared.availability.is_open()
    }

    /// Connects once, with a TLS handshake if the address has TLS.
    pub(super) async fn dial(&self, limit: Duration) -> Result<Outgoing, DialError> {
        let endpoint = &self.url.endpoint;
        dial(endpoint, |_| true, self.tls.as_ref(), limit).await
    }

    /// Records a response of the app at this address.
    pub(super) fn record_response(&self, now: Instant) {
        self.shared.watch.record_response(now);
        self.shared.reachability.note(true, now);
        if self.shared.availability.set(ClosedReason::Silent, false) {
            info!(app = self.app, address = %self.url, "the address of the app responds again");
        }
    }

    /// Records a failure at this address.
    pub(super) fn record_failure(&self, state: State, error: String) {
        let now = Instant::now();
        self.shared.watch.record_failure(state, error, now);
        if state == State::Down {
            self.shared.reachability.note(false, now);
        }
    }

    /// Records that the app broke off an exchange at this address.
    pub(super) fn record_broken(&self, error: UpstreamError) -> UpstreamError {
        self.record_failure(State::Broken, error.to_string());
        error
    }

    /// Records that the app did not respond at this address in time.
    pub(super) fn record_silence(&self, error: &UpstreamError) {
        self.record_failure(State::Silent, error.to_string());
    }

    /// Sends a probe and waits for any response; the end of the connection counts as one.
    ///
    /// # Errors
    /// [`DialError`] if the address cannot be connected to.
    pub(super) async fn probe(&self) -> Result<(), DialError> {
        let socket = self.dial(self.limit).await?;
        let mut request = self.probe.request();
        // Any response will do, and no response is one whose server is there to end the connection.
        let _ = Connection::start(socket).send(&mut request, None).await;
        Ok(())
    }

    /// Takes the address out of use after a silence, until it responds.
    pub(super) fn take_out_as_silent(self: &Arc<Self>, quiet: Duration) {
        let seconds = quiet.as_secs();
        let fault = format!("nothing has come from it for {seconds} s, although requests wait");
        self.record_failure(State::Silent, fault);
        if self.shared.availability.set(ClosedReason::Silent, true) {
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
            let (app, address) = (&self.app, &self.url);
            warn!(app, %address, seconds, "the address of the app does not respond; requests go to others");
            self.start_recovery();
        }
    }

    /// Tries once to connect to the address, or to get a response from it, and puts it back into use.
    async fn try_to_restore(&self) {
        if self.shared.availability.is(ClosedReason::Unreachable) {
            match self.dial(self.limit).await {
                Ok(_) => self.record_connection(),
                Err(error) => self.record_failure(State::Down, error.to_string()),
            }
        } else if let Ok(Ok(())) = timeout(self.limit, self.probe()).await {
            self.record_response(Instant::now());
        }
    }

    /// Records that a connection was opened.
    pub(super) fn record_connection(&self) {
        if self
            .shared
            .availability
            .set(ClosedReason::Unreachable, false)
        {
            self.shared.watch.record_connection(Instant::now());
            *self.shared.recovered_at() = Some(Instant::now());
            info!(app = self.app, address = %self.url, "the address of the app is back");
        }
    }

    /// Takes the address out of use after a failed connection, until another one succeeds.
    pub(super) fn take_out_as_unreachable(self: &Arc<Self>, error: &DialError) {
        self.record_failure(State::Down, error.to_string());
        if self
            .shared
            .availability
            .set(ClosedReason::Unreachable, true)
        {
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
            let (app, address) = (&self.app, &self.url);
            warn!(app, %address, %error, "the address of the app cannot be reached; requests go to others");
            self.start_recovery();
        }
    }

    /// Starts the repeated attempts to reach the address, unless they are running.
    fn start_recovery(&self) {
        if self.shared.is_recovering.swap(true, Ordering::Relaxed) {
            return;
        }
        let (shared, stop) = (Arc::downgrade(&self.shared), self.tasks.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = recover(shared) => {}
                () = stop.requested() => {}
            }
        });
    }

    /// Checks reachability: by the results of the last seconds, or otherwise by connecting once.
    pub(super) async fn is_reachable(&self) -> bool {
        // An address that an operator drains counts as unreachable, as announced.
        if self.shared.is_failed() || self.shared.availability.is(ClosedReason::Drained) {
            return false;
        }
        if let Some(is_reached) = self.shared.reachability.recent() {
            return is_reached;
        }
        let fault = match timeout(CONNECT_LIMIT, self.dial(self.limit)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!(
                "it did not take a connection within {CONNECT_LIMIT:?}"
            )),
        };
        let is_reached = fault.is_none();
        let now = Instant::now();
        self.shared.reachability.note(is_reached, now);
        match fault {
            None => self.shared.watch.record_connection(now),
            Some(fault) => self.shared.watch.record_failure(State::Down, fault, now),
        }
        is_reached
    }

    /// Puts a connection into the pool after its exchange. It is closed instead if the address is drained, so that the
    /// app sees its connections end, or if a reload has replaced the address, because nothing would use or close it.
    pub(super) fn take_back(&self, connection: Connection, now: Instant) {
        let is_unused = || {
            self.is_retired.load(Ordering::SeqCst)
                || self.shared.availability.is(ClosedReason::Drained)
        };
        if is_unused() {
            return;
        }
        self.pool.put(connection, now);
        // It may have been left at this moment.
        if is_unused() {
            self.pool.close_all();
        }
    }

    /// Closes the idle connections now, and the others as their exchanges end: a reload has put another in its place,
    /// or has removed the address. Long responses may hold this for hours.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::SeqCst);
        self.pool.close_all();
    }

    /// Closes connections that have been idle for too long; all of them if the address is drained.
    pub(super) fn close_idle(&self) {
        if self.shared.availability.is(ClosedReason::Drained) {
            self.pool.close_all();
        } else {
            self.pool.close_old();
        }
    }

    /// Counts an open WebSocket.
    pub(super) fn tunnel(&self) -> Tunnel {
        self.shared.tunnels.fetch_add(1, Ordering::Relaxed);
        Tunnel(Arc::clone(&self.shared))
    }
}

impl AddressState {
    /// The address, if it is out of use after a failure and still configured.
    fn to_recover(&self) -> Option<Arc<Backend>> {
        let backend = self.latest().upgrade();
        backend.filter(|_| self.is_failed())
    }

    /// True if it was taken out of use because requests failed there.
    fn is_failed(&self) -> bool {
        self.availability.is(ClosedReason::Unreachable)
            || self.availability.is(ClosedReason::Silent)
    }

    fn latest(&self) -> std::sync::MutexGuard<'_, Weak<Backend>> {
        lock(&self.latest)
    }

    fn recovered_at(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        lock(&self.recovered_at)
    }
}

/// Tries repeatedly until it succeeds or the address is no longer in the configuration. No visitor waits for these
/// attempts, so an address that drops packets delays requests only once.
async fn recover(shared: Weak<AddressState>) {
    // At once the first time, because one lost packet is no reason to stay away. Not so for an address that comes and
    // goes, which visitors would meet while it is away each time.
    let mut pause = shared.upgrade().and_then(|shared| {
        let interval = shared.latest().upgrade()?.interval;
        let recovered_at = (*shared.recovered_at())?;
        (recovered_at.elapsed() < interval * 2).then_some(interval)
    });
    loop {
        if let Some(pause) = pause {
            sleep(pause).await;
        }
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let Some(backend) = shared.to_recover() else {
            shared.is_recovering.store(false, Ordering::Relaxed);
            // It may have been taken out again at this moment, and then this task was still counted on.
            if shared.to_recover().is_none() || shared.is_recovering.swap(true, Ordering::Relaxed) {
                return;
            }
            continue;
        };
        backend.try_to_restore().await;
        pause = Some(backend.interval);
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.0.tunnels.fetch_sub(1, Ordering::Relaxed);
    }
}
