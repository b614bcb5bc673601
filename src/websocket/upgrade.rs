//! Waits for the upgraded stream behind an accepted handshake.

use std::time::Duration;

use http::Request;
use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::either::Either;
use tracing::debug;

use crate::http::{Counted, Incoming, Transport, Unread};
use crate::http2;

/// Time limit from our 101 to the upgraded stream. Both are on our side, so this only guards against a client that
/// vanishes in between.
const UPGRADE_LIMIT: Duration = Duration::from_secs(10);

/// The upgrade of a request, which comes once the response is sent.
#[derive(Debug)]
pub(crate) enum Upgrade {
    /// Over HTTP/1.1.
    Connection(OnUpgrade),
    /// Over HTTP/2, with the count of unread bytes of the connection.
    Stream(http2::Upgrade, Unread),
}

/// A stream of an HTTP/2 connection behind an accepted handshake.
type Stream = Counted<http2::Upgraded>;

/// The client's stream behind an accepted handshake: the very stream that hyper was given (HTTP/1.1), or a stream of an
/// HTTP/2 connection. Boxed, because futures keep room for each place that it passes through.
pub(crate) type ClientStream = Either<Box<Transport>, Stream>;

impl Upgrade {
    /// The upgrade of this request.
    #[must_use]
    pub(crate) fn of(request: &mut Request<Incoming>) -> Self {
        match request.body_mut().take_upgrade() {
            Some((upgrade, unread)) => Self::Stream(upgrade, unread),
            None => Self::Connection(hyper::upgrade::on(request)),
        }
    }

    /// The stream behind the handshake; `None` if the client has left meanwhile.
    pub(crate) async fn stream(self) -> Option<Either<TokioIo<Upgraded>, Stream>> {
        Some(match self {
            Self::Connection(coming) => Either::Left(TokioIo::new(upgraded(coming).await?)),
            Self::Stream(upgrade, unread) => Either::Right(stream(upgrade, unread).await?),
        })
    }

    /// The stream behind an accepted handshake, and the bytes that arrived right behind it; `None` if the client has
    /// left meanwhile.
    pub(crate) async fn client(self) -> Option<(ClientStream, Vec<u8>)> {
        let opened = timeout(UPGRADE_LIMIT, async {
            match self {
                Self::Connection(coming) => upgraded(coming).await.and_then(connection),
                Self::Stream(upgrade, unread) => {
                    let stream = stream(upgrade, unread).await?;
                    Some((Either::Right(stream), Vec::new()))
                }
            }
        });
        let opened = opened.await.ok().flatten();
        if opened.is_none() {
            debug!("the client left during the upgrade");
        }
        opened
    }
}

async fn upgraded(coming: OnUpgrade) -> Option<Upgraded> {
    let upgraded = coming.await;
    upgraded
        .inspect_err(|error| debug!(%error, "no upgrade"))
        .ok()
}

async fn stream(upgrade: http2::Upgrade, unread: Unread) -> Option<Stream> {
    Some(Counted::new(upgrade.stream().await?, unread))
}

/// The stream that hyper was given, and the bytes that it has read of it.
fn connection(upgraded: Upgraded) -> Option<(ClientStream, Vec<u8>)> {
    let Parts { io, read_buf, .. } = upgraded.downcast::<TokioIo<Transport>>().ok()?;
    // Copied: hyper's buffer is as large as it was for the head.
    Some((Either::Left(Box::new(io.into_inner())), read_buf.to_vec()))
}
