//! HTTP transport of the ACME library: one connection per request, with the TLS settings of Noren's own
//! connections.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::time::timeout;

use crate::config::{Acme, Endpoint, TargetTls};
use crate::http::{BoxError, exchange};
use crate::tls::{Connector, TlsError, dial};

/// Time limit of a request, including connection and handshake.
const LIMIT: Duration = Duration::from_secs(30);
/// Size limit of a response; a certificate chain has about 5 KiB.
const LARGEST: usize = 1 << 20;

/// The transport, with the TLS settings for the authority.
pub(super) struct Transport(Connector);

impl Transport {
    /// Creates a transport with the root certificates from the configuration.
    ///
    /// # Errors
    /// [`TlsError`] if the root certificates for the directory cannot be loaded.
    pub(super) fn new(acme: &Acme) -> Result<Self, TlsError> {
        Connector::new(&TargetTls {
            ca: acme.ca.clone(),
            name: None,
            ..TargetTls::default()
        })
        .map(Self)
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let connector = self.0.clone();
        Box::pin(async move {
            let asked = timeout(LIMIT, send_request(&connector, request)).await;
            asked
                .unwrap_or_else(|_| Err(format!("it did not answer within {LIMIT:?}").into()))
                .map_err(Error::Other)
        })
    }
}

async fn send_request(
    connector: &Connector,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<BytesResponse, BoxError> {
    let url = std::mem::take(request.uri_mut());
    let (endpoint, host) = place(&url).ok_or_else(|| format!("{url} is not an https URL"))?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse()?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, host);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let stream = dial(&endpoint, |_| true, Some(connector), LIMIT).await?;
    exchange(stream, request, |response| async {
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST).collect().await?.to_bytes();
        Ok(BytesResponse {
            parts,
            body: Box::new(body),
        })
    })
    .await
}

/// The endpoint of a URL and the value of its `Host` header.
fn place(url: &Uri) -> Option<(Endpoint, HeaderValue)> {
    if url.scheme_str() != Some("https") {
        return None;
    }
    let authority = url.authority()?;
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let endpoint = Endpoint::Tcp {
        host: host.to_owned(),
        port: authority.port_u16().unwrap_or(443),
    };
    Some((endpoint, HeaderValue::from_str(authority.as_str()).ok()?))
}
