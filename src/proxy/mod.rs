//! Forwards one request to the app, and its response to the client.
//!
//! Makes no decisions: the service has decided whether the request may pass, and to which app. Implements the
//! header rules of a proxy (RFC 9110 §7.6). Independent of the bridge.

mod compress;
mod error;
mod location;
mod request;
mod tunnel;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, LOCATION, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Body as _;

use crate::http::{
    Body, BodyFault, BodyLimits, Context, Head, Incoming, InterimSink, Received, Refusal,
    drop_hop_by_hop, drop_own_headers, receive,
};
use crate::shares::Client;
use crate::shutdown::Shutdown;
use crate::upstream::{Payload, Requester, Upstream};

use compress::AcceptedCodings;
use error::{from_upstream, invalid_response};

pub(crate) use tunnel::open as open_tunnel;

/// Context for forwarding a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forward<'a> {
    /// The app.
    pub upstream: &'a Arc<Upstream>,
    /// Limits of the request body.
    pub body: BodyLimits,
    /// The client's connection.
    pub context: &'a Context,
    /// The checked head of the request.
    pub head: &'a Head,
    /// Position of the client in the queue for workers.
    pub requester: Requester<'a>,
    /// Task tracker for work that outlives the request.
    pub tasks: &'a Shutdown,
    /// The header fields that no interim response brings to the client.
    pub removed: Option<&'a Arc<[HeaderName]>>,
}

impl Forward<'_> {
    /// Forwards an ordinary request.
    ///
    /// # Errors
    /// The refusal to send: the client's fault (400, 408, 411, 413), the app's (502, 504) or its load (503).
    pub(crate) async fn request(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        self.request_with(request, HeaderMap::new(), |_| false)
            .await
    }

    /// Forwards an ordinary request with headers of our own. `is_raw` is true for the headers of responses that are
    /// needed as the app has sent them, and so are not compressed.
    ///
    /// # Errors
    /// As for [`request`](Self::request).
    pub(crate) async fn request_with(
        self,
        request: Request<Incoming>,
        own: HeaderMap,
        is_raw: impl Fn(&HeaderMap) -> bool,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, incoming) = request.into_parts();
        let interim = self.interim(parts.version, &incoming);
        let wish = AcceptedCodings::of(&parts.headers, self.upstream.settings());
        let client = Client {
            address: self.requester.address,
            session: None,
        };
        let budget = Some(self.upstream.budget(client));
        let received = if incoming.is_end_stream() {
            Received::None
        } else {
            Box::pin(receive(incoming, self.body, budget, self.tasks)).await?
        };
        let payload = match received {
            Received::None => Payload::Empty,
            Received::Whole(bytes) => Payload::Whole(bytes),
            Received::Begun(mut body) => {
                if body.is_streaming() {
                    let place = Box::pin(self.upstream.place_for_upload(client)).await;
                    body.hold(place.map_err(BodyFault::from)?);
                }
                Payload::Stream(body)
            }
        };
        let fault = match &payload {
            Payload::Stream(body) => Some(body.fault()),
            Payload::Empty | Payload::Whole(_) => None,
        };
        if let Some(times) = self.requester.times {
            times.received(payload.length());
        }
        let mut answer = self.exchange((parts, payload), own, fault, interim).await?;
        drop_own_headers(answer.headers_mut());
        Ok(match wish {
            Some(wish) if !is_raw(answer.headers()) => {
                Box::pin(wish.compress(answer, self.upstream.settings())).await
            }
            Some(_) | None => answer,
        })
    }

    /// Sends a request of the visitor whose body is complete, with headers of our own. Internal headers of the
    /// response are left in it.
    ///
    /// # Errors
    /// As for [`request`](Self::request), except faults of the body.
    pub(crate) async fn submit(
        self,
        parts: Parts,
        body: Bytes,
        own: HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        let payload = Payload::Whole(body);
        self.exchange((parts, payload), own, None, None).await
    }

    /// The receiver of the interim responses to a request.
    fn interim(&self, version: Version, incoming: &Incoming) -> Option<InterimSink> {
        let removed = self.removed.cloned();
        match incoming.interim() {
            Some(stream) => Some(InterimSink::of_stream(stream.clone(), removed)),
            None => self.context.interim.as_ref()?.sink(version, removed),
        }
    }

    async fn exchange(
        self,
        (parts, payload): (Parts, Payload),
        own: HeaderMap,
        fault: Option<Arc<OnceLock<BodyFault>>>,
        interim: Option<InterimSink>,
    ) -> Result<Response<Body>, Refusal> {
        let mut request = request::rewrite(parts, payload, self);
        // The client's headers of these names were removed above.
        request.headers_mut().extend(own);
        let response = self
            .upstream
            .send_with(request, self.requester, interim)
            .await
            .map_err(|error| {
                // If the body broke on its way, the failure of the exchange is the client's.
                match fault.as_ref().and_then(|fault| fault.get()) {
                    Some(fault) => BodyFault::into(*fault),
                    None => from_upstream(self.upstream.settings(), &error),
                }
            })?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(invalid_response(
                self.upstream.settings(),
                "switched protocols without a request",
            ));
        }
        let response = response.map(BodyExt::boxed_unsync);
        self.answer(response)
    }

    /// Converts the app's response into ours.
    fn answer(self, mut response: Response<Body>) -> Result<Response<Body>, Refusal> {
        let headers = response.headers_mut();
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
        let length = lengths.next();
        if lengths.next().is_some()
            || length.is_some_and(|length| length.as_bytes().contains(&b','))
            || (length.is_some() && headers.contains_key(TRANSFER_ENCODING))
        {
            return Err(invalid_response(
                self.upstream.settings(),
                "framed its response in two ways",
            ));
        }
        drop_hop_by_hop(headers);
        if let Some(root) = &self.upstream.settings().server_root
            && let Some(value) = headers.get(LOCATION)
            && let Some(repaired) = location::repair(
                value,
                root.as_str(),
                self.context.scheme,
                &self.head.authority,
            )
        {
            headers.insert(LOCATION, repaired);
        }
        *response.version_mut() = Version::HTTP_11;
        Ok(response)
    }
}
