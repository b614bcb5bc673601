//! Relays a WebSocket to a socket (the job of websockify): subprotocols `binary` and `base64`, none, or others that the
//! configuration names for a target.
//!
//! The caller connects the target before it accepts the handshake, so that a dead console is a 502 and not a
//! broken socket. Independent of tokens and of permissions.

mod base64_reader;
mod boundary;
mod codec;
mod downlink;
mod outcome;
mod recorder;
mod recordings;
mod relay;
mod scratch;
mod shared;
mod uplink;

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config;
use crate::http::{Body, Context, Incoming, Lease, Refusal};
use crate::net::ConnectionPermit;
use crate::rfb::{Rejection, Session};
use crate::shutdown::Shutdown;
use crate::telemetry::{Tunnel, TunnelInfo, TunnelKind, ViewerState, audit};
use crate::tls::Outgoing;
use crate::websocket::{ClientStream, Handshake, Upgrade};

pub(crate) use base64_reader::decode_base64;
pub(crate) use codec::frame_base64;

use codec::Codec;
use outcome::Outcome;
use relay::{Holds, Limits, Relay};

pub(crate) use recorder::{NotRecorded, Recorder, Tap};
pub(crate) use recordings::{Recordings, Watcher};
pub(crate) use shared::{
    Connected, ConsoleRequest, ConsoleView, Consoles, Dialled, Extras, Newcomer, OpenConsole,
    Presence, Redial, Store, Viewer, latest_output,
};

/// A connected target, ready to be relayed.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The connection.
    pub socket: Connection,
    /// The subprotocol that the handshake is accepted with.
    pub subprotocol: Subprotocol,
    /// Its connection permit, if it has one of its own.
    pub permit: Option<ConnectionPermit>,
    /// Its pair of audit lines.
    pub line: audit::Opened,
    /// Its recorder, if it is recorded.
    pub tap: Option<Tap>,
    /// Identity of the console, which no other one has at the same time.
    pub console: Arc<str>,
    /// The message boundary, if each frame to the client has to end at one.
    pub boundary: Option<Arc<[u8]>>,
    /// The lease that limits its lifetime, if there is one.
    pub lease: Option<Lease>,
    /// Revocation of the token, if its source is watched.
    pub revocation: Option<Revocation>,
}

/// The connection to a target.
#[derive(Debug)]
pub(crate) enum Connection {
    /// Bytes pass unchanged.
    Raw(Outgoing),
    /// Noren speaks RFB with the target.
    Rfb(Box<Session>),
    /// The client is one of several viewers of a serial console.
    Shared(Box<Viewer>),
}

/// Revocation of a tunnel's token. Dropping it with the tunnel tells the watcher that the tunnel is gone.
#[derive(Debug)]
pub(crate) struct Revocation {
    revoked: CancellationToken,
    _held: DropGuard,
}

impl Revocation {
    /// Creates a revocation: the tunnel ends when `revoked` is cancelled, and drops `held` when it ends.
    #[must_use]
    pub(crate) fn new(revoked: CancellationToken, held: DropGuard) -> Self {
        Self {
            revoked,
            _held: held,
        }
    }

    /// Waits for the revocation.
    pub(crate) async fn ended(&self) {
        self.revoked.cancelled().await;
    }
}

impl Opened {
    /// State of a viewer of a shared console.
    fn viewer(&self) -> Option<Arc<ViewerState>> {
        match &self.socket {
            Connection::Shared(viewer) => Some(viewer.shown()),
            Connection::Raw(_) | Connection::Rfb(_) => None,
        }
    }

    /// User who opened the tunnel, if the session names one.
    fn user(&self) -> Option<String> {
        self.lease.as_ref()?.user().map(str::to_owned)
    }
}

/// Accepts a valid handshake, and relays in its own task until either side closes.
pub(crate) fn open(
    mut request: Request<Incoming>,
    handshake: Handshake,
    mut target: Opened,
    client: &Context,
    settings: &config::Bridge,
    shutdown: &Shutdown,
) -> Response<Body> {
    let over_http2 = request.version() == http::Version::HTTP_2;
    let upgrade = Upgrade::of(&mut request);
    let limits = Limits {
        idle: settings.idle,
        heartbeat: settings.heartbeat,
        frame: settings.frame_size,
        upload: over_http2.then_some(settings.upload_buffer),
    };
    let stop = shutdown.clone();
    let telemetry = Arc::clone(&client.telemetry);
    // The connection is in use until the tunnel ends, not only until the handshake is answered.
    let busy = client.activity.begin();
    let Subprotocol { codec, name } = target.subprotocol.clone();
    let response = handshake.accept(name.as_deref());
    shutdown.spawn(async move {
        if let Some(client) = upgrade.client().await {
            let info = TunnelInfo {
                kind: TunnelKind::Console,
                peer: target.line.client().peer.clone(),
                target: target.line.object().target.clone().unwrap_or_default(),
                console: Some(Arc::clone(&target.console)),
                user: target.user(),
                session: target.lease.as_ref().and_then(Lease::session),
                rfb: target.line.object().rfb,
                viewer: target.viewer(),
                subprotocol: name,
            };
            let tunnel = telemetry.tunnels.open(info);
            if let Connection::Shared(viewer) = &target.socket {
                viewer.set_tunnel(tunnel.number());
            }
            relay(client, target, codec, limits, &tunnel, &stop).await;
        } else {
            target.line.because("the client left during the upgrade");
        }
        drop(busy);
    });
    response
}

