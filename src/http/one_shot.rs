//! Sends one HTTP request of Noren itself on a connection of its own, such as a query to a token API.

use std::pin::pin;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::body::BoxError;

/// Limit on header lines of a response; hyper limits the size of the head to 16 KiB.
const HEADERS: usize = 64;
const HEAD: usize = 16 * 1024;

/// Sends an HTTP/1.1 request, and lets `understand` read the response, including its body, before the connection
/// ends. Has no time limit.
///
/// # Errors
/// The error of `understand`, or an error if no response came.
pub(crate) async fn exchange<S, B, F, T>(
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
        // Bytes that were read are still available to the exchange, and so is the reason of the connection's end.
        _ended = connection => exchange.await,
    }
}
