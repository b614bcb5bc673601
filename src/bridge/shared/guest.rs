//! The guest's end of a shared console: one task with the only connection. It always reads, whatever viewers do. When
//! the guest closes the connection, viewers may stay for a while, and the task reconnects.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info};

use super::console::Console;
use crate::bridge::outcome::Ended;
use crate::bridge::scratch::{self, Backlog, READ};
use crate::shutdown::Shutdown;
use crate::tls::{DialError, Outgoing};

/// Interval of reconnecting.
const RETRY: Duration = Duration::from_millis(500);
/// Time limit for writing the last keys.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Interval of checking the clock of a console with viewers.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Reconnects to the guest.
pub(crate) type Redial = Box<dyn Fn() -> Dialled + Send + Sync>;
/// A connection that is being opened.
pub(crate) type Dialled = Pin<Box<dyn Future<Output = Result<Outgoing, DialError>> + Send>>;

/// The guest's end.
pub(super) struct Guest {
    console: Arc<Console>,
    /// Keys that the guest has not taken yet.
    keys: Backlog,
    /// Bytes read since other tasks had their turn.
    since_yield: usize,
    stop: Shutdown,
}

impl Guest {
    pub(super) fn new(console: Arc<Console>, stop: Shutdown) -> Self {
        Self {
            console,
            keys: Backlog::default(),
            since_yield: 0,
            stop,
        }
    }

    /// Serves the console until it ends. When this returns, the guest is disconnected.
    pub(super) async fn serve(mut self, mut connection: Outgoing, redial: Option<Redial>) {
        let console = Arc::clone(&self.console);
        while let Err(error) = self.exchange(&mut connection).await {
            let ended = if error.is_some() {
                Ended::Broke
            } else {
                Ended::Closed
            };
            let reason = error.map_or_else(
                || "it closed the connection".to_owned(),
                |error| error.to_string(),
            );
            info!(
                target = console.target,
                reason, "the guest of a shared console has gone"
            );
            // At any time there is at most one connection.
            drop(connection);
            self.keys = Backlog::default();
            match self.reconnect(redial.as_ref()).await {
                Some(fresh) => connection = fresh,
                None => return console.end(ended),
            }
        }
        self.finish(connection).await;
    }

    /// Moves output and keys until the console or the guest's connection ends. For the latter returns an error, with
    /// that of the system if there is one.
    async fn exchange(&mut self, connection: &mut Outgoing) -> Result<(), Option<io::Error>> {
        let (stop, console) = (self.stop.clone(), Arc::clone(&self.console));
        let mut stopping = pin!(stop.tunnels_requested());
        let mut retiring = pin!(stop.requested());
        let mut is_retiring = false;
        let mut unrecorded = None;
        let mut clock = pin!(sleep(NEVER));
        poll_fn(|cx| {
            console.guest.register(cx.waker());
            if stopping.as_mut().poll(cx).is_ready() {
                console.end(Ended::Closed);
            }
            if unrecorded.is_none() {
                let recording = console.recording();
                unrecorded = recording.map(|tap| Box::pin(tap.must_close()));
            }
            let must_close = unrecorded
                .as_mut()
                .map(|must_close| must_close.as_mut().poll(cx));
            if console.ended().is_none() && must_close.is_some_and(|must| must.is_ready()) {
                console.end(Ended::NotRecorded);
            }
            is_retiring = is_retiring || retiring.as_mut().poll(cx).is_ready();
            if let Some(until) = console.end_if_empty(is_retiring)
                && console.ended().is_none()
            {
                clock.as_mut().reset(until);
                if clock.as_mut().poll(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
            }
            if console.ended().is_some() {
                return Poll::Ready(Ok(()));
            }
            self.write(connection, cx);
            self.poll_read(connection, cx).map(Err)
        })
        .await
    }

    /// Writes keys, as far as the guest accepts them. An error does not end the connection: the guest may have sent
    /// more output, and reading finds the end.
    fn write(&mut self, connection: &mut Outgoing, cx: &mut Context<'_>) {
        loop {
            if self.keys.is_empty() {
                let mut keys = Vec::new();
                self.console.take_input(&mut keys);
                self.keys.push(&keys);
            }
            if self.keys.is_empty() {
                break;
            }
            match self.keys.poll_to(connection, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    debug!(target = self.console.target, %error, "the guest of a shared console takes no keys");
                    self.keys = Backlog::default();
                }
                Poll::Pending => return,
            }
        }
        let _ = Pin::new(connection).poll_flush(cx);
    }

    /// Reads output until there is none; ready when the guest has ended.
    fn poll_read(
        &mut self,
        connection: &mut Outgoing,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Error>> {
        loop {
            // The output is kept for so long only as viewers do not lag, so they need turns between.
            if self.since_yield >= self.console.settings.lag / 4 {
                self.since_yield = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let most = READ.min(self.console.settings.lag / 4);
            let read = scratch::with(|scratch| {
                let mut buffer = ReadBuf::new(scratch.raw.get_mut(..most).unwrap_or_default());
                if let Err(error) = ready!(Pin::new(&mut *connection).poll_read(cx, &mut buffer)) {
                    return Poll::Ready(Err(error));
                }
                self.console.output(buffer.filled());
                Poll::Ready(Ok(buffer.filled().len()))
            });
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(None),
                Poll::Ready(Ok(length)) => self.since_yield += length,
                // Many ends of TLS come without a word; a terminal has nothing that a cut could hide.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(None);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Some(error)),
                Poll::Pending => {
                    self.since_yield = 0;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Reconnects to the guest while viewers wait, within the configured time.
    async fn reconnect(&self, redial: Option<&Redial>) -> Option<Outgoing> {
        let (redial, limit) = (redial?, self.console.settings.reconnect?);
        let console = &self.console;
        let end = Instant::now() + limit;
        console.set_connected(false);
        console.write_line(&format!(
            "the guest has closed the connection; waiting {limit:?} for it"
        ));
        loop {
            tokio::select! {
                () = sleep_until(end.min(Instant::now() + RETRY)) => {}
                () = self.stop.tunnels_requested() => return None,
            }
            if console.ended().is_some() || !console.has_viewers() {
                return None;
            }
            match redial().await {
                Ok(connection) => {
                    info!(
                        target = console.target,
                        "the guest of a shared console is back"
                    );
                    console.set_connected(true);
                    console.write_line("connected again");
                    return Some(connection);
                }
                Err(error) if Instant::now() >= end => {
                    info!(target = console.target, %error, "the guest of a shared console does not come back");
                    return None;
                }
                Err(_) => {}
            }
        }
    }

    /// Writes the last keys to the guest, and closes the connection.
    async fn finish(mut self, mut connection: Outgoing) {
        let console = Arc::clone(&self.console);
        let given = async {
            let mut keys = Vec::new();
            console.take_input(&mut keys);
            self.keys.push(&keys);
            let written = poll_fn(|cx| self.keys.poll_to(&mut connection, cx)).await;
            if written.is_ok() {
                let _ = connection.shutdown().await;
            }
        };
        let _ = timeout(CLOSE_LIMIT, given).await;
    }
}
