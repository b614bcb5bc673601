//! One request of Noren's own on a connection made for it, such as a question to an API that knows tokens.

use std::pin::pin;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::body::BoxError;

/// The largest head of an answer: 64 lines, 16 KiB.
const HEADERS: usize = 64;
const HEAD: usize = 16 * 1024;

/// Sends a request in HTTP/1.1, and has `understand` read the answer, body and all, before the connection ends.
/// Sets no limit of time.
///
/// # Errors
/// What `understand` says, or that nothing came that it could read.
pub async fn exchange<S, B, F, T>(
    stream: S,
    request: Request<B>,
    understand: impl FnOnce(Response<Incoming>) -> F,
) -> Result<T, BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    F: Future<Output = Result<T, BoxError>>,
{
    let (mut sender, connection) = Builder::new()
        .max_headers(HEADERS)
        .max_buf_size(HEAD)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut exchange = pin!(async { understand(sender.send_request(request).await?).await });
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // What it has read is still there for the exchange, and so is the reason of its end.
        _ended = connection => exchange.await,
    }
}
