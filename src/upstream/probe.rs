//! The probe: a request that tests if an address of an app is healthy, or responds at all.
//!
//! Independent of the conclusions from the response.

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use crate::config;
use crate::http::apply_to_request;
use crate::upstream::Payload;

/// A request of Noren itself for an address of an app.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    method: Method,
    target: Uri,
    headers: HeaderMap,
}

impl Probe {
    /// Creates the probe of an app: a GET for its `health-path`, or otherwise `OPTIONS *`, which is intended for this
    /// purpose (RFC 9110 §9.3.7).
    pub(super) fn of(settings: &config::App) -> Self {
        let path = settings.health_path.as_ref();
        let path: Option<Uri> = path.and_then(|path| path.parse().ok());
        let method = if path.is_some() {
            Method::GET
        } else {
            Method::OPTIONS
        };
        let mut headers = HeaderMap::new();
        apply_to_request(&settings.request_headers, &mut headers);
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        Self {
            method,
            target: path.unwrap_or_else(|| Uri::from_static("*")),
            headers,
        }
    }

    /// The path, for people.
    pub(super) fn path(&self) -> &str {
        self.target.path()
    }

    /// Builds the request.
    pub(super) fn request(&self) -> Request<Payload> {
        let mut request = Request::new(Payload::Empty);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}
