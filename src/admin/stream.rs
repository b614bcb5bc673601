//! A subscription as an event stream (HTML, "Server-sent events"), for programs on this machine.
//!
//! The public listeners have their own transports; here there is no page, no session and no negotiation.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep};

use crate::http::BoxError;
use crate::hub::{Format, Hub, Next, Subscription};

/// The body of an endless response.
pub(super) struct Stream {
    subscription: Subscription,
    format: Format,
    hub: Hub,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    silence: Pin<Box<Sleep>>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    Ended,
}

impl Stream {
    /// Creates a stream that ends when `stop` is ready, or when the hub ends the subscription.
    pub(super) fn new(
        subscription: Subscription,
        format: Format,
        hub: Hub,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            silence: Box::pin(sleep(hub.settings().keep_alive)),
            subscription,
            format,
            hub,
            stop: Box::pin(stop),
            state: State::Opening,
        }
    }

    fn poll_text(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.state {
            State::Opening => {
                self.state = State::Open;
                let position = self.subscription.position();
                return Poll::Ready(Some(format!("{}id: {position}\n\n", self.retry()).into()));
            }
            State::Open => {}
            State::Ended => return Poll::Ready(None),
        }
        if self.stop.as_mut().poll(cx).is_ready() {
            self.subscription.because("Noren is stopping");
            return Poll::Ready(Some(self.end()));
        }
        if let Poll::Ready(next) = self.subscription.poll_next(cx) {
            return Poll::Ready(Some(match next {
                Next::Message(message) => {
                    let event = message.stream_event(self.format);
                    self.subscription.moved(0, event.len() as u64);
                    event
                }
                Next::Reset(reset) => format!(
                    "event: reset\nid: {}\ndata: {{\"reason\":\"{}\"}}\n\n",
                    self.subscription.position(),
                    reset.as_str()
                )
                .into(),
                Next::Refused(_) | Next::End(_) => self.end(),
            }));
        }
        if self.silence.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Bytes::from_static(b":\n\n")));
        }
        Poll::Pending
    }

    fn retry(&self) -> String {
        format!("retry: {}\n", self.hub.retry().as_millis())
    }

    /// The final event, with the reconnect delay.
    fn end(&mut self) -> Bytes {
        self.state = State::Ended;
        format!("{}\n", self.retry()).into()
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let text = this.poll_text(cx);
        if text.is_ready() {
            let due = Instant::now() + this.hub.settings().keep_alive;
            this.silence.as_mut().reset(due);
        }
        text.map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}
