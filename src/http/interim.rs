//! Forwards interim responses of the app (RFC 9110 §15.2), such as 103 (RFC 8297), to the client.
//!
//! hyper's server of HTTP/1.1 cannot send them, but the transport below it can: the transport knows when all bytes of
//! hyper are flushed, and hyper writes nothing more until the final response, which waits for the interim ones. Over
//! HTTP/2 the stream of the request sends them. For HTTP/1.0, which does not define them, they are dropped.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, StatusCode, Version};

use crate::http::fields::{drop_file_names, drop_where, is_own};
use crate::http::hop_by_hop::drop_hop_by_hop;
use crate::http2::{self, MOST_INTERIM};
use crate::sync::lock;

/// Size limit of one interim response.
const LARGEST: usize = 16 * 1024;

/// Interim responses of a connection of HTTP/1.1 that are not sent yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interim(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Number of the current request. Only the latest may add an interim response, and only before its final
    /// response.
    request: u64,
    open: bool,
    count: usize,
    waiting: VecDeque<Bytes>,
    /// True while the transport is writing an interim response.
    writing: bool,
    finals: Option<Waker>,
}

/// The interim responses to one request. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct InterimSink {
    sender: InterimSender,
    removed: Option<Arc<[HeaderName]>>,
}

/// Sends interim responses to the client over one version of HTTP.
#[derive(Clone, Debug)]
enum InterimSender {
    /// The connection, and the number of the request.
    Http1(Interim, u64),
    /// The stream.
    Http2(http2::Interim),
}

impl InterimSink {
    /// Accepts the interim responses to a request on a stream of HTTP/2. They are sent without the `removed` fields.
    #[must_use]
    pub(crate) fn of_stream(interim: http2::Interim, removed: Option<Arc<[HeaderName]>>) -> Self {
        Self {
            sender: InterimSender::Http2(interim),
            removed,
        }
    }

    /// Sends an interim response with this head to the client.
    pub(crate) fn pass_on(&self, status: StatusCode, headers: &HeaderMap) {
        // 100 is Noren's own affair, and 101 is none of the app's.
        if matches!(status.as_u16(), 100 | 101) {
            return;
        }
        let removed = self.removed.as_deref().unwrap_or_default();
        let Some(headers) = for_client(headers, removed) else {
            return;
        };
        match &self.sender {
            InterimSender::Http1(interim, request) => {
                interim.add(*request, encode(status, &headers));
            }
            InterimSender::Http2(interim) => interim.send(status, headers),
        }
    }
}

impl Interim {
    /// Accepts the interim responses to the current request of a client that speaks `version`. They are sent without
    /// the `removed` fields.
    #[must_use]
    pub(crate) fn sink(
        &self,
        version: Version,
        removed: Option<Arc<[HeaderName]>>,
    ) -> Option<InterimSink> {
        if version != Version::HTTP_11 {
            return None;
        }
        let mut state = self.lock();
        state.request += 1;
        state.count = 0;
        state.open = true;
        Some(InterimSink {
            sender: InterimSender::Http1(self.clone(), state.request),
            removed,
        })
    }

    fn add(&self, request: u64, head: Bytes) {
        let mut state = self.lock();
        if state.open && state.request == request && state.count < MOST_INTERIM {
            state.count += 1;
            state.waiting.push_back(head);
        }
    }

    /// Waits until all interim responses are sent, and accepts no more.
    pub(crate) async fn all_sent(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            state.open = false;
            if state.waiting.is_empty() && !state.writing {
                return Poll::Ready(());
            }
            state.finals = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Takes the next interim response to write.
    pub(super) fn next(&self) -> Option<Bytes> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        state.writing = next.is_some();
        if next.is_none()
            && let Some(waker) = state.finals.take()
        {
            waker.wake();
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// The fields of an interim response that the client gets; `None` if they are too large.
fn for_client(headers: &HeaderMap, removed: &[HeaderName]) -> Option<HeaderMap> {
    let mut headers = headers.clone();
    drop_hop_by_hop(&mut headers);
    drop_file_names(&mut headers);
    drop_where(&mut headers, is_own);
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    for name in removed {
        headers.remove(name);
    }
    let sizes = headers.iter();
    let sizes = sizes.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    (sizes.sum::<usize>() <= LARGEST).then_some(headers)
}

/// Encodes a head for HTTP/1.1.
fn encode(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut head = BytesMut::new();
    let reason = status.canonical_reason().unwrap_or_default();
    head.put_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.put_slice(part);
        }
    }
    head.put_slice(b"\r\n");
    head.freeze()
}
