//! One request of a connection: its handler, its interim responses, and its response (RFC 9113 §8.1).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Body;
use tokio::sync::oneshot::Sender;
use tracing::debug;

use crate::http2::interim::Queue;
use crate::http2::send_body::SendBody;

/// Fields that a response of HTTP/2 must not have (RFC 9113 §8.2.2). h2 refuses to send them.
const OF_THE_CONNECTION: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A request and its response. It ends with the last frame that h2 has got, or when the client resets the stream.
pub(super) struct Stream<F, B> {
    interim: Queue,
    state: State<F, B>,
}

enum State<F, B> {
    Handler(Handling<F>),
    Body(SendBody<B>),
}

/// A request without a response yet.
struct Handling<F> {
    handler: F,
    response: SendResponse<Bytes>,
    /// The receiver of the stream of a CONNECT, if it is accepted.
    upgrade: Option<Sender<SendStream<Bytes>>>,
}

impl<F, B> Stream<F, B> {
    /// Creates the stream of a request with this handler. `upgrade` is the receiver of the stream if the request is a
    /// CONNECT.
    pub(super) fn new(
        handler: F,
        response: SendResponse<Bytes>,
        interim: Queue,
        upgrade: Option<Sender<SendStream<Bytes>>>,
    ) -> Self {
        Self {
            interim,
            state: State::Handler(Handling {
                handler,
                response,
                upgrade,
            }),
        }
    }
}

impl<F, B> Stream<F, B> {
    /// Resets the stream if this is true of the body of its response.
    pub(super) fn reset_if(&mut self, is_over: impl FnOnce(&mut B) -> bool) -> bool {
        match &mut self.state {
            State::Handler(_) => false,
            State::Body(body) => body.reset_if(is_over),
        }
    }
}

impl<F, B> Handling<F>
where
    F: Future<Output = Response<B>> + Unpin,
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    /// Sends the interim responses, and returns the response of the handler; `None` if the client has reset the stream.
    fn poll(&mut self, cx: &mut Context<'_>, interim: &Queue) -> Poll<Option<Response<B>>> {
        let handled = Pin::new(&mut self.handler).poll(cx);
        let waiting = match &handled {
            Poll::Ready(_) => interim.end(),
            Poll::Pending => interim.take(),
        };
        if (handled.is_pending() || !waiting.is_empty())
            && let Poll::Ready(reset) = self.response.poll_reset(cx)
        {
            debug!(?reset, "the client gave up the request");
            return Poll::Ready(None);
        }
        for response in waiting {
            if let Err(error) = self.response.send_informational(response) {
                debug!(%error, "an interim response was not sent");
            }
        }
        handled.map(Some)
    }

    /// Sends the head of a response; returns its body, if it has one that is still to be sent.
    fn respond(&mut self, response: Response<B>) -> Option<SendBody<B>> {
        let (parts, body) = response.into_parts();
        let mut head = Response::from_parts(parts, ());
        let headers = head.headers_mut();
        for name in &OF_THE_CONNECTION {
            headers.remove(name);
        }
        if head.status().is_success()
            && let Some(upgrade) = self.upgrade.take()
        {
            // The bytes that follow are not a body (RFC 9110 §9.3.6).
            head.headers_mut().remove(CONTENT_LENGTH);
            let stream = self.send(head, false)?;
            // Dropped if nothing waits for it: the stream is then reset.
            let _ = upgrade.send(stream);
            return None;
        }
        if body.is_end_stream() {
            self.send(head, true);
            return None;
        }
        set_length(head.headers_mut(), &body);
        let stream = self.send(head, false)?;
        Some(SendBody::new(stream, body))
    }

    fn send(&mut self, head: Response<()>, is_end: bool) -> Option<SendStream<Bytes>> {
        let sent = self.response.send_response(head, is_end);
        sent.inspect_err(|error| {
            debug!(%error, "a response was not sent");
            self.response.send_reset(Reason::INTERNAL_ERROR);
        })
        .ok()
    }
}

/// Announces the length of a body, if it is known.
fn set_length(headers: &mut HeaderMap, body: &impl Body) {
    if let Some(length) = body.size_hint().exact()
        && !headers.contains_key(CONTENT_LENGTH)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

impl<F, B> Future for Stream<F, B>
where
    F: Future<Output = Response<B>> + Unpin,
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Handler(handling) => {
                    let Some(response) = ready!(handling.poll(cx, &this.interim)) else {
                        return Poll::Ready(());
                    };
                    let Some(body) = handling.respond(response) else {
                        return Poll::Ready(());
                    };
                    this.state = State::Body(body);
                }
                State::Body(body) => return body.poll(cx),
            }
        }
    }
}
