//! A subscriber's WebSocket: sends messages as frames and pings, reads the page's messages, and closes in order.
//!
//! Each socket is one task, which owns almost nothing while idle: messages it has not sent yet are in the shared
//! history.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::config::ChannelName;
use crate::http::{Body, Context as Client, Incoming};
use crate::hub::Hub;
use crate::hub::sockjs_message;
use crate::hub::{End, NOT_PERMITTED, Next, Reset, Subscription};
use crate::hub::{Format, frame};
use crate::push::client_messages::{ClientEvent, ClientMessages, Language, Receiver};
use crate::push::control::{closing, opening, refusing, resetting};
use crate::push::send_buffer::SendBuffer;
use crate::push::sockjs_frames as frames;
use crate::shutdown::Shutdown;
use crate::telemetry::{TunnelInfo, TunnelKind};
use crate::websocket::{Handshake, Opcode, ReadFault, Upgrade, Window, close_frame, control_frame};

/// Time limit of the closing handshake.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Write batch: frames that are ready are written together, up to this many bytes.
const GATHERED: usize = 64 * 1024;
/// Number of consecutive pings that may stay unanswered.
const MISSED_PINGS: u32 = 2;

/// The format of a socket's frames.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// Envelopes and control objects, or data alone.
    Events(Format),
    /// Frames for a page of Wok: messages with an end-of-message marker, in base64 or as bytes. Frames from the
    /// page are ignored.
    Wok {
        /// The marker.
        boundary: Arc<str>,
        /// True if frames are in base64.
        base64: bool,
    },
    /// Envelopes and control objects in frames of `SockJS`.
    SockJs,
}

impl Form {
    /// True if the format has control objects beside messages.
    fn tells(&self) -> bool {
        matches!(self, Self::Events(Format::Json) | Self::SockJs)
    }

    fn language(&self) -> Language {
        match self {
            Self::Events(_) => Language::Objects,
            Self::SockJs => Language::SockJs,
            Self::Wok { .. } => Language::Nothing,
        }
    }
}

/// A WebSocket that is about to subscribe.
pub(crate) struct Listening {
    /// The subscription, at its starting position.
    pub subscription: Subscription,
    /// The channels, for the first frame and the log.
    pub names: Vec<ChannelName>,
    /// Format of the frames.
    pub form: Form,
    /// Callback for messages of the page; without one they are refused.
    pub receiver: Option<Receiver>,
    /// The subprotocol that the handshake is accepted with.
    pub protocol: Option<Cow<'static, str>>,
    /// True if messages are compressed for a client that supports it.
    pub compress: bool,
}

