//! Control commands for the whole process, received on the admin socket. The owner of the server executes them, because
//! only the owner knows where the configuration comes from.

use std::future::pending;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};

use crate::admin::responses::{not_allowed, refused};
use crate::http::{Body, Refusal, full, refuse};
use crate::shutdown::Shutdown;

/// Limit on queued commands; there is one operator.
const WAITING: usize = 4;

/// A control command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Reload the configuration.
    Reload,
    /// Start the program anew, and hand over the listening sockets to it.
    Upgrade,
}

/// A command with the channel for its result.
#[derive(Debug)]
pub struct PendingOrder {
    /// The command.
    pub order: Order,
    answer: oneshot::Sender<Result<String, String>>,
}

impl PendingOrder {
    /// Reports the result, or the reason why nothing was done.
    pub fn answer(self, outcome: Result<String, String>) {
        // If the sender has left, the result is in the log.
        let _ = self.answer.send(outcome);
    }
}

/// The queue of commands.
#[derive(Debug)]
pub struct Orders(mpsc::Receiver<PendingOrder>);

impl Orders {
    /// Waits for the next command; for ever if there can be no more.
    pub async fn next(&mut self) -> PendingOrder {
        match self.0.recv().await {
            Some(ordered) => ordered,
            None => pending().await,
        }
    }
}

/// Sender of commands.
#[derive(Clone, Debug)]
pub(super) struct OrderSender(mpsc::Sender<PendingOrder>);

/// Creates the sender and the queue of commands.
pub(super) fn order_queue() -> (OrderSender, Orders) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (OrderSender(sender), Orders(receiver))
}

impl OrderSender {
    async fn give(&self, order: Order) -> Result<Result<String, String>, Refusal> {
        let unavailable =
            |reason: &'static str| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason);
        let (answer, outcome) = oneshot::channel();
        self.0
            .try_send(PendingOrder { order, answer })
            .map_err(|_| {
                unavailable("no control command can be accepted at the moment; try again")
            })?;
        outcome
            .await
            .map_err(|_| unavailable("Noren stopped before this was done"))
    }

    /// Queues a command, and responds with its result.
    pub(super) async fn order(
        &self,
        order: Order,
        request: Request<Incoming>,
        tasks: &Shutdown,
    ) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::POST {
            return refused(request, not_allowed("POST"), tasks);
        }
        refuse(request.into_body(), tasks);
        let (status, text) = match self.give(order).await? {
            Ok(text) => (StatusCode::OK, text),
            Err(text) => (StatusCode::CONFLICT, text),
        };
        let mut response = Response::new(full(format!("{text}\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, plain);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}
