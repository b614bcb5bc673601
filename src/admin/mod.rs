//! The admin socket: HTTP/1.1 on a UNIX socket, on which programs of this machine publish, subscribe, and read the
//! status.
//!
//! Everybody who may open the socket may do all of that: its file mode is the only access control, and browsers cannot
//! reach a UNIX socket. The optional TCP address, which everybody who can connect to it may use, offers only metrics
//! and health. Serves no request of the public listeners.

mod addresses;
mod consoles;
mod control;
mod last_hour;
mod ndjson;
mod page;
mod publish;
mod recordings;
mod responses;
mod routes;
pub mod status;
mod status_rows;
mod view;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tracing::{debug, error, info};

use crate::config::{Config, Limits, ListenAddress};
use crate::http::{AbortAfterFlush, Activity, Drain, Framing, Sent, Stall, Transport};
use crate::net::{
    AcceptLoop, AcceptReport, BindError, ConnectionPermits, Inherited, Listener, Stream,
};
use crate::shutdown::Shutdown;
use crate::telemetry::Measured;

pub use control::{Order, Orders, PendingOrder};
pub(crate) use page::Page;
pub(crate) use recordings::RecordingPages;
pub(crate) use view::View;

use routes::{Routes, Scope};

/// Limit on connections; further ones wait in the kernel. They do not count towards `limits.connections`, so that
/// a full server can still be inspected.
const CONNECTIONS: usize = 256;

/// The open admin socket and address.
#[derive(Debug)]
pub(crate) struct Admin(Vec<AdminListener>);

/// One admin listener.
#[derive(Debug)]
struct AdminListener {
    listener: Arc<Listener>,
    routes: Arc<Routes>,
    /// Limits as of the start: a reload does not affect this socket.
    limits: Limits,
    drain: Drain,
    shutdown: Shutdown,
}

impl Admin {
    /// Opens the configured admin listeners; `None` if there are none.
    ///
    /// # Errors
    /// [`BindError`] names the path or address and the remedy.
    pub(crate) fn bind(
        config: &Config,
        view: &View,
        inherited: &mut Inherited,
    ) -> Result<Option<(Self, Orders)>, BindError> {
        let admin = &config.admin;
        let socket = admin.socket.clone().map(ListenAddress::Unix);
        let address = admin.address.clone().map(ListenAddress::Tcp);
        let wanted = [(socket, Scope::All), (address, Scope::Watching)];
        let (desk, orders) = control::order_queue();
        let mut doors = Vec::new();
        for (address, scope) in wanted {
            let Some(address) = address else { continue };
            let routes = Routes::new(view.clone(), desk.clone(), scope, config.limits.body_idle);
            doors.push(AdminListener {
                listener: Arc::new(Listener::bind(&address, admin.mode, inherited)?),
                routes: Arc::new(routes),
                limits: config.limits.clone(),
                drain: Drain::new(&view.shutdown, config.server.drain),
                shutdown: view.shutdown.clone(),
            });
        }
        Ok((!doors.is_empty()).then_some((Self(doors), orders)))
    }

    /// The open listeners.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.0.iter().map(|admin_listener| &admin_listener.listener)
    }

    /// The TCP address with its real port, if there is one.
    #[must_use]
    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        self.0
            .iter()
            .find_map(|admin_listener| admin_listener.listener.tcp_address())
    }

    /// Accepts connections in tracked tasks until the server stops.
    pub(crate) fn run(self) {
        for admin_listener in self.0 {
            let tasks = admin_listener.shutdown.clone();
            tasks.spawn(admin_listener.accept_all());
        }
    }
}

impl AdminListener {
    /// Accepts connections until the server stops; then the socket is closed and its file removed.
    async fn accept_all(self) {
        info!(address = %self.listener, "admin socket open");
        let permits = ConnectionPermits::new(CONNECTIONS, 0);
        let accepting = async {
            let mut accepting = AcceptLoop::default();
            loop {
                let permit = permits.free().await;
                let accept = || self.listener.accept();
                let (socket, peer) = accepting.next(accept, |report| self.report(&report)).await;
                if let Some(permit) = permits.take(permit, &peer) {
                    self.serve(Stream::new(socket, peer, permit));
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            () = self.shutdown.requested() => {}
        }
    }

    fn report(&self, report: &AcceptReport<'_>) {
        match report {
            AcceptReport::Failed(error) => error!(
                listener = %self.listener,
                %error,
                "cannot accept on the admin socket; trying again"
            ),
            AcceptReport::Again => {
                info!(listener = %self.listener, "connections are accepted again");
            }
        }
    }

    fn serve(&self, stream: Stream) {
        let activity = Activity::new();
        let transport = Transport::plain(stream, Stall::new(self.limits.body_idle))
            .with_head_limit(self.limits.head, self.limits.keep_alive, activity.clone())
            .lingering(&self.shutdown);
        let mut builder = http1::Builder::new();
        builder
            .header_read_timeout(None)
            .max_header_size(self.limits.head_size)
            .max_headers(self.limits.headers);
        let (sent, limit) = (Sent::Flushed(transport.flushes()), self.limits.body_idle);
        let (routes, busy, shutdown) = (
            Arc::clone(&self.routes),
            activity.clone(),
            self.shutdown.clone(),
        );
        let service = service_fn(move |request: Request<Incoming>| {
            let (routes, busy) = (Arc::clone(&routes), busy.begin());
            let (sent, shutdown) = (sent.clone(), shutdown.clone());
            async move {
                let mut framing = Framing::of(&request);
                let response = routes.respond(request).await;
                framing.close |= shutdown.has_begun();
                let response = framing.fit(response);
                let status = response.status();
                Ok::<_, Infallible>(response.map(|body| {
                    let body = Measured::new(body, None, status, None, busy);
                    AbortAfterFlush::new(body, sent, limit).boxed_unsync()
                }))
            }
        });
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(transport), service));
        let drain = self.drain.clone();
        self.shutdown.spawn(async move {
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = drain.may_close(&activity) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                debug!(%error, "admin connection ended early");
            }
        });
    }
}
