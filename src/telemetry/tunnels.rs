//! Registry of open tunnels, with their byte counts; each can be asked to close. The audit writes their lines.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Instant;

use crate::clock::since;
use crate::sync::lock;
use crate::telemetry::metrics::{TunnelKind, TunnelMetrics};
use atomic_waker::AtomicWaker;

/// The open tunnels of a server. Clones share them.
#[derive(Clone)]
pub struct Tunnels(Arc<Shared>);

struct Shared {
    metrics: TunnelMetrics,
    last: AtomicU64,
    /// Tunnels by number, oldest first, without subscriptions: the hub lists its subscribers.
    open: Mutex<BTreeMap<u64, Arc<Entry>>>,
}

/// Properties of a tunnel that are known when it opens.
#[derive(Debug)]
pub struct TunnelInfo {
    /// Kind of its target.
    pub kind: TunnelKind,
    /// Address of the client.
    pub peer: String,
    /// Address of the target, never a token.
    pub target: String,
    /// Identity of the console at the target, if it is one: an address may be that of another console later.
    pub console: Option<Arc<str>>,
    /// User name, as the app reports it.
    pub user: Option<String>,
    /// Number of the visitor's session, if there is one.
    pub session: Option<NonZeroU64>,
    /// The negotiated subprotocol.
    pub subprotocol: Option<Cow<'static, str>>,
    /// Properties of a console that RFB is spoken with.
    pub rfb: Option<Rfb>,
    /// State of a viewer of a shared console.
    pub viewer: Option<Arc<ViewerState>>,
}

/// Terms of a viewer of a shared console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewing {
    /// True if the client may only look.
    pub view_only: bool,
}

/// State of a viewer of a shared console, which the console sets.
#[derive(Debug)]
pub struct ViewerState {
    /// True if the client may only look.
    pub view_only: bool,
    /// True if its keys reach the guest.
    pub types: AtomicBool,
    /// Bytes of output that it has missed.
    pub missed: AtomicU64,
    /// Number of viewers of the console.
    pub viewers: Arc<AtomicUsize>,
}

/// A viewer of a shared console as the status lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenViewer {
    /// True if it may only look.
    pub view_only: bool,
    /// True if its keys reach the guest.
    pub types: bool,
    /// Bytes of output that it has missed.
    pub missed: u64,
    /// Number of viewers of the console.
    pub viewers: usize,
}

impl ViewerState {
    fn row(&self) -> OpenViewer {
        OpenViewer {
            view_only: self.view_only,
            types: self.types.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
            viewers: self.viewers.load(Ordering::Relaxed),
        }
    }
}

/// Properties of a console that Noren speaks RFB with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfb {
    /// The security method that Noren and the host agreed on.
    pub security: &'static str,
    /// True if the client may only look.
    pub view_only: bool,
}

impl Rfb {
    /// The fields of a line: the method, and whether the client may only look. Those that say nothing are left out.
    pub(super) fn fields(
        rfb: Option<Self>,
        shared: Option<Viewing>,
    ) -> (Option<&'static str>, Option<bool>) {
        let view_only =
            rfb.is_some_and(|rfb| rfb.view_only) || shared.is_some_and(|shared| shared.view_only);
        (rfb.map(|rfb| rfb.security), view_only.then_some(true))
    }
}

/// An open tunnel. Dropping it removes it from the registry.
pub struct Tunnel {
    entry: Arc<Entry>,
    tunnels: Tunnels,
}

struct Entry {
    number: u64,
    kind: TunnelKind,
    peer: Box<str>,
    target: Box<str>,
    console: Option<Arc<str>>,
    user: Option<Box<str>>,
    session: Option<NonZeroU64>,
    subprotocol: Option<Cow<'static, str>>,
    rfb: Option<Rfb>,
    viewer: Option<Arc<ViewerState>>,
    opened: Instant,
    up: AtomicU64,
    down: AtomicU64,
    asked: AtomicBool,
    waker: AtomicWaker,
}

