//! Server-sent events (HTML Living Standard §9.2) over HTTP/1.1 and HTTP/2: a streaming response body.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderName, HeaderValue, Response};
use tokio::time::{Instant, Sleep, sleep};

use crate::http::{Body, Pieces, in_pieces};
use crate::hub::{Coding, End, EventId, Format, Hub, NOT_PERMITTED, Next, Reset, Subscription};
use crate::push::control::refusing;
use crate::push::event_coding::EventCoder;

/// Write batch: messages that are ready are sent together, up to this many bytes.
const GATHERED: usize = 16 * 1024;

/// The body of an event stream.
struct EventStream {
    subscription: Subscription,
    hub: Hub,
    format: Format,
    /// True if heartbeats are events, which a page can see, and not comments.
    named_keep_alive: bool,
    interval: Duration,
    clock: Pin<Box<Sleep>>,
    stop: Option<Stop>,
    /// True if nothing was sent since the last tick of the heartbeat timer.
    quiet: bool,
    has_started: bool,
    ended: bool,
    coder: Option<EventCoder>,
}

/// The properties of an event stream that depend on its client or its listener.
pub(crate) struct EventStreamOptions {
    format: Format,
    named_keep_alive: bool,
    coding: Option<Coding>,
    stop: Option<Stop>,
}

/// A signal that ends a stream.
type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

impl EventStreamOptions {
    /// A stream of events in this format, not compressed, with comments as heartbeats.
    #[must_use]
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            named_keep_alive: false,
            coding: None,
            stop: None,
        }
    }

    /// Sets whether heartbeats are events, which a page can see.
    #[must_use]
    pub(crate) fn with_named_keep_alive(mut self, named: bool) -> Self {
        self.named_keep_alive = named;
        self
    }

    /// Compresses the stream.
    #[must_use]
    pub(crate) fn with_coding(mut self, coding: Option<Coding>) -> Self {
        self.coding = coding;
        self
    }

    /// Ends the stream once this is ready. Without it, the hub ends the streams of a stopping server one by one, so
    /// that their clients do not all reconnect at once.
    #[must_use]
    pub(crate) fn until(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(Box::pin(stop));
        self
    }
}

/// Responds with the messages of a subscription, until either side ends it.
#[must_use]
pub(crate) fn event_stream(
    hub: &Hub,
    subscription: Subscription,
    options: EventStreamOptions,
) -> Response<Body> {
    let interval = hub.settings().keep_alive;
    let coding = options.coding;
    let stream = EventStream {
        subscription,
        hub: hub.clone(),
        format: options.format,
        named_keep_alive: options.named_keep_alive,
        interval,
        clock: Box::pin(sleep(interval)),
        stop: options.stop,
        quiet: true,
        has_started: false,
        ended: false,
        coder: coding.map(EventCoder::new),
    };
    let mut response = Response::new(in_pieces(stream));
    set_headers(&mut response);
    if let Some(coding) = coding {
        let headers = response.headers_mut();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

/// Sets the headers of an event stream. Intermediaries must neither cache nor transform it: a compressor would
/// hold messages back until its block is full.
pub(crate) fn set_headers(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-transform"),
    );
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
}

impl EventStream {
    /// The first bytes: the reconnect delay and the current position. A block without data is no event, but the
    /// browser remembers its id.
    fn opening(&mut self) -> Bytes {
        let id = self.subscription.position();
        let opening = Bytes::from(format!("{}id: {id}\n\n", self.retry()));
        let begin = self.coder.as_ref().map(EventCoder::begin);
        match begin {
            Some(begin) => [begin, self.coded(opening)].concat().into(),
            None => opening,
        }
    }

    /// An event of the stream's own, as it is sent.
    fn coded(&mut self, event: Bytes) -> Bytes {
        match &mut self.coder {
            Some(coder) => coder.own(&event),
            None => event,
        }
    }

    /// A piece, with the end of the coding if it is the last.
    fn finished(&self, piece: Bytes) -> Bytes {
        match &self.coder {
            Some(coder) if self.ended => [piece, coder.end()].concat().into(),
            _ => piece,
        }
    }

    fn retry(&self) -> String {
        format!("retry: {}\n", self.hub.retry().as_millis())
    }

    /// Collects the messages that are ready into one piece.
    fn gather(&mut self, first: Bytes) -> Bytes {
        let Some(mut more) = self.subscription.try_next() else {
            return first;
        };
        let mut gathered = BytesMut::from(first);
        loop {
            let piece = self.encode(more);
            gathered.extend_from_slice(&piece);
            if self.ended || gathered.len() >= GATHERED {
                break;
            }
            match self.subscription.try_next() {
                Some(next) => more = next,
                None => break,
            }
        }
        gathered.freeze()
    }

    fn encode(&mut self, next: Next) -> Bytes {
        let event = match next {
            Next::Message(message) => {
                return match &mut self.coder {
                    Some(coder) => coder.message(&message, self.format),
                    None => message.stream_event(self.format),
                };
            }
            Next::Reset(reset) => reset_event(reset, &self.subscription.position()),
            Next::Refused(name) => {
                let text = refusing(&name);
                format!("event: noren:refused\ndata: {text}\n\n").into()
            }
            Next::End(End::Refused) => {
                self.ended = true;
                format!(": {NOT_PERMITTED}\n\n").into()
            }
            Next::End(End::SessionEnded) => {
                self.ended = true;
                Bytes::from_static(b": the session has ended\n\n")
            }
            Next::End(End::Expired) => {
                self.ended = true;
                Bytes::from_static(b": the token has expired\n\n")
            }
            Next::End(End::ByAdministrator) => {
                self.ended = true;
                Bytes::from_static(b": closed by an administrator\n\n")
            }
            // A slow subscriber comes back at once, with its cursor; all others of a server that stops, later.
            Next::End(End::Slow) => {
                self.ended = true;
                Bytes::from_static(b": too slow\n\n")
            }
            Next::End(End::Stopping) => {
                self.ended = true;
                format!("{}\n", self.retry()).into()
            }
        };
        self.coded(event)
    }

    fn probe(&mut self) -> Bytes {
        self.coded(Bytes::from_static(if self.named_keep_alive {
            b"event: keep-alive\ndata:\n\n"
        } else {
            b":\n\n"
        }))
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.clock.as_mut().poll(cx).is_ready() {
            self.clock.as_mut().reset(Instant::now() + self.interval);
            if std::mem::replace(&mut self.quiet, true) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

fn reset_event(reset: Reset, id: &EventId) -> Bytes {
    let reason = reset.as_str();
    format!("id: {id}\nevent: reset\ndata: {{\"type\":\"reset\",\"id\":\"{id}\",\"reason\":\"{reason}\"}}\n\n")
        .into()
}

impl Pieces for EventStream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut self.has_started, true) {
            return Poll::Ready(Some(self.opening()));
        }
        let stop = self.stop.as_mut();
        if stop.is_some_and(|stop| stop.as_mut().poll(cx).is_ready()) {
            self.subscription.because(End::Stopping.reason());
            let last = self.encode(Next::End(End::Stopping));
            return Poll::Ready(Some(self.finished(last)));
        }
        if let Poll::Ready(next) = self.subscription.poll_next(cx) {
            self.quiet = false;
            let first = self.encode(next);
            let piece = if self.ended {
                first
            } else {
                self.gather(first)
            };
            let piece = self.finished(piece);
            self.subscription.moved(0, piece.len() as u64);
            return Poll::Ready(Some(piece));
        }
        self.poll_clock(cx).map(|()| Some(self.probe()))
    }

    fn has_ended(&self) -> bool {
        self.ended
    }
}
