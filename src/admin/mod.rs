//! The admin socket: HTTP/1.1 on a UNIX socket, for the programs of this machine. They publish, listen, and
//! ask how the hub is.
//!
//! Who may open the socket may do all of that: its file mode is the whole of the access control, and no
//! browser can reach a UNIX socket. Knows no app and no public listener.

mod lines;
mod orders;
mod publish;
mod routes;
mod stream;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tracing::{debug, error, info};

use crate::config::{Config, Limits, ListenAddress};
use crate::http::{Activity, Transport};
use crate::hub::Hub;
use crate::net::{BindError, Inherited, Listener, Slots, Stream};
use crate::shutdown::Shutdown;

pub use orders::{Order, Ordered, Orders};

use routes::Routes;

/// Connections at once; the next ones wait in the kernel. They do not count among `limits.connections`, so
/// that a full house can still be looked into.
const CONNECTIONS: usize = 256;
/// How long to wait when the system is out of descriptors or memory.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// The socket, open.
#[derive(Debug)]
pub struct Admin {
    listener: Arc<Listener>,
    routes: Arc<Routes>,
    /// As they were at the start: a reload does not reach this socket.
    limits: Limits,
    shutdown: Shutdown,
}

impl Admin {
    /// Opens the socket, if one is configured.
    ///
    /// # Errors
    /// [`BindError`] names the path and what to do.
    pub fn bind(
        config: &Config,
        hub: Hub,
        inherited: &mut Inherited,
        shutdown: &Shutdown,
    ) -> Result<Option<(Self, Orders)>, BindError> {
        let Some(path) = &config.admin.socket else {
            return Ok(None);
        };
        let address = ListenAddress::Unix(path.clone());
        let (desk, orders) = orders::desk();
        let routes = Routes::new(hub, desk, config.limits.body_idle, shutdown.clone());
        let admin = Self {
            listener: Arc::new(Listener::bind(&address, config.admin.mode, inherited)?),
            routes: Arc::new(routes),
            limits: config.limits.clone(),
            shutdown: shutdown.clone(),
        };
        Ok(Some((admin, orders)))
    }

    /// The open socket.
    #[must_use]
    pub fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// Accepts until the server stops; the socket is closed and its file removed then.
    pub async fn accept_all(self) {
        info!(address = %self.listener, "admin socket open");
        let slots = Slots::new(CONNECTIONS, 0);
        let accepting = async {
            loop {
                let permit = slots.free().await;
                match self.listener.accept().await {
                    Ok((socket, peer)) => {
                        if let Some(slot) = slots.take(permit, &peer) {
                            self.serve(Stream::new(socket, peer, slot));
                        }
                    }
                    Err(failure) => failed(&failure).await,
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            () = self.shutdown.requested() => {}
        }
    }

    fn serve(&self, stream: Stream) {
        let activity = Activity::new();
        let transport = Transport::plain(stream, self.limits.body_idle)
            .with_head_limit(self.limits.head, activity.clone());
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.keep_alive)
            .max_header_size(self.limits.head_size)
            .max_headers(self.limits.headers);
        let routes = Arc::clone(&self.routes);
        let service = service_fn(move |request| {
            let (routes, busy) = (Arc::clone(&routes), activity.begin());
            async move {
                let answer = routes.respond(request).await;
                drop(busy);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = builder.serve_connection(TokioIo::new(transport), service);
        let stop = self.shutdown.requested_owned();
        self.shutdown.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop => {
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

async fn failed(failure: &io::Error) {
    error!(error = %failure, "cannot accept on the admin socket; trying again");
    tokio::time::sleep(EXHAUSTED).await;
}