/// Reasons why a socket ends.
#[derive(Debug)]
enum Cause {
    Closed,
    Gone,
    Broke(io::Error),
    Violation(u16, &'static str),
    Ended(End),
    /// A gap that this frame format cannot express.
    Untold,
    HeartbeatLost,
}

/// Accepts a valid handshake, and sends messages in a task of its own until either side closes.
pub(crate) fn open_socket(
    hub: &Hub,
    mut request: Request<Incoming>,
    mut handshake: Handshake,
    mut listening: Listening,
    client: &Client,
    shutdown: &Shutdown,
) -> Response<Body> {
    let upgrade = Upgrade::of(&mut request);
    let (peer, telemetry) = (client.peer, Arc::clone(&client.telemetry));
    let busy = client.activity.begin();
    let protocol = listening.protocol.take();
    let deflates = if listening.compress {
        handshake.accept_deflate()
    } else {
        None
    };
    let response = handshake.accept(protocol.as_deref());
    let hub = hub.clone();
    shutdown.spawn(async move {
        if let Some((client, read)) = upgrade.client().await {
            let names: Vec<_> = listening.names.iter().map(ToString::to_string).collect();
            let tunnel = telemetry.tunnels.open(TunnelInfo {
                kind: TunnelKind::Channel,
                peer: peer.to_string(),
                target: format!("channel {}", names.join(",")),
                console: None,
                user: None,
                session: None,
                rfb: None,
                viewer: None,
                subprotocol: protocol,
            });
            let session = Box::new(Session::new(client, hub, listening, deflates));
            let (up, down) = session.run(read).await;
            tunnel.moved(up, down);
        }
        drop(busy);
    });
    response
}

/// Close code for a message that cannot be understood (RFC 6455 §7.4.1).
const NOT_JSON: u16 = 1007;

/// An open socket.
struct Session<C> {
    client: C,
    hub: Hub,
    subscription: Subscription,
    form: Form,
    inbox: ClientMessages,
    outbox: SendBuffer,
    heartbeat: Duration,
    unanswered: u32,
    /// The window of compressed messages, if they are compressed; control objects are small, and never are.
    deflates: Option<Window>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Session<C> {
    fn new(client: C, hub: Hub, listening: Listening, deflates: Option<Window>) -> Self {
        let settings = hub.settings();
        let mut session = Self {
            client,
            subscription: listening.subscription,
            inbox: ClientMessages::new(
                listening.receiver,
                settings.message_size,
                listening.form.language(),
                deflates.is_some(),
            ),
            outbox: SendBuffer::default(),
            heartbeat: match listening.form {
                Form::SockJs => settings.heartbeat.min(frames::HEARTBEAT_INTERVAL),
                Form::Events(_) | Form::Wok { .. } => settings.heartbeat,
            },
            form: listening.form,
            unanswered: 0,
            deflates,
            hub,
        };
        session.tell_open(&listening.names);
        session
    }

    /// Sends and receives until either side closes. `read` holds bytes that arrived right behind the handshake.
    async fn run(mut self: Box<Self>, read: Vec<u8>) -> (u64, u64) {
        self.inbox.feed(&read);
        drop(read);
        let cause = self.exchange().await;
        let _ = timeout(CLOSE_LIMIT, self.close(&cause)).await;
        let (up, down) = (self.inbox.bytes(), self.outbox.sent);
        self.subscription.moved(up, down);
        self.subscription.because(cause.to_string());
        (up, down)
    }

    async fn exchange(&mut self) -> Cause {
        let mut clock = std::pin::pin!(sleep(self.heartbeat));
        poll_fn(|cx| {
            if let Poll::Ready(cause) = self.poll_clock(clock.as_mut(), cx) {
                return Poll::Ready(cause);
            }
            if let Poll::Ready(cause) = self.poll_inbox(cx) {
                return Poll::Ready(cause);
            }
            self.poll_outbox(cx)
        })
        .await
    }

    fn poll_clock(&mut self, mut clock: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<Cause> {
        while clock.as_mut().poll(cx).is_ready() {
            clock.as_mut().reset(Instant::now() + self.heartbeat);
            if self.inbox.take_heard() {
                self.unanswered = 0;
            } else if self.unanswered == MISSED_PINGS {
                return Poll::Ready(Cause::HeartbeatLost);
            }
            self.unanswered += 1;
            self.outbox.push_control(control_frame(Opcode::Ping, b""));
            // Only for one that is heard: who takes nothing must not make anything grow.
            if matches!(self.form, Form::SockJs) && self.unanswered == 1 {
                self.push_text(frames::HEARTBEAT);
            }
        }
        Poll::Pending
    }

    /// Reads the page's messages, one at a time. Back-pressure: stops reading from a page that does not drain our
    /// replies.
    fn poll_inbox(&mut self, cx: &mut Context<'_>) -> Poll<Cause> {
        loop {
            // Back-pressure: a page that does not drain our replies is not read.
            if self.outbox.is_over(GATHERED) {
                return Poll::Pending;
            }
            match ready!(self.inbox.poll(&mut self.client, cx)) {
                Ok(Some(ClientEvent::Reply(text))) => self.push_object(&text),
                Ok(Some(ClientEvent::Ping(payload))) => {
                    self.outbox
                        .push_control(control_frame(Opcode::Pong, &payload));
                }
                Ok(Some(ClientEvent::Closed)) => return Poll::Ready(Cause::Closed),
                Ok(None) => return Poll::Ready(Cause::Gone),
                Err(ReadFault::Broke(error)) => return Poll::Ready(Cause::Broke(error)),
                Err(ReadFault::Violation(violation)) => {
                    return Poll::Ready(Cause::Violation(violation.code, violation.reason));
                }
            }
        }
    }

    /// Sends all messages that are available.
    fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Poll<Cause> {
        loop {
            let mut waiting = false;
            while !waiting && !self.outbox.is_over(GATHERED) {
                match self.subscription.poll_next(cx) {
                    Poll::Ready(next) => {
                        if let Some(cause) = self.take(next) {
                            return Poll::Ready(cause);
                        }
                    }
                    Poll::Pending => waiting = true,
                }
            }
            match self.outbox.poll_write(&mut self.client, cx) {
                Poll::Ready(Ok(())) if waiting => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Cause::Broke(error)),
                // It cannot take anything now. Whether it may still be waited for is asked at each message.
                Poll::Pending => return self.subscription.poll_lost(cx).map(Cause::Ended),
            }
        }
    }

    fn take(&mut self, next: Next) -> Option<Cause> {
        match next {
            Next::Message(message) => match &self.form {
                Form::Events(format) => self.outbox.push(match self.deflates {
                    Some(window) => message.deflated_frame(*format, window),
                    None => message.socket_frame(*format),
                }),
                // Events with a name are not the app's own, and such a page knows nothing else.
                Form::Wok { .. } if message.draft.event.is_some() => {}
                Form::Wok { boundary, base64 } => {
                    self.outbox.push(message.wok_frame(boundary, *base64));
                }
                Form::SockJs => self.outbox.push(message.sockjs_frame()),
            },
            Next::Reset(reset) => return self.tell_reset(reset),
            Next::Refused(name) if self.form.tells() => self.push_object(&refusing(&name)),
            // These frames cannot name the channel, so all of them end.
            Next::Refused(_) => return Some(Cause::Ended(End::Refused)),
            Next::End(end) => return Some(Cause::Ended(end)),
        }
        None
    }

    fn tell_open(&mut self, names: &[ChannelName]) {
        if matches!(self.form, Form::SockJs) {
            self.push_text(frames::OPEN);
        }
        if self.form.tells() {
            self.push_object(&opening(&self.hub, &self.subscription.position(), names));
        }
    }

    fn tell_reset(&mut self, reset: Reset) -> Option<Cause> {
        if self.form.tells() {
            self.push_object(&resetting(reset, &self.subscription.position()));
            return None;
        }
        // A client whose frames have no ids cannot resume, so gaps at its start do not concern it; one that falls
        // into a gap later has to be told.
        (reset == Reset::Slow).then_some(Cause::Untold)
    }

    fn push_object(&mut self, object: &str) {
        match self.form {
            Form::SockJs => self.push_text(&sockjs_message::message(object)),
            Form::Events(_) | Form::Wok { .. } => self.push_text(object),
        }
    }

    fn push_text(&mut self, text: &str) {
        self.outbox.push(frame(Opcode::Text, text.as_bytes()));
    }

    async fn close(&mut self, cause: &Cause) {
        let (code, reason) = match cause {
            Cause::Gone | Cause::Broke(_) => return,
            // The protocol wants an abrupt end for what is no JSON: no frame, and no handshake.
            Cause::Violation(NOT_JSON, _) if matches!(self.form, Form::SockJs) => {
                let _ = self.client.shutdown().await;
                return;
            }
            Cause::Closed => (None, ""),
            Cause::Violation(code, reason) => (Some(*code), *reason),
            Cause::Ended(End::Slow) | Cause::Untold => (Some(1013), "too slow"),
            Cause::Ended(End::Stopping) => {
                if self.form.tells() {
                    self.push_object(&closing(&self.hub));
                }
                (Some(1001), "the server stops")
            }
            Cause::Ended(End::SessionEnded) => (Some(4401), "the session has ended"),
            Cause::Ended(End::Expired) => (Some(4401), "the token has expired"),
            Cause::Ended(End::Refused) => (Some(4403), NOT_PERMITTED),
            Cause::Ended(End::ByAdministrator) => (Some(4403), "closed by an administrator"),
            Cause::HeartbeatLost => (Some(1001), "no answer to pings"),
        };
        if let (Form::SockJs, Some(code)) = (&self.form, code) {
            self.push_text(&frames::Close::new(code, reason).frame());
        }
        self.outbox.push(close_frame(code, reason).into());
        let written = poll_fn(|cx| self.outbox.poll_write(&mut self.client, cx)).await;
        if written.is_err() || self.client.shutdown().await.is_err() {
            return;
        }
        // So that closing cannot overtake what the client still receives (RFC 6455 §7.1.1).
        let mut unread = [0; 512];
        while matches!(self.client.read(&mut unread).await, Ok(1..)) {}
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the client"),
            Self::Gone => f.write_str("the client is gone"),
            Self::Broke(error) => write!(f, "the client broke: {error}"),
            Self::Violation(_, reason) => write!(f, "protocol violation: {reason}"),
            Self::Ended(End::Slow) | Self::Untold => f.write_str("too slow"),
            Self::Ended(End::Stopping) => f.write_str("stopping"),
            Self::Ended(end) => f.write_str(end.reason()),
            Self::HeartbeatLost => f.write_str("no answer to pings"),
        }
    }
}
