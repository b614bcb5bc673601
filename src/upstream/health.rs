//! Health checks of an app (`health-path`): one that is reachable but unhealthy is waited for like one that is
//! restarting.
//!
//! A busy app is not checked: it would respond late for a good reason, and the check takes a worker. Once it is
//! known to be unhealthy it is checked in any case: waiting requests hold its worker permits, but no worker is
//! busy.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, Uri};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};

use crate::http::apply_to_request;
use crate::upstream::condition::State;
use crate::upstream::connection::Connection;
use crate::upstream::{Asker, Payload, Upstream, UpstreamError};

/// Health state of an app.
#[derive(Debug)]
pub(super) struct Health {
    path: Uri,
    interval: Duration,
    /// Time since which it has been unhealthy.
    unwell: watch::Sender<Option<Instant>>,
    started: AtomicBool,
}

impl Health {
    /// State of an app that is healthy until a check fails; `None` if it is never checked.
    pub(super) fn new(path: Option<&str>, interval: Duration) -> Option<Self> {
        Some(Self {
            path: path?.parse().ok()?,
            interval,
            unwell: watch::Sender::new(None),
            started: AtomicBool::new(false),
        })
    }

    /// True for the caller that has to start the checks.
    pub(super) fn is_to_start(&self) -> bool {
        !self.started.swap(true, Ordering::Relaxed)
    }

    fn is_unwell(&self) -> bool {
        self.unwell.borrow().is_some()
    }

    /// Waits for an unhealthy app, for as long as it may take to restart.
    pub(super) async fn wait(&self, patience: Duration) -> Result<(), UpstreamError> {
        let mut seen = self.unwell.subscribe();
        let Some(since) = *seen.borrow_and_update() else {
            return Ok(());
        };
        let well = seen.wait_for(Option::is_none);
        match timeout_at(since + patience, well).await {
            Ok(_) => Ok(()),
            Err(_) => Err(UpstreamError::Unwell(self.path.path().to_owned())),
        }
    }

    fn tell(&self, app: &str, is_well: bool) {
        self.unwell.send_if_modified(|since| {
            if since.is_none() == is_well {
                return false;
            }
            let path = self.path.path();
            if is_well {
                info!(app, path, "the app is well again");
            } else {
                warn!(app, path, "the app is not well; requests wait for it");
            }
            *since = (!is_well).then(Instant::now);
            true
        });
    }
}

/// Checks repeatedly until the app is removed from the configuration.
pub(super) fn look_after(upstream: &Arc<Upstream>) -> impl Future<Output = ()> + use<> {
    let upstream = Arc::downgrade(upstream);
    async move {
        loop {
            let Some(upstream) = upstream.upgrade() else {
                return;
            };
            let Some(health) = &upstream.health else {
                return;
            };
            if let Some(is_well) = upstream.ask_whether_well(health).await {
                health.tell(&upstream.settings.name, is_well);
                let now = std::time::Instant::now();
                if is_well {
                    upstream.watch.answered(now);
                } else {
                    let error = UpstreamError::Unwell(health.path.path().to_owned());
                    upstream.watch.failed(State::Unwell, error.to_string(), now);
                }
            }
            let interval = health.interval;
            drop(upstream);
            sleep(interval).await;
        }
    }
}

impl Upstream {
    /// Performs one check; `None` if no worker is free for it.
    async fn ask_whether_well(&self, health: &Health) -> Option<bool> {
        let nobody = HeaderMap::new();
        let slot = self.queue.slot(Asker::unknown(None), &nobody);
        let slot = timeout(Duration::ZERO, slot).await.ok();
        let _slot = match slot {
            Some(Ok(slot)) => Some(slot),
            _ if health.is_unwell() => None,
            _ => return None,
        };
        let mut request = Request::new(Payload::Empty);
        *request.uri_mut() = health.path.clone();
        let headers = request.headers_mut();
        apply_to_request(&self.settings.request_headers, headers);
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        let limit = self.settings.connect;
        let asking = async {
            let socket = self.dial().await.ok()?;
            let mut connection = Connection::over(socket);
            let answer = connection.send(&mut request, None).await.ok()?;
            Some(!answer.status().is_server_error())
        };
        let answered = timeout(limit, asking).await;
        Some(answered.ok().flatten().unwrap_or(false))
    }
}
