//! The accept loop of one listener. Must not wait for a client, and does not read a request.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use tracing::{debug, error, info, warn};

use crate::http::Drain;
use crate::net::{
    AcceptLoop, AcceptReport, ConnectionPermits, Listener, Peer, Proxies, Socket, Stream,
};
use crate::server::State;
use crate::server::connection::{self, Arrival};
use crate::service::Role;
use crate::shutdown::Shutdown;
use crate::telemetry::{ListenerLabel, Telemetry};

/// A public listener with all parts that serving its connections needs.
#[derive(Clone, Debug)]
pub(super) struct PublicListener {
    pub(super) listener: Arc<Listener>,
    /// Index of the listener in the configuration.
    pub(super) index: usize,
    pub(super) tls: bool,
    pub(super) role: Role,
    pub(super) state: Arc<ArcSwap<State>>,
    pub(super) connection_permits: ConnectionPermits,
    pub(super) proxies: Arc<Proxies>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) shutdown: Shutdown,
}

impl PublicListener {
    /// Accepts connections until the server stops, and then closes the socket.
    pub(super) async fn accept_all(self) {
        let shutdown = self.shutdown.clone();
        let connections = &self.telemetry.metrics.connections;
        let listener = self.listener.to_string();
        let accepted = connections
            .accepted
            .get_or_create_owned(&ListenerLabel { listener });
        let mut told_full = false;
        let mut accepting = AcceptLoop::default();
        loop {
            let (socket, peer) = tokio::select! {
                next = accepting.next(|| self.listener.accept(), |report| self.report(&report)) => next,
                () = shutdown.requested() => return,
            };
            accepted.inc();
            let full = self.connection_permits.is_full();
            if full && !std::mem::replace(&mut told_full, full) {
                warn!(listener = %self.listener, "limits.connections is reached; new clients wait");
            }
            told_full &= full;
            tokio::select! {
                permit = self.connection_permits.free() => self.receive(socket, peer, permit),
                // It was accepted here, so it is served here.
                () = shutdown.requested() => {
                    self.shutdown.spawn(self.clone().receive_late(socket, peer));
                    return;
                }
            }
        }
    }

    /// Serves an accepted connection that has its permit.
    fn receive(&self, socket: Socket, peer: Peer, permit: OwnedSemaphorePermit) {
        if self.proxies.speak_proxy_protocol() {
            // Elsewhere: a proxy that says nothing must not keep the next one waiting.
            let listener = self.clone();
            self.shutdown
                .spawn(listener.introduced(socket, peer, permit));
        } else {
            self.admit(socket, peer, permit);
        }
    }

    /// Serves a connection that was waiting for its permit when the server stopped.
    async fn receive_late(self, socket: Socket, peer: Peer) {
        let limit = self.state.load().config.limits.handshake;
        if let Ok(permit) = timeout(limit, self.connection_permits.free()).await {
            self.receive(socket, peer, permit);
        }
    }

    fn drain(&self) -> Drain {
        Drain::new(&self.shutdown, self.state.load().config.server.drain)
    }

    /// Reads the PROXY header of a connection, and then serves it.
    async fn introduced(self, mut socket: Socket, proxy: Peer, permit: OwnedSemaphorePermit) {
        let limit = self.state.load().config.limits.handshake;
        let drain = self.drain();
        let client = tokio::select! {
            client = self.proxies.client_of(&mut socket, proxy, limit) => client,
            () = drain.may_give_up() => return,
        };
        match client {
            Ok(Some(peer)) => self.admit(socket, peer, permit),
            // It may be anybody's, so that nothing it says of clients is the proxy's word.
            Ok(None) => self.admit_as(socket, proxy, permit, None),
            Err(error) => debug!(peer = %proxy, %error, "not served"),
        }
    }

    /// Serves a connection, unless its address has too many.
    fn admit(&self, socket: Socket, peer: Peer, permit: OwnedSemaphorePermit) {
        let proxies = self.proxies.trust(&peer);
        let proxies = proxies.then(|| Arc::clone(&self.proxies));
        self.admit_as(socket, peer, permit, proxies);
    }

    /// Serves a connection from a peer that is already known to be, or not to be, a trusted proxy.
    fn admit_as(
        &self,
        socket: Socket,
        peer: Peer,
        permit: OwnedSemaphorePermit,
        proxies: Option<Arc<Proxies>>,
    ) {
        // A proxy has the connections of many clients.
        let permit = if self.proxies.trust(&peer) {
            Some(self.connection_permits.take_uncounted(permit))
        } else {
            self.connection_permits.take(permit, &peer)
        };
        let Some(permit) = permit else {
            let connections = &self.telemetry.metrics.connections;
            connections.refuse("connections-per-address");
            if let Some(suppressed) = self.telemetry.refused_connections.line() {
                debug!(%peer, suppressed, "limits.connections-per-address is reached; refused");
            }
            return;
        };
        let stream = Stream::new(socket, peer, permit);
        let arrival = Arrival {
            role: self.role,
            proxies,
            current: Arc::clone(&self.state),
            started_at: Instant::now(),
            shutdown: self.shutdown.clone(),
        };
        if self.tls {
            let serving = connection::serve_tls(stream, self.index, arrival);
            self.shutdown.spawn(serving);
        } else {
            self.shutdown
                .spawn(connection::serve_plain(stream, arrival));
        }
    }

    fn report(&self, report: &AcceptReport<'_>) {
        match report {
            AcceptReport::Failed(error) => error!(
                listener = %self.listener,
                %error,
                "cannot accept; trying again (out of descriptors? see LimitNOFILE= and `ulimit -n`)"
            ),
            AcceptReport::Again => {
                info!(listener = %self.listener, "connections are accepted again");
            }
        }
    }
}
