//! Health checks of an app (`health-path`): an address that is reachable but unhealthy gets no requests; if all
//! addresses are unhealthy, requests wait as for an app that is restarting.
//!
//! A busy app is not checked: it would respond late for a good reason, and the check occupies a worker. An app that is
//! known to be unhealthy is always checked: waiting requests hold its worker permits, but no worker is busy.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{sleep, timeout, timeout_at};
use tracing::{info, warn};

use crate::config;
use crate::upstream::affinity::Affinity;
use crate::upstream::availability::ClosedReason;
use crate::upstream::backend::Backend;
use crate::upstream::condition::State;
use crate::upstream::connection::Connection;
use crate::upstream::probe::Probe;
use crate::upstream::workers::WorkerPermit;
use crate::upstream::{Upstream, UpstreamError};

/// Health checks of an app.
#[derive(Debug)]
pub(super) struct Health {
    check: Probe,
    interval: Duration,
    /// Number of failed checks in a row after which an address gets no requests, and of passed ones after which it gets
    /// them again.
    failures: u32,
    successes: u32,
    started: AtomicBool,
}

impl Health {
    /// Creates the checks of an app, whose addresses are healthy until one fails; `None` if it has no checks.
    pub(super) fn new(settings: &config::App) -> Option<Self> {
        Some(Self {
            check: settings.health_path.as_ref().map(|_| Probe::of(settings))?,
            interval: settings.health_interval,
            failures: settings.health_failures,
            successes: settings.health_successes,
            started: AtomicBool::new(false),
        })
    }

    /// True for the one caller that has to start the checks.
    pub(super) fn is_to_start(&self) -> bool {
        !self.started.load(Ordering::Relaxed) && !self.started.swap(true, Ordering::Relaxed)
    }

    /// The error of a request that has waited too long for an unhealthy app.
    pub(super) fn error(&self) -> UpstreamError {
        UpstreamError::Unhealthy(self.check.path().to_owned())
    }
}

impl Upstream {
    /// Waits for an unhealthy app to become healthy, if health checks are configured. A request gets a permit of an
    /// unhealthy address only if no other address is open.
    pub(super) async fn wait_until_healthy(
        self: &Arc<Self>,
        permit: &mut WorkerPermit,
        affinity: Affinity,
    ) -> Result<(), UpstreamError> {
        let Some(health) = &self.health else {
            return Ok(());
        };
        self.start_checks();
        if permit
            .backend()
            .shared
            .availability
            .unhealthy_since()
            .is_none()
        {
            return Ok(());
        }
        Box::pin(self.wait_for_health(health, permit, affinity)).await
    }

    async fn wait_for_health(
        &self,
        health: &Health,
        permit: &mut WorkerPermit,
        affinity: Affinity,
    ) -> Result<(), UpstreamError> {
        loop {
            let changed = self.queue.changed();
            let mut changed = pin!(changed);
            changed.as_mut().enable();
            let Some(since) = permit.backend().shared.availability.unhealthy_since() else {
                return Ok(());
            };
            if self.queue.another_is_open(permit.at()) {
                self.queue.move_to_open(permit, affinity).await?;
                continue;
            }
            let end = since + self.settings.restart_wait;
            if timeout_at(end, changed).await.is_err() {
                return Err(health.error());
            }
        }
    }

    /// Starts the checks of each address, unless they are running.
    pub(super) fn start_checks(self: &Arc<Self>) {
        let is_to_start = self.health.as_ref().is_some_and(Health::is_to_start);
        if !is_to_start {
            return;
        }
        for backend in &self.backends {
            let checks = check_repeatedly(Arc::downgrade(self), Arc::clone(backend));
            let stop = self.tasks.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = checks => {}
                    () = stop.requested() => {}
                }
            });
        }
    }

    /// Performs one check; `None` if no worker is free for it.
    async fn check(&self, backend: &Arc<Backend>, health: &Health) -> Option<bool> {
        let availability = &backend.shared.availability;
        // A drained address is no longer used; its failures during maintenance are expected.
        if availability.is(ClosedReason::Drained) {
            return None;
        }
        let is_out =
            availability.is(ClosedReason::Unhealthy) || availability.is(ClosedReason::Unreachable);
        let permit = self.queue.permit_at(backend);
        if permit.is_none() && !is_out {
            return None;
        }
        let mut request = health.check.request();
        let limit = self.settings.connect;
        let asking = async {
            let socket = backend.dial(limit).await.ok()?;
            backend.record_connection();
            let mut connection = Connection::start(socket);
            let answer = connection.send(&mut request, None).await.ok()?;
            Some(!answer.status().is_server_error())
        };
        let answered = timeout(limit, asking).await;
        drop(permit);
        Some(answered.ok().flatten().unwrap_or(false))
    }

    /// Records the result of a check, which is the last of `in_a_row` equal ones.
    fn record_check(&self, backend: &Backend, health: &Health, is_well: bool, in_a_row: u32) {
        let availability = &backend.shared.availability;
        let needed = if is_well {
            health.successes
        } else {
            health.failures
        };
        let is_enough = in_a_row >= needed;
        if is_well && (is_enough || !availability.is(ClosedReason::Unhealthy)) {
            backend.record_response(std::time::Instant::now());
        } else if !is_well && is_enough {
            backend.record_failure(State::Unhealthy, health.error().to_string());
        }
        if !is_enough || !availability.set(ClosedReason::Unhealthy, !is_well) {
            return;
        }
        let (app, address) = (&self.settings.name, &backend.url);
        let path = health.check.path();
        if is_well {
            info!(app, %address, path, "the app is healthy again");
        } else {
            warn!(app, %address, path, "the app is unhealthy; requests wait for it, or go to another address");
        }
    }
}

/// Checks an address repeatedly until the app is removed from the configuration.
async fn check_repeatedly(upstream: Weak<Upstream>, backend: Arc<Backend>) {
    let mut last = None;
    let mut in_a_row: u32 = 0;
    loop {
        let Some(upstream) = upstream.upgrade() else {
            return;
        };
        let Some(health) = &upstream.health else {
            return;
        };
        if let Some(is_well) = upstream.check(&backend, health).await {
            in_a_row = if last == Some(is_well) { in_a_row } else { 0 };
            in_a_row = in_a_row.saturating_add(1);
            last = Some(is_well);
            upstream.record_check(&backend, health, is_well, in_a_row);
        }
        let interval = health.interval;
        drop(upstream);
        sleep(interval).await;
    }
}
