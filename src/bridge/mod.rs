//! Relays a WebSocket to a socket (the job of websockify): subprotocols `binary` and `base64`, or none.
//!
//! The target is connected by the caller, before the handshake is answered, so that a dead console is a 502
//! and not a broken socket. Knows nothing of tokens and of who may pass.

mod boundary;
mod codec;
mod downlink;
mod outcome;
mod relay;
mod scratch;
mod uplink;

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use crate::config;
use crate::http::{Body, Context, Lease, Refusal, Transport};
use crate::net::{Peer, Socket};
use crate::shutdown::Shutdown;
use crate::telemetry::TunnelLine;
use crate::websocket::{Handshake, upgraded};

pub use codec::{decode_base64, frame_base64};

use codec::Codec;
use relay::{Limits, Relay};

/// A connected target, ready to be relayed.
#[derive(Debug)]
pub struct Opened {
    /// The connection.
    pub socket: Socket,
    /// Its name in the log, which must not be the token.
    pub name: String,
    /// If each frame to the client has to end on a whole message: what ends a message.
    pub boundary: Option<Arc<[u8]>>,
    /// How long it may stay open, if not for as long as both sides like.
    pub lease: Option<Lease>,
}

/// Answers a valid handshake and relays in a task of its own until one side ends it.
pub fn open(
    mut request: Request<Incoming>,
    handshake: Handshake,
    subprotocol: Subprotocol,
    target: Opened,
    client: &Context,
    settings: &config::Bridge,
    shutdown: &Shutdown,
) -> Response<Body> {
    let Subprotocol { codec, name } = subprotocol;
    let over_http2 = request.version() == http::Version::HTTP_2;
    let upgrade = hyper::upgrade::on(&mut request);
    let limits = Limits {
        idle: settings.idle,
        heartbeat: settings.heartbeat,
        frame: settings.frame_size,
        upload: over_http2.then_some(settings.upload_buffer),
    };
    let stop = shutdown.clone();
    let peer = client.peer;
    // The connection is in use until the tunnel ends, not only until the handshake is answered.
    let busy = client.activity.begin();
    shutdown.spawn(async move {
        if let Some(upgraded) = upgraded(upgrade).await {
            relay(upgraded, target, codec, limits, peer, &stop).await;
        }
        drop(busy);
    });
    handshake.accept(name)
}

/// The subprotocol of a tunnel.
#[derive(Clone, Copy, Debug)]
pub struct Subprotocol {
    codec: Codec,
    name: Option<&'static str>,
}

impl Subprotocol {
    /// `binary` if it is offered, else `base64`; without an offer the answer names none and frames are
    /// binary. To be chosen before the target is connected: some take one connection only.
    ///
    /// # Errors
    /// A refusal, when the client offers only subprotocols that are not known here.
    pub fn choose(handshake: &Handshake) -> Result<Self, Refusal> {
        let (codec, name) = if handshake.offers("binary") {
            (Codec::Binary, Some("binary"))
        } else if handshake.offers("base64") {
            (Codec::Base64, Some("base64"))
        } else if handshake.offers_any() {
            return Err(Refusal::bad_request(
                "none of the offered subprotocols is known here; there are binary and base64",
            ));
        } else {
            (Codec::Binary, None)
        };
        Ok(Self { codec, name })
    }

    /// Its name, if the client offered any.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.name
    }
}

async fn relay(
    upgraded: Upgraded,
    target: Opened,
    codec: Codec,
    limits: Limits,
    peer: Peer,
    stop: &Shutdown,
) {
    let user = target
        .lease
        .as_ref()
        .and_then(Lease::user)
        .map(str::to_owned);
    let line = TunnelLine::open(peer, target.name, user);
    // Over HTTP/1.1 hyper hands back the very stream it was given, and bytes it has read too far.
    let outcome = match upgraded.downcast::<TokioIo<Transport>>() {
        Ok(parts) => {
            let client = parts.io.into_inner();
            let relay = Relay::new(client, target.socket, codec, target.boundary, limits);
            relay.run(&parts.read_buf, stop, target.lease).await
        }
        Err(upgraded) => {
            let relay = Relay::new(
                TokioIo::new(upgraded),
                target.socket,
                codec,
                target.boundary,
                limits,
            );
            relay.run(&[], stop, target.lease).await
        }
    };
    line.close(&outcome.end.to_string(), outcome.up, outcome.down);
}
