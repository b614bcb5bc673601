//! Adapts the framing of a response to its request: responses without a body, responses without a length, and
//! persistence of the connection (RFC 9110 §6.4.1, §8.6; RFC 9112 §6.3, §9.3; RFC 9113 §8.1.1, §8.2.2).
//!
//! hyper does most of this for HTTP/1.1. Over HTTP/2, `http2` adds a known length and removes headers of the
//! connection; h2 does none of it. Independent of the handler.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;

use crate::http::body::{Body, empty};

/// The properties of a request that the framing of its response depends on.
#[derive(Clone, Debug)]
pub(crate) struct Framing {
    /// The method.
    pub method: Method,
    /// The protocol version of the client.
    pub version: Version,
    /// True if the connection ends with this response.
    pub close: bool,
}

impl Framing {
    /// Reads the properties of a request.
    #[must_use]
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let version = request.version();
        Self {
            method: request.method().clone(),
            version,
            // RFC 9112 §6.1: hyper takes a chunked body and ignores a length beside it. Another proxy before us may
            // have believed the length, so nothing that follows on such a connection can be trusted.
            close: version < Version::HTTP_2 && request.headers().contains_key(TRANSFER_ENCODING),
        }
    }

    /// Sets the framing headers of a response so that the client can find its end.
    #[must_use]
    pub(crate) fn fit(&self, mut response: Response<Body>) -> Response<Body> {
        // Bytes behind a switch of protocols or the 2xx of a CONNECT are not a body.
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if switches || self.method == Method::CONNECT && response.status().is_success() {
            return response;
        }
        self.fit_body(&mut response);
        self.fit_connection(&mut response);
        response
    }

    fn fit_body(&self, response: &mut Response<Body>) {
        let status = response.status();
        let never_has_one = status.is_informational()
            || matches!(
                status,
                StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
            );
        if never_has_one {
            // An app that gives a 304 the length of nothing would make caches believe that the page is empty.
            response.headers_mut().remove(CONTENT_LENGTH);
            response.headers_mut().remove(TRANSFER_ENCODING);
            *response.body_mut() = empty();
        } else if self.method == Method::HEAD {
            let length = response.body().size_hint().exact().unwrap_or_default();
            let headers = response.headers_mut();
            if length > 0 && !headers.contains_key(CONTENT_LENGTH) {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            *response.body_mut() = empty();
        }
    }

    fn fit_connection(&self, response: &mut Response<Body>) {
        if self.version >= Version::HTTP_2 {
            response.headers_mut().remove(CONNECTION);
            return;
        }
        let close = self.close || says_close(response.headers());
        if self.version < Version::HTTP_11 {
            response.headers_mut().remove(CONNECTION);
            let ends_by_closing = self.method != Method::HEAD
                && !response.body().is_end_stream()
                && response.body().size_hint().exact().is_none()
                && !response.headers().contains_key(CONTENT_LENGTH);
            // hyper promises keep-alive to a client that asked for it unless the response is of its version too.
            if close || ends_by_closing {
                *response.version_mut() = Version::HTTP_10;
            }
        } else if close {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
    }
}

/// True if the connection ends with this message.
pub(super) fn says_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    let mut options = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    options.any(|option| option.trim().eq_ignore_ascii_case("close"))
}
