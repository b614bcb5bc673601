//! Relays a WebSocket to a socket (the job of websockify): subprotocols `binary` and `base64`, or none.
//!
//! The target is connected by the caller, before the handshake is answered, so that a dead console is a 502
//! and not a broken socket. Knows nothing of tokens and of who may pass.

mod boundary;
mod codec;
mod downlink;
mod outcome;
mod recorder;
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
use crate::net::Socket;
use crate::shutdown::Shutdown;
use crate::telemetry::audit;
use crate::websocket::{Handshake, upgraded};

use codec::Codec;
use relay::{Limits, Relay};

pub use recorder::{NotRecorded, Recorder, Tap};

/// A connected target, ready to be relayed.
#[derive(Debug)]
pub struct Opened {
    /// The connection.
    pub socket: Socket,
    /// Its line in the audit.
    pub line: audit::Opened,
    /// What records it, if anything does.
    pub tap: Option<Tap>,
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
    mut target: Opened,
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
    // The connection is in use until the tunnel ends, not only until the handshake is answered.
    let busy = client.activity.begin();
    shutdown.spawn(async move {
        if let Some(upgraded) = upgraded(upgrade).await {
            relay(upgraded, target, codec, limits, &stop).await;
        } else {
            target.line.because("the client left during the upgrade");
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

async fn relay(upgraded: Upgraded, target: Opened, codec: Codec, limits: Limits, stop: &Shutdown) {
    let Opened {
        socket,
        mut line,
        tap,
        boundary,
        lease,
    } = target;
    // Over HTTP/1.1 hyper hands back the very stream it was given, and bytes it has read too far.
    let outcome = match upgraded.downcast::<TokioIo<Transport>>() {
        Ok(parts) => {
            let client = parts.io.into_inner();
            let relay = Relay::new(client, socket, codec, boundary, limits).recorded(tap.as_ref());
            relay.run(&parts.read_buf, stop, lease).await
        }
        Err(upgraded) => {
            let client = TokioIo::new(upgraded);
            let relay = Relay::new(client, socket, codec, boundary, limits).recorded(tap.as_ref());
            relay.run(&[], stop, lease).await
        }
    };
    let reason = outcome.end.to_string();
    if let Some(tap) = tap {
        tap.end(&reason);
    }
    line.count(outcome.up, outcome.down);
    line.because(reason);
}
