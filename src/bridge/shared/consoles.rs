//! The shared consoles of a server. At any time there is at most one for an address, also for simultaneous viewers,
//! during reloads, and beside a process that this one has replaced. Must not know tokens and permissions.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;
use tokio::time::Instant;

use super::console::{Console, NotJoined};
use super::guest::{Guest, Redial};
use super::presence::OpenConsole;
use super::state::{Extras, Newcomer};
use super::successor::Successor;
use super::view::ConsoleView;
use super::viewer::Viewer;
use crate::bridge::outcome::Ended;
use crate::config::ConsoleSharing;
use crate::http::Refusal;
use crate::shutdown::Shutdown;
use crate::sync::lock;
use crate::tls::Outgoing;

/// Time limit for the first viewer to arrive after the guest was connected.
const FIRST_VIEWER: Duration = Duration::from_secs(10);

/// All shared consoles. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Consoles(Arc<Inner>);

#[derive(Default)]
struct Inner {
    last: AtomicU64,
    registry: Mutex<Registry>,
    /// The process that replaces this one, once there is one.
    successor: Successor,
}

#[derive(Default)]
struct Registry {
    open: HashMap<Arc<str>, watch::Receiver<Phase>>,
    /// Addresses that are open in a process that this one has replaced.
    elsewhere: HashSet<Arc<str>>,
    /// True while another process takes over: this one opens no more consoles.
    frozen: bool,
}

/// The phase of a console.
#[derive(Clone)]
enum Phase {
    Connecting,
    Open(Arc<Console>),
    /// Connecting to the guest has failed.
    Failed(Refusal),
}

/// A console that a client wants to view.
pub(crate) struct ConsoleRequest {
    /// The address that identifies it.
    pub key: Arc<str>,
    /// The address for logs.
    pub target: String,
    /// Its settings.
    pub settings: Arc<ConsoleSharing>,
    /// Reconnects to the guest, if that is permitted.
    pub redial: Option<Redial>,
}

/// A connected console.
#[derive(Debug)]
pub(crate) struct Connected {
    /// The only connection to the guest.
    pub connection: Outgoing,
    /// Recording and scrollback.
    pub extras: Extras,
}

