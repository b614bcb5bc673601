//! Pings that find dead clients (RFC 9113 §6.7): one is sent when a client has been silent, and its connection ends if
//! it stays silent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http2::io::Traffic;

/// Number of silent intervals after which a client counts as dead; the ping is sent after the first.
const DEAD: u32 = 3;

/// Sends pings, and counts the time in which the client was silent.
pub(super) struct Pings {
    ping_pong: PingPong,
    traffic: Arc<Traffic>,
    interval: Duration,
    clock: Pin<Box<Sleep>>,
    /// Number of intervals without a byte.
    silent: u32,
}

impl Pings {
    /// Pings a client of whom no bytes have come for `limit`, and gives it as much time to send some.
    pub(super) fn new(ping_pong: PingPong, traffic: Arc<Traffic>, limit: Duration) -> Self {
        // A client that was silent in one interval was so for up to two.
        let interval = limit / 2;
        Self {
            ping_pong,
            traffic,
            interval,
            clock: Box::pin(sleep_until(Instant::now() + interval)),
            silent: 0,
        }
    }

    /// Ready once the client is dead.
    pub(super) fn poll_dead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.clock.as_mut().poll(cx).is_ready() {
            // The answer of a client that is not read waits behind other bytes.
            if self.traffic.has_come() || self.traffic.is_paused() {
                self.silent = 0;
            } else {
                self.silent += 1;
            }
            if self.silent >= DEAD {
                return Poll::Ready(());
            }
            if self.silent == 1 {
                // Takes the reply to an earlier ping, without which there cannot be another.
                let _ = self.ping_pong.poll_pong(cx);
                let _ = self.ping_pong.send_ping(Ping::opaque());
            }
            self.clock.as_mut().reset(Instant::now() + self.interval);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::timeout;

    use super::*;
    use crate::http2::io::ReadPause;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_not_read_is_not_dead() {
        let (client, server) = tokio::io::duplex(4096);
        let (client, server) = tokio::join!(
            h2::client::handshake(client),
            h2::server::handshake::<_>(server)
        );
        let (_client, mut server) = (client.expect("a client"), server.expect("a server"));
        let pause = ReadPause::default();
        let traffic = Arc::new(Traffic::new(pause.clone()));
        let limit = Duration::from_secs(20);
        let pings = server.ping_pong().expect("the first");
        let mut pings = Pings::new(pings, traffic, limit);
        pause.set(true);
        let dead = poll_fn(|cx| pings.poll_dead(cx));
        timeout(20 * limit, dead)
            .await
            .expect_err("it was not read");
        pause.set(false);
        let dead = poll_fn(|cx| pings.poll_dead(cx));
        timeout(2 * limit, dead).await.expect("it is silent");
    }
}