/// An open tunnel as the status lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTunnel {
    /// Number of the tunnel, unique in this process.
    pub id: u64,
    /// Kind: `console` or `app`.
    pub kind: &'static str,
    /// Address of the target.
    pub target: String,
    /// Address of the client.
    pub peer: String,
    /// User name, as the app reports it.
    pub user: Option<String>,
    /// Number of the visitor's session.
    pub session: Option<NonZeroU64>,
    /// The negotiated subprotocol.
    pub subprotocol: Option<Cow<'static, str>>,
    /// Properties of a console that RFB is spoken with.
    pub rfb: Option<Rfb>,
    /// State of a viewer of a shared console.
    pub shared: Option<OpenViewer>,
    /// Start of the tunnel, in Unix milliseconds.
    pub since: u64,
    /// Bytes written to the target.
    pub up: u64,
    /// Bytes received from the target.
    pub down: u64,
}

impl OpenTunnel {
    /// True if the client may only look.
    #[must_use]
    pub fn is_view_only(&self) -> bool {
        let rfb = self.rfb.is_some_and(|rfb| rfb.view_only);
        rfb || self.shared.is_some_and(|viewer| viewer.view_only)
    }
}

impl Tunnels {
    pub(super) fn new(metrics: TunnelMetrics) -> Self {
        Self(Arc::new(Shared {
            metrics,
            last: AtomicU64::new(0),
            open: Mutex::default(),
        }))
    }

    /// Adds a tunnel.
    #[must_use]
    pub fn open(&self, info: TunnelInfo) -> Tunnel {
        let TunnelInfo {
            kind,
            peer,
            target,
            console,
            user,
            session,
            subprotocol,
            rfb,
            viewer,
        } = info;
        let number = self.0.last.fetch_add(1, Ordering::Relaxed) + 1;
        let metrics = self.0.metrics.of(kind);
        metrics.opened.inc();
        metrics.open.inc();
        let entry = Arc::new(Entry {
            number,
            kind,
            peer: peer.into(),
            target: target.into(),
            console,
            user: user.map(Into::into),
            session,
            subprotocol,
            rfb,
            viewer,
            opened: Instant::now(),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        if kind != TunnelKind::Channel {
            self.list().insert(number, Arc::clone(&entry));
        }
        Tunnel {
            entry,
            tunnels: self.clone(),
        }
    }

    /// The open tunnels, oldest first, without subscriptions.
    #[must_use]
    pub fn now(&self) -> Vec<OpenTunnel> {
        self.rows(|_| true)
    }

    /// The open tunnels to the console with this identity, oldest first.
    #[must_use]
    pub fn at(&self, console: &str) -> Vec<OpenTunnel> {
        self.rows(|entry| entry.is_at(console))
    }

    fn rows(&self, is_wanted: impl Fn(&Entry) -> bool) -> Vec<OpenTunnel> {
        let list = self.list();
        let wanted = list.values().filter(|entry| is_wanted(entry));
        let entries: Vec<_> = wanted.cloned().collect();
        drop(list);
        entries.iter().map(|entry| entry.row()).collect()
    }

    /// Number of open tunnels.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list().len()
    }

    /// True if the console with this identity is open by a connection that belongs to its client alone.
    #[must_use]
    pub fn has_alone(&self, console: &str) -> bool {
        let list = self.list();
        list.values()
            .any(|entry| entry.viewer.is_none() && entry.is_at(console))
    }

    /// Asks the tunnel with this number to close; returns it, or `None` if there is none.
    #[must_use]
    pub fn request_close(&self, number: u64) -> Option<OpenTunnel> {
        let entry = self.list().get(&number).cloned()?;
        entry.asked.store(true, Ordering::Release);
        entry.waker.wake();
        Some(entry.row())
    }

    fn list(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Entry>>> {
        lock(&self.0.open)
    }
}

impl Entry {
    fn is_at(&self, console: &str) -> bool {
        self.console.as_deref() == Some(console)
    }

    fn row(&self) -> OpenTunnel {
        OpenTunnel {
            id: self.number,
            kind: self.kind.as_str(),
            target: self.target.to_string(),
            peer: self.peer.to_string(),
            user: self.user.as_deref().map(str::to_owned),
            session: self.session,
            subprotocol: self.subprotocol.clone(),
            rfb: self.rfb,
            shared: self.viewer.as_deref().map(ViewerState::row),
            since: since(self.opened),
            up: self.up.load(Ordering::Relaxed),
            down: self.down.load(Ordering::Relaxed),
        }
    }
}

impl Tunnel {
    /// Sets the bytes so far: written to the target, and received from it.
    pub fn moved(&self, up: u64, down: u64) {
        let metrics = self.tunnels.0.metrics.of(self.entry.kind);
        for (now, seen, counter) in [
            (up, &self.entry.up, &metrics.up),
            (down, &self.entry.down, &metrics.down),
        ] {
            // One task copies the bytes of a tunnel, so there is no other writer.
            let before = seen.load(Ordering::Relaxed);
            if now > before {
                seen.store(now, Ordering::Relaxed);
                counter.inc_by(now - before);
            }
        }
    }

    /// Number of the tunnel, unique in this process.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.entry.number
    }

    /// Ready once an administrator has asked the tunnel to close.
    pub fn poll_close_request(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.entry.waker.register(cx.waker());
        if self.entry.asked.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.tunnels.list().remove(&self.entry.number);
        let metrics = self.tunnels.0.metrics.of(self.entry.kind);
        metrics.open.dec();
        metrics
            .duration
            .observe(self.entry.opened.elapsed().as_secs_f64());
    }
}

impl fmt::Debug for Tunnels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnels")
            .field("open", &self.count())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("number", &self.entry.number)
            .field("target", &self.entry.target)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    fn info(kind: TunnelKind) -> TunnelInfo {
        TunnelInfo {
            kind,
            peer: "192.0.2.1:5".to_owned(),
            target: "unix:/run/a".to_owned(),
            console: None,
            user: Some("ann".to_owned()),
            session: NonZeroU64::new(3),
            subprotocol: Some("binary".into()),
            rfb: None,
            viewer: None,
        }
    }

