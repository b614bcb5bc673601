//! HTTP client for services that know tokens: each request has its own connection and one time limit, and its response
//! has a size limit. Independent of the content of requests.

use std::time::Duration;

use http::{HeaderMap, Request, StatusCode, header, request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;

use crate::config::{ServiceUrl, TargetTls};
use crate::http::exchange;
use crate::tls::{Connector, TlsError, dial};

/// Size limit of a response. Keystone's contains the catalog of a whole cloud.
const LONGEST: usize = 1 << 20;

/// Connection settings for services that trust the same authorities.
pub(super) struct ServiceClient {
    /// `None` if this system has no authorities and no https URL was configured.
    tls: Option<Connector>,
    limit: Duration,
}

/// A response, complete.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl ServiceClient {
    /// Loads the authorities. They are required if `is_secure`; otherwise a URL with https may still come at run time.
    pub(super) fn new(
        ca: Option<&std::path::Path>,
        is_secure: bool,
        limit: Duration,
    ) -> Result<Self, TlsError> {
        let tls = TargetTls {
            ca: ca.map(ToOwned::to_owned),
            ..TargetTls::default()
        };
        let tls = Connector::for_http(&tls);
        let tls = if is_secure || ca.is_some() {
            Some(tls?)
        } else {
            tls.ok()
        };
        Ok(Self { tls, limit })
    }

    /// Sends a request to a path below a URL, and reads the response. Redirects are not followed.
    pub(super) async fn send(
        &self,
        url: &ServiceUrl,
        path: &str,
        request: request::Builder,
        body: Vec<u8>,
    ) -> Result<Reply, String> {
        let tls = match (url.secure, &self.tls) {
            (false, _) => None,
            (true, Some(tls)) => Some(tls),
            (true, None) => {
                return Err("this system has no authorities for https; name them as ca".to_owned());
            }
        };
        let stream = dial(&url.endpoint(), |_| true, tls, self.limit).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let request: Request<_> = request
            .uri(format!("{}{path}", url.path))
            .header(header::HOST, url.authority.as_str())
            .header(header::ACCEPT, "application/json")
            .header(
                header::USER_AGENT,
                concat!("noren/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let sent = exchange(stream, request, |response| async {
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LONGEST).collect().await?;
            Ok(Reply {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            })
        });
        sent.await
            .map_err(|error| format!("no answer could be read: {error}"))
    }
}