/// Accepts a handshake only to send the client a refusal in its own protocol, and closes with 1011. `permit` is held
/// until the client has gone.
pub(crate) fn refuse_in_rfb(
    mut request: Request<Incoming>,
    handshake: Handshake,
    subprotocol: Subprotocol,
    rejection: Rejection,
    permit: Option<ConnectionPermit>,
    (client, settings, shutdown): (&Context, &config::Bridge, &Shutdown),
) -> Response<Body> {
    let upgrade = Upgrade::of(&mut request);
    let limits = Limits {
        idle: None,
        heartbeat: None,
        frame: settings.frame_size,
        upload: Some(settings.upload_buffer),
    };
    let stop = shutdown.clone();
    let busy = client.activity.begin();
    let Subprotocol { codec, name } = subprotocol;
    let response = handshake.accept(name.as_deref());
    shutdown.spawn(async move {
        if let Some(client) = upgrade.client().await {
            let tunnel_settings = TunnelSettings {
                codec,
                boundary: None,
                limits,
                tap: None,
                tunnel: None,
                stop: &stop,
            };
            tunnel_settings
                .run(client, rejection, Holds::default())
                .await;
        }
        drop((busy, permit));
    });
    response
}

/// The negotiated subprotocol of a tunnel.
#[derive(Clone, Debug)]
pub(crate) struct Subprotocol {
    codec: Codec,
    name: Option<Cow<'static, str>>,
}

impl Subprotocol {
    /// Chooses the first of `others` that the client offers, otherwise `binary`, otherwise `base64`. Without an offer
    /// the response names none, and frames are binary. `others` are the protocols that the target speaks besides these.
    /// To be called before the target is connected, because some targets accept only one connection.
    ///
    /// # Errors
    /// A refusal, if the client offers only unknown subprotocols.
    pub(crate) fn choose(handshake: &Handshake, others: &[String]) -> Result<Self, Refusal> {
        if let Some(other) = others.iter().find(|other| handshake.offers(other)) {
            return Ok(Self {
                codec: Codec::Bytes,
                name: Some(other.clone().into()),
            });
        }
        let (codec, name) = if handshake.offers("binary") {
            (Codec::Binary, Some("binary".into()))
        } else if handshake.offers("base64") {
            (Codec::Base64, Some("base64".into()))
        } else if handshake.offers_any() {
            let known: Vec<_> = others.iter().map(|other| format!("{other}, ")).collect();
            let known = known.concat();
            return Err(Refusal::bad_request(format!(
                "none of the offered subprotocols is known here; there are {known}binary and base64",
            )));
        } else {
            (Codec::Binary, None)
        };
        Ok(Self { codec, name })
    }

    /// Name of the subprotocol, if the client offered any.
    #[must_use]
    pub(crate) fn name(&self) -> Option<Cow<'static, str>> {
        self.name.clone()
    }
}

/// Relays between a client and a target. No async function: what passes through one stays in its future, and there are
/// as many of these as consoles.
fn relay<'a>(
    client: (ClientStream, Vec<u8>),
    target: Opened,
    codec: Codec,
    limits: Limits,
    tunnel: &'a Tunnel,
    stop: &'a Shutdown,
) -> impl Future<Output = ()> + Send + 'a {
    let Opened {
        socket,
        permit,
        subprotocol: _,
        console: _,
        mut line,
        tap,
        boundary,
        lease,
        revocation,
    } = target;
    let tunnel_settings = TunnelSettings {
        codec,
        boundary,
        limits,
        tap: tap.clone(),
        tunnel: Some(tunnel),
        stop,
    };
    let cut = match &socket {
        Connection::Shared(viewer) => Some(viewer.cut()),
        Connection::Raw(_) | Connection::Rfb(_) => None,
    };
    let holds = Holds {
        lease,
        revocation,
        cut,
    };
    let relayed = match socket {
        Connection::Raw(socket) => tunnel_settings.run(client, socket, holds),
        Connection::Rfb(session) => tunnel_settings.run(client, session, holds),
        Connection::Shared(viewer) => tunnel_settings.run(client, viewer, holds),
    };
    async move {
        let outcome = relayed.await;
        let reason = outcome.end.to_string();
        if let Some(tap) = tap {
            tap.end(&reason);
        }
        tunnel.moved(outcome.up, outcome.down);
        line.count(outcome.up, outcome.down);
        line.because(reason);
        drop(permit);
    }
}

/// The settings of a tunnel, independent of its two ends.
struct TunnelSettings<'a> {
    codec: Codec,
    boundary: Option<Arc<[u8]>>,
    limits: Limits,
    tap: Option<Tap>,
    /// The entry of the tunnel in the list of tunnels; `None` for a refusal, which is not listed.
    tunnel: Option<&'a Tunnel>,
    stop: &'a Shutdown,
}

impl<'a> TunnelSettings<'a> {
    /// Relays until the tunnel ends. The bytes that arrived right behind the handshake come first.
    fn run<T>(
        self,
        (client, read): (ClientStream, Vec<u8>),
        target: T,
        holds: Holds,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'a,
    {
        let Self {
            codec,
            boundary,
            limits,
            tap,
            tunnel,
            stop,
        } = self;
        let relay = Relay::new(client, target, codec, boundary, limits).recorded(tap);
        Box::pin(Box::new(relay).run(read, tunnel, stop, holds))
    }
}