    #[test]
    fn an_open_tunnel_is_in_the_list_with_its_bytes_until_it_is_dropped() {
        let telemetry = Telemetry::new();
        let tunnel = telemetry.tunnels.open(info(TunnelKind::Console));
        let second = telemetry.tunnels.open(info(TunnelKind::App));
        tunnel.moved(3, 5);
        tunnel.moved(3, 9);
        let now = telemetry.tunnels.now();
        assert_eq!((now[0].id, now[0].up, now[0].down), (1, 3, 9));
        assert_eq!((now[1].id, now[1].kind), (2, "app"));
        tunnel.moved(4, 9);
        drop(tunnel);
        drop(second);
        assert_eq!(telemetry.tunnels.now(), []);
        let text = telemetry.metrics.text(|_| {});
        for line in [
            "noren_tunnels{kind=\"console\"} 0",
            "noren_tunnels_opened_total{kind=\"console\"} 1",
            "noren_tunnel_bytes_total{kind=\"console\",direction=\"up\"} 4",
            "noren_tunnel_bytes_total{kind=\"console\",direction=\"down\"} 9",
            "noren_tunnel_duration_seconds_count{kind=\"app\"} 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn only_the_tunnel_that_was_meant_is_asked_to_close() {
        let telemetry = Telemetry::new();
        let tunnel = telemetry.tunnels.open(info(TunnelKind::Console));
        let other = telemetry.tunnels.open(info(TunnelKind::Console));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert_eq!(
            telemetry.tunnels.request_close(1).map(|seen| seen.id),
            Some(1)
        );
        assert!(tunnel.poll_close_request(&mut cx).is_ready());
        assert!(other.poll_close_request(&mut cx).is_pending());
        assert_eq!(telemetry.tunnels.request_close(3), None);
    }
}
