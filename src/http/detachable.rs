//! A response body that can be taken from hyper while it waits for its source.
//!
//! hyper has a read buffer and a write buffer of 8 KiB for each connection, also while an event stream has nothing to
//! send for hours. So hyper writes the head and the first bytes of such a response; once they are flushed, the body is
//! taken out of it, and the connection continues without hyper (see [`ChunkedResponse`](crate::http::ChunkedResponse)).

use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRAILER};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot::Receiver;

use crate::http::abort::Flushes;
use crate::http::framing::says_close;
use crate::sync::lock;

/// The body of a response over HTTP/1.1.
#[derive(Debug)]
pub(crate) enum Detachable<B> {
    /// A body that hyper writes to its end.
    Fixed(B),
    /// A body that can be taken.
    Shared(SharedBody<B>),
}

/// hyper's side of a body that can be taken. Dropping it drops the body, if it is still here.
#[derive(Debug)]
pub(crate) struct SharedBody<B> {
    detachment: Detachment<B>,
    flushes: Flushes,
}

/// The place of the current response of a connection, if it can be taken. Clones share it.
pub(crate) struct Detachment<B>(Arc<Slot<B>>);

struct Slot<B> {
    source: Mutex<Option<Source<B>>>,
    /// True while a body waits for its source, so that most polls of a connection need no lock.
    waits: AtomicBool,
}

struct Source<B> {
    body: B,
    /// True if the connection ends with the response.
    is_last: bool,
    /// The next flush, while the body waits for its source.
    flushed: Option<Receiver<()>>,
}

/// The properties of a request that decide if its response can be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DetachRule {
    is_simple: bool,
    closes: bool,
}

impl DetachRule {
    /// Reads the properties of a request. A body that is not read yet would follow on the connection.
    #[must_use]
    pub(crate) fn of<B: Body>(request: &Request<B>) -> Self {
        let is_simple = request.method() == Method::GET
            && request.version() == Version::HTTP_11
            && request.body().is_end_stream();
        Self {
            is_simple,
            closes: is_simple && says_close(request.headers()),
        }
    }

    /// True for a response that hyper sends in chunks, and that may wait for a long time between them.
    fn permits<B: Body>(self, response: &Response<B>) -> bool {
        self.is_simple
            && response.status() == StatusCode::OK
            && response.version() == Version::HTTP_11
            && response.body().size_hint().exact().is_none()
            && !response.headers().contains_key(CONTENT_LENGTH)
            && is_event_stream(response.headers())
            && !response.headers().contains_key(TRAILER)
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], |kind| kind.as_bytes());
    let end = kind.iter().position(|byte| *byte == b';');
    let kind = kind.get(..end.unwrap_or(kind.len())).unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

impl<B: Body> Detachment<B> {
    /// Lets the body of a response be taken, if the rule permits it. `flushes` are those of the connection.
    pub(crate) fn share(
        &self,
        response: Response<B>,
        rule: DetachRule,
        flushes: &Flushes,
    ) -> Response<Detachable<B>> {
        if !rule.permits(&response) {
            return response.map(Detachable::Fixed);
        }
        let is_last = rule.closes || says_close(response.headers());
        response.map(|body| {
            *self.lock() = Some(Source {
                body,
                is_last,
                flushed: None,
            });
            Detachable::Shared(SharedBody {
                detachment: self.clone(),
                flushes: flushes.clone(),
            })
        })
    }

    /// Takes the body if all bytes before it are flushed, and whether the connection ends with it. To be called after
    /// hyper was polled.
    pub(crate) fn take(&self, cx: &mut Context<'_>) -> Option<(B, bool)> {
        if !self.0.waits.load(Ordering::Relaxed) {
            return None;
        }
        let mut shared = self.lock();
        let flushed = shared.as_mut()?.flushed.as_mut()?;
        if Pin::new(flushed).poll(cx).is_pending() {
            return None;
        }
        let source = shared.take()?;
        self.0.waits.store(false, Ordering::Relaxed);
        Some((source.body, source.is_last))
    }
}

impl<B> Detachment<B> {
    fn lock(&self) -> MutexGuard<'_, Option<Source<B>>> {
        lock(&self.0.source)
    }
}

impl<B> Default for Detachment<B> {
    fn default() -> Self {
        Self(Arc::new(Slot {
            source: Mutex::new(None),
            waits: AtomicBool::new(false),
        }))
    }
}

impl<B> Clone for Detachment<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> fmt::Debug for Detachment<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detachment").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes> + Unpin> SharedBody<B> {
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut place = self.detachment.lock();
        let Some(source) = &mut *place else {
            return Poll::Pending;
        };
        let polled = Pin::new(&mut source.body).poll_frame(cx);
        if polled.is_ready() {
            // A frame has to be flushed too.
            source.flushed = None;
        } else if source.flushed.is_none() {
            source.flushed = Some(self.flushes.next());
        }
        let waits = polled.is_pending();
        self.detachment.0.waits.store(waits, Ordering::Relaxed);
        polled
    }
}

impl<B> Drop for SharedBody<B> {
    fn drop(&mut self) {
        let source = self.detachment.lock().take();
        self.detachment.0.waits.store(false, Ordering::Relaxed);
        drop(source);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Detachable<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.get_mut() {
            Self::Fixed(body) => Pin::new(body).poll_frame(cx),
            Self::Shared(shared) => shared.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Fixed(body) => body.is_end_stream(),
            Self::Shared(shared) => {
                let place = shared.detachment.lock();
                place
                    .as_ref()
                    .is_some_and(|source| source.body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Fixed(body) => body.size_hint(),
            Self::Shared(_) => SizeHint::default(),
        }
    }
}
