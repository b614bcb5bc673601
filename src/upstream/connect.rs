//! Connects to an address of the app for one request: waits while the app restarts, and goes to another address if one
//! cannot be reached.
//!
//! Must not know what is sent over the connection.

use std::time::Duration;

use crate::tls::{DialError, Outgoing};
use crate::upstream::affinity::Affinity;
use crate::upstream::backend::Backend;
use crate::upstream::condition::State;
use crate::upstream::restart_wait::{Wait, is_not_listening};
use crate::upstream::workers::{MoveOutcome, WorkerPermit};
use crate::upstream::{Upstream, UpstreamError};

/// Time limit to connect to one of several addresses while another is open. A listener accepts connections at once, or
/// its machine is down; a background task then tries the address again, so that no visitor waits for it.
const FAILOVER_CONNECT_LIMIT: Duration = Duration::from_secs(1);

impl Upstream {
    /// Connects to an address of the app, which may be restarting.
    pub(super) async fn connect(
        &self,
        permit: &mut WorkerPermit,
        affinity: Affinity,
    ) -> Result<Outgoing, UpstreamError> {
        let mut wait = Wait::default();
        loop {
            match self.connect_once(permit, affinity).await? {
                Ok(connected) => {
                    self.restart_wait.record_success();
                    return Ok(connected);
                }
                Err(error) => {
                    self.wait_for_restart(permit.backend(), &mut wait, error)
                        .await?;
                }
            }
        }
    }

    /// Connects to the same address again.
    pub(super) async fn reconnect(&self, permit: &WorkerPermit) -> Result<Outgoing, UpstreamError> {
        let mut wait = Wait::default();
        loop {
            match permit.backend().dial(self.settings.connect).await {
                Ok(connected) => {
                    self.restart_wait.record_success();
                    return Ok(connected);
                }
                Err(error) => {
                    self.wait_for_restart(permit.backend(), &mut wait, error)
                        .await?;
                }
            }
        }
    }

    /// Waits before the next attempt to connect. Fails if the app is not expected to return.
    async fn wait_for_restart(
        &self,
        backend: &Backend,
        wait: &mut Wait,
        error: DialError,
    ) -> Result<(), UpstreamError> {
        let paused = self.restart_wait.pause(wait, error).await;
        paused.map_err(|error| {
            backend.record_failure(State::Down, error.to_string());
            UpstreamError::Connect(error)
        })
    }

    /// Connects to the address of the permit; if that fails, to each other address that is open.
    async fn connect_once(
        &self,
        permit: &mut WorkerPermit,
        affinity: Affinity,
    ) -> Result<Result<Outgoing, DialError>, UpstreamError> {
        let limit = self.settings.connect;
        if self.backends.len() < 2 {
            return Ok(permit.backend().dial(limit).await);
        }
        // It was waited for, and meanwhile another may be back.
        if !permit.backend().is_open() {
            self.queue.move_to_open(permit, affinity).await?;
        }
        let mut attempts = self.backends.len();
        loop {
            let limit = if self.queue.another_is_open(permit.at()) {
                limit.min(FAILOVER_CONNECT_LIMIT)
            } else {
                limit
            };
            let error = match permit.backend().dial(limit).await {
                Ok(connected) => {
                    permit.backend().record_connection();
                    return Ok(Ok(connected));
                }
                Err(error) => error,
            };
            permit.backend().take_out_as_unreachable(&error);
            attempts -= 1;
            if attempts == 0
                || self.queue.move_to_open(permit, affinity).await? == MoveOutcome::NoneOpen
            {
                return Ok(Err(error));
            }
        }
    }

    /// True if an app that broke a connection has ended, and another process can take its requests: at another address,
    /// or soon at the same one.
    pub(super) async fn has_ended(&self, backend: &Backend, may_fail_over: bool) -> bool {
        if self.settings.restart_wait.is_zero() && !may_fail_over {
            return false;
        }
        let tried = Box::pin(backend.dial(self.settings.connect)).await;
        tried.is_err_and(|error| is_not_listening(&error))
    }
}
