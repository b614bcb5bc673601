//! Waits for the upgraded stream behind an accepted handshake.

use std::time::Duration;

use http::Request;
use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
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

/// The client's stream behind an accepted handshake.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart where it is made; a box would be an allocation more"
)]
pub(crate) enum ClientStream {
    /// The very stream that hyper was given (HTTP/1.1), and bytes that it has read too far.
    Transport(Parts<TokioIo<Transport>>),
    /// A stream of an HTTP/2 connection.
    Stream(Counted<TokioIo<Upgraded>>),
}

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

    /// The stream behind an accepted handshake; `None` if the client has left meanwhile.
    pub(crate) async fn client(self) -> Option<ClientStream> {
        match timeout(UPGRADE_LIMIT, self.coming).await {
            // Over HTTP/1.1 hyper hands back the very stream it was given.
            Ok(Ok(upgraded)) => Some(match upgraded.downcast::<TokioIo<Transport>>() {
                Ok(parts) => ClientStream::Transport(parts),
                Err(upgraded) => {
                    ClientStream::Stream(Counted::new(TokioIo::new(upgraded), self.unread))
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
