//! Compression of responses, for media types that the operator has listed.
//!
//! Never where a secret could be guessed from the length of a response (BREACH: a page that shows both a secret
//! and text that an attacker can choose), unless that is allowed: not for visitors with credentials, nor for
//! responses that are private or set cookies. And never for streams, whose pieces would be held back.

use std::convert::Infallible;
use std::future::Ready;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, ETAG, SET_COOKIE,
};
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tower_http::CompressionLevel;
use tower_http::compression::Compression;
use tower_service::Service;

use crate::config;
use crate::http::{Body, BoxError};
use crate::sync::lock;

/// Size below which compression saves nothing.
const LEAST: u64 = 1024;
/// Compression level: most of the savings at a fraction of the time of the highest level.
const LEVEL: i32 = 4;

/// The codings that a visitor accepts.
pub(super) struct AcceptedCodings {
    accept: HeaderValue,
    credentials: bool,
}

impl AcceptedCodings {
    /// Reads the head of a request; `None` if no response to it may be compressed.
    pub(super) fn of(headers: &HeaderMap, app: &config::App) -> Option<Self> {
        if app.compress.is_empty() {
            return None;
        }
        let accept = headers.get(ACCEPT_ENCODING)?;
        // A client that refuses the uncompressed form would get 406 for a response that cannot be compressed.
        if refuses_plain(accept.to_str().ok()?) {
            return None;
        }
        let credentials = headers.contains_key(COOKIE) || headers.contains_key(AUTHORIZATION);
        Some(Self {
            accept: accept.clone(),
            credentials,
        })
    }

    /// Compresses a response, if it may be compressed.
    pub(super) async fn compress(
        self,
        mut answer: Response<Body>,
        app: &config::App,
    ) -> Response<Body> {
        if !self.permits(&answer, app) {
            return answer;
        }
        weaken_etag(answer.headers_mut());
        let mut request = Request::new(());
        request.headers_mut().insert(ACCEPT_ENCODING, self.accept);
        let failure = Failure::default();
        let answer = answer.map(|body| Whole::new(body, &failure).boxed_unsync());
        let coded = Compression::new(Once(Some(answer)))
            .quality(CompressionLevel::Precise(LEVEL))
            .compress_when(|_: StatusCode, _: Version, _: &HeaderMap, _: &Extensions| true)
            .call(request)
            .await;
        match coded {
            Ok(answer) => answer.map(|body| Coded { body, failure }.boxed_unsync()),
            Err(never) => match never {},
        }
    }

    fn permits(&self, answer: &Response<Body>, app: &config::App) -> bool {
        let headers = answer.headers();
        let says = |word: &str| {
            let values = headers.get_all(CACHE_CONTROL).iter();
            let mut values = values.filter_map(|value| value.to_str().ok());
            values.any(|value| {
                let mut words = value.split(',');
                words.any(|found| found.trim().eq_ignore_ascii_case(word))
            })
        };
        let private = self.credentials || says("private") || says("no-store");
        // A response without a length may be a stream whose pieces the client awaits.
        let length = answer.body().size_hint().exact().unwrap_or_default();
        answer.status() == StatusCode::OK
            && length >= LEAST
            && !headers.contains_key(SET_COOKIE)
            && !says("no-transform")
            && (!private || app.compress_private)
            && headers.get("x-accel-buffering").is_none()
            && kind(headers).is_some_and(|kind| app.compress.contains(&kind))
    }
}

/// The error that has ended the uncompressed body.
#[derive(Clone, Default)]
struct Failure(Arc<Mutex<Option<BoxError>>>);

impl Failure {
    fn lock(&self) -> MutexGuard<'_, Option<BoxError>> {
        lock(&self.0)
    }
}

/// An uncompressed body whose failure looks like its end. An encoder that sees an error discards the bytes it has
/// taken; one that sees an end emits them.
struct Whole {
    body: Body,
    failure: Failure,
}

impl Whole {
    fn new(body: Body, failure: &Failure) -> Self {
        Self {
            body,
            failure: failure.clone(),
        }
    }
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Err(error)) => {
                *self.failure.lock() = Some(error);
                Poll::Ready(None)
            }
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A compressed body that fails at its end if the uncompressed one failed.
struct Coded<B> {
    body: B,
    failure: Failure,
}

impl<B> http_body::Body for Coded<B>
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => Poll::Ready(self.failure.lock().take().map(Err)),
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.failure.lock().is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// True if the client does not accept `identity` (RFC 9110 §12.5.3).
fn refuses_plain(accept: &str) -> bool {
    accept.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let zero = weight
            .trim()
            .strip_prefix("q=")
            .is_some_and(|weight| weight.parse().is_ok_and(|weight: f32| weight <= 0.0));
        zero && matches!(name.trim(), "identity" | "*")
    })
}

/// The media type without its parameters.
fn kind(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next()?.trim();
    Some(kind.to_ascii_lowercase())
}

/// Makes the entity tag weak. A strong one would claim that the bytes are the same (RFC 9110 §8.8.1).
fn weaken_etag(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG) else { return };
    if tag.as_bytes().starts_with(b"W/") {
        return;
    }
    match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        Ok(weak) => headers.insert(ETAG, weak),
        Err(_) => headers.remove(ETAG),
    };
}

/// A finished response as a `tower` service.
struct Once(Option<Response<Body>>);

impl Service<Request<()>> for Once {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let answer = self.0.take();
        std::future::ready(Ok(
            answer.unwrap_or_else(|| Response::new(crate::http::empty()))
        ))
    }
}
