//! Waits for the upgraded stream behind an accepted handshake.

use std::time::Duration;

use http::Request;
use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::either::Either;
use tracing::debug;

use crate::http::{Counted, Incoming, Transport, Unread};

/// Time limit from our 101 to the upgraded stream. Both are on our side, so this only guards against a client that
/// vanishes in between.
const UPGRADE_LIMIT: Duration = Duration::from_secs(10);

/// The upgrade of a request, which comes once the response is sent.
#[derive(Debug)]
pub(crate) struct Upgrade {
    coming: OnUpgrade,
    unread: Option<Unread>,
}

/// The client's stream behind an accepted handshake: the very stream that hyper was given (HTTP/1.1), or a stream of an
/// HTTP/2 connection. Boxed, because futures keep room for each place that it passes through.
pub(crate) type ClientStream = Either<Box<Transport>, Counted<TokioIo<Upgraded>>>;

impl Upgrade {
    /// The upgrade of this request.
    #[must_use]
    pub(crate) fn of(request: &mut Request<Incoming>) -> Self {
        Self {
            unread: request.body().unread(),
            coming: hyper::upgrade::on(request),
        }
    }

    /// The stream behind the handshake.
    ///
    /// # Errors
    /// hyper's, if the client has left meanwhile.
    pub(crate) async fn stream(self) -> hyper::Result<Counted<TokioIo<Upgraded>>> {
        let upgraded = self.coming.await?;
        Ok(Counted::new(TokioIo::new(upgraded), self.unread))
    }

    /// The stream behind an accepted handshake, and the bytes that arrived right behind it; `None` if the client has
    /// left meanwhile.
    pub(crate) async fn client(self) -> Option<(ClientStream, Vec<u8>)> {
        match timeout(UPGRADE_LIMIT, self.coming).await {
            Ok(Ok(upgraded)) => Some(match upgraded.downcast::<TokioIo<Transport>>() {
                // Copied: hyper's buffer is as large as it was for the head.
                Ok(Parts { io, read_buf, .. }) => {
                    (Either::Left(Box::new(io.into_inner())), read_buf.to_vec())
                }
                Err(upgraded) => {
                    let stream = Counted::new(TokioIo::new(upgraded), self.unread);
                    (Either::Right(stream), Vec::new())
                }
            }),
            Ok(Err(error)) => {
                debug!(%error, "the client left during the upgrade");
                None
            }
            Err(_) => {
                debug!("the client left during the upgrade");
                None
            }
        }
    }
}