impl Consoles {
    /// Joins a console. If it is not open, connects to its guest with `connect`, once for simultaneous clients, and
    /// even if the client leaves meanwhile.
    ///
    /// # Errors
    /// A refusal, if it cannot be connected, or takes no viewer.
    pub(crate) async fn join<F>(
        &self,
        wanted: ConsoleRequest,
        newcomer: Newcomer,
        connect: F,
        tasks: &Shutdown,
    ) -> Result<Viewer, Refusal>
    where
        F: Future<Output = Result<Connected, Refusal>> + Send + 'static,
    {
        let key = Arc::clone(&wanted.key);
        let mut connecting = Some((wanted, connect));
        loop {
            let mut phase = self.phase(&key, &mut connecting, tasks)?;
            let settled = phase.wait_for(|phase| !matches!(phase, Phase::Connecting));
            let settled = settled.await.map(|phase| phase.clone());
            let console = match settled {
                Ok(Phase::Open(console)) => console,
                Ok(Phase::Failed(refusal)) => return Err(refusal),
                // It is gone; the next one may be opened.
                Ok(Phase::Connecting) | Err(_) => continue,
            };
            match console.join(newcomer.clone()) {
                Ok(joined) => return Ok(Viewer::new(console, joined)),
                Err(NotJoined::Full) => {
                    let reason = "this console has as many viewers as it may have";
                    return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason));
                }
                // Its place is free once nothing is connected any more, and not before.
                Err(NotJoined::Ending) => {
                    let _ = phase.changed().await;
                }
            }
        }
    }

    /// The phase of a console, which is opened if necessary.
    fn phase<F>(
        &self,
        key: &Arc<str>,
        connecting: &mut Option<(ConsoleRequest, F)>,
        tasks: &Shutdown,
    ) -> Result<watch::Receiver<Phase>, Refusal>
    where
        F: Future<Output = Result<Connected, Refusal>> + Send + 'static,
    {
        let mut registry = self.registry();
        if let Some(phase) = registry.open.get(key) {
            return Ok(phase.clone());
        }
        if registry.elsewhere.contains(key) {
            let reason = "this console is open in the Noren that this one has replaced; it can be opened here when \
                          its viewers there have left";
            return Err(Refusal::new(StatusCode::CONFLICT, reason));
        }
        let unavailable =
            |reason: &'static str| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason);
        if registry.frozen {
            return Err(unavailable(
                "another Noren takes over at this moment; please try again",
            ));
        }
        let Some((wanted, connect)) = connecting.take() else {
            return Err(unavailable(
                "this console has ended at this moment; please try again",
            ));
        };
        let (sender, phase) = watch::channel(Phase::Connecting);
        registry.open.insert(Arc::clone(key), phase.clone());
        drop(registry);
        let entry = ConsoleEntry {
            consoles: self.clone(),
            key: Arc::clone(key),
            sender,
        };
        tasks.spawn(entry.serve(wanted, connect, tasks.clone()));
        Ok(phase)
    }

    /// True if this console is open, here or in a process that this one has replaced.
    #[must_use]
    pub(crate) fn has(&self, key: &str) -> bool {
        let registry = self.registry();
        registry.open.contains_key(key) || registry.elsewhere.contains(key)
    }

    /// The settings of a console that is open, here or in a process that this one has replaced, where they are not
    /// known.
    #[must_use]
    pub(crate) fn settings(&self, key: &str) -> Option<Arc<ConsoleSharing>> {
        let registry = self.registry();
        if let Some(phase) = registry.open.get(key)
            && let Phase::Open(console) = &*phase.borrow()
        {
            return Some(Arc::clone(&console.settings));
        }
        let is_there = registry.open.contains_key(key) || registry.elsewhere.contains(key);
        is_there.then(Arc::default)
    }

    /// True if no console is open at all.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        let registry = self.registry();
        registry.open.is_empty() && registry.elsewhere.is_empty()
    }

    /// The view of an open console.
    #[must_use]
    pub(crate) fn open(&self, key: &str) -> Option<ConsoleView> {
        let phase = self.registry().open.get(key)?.borrow().clone();
        match phase {
            Phase::Open(console) if console.ended().is_none() => Some(ConsoleView(console)),
            _ => None,
        }
    }

    /// All consoles for the operator, oldest first.
    #[must_use]
    pub(crate) fn list(&self) -> Vec<OpenConsole> {
        let mut list: Vec<_> = self.all().iter().map(|console| console.shown()).collect();
        list.sort_by_key(|console| console.id);
        list
    }

    /// Closes the console with this number for all viewers; returns its address.
    #[must_use]
    pub(crate) fn close(&self, id: u64) -> Option<String> {
        let console = self.all().into_iter().find(|console| console.id == id)?;
        console.end(Ended::ByAdministrator);
        Some(console.target.clone())
    }

    /// Gives the keyboard to the viewer with this tunnel. `None` if it views no shared console; `false` if it may not
    /// type, or if the console has no keyboard of one viewer.
    #[must_use]
    pub(crate) fn hand_over(&self, tunnel: u64) -> Option<bool> {
        self.all()
            .iter()
            .find_map(|console| console.hand_over(tunnel))
    }

    fn all(&self) -> Vec<Arc<Console>> {
        let registry = self.registry();
        let open = registry
            .open
            .values()
            .filter_map(|phase| match &*phase.borrow() {
                Phase::Open(console) => Some(Arc::clone(console)),
                Phase::Connecting | Phase::Failed(_) => None,
            });
        open.collect()
    }

    /// Opens no more consoles, and returns the addresses that are open here or in an earlier process. The process that
    /// takes over must not open them.
    #[must_use]
    pub(crate) fn freeze(&self) -> Vec<Arc<str>> {
        let mut registry = self.registry();
        registry.frozen = true;
        self.0.successor.expect();
        let Registry {
            open, elsewhere, ..
        } = &*registry;
        open.keys().chain(elsewhere).cloned().collect()
    }

    /// Reverts [`freeze`](Self::freeze).
    pub(crate) fn thaw(&self) {
        self.registry().frozen = false;
        self.0.successor.forget();
    }

    /// Connects to the process that has taken over, at the other end of `line`, to report each console that ends here.
    pub(crate) fn connect_successor(&self, line: std::os::unix::net::UnixStream) {
        self.0.successor.connect(line);
    }

    /// Blocks these addresses until the earlier process, at the other end of `line`, has reported them as free or has
    /// ended.
    pub(crate) fn wait_for(
        &self,
        elsewhere: Vec<Arc<str>>,
        line: std::os::unix::net::UnixStream,
        tasks: &Shutdown,
    ) {
        if elsewhere.is_empty() {
            return;
        }
        self.registry().elsewhere.extend(elsewhere);
        let (own, stop) = (self.clone(), tasks.clone());
        tasks.spawn(async move {
            let freed = super::successor::listen(line, |key| own.free(key));
            tokio::select! {
                () = freed => {}
                () = stop.tunnels_requested() => {}
            }
            let left: Vec<_> = own.registry().elsewhere.drain().collect();
            for key in left {
                own.0.successor.report_end(&key);
            }
        });
    }

    fn free(&self, key: &str) {
        self.registry().elsewhere.remove(key);
        self.0.successor.report_end(key);
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        lock(&self.0.registry)
    }
}

/// The entry of one console in the registry, removed when its guest is disconnected.
struct ConsoleEntry {
    consoles: Consoles,
    key: Arc<str>,
    sender: watch::Sender<Phase>,
}

impl ConsoleEntry {
    async fn serve<F>(self, wanted: ConsoleRequest, connect: F, tasks: Shutdown)
    where
        F: Future<Output = Result<Connected, Refusal>>,
    {
        let Connected { connection, extras } = match connect.await {
            Ok(connected) => connected,
            Err(refusal) => return self.fail(refusal),
        };
        let id = self.consoles.0.last.fetch_add(1, Ordering::Relaxed) + 1;
        let has_earlier = !extras.earlier.is_empty();
        let until = Instant::now() + FIRST_VIEWER.max(wanted.settings.linger);
        let console = Console::new((id, wanted.target), wanted.settings, extras, until);
        if has_earlier {
            console.write_line("the lines above are of an earlier connection");
        }
        let console = Arc::new(console);
        let guest = Guest::new(Arc::clone(&console), tasks);
        self.sender.send_replace(Phase::Open(Arc::clone(&console)));
        guest.serve(connection, wanted.redial).await;
        console.release();
    }

    /// Removes the entry before the waiting clients are woken, so that the next client tries again.
    fn fail(self, refusal: Refusal) {
        let sender = self.sender.clone();
        drop(self);
        sender.send_replace(Phase::Failed(refusal));
    }
}

impl Drop for ConsoleEntry {
    fn drop(&mut self) {
        self.consoles.registry().open.remove(&self.key);
        self.consoles.0.successor.report_end(&self.key);
    }
}

impl fmt::Debug for Consoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consoles").finish_non_exhaustive()
    }
}
