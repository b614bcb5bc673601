//! Token source that queries an HTTP API, as websockify's `BaseTokenAPI` and `JSONTokenApi` do.
//!
//! Sends one GET per token on a connection of its own, because consoles are rarely opened. The token is
//! percent-encoded, redirects are not followed, and time, head and body of the response have limits. Does not
//! decide which targets may be named. No error contains the token.

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Token;
use super::address::{SourceResponse, parse_response};
use crate::config::{AnswerPlaces, HttpSource, SecretFile, TargetTls};
use crate::http::exchange;
use crate::text::file::{LARGEST_SECRET, read_text};
use crate::text::percent::encoded;
use crate::tls::{Connector, TlsError, dial};

/// Size limit of a response; an address has a few dozen bytes.
const LONGEST: usize = 4096;
/// Limit on concurrent queries, so that a flood of made-up tokens does not reach the API.
const CONCURRENT_QUERIES: usize = 16;

/// The API.
pub(super) struct TokenApi {
    source: HttpSource,
    tls: Option<Connector>,
    asking: Semaphore,
}

impl TokenApi {
    pub(super) fn new(source: HttpSource) -> Result<Self, TlsError> {
        let tls = TargetTls {
            ca: source.ca.clone(),
            // The host of the URL, also where something else is connected to.
            name: Some(source.url.host.clone()),
            ..TargetTls::default()
        };
        let tls = source
            .url
            .secure
            .then(|| Connector::new(&tls))
            .transpose()?;
        Ok(Self {
            source,
            tls,
            asking: Semaphore::new(CONCURRENT_QUERIES),
        })
    }

    /// Returns the target if the API knows the token; the error describes a failure of the API.
    pub(super) async fn find(&self, token: &Token) -> Result<Option<SourceResponse>, String> {
        // No encoding keeps these from meaning another path.
        if matches!(token.plain(), "." | "..") {
            return Ok(None);
        }
        let limit = self.source.timeout;
        let asked = timeout(limit, self.query(token)).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
    }

    async fn query(&self, token: &Token) -> Result<Option<SourceResponse>, String> {
        // The semaphore is never closed.
        let _turn = self.asking.acquire().await;
        let HttpSource {
            url,
            address,
            timeout,
            ..
        } = &self.source;
        let endpoint = address.clone().unwrap_or_else(|| url.endpoint());
        let stream = dial(&endpoint, |_| true, self.tls.as_ref(), *timeout).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let target = format!("{}{}{}", url.before, encoded(token.plain()), url.after);
        let builder = Request::get(target)
            .header(header::HOST, url.authority.as_str())
            .header(header::ACCEPT, "application/json, text/plain")
            .header(
                header::USER_AGENT,
                concat!("noren/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONNECTION, "close");
        let headers = self.headers().await?.into_iter();
        let request = headers.fold(builder, |builder, (name, value)| {
            builder.header(name, value)
        });
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let places = &self.source.answer;
        let answer = exchange(stream, request, |response| async {
            understand(response, places).await.map_err(Into::into)
        });
        answer.await.map_err(|error| error.to_string())
    }

    /// The configured headers. Values in files are read for each request, so that they can be changed.
    async fn headers(&self) -> Result<Vec<(String, HeaderValue)>, String> {
        let mut headers = Vec::new();
        for (name, text) in &self.source.headers {
            let value = HeaderValue::from_str(text).map_err(|error| error.to_string())?;
            headers.push((name.clone(), value));
        }
        for (name, file) in &self.source.secret_headers {
            headers.push(secret(name.clone(), file.clone()).await?);
        }
        Ok(headers)
    }
}

/// Reads the value of a header from its file.
async fn secret(name: String, file: SecretFile) -> Result<(String, HeaderValue), String> {
    let path = file.path();
    let read = spawn_blocking(move || read_text(&path, LARGEST_SECRET)).await;
    let read = read.map_err(|error| error.to_string())?;
    let text = read.map_err(|error| format!("read the header {name} from {file}: {error}"))?;
    let value = HeaderValue::from_str(text.trim_end_matches(['\r', '\n']));
    let mut value =
        value.map_err(|_| format!("what is in {file} cannot stand in the header {name}"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Interprets a response.
async fn understand(
    response: Response<Incoming>,
    places: &AnswerPlaces,
) -> Result<Option<SourceResponse>, String> {
    let status = response.status();
    match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS => {}
        _ if status.is_success() => {
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| format!("its answer could not be read: {error}"))?;
            return parse_response(&body.to_bytes(), places)
                .map(Some)
                .map_err(|reason| format!("its answer cannot be understood: {reason}"));
        }
        _ if status.is_client_error() => return Ok(None),
        _ if status.is_redirection() => {
            return Err(format!("it answered {status}; redirects are not followed"));
        }
        _ => {}
    }
    Err(format!("it answered {status}"))
}
