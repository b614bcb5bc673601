//! Orders to the whole process, given on the admin socket: they are answered by whoever runs the server, since
//! only that knows where the configuration comes from.

use std::future::pending;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};

use crate::admin::routes::{Routes, not_allowed};
use crate::http::{Body, Refusal, full, refuse};

/// Orders that wait; there is one operator.
const WAITING: usize = 4;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Read the configuration again.
    Reload,
    /// Start the program anew, and give it the listening sockets.
    Upgrade,
}

/// An order with whoever waits for its outcome.
#[derive(Debug)]
pub struct Ordered {
    /// What is to be done.
    pub order: Order,
    answer: oneshot::Sender<Result<String, String>>,
}

impl Ordered {
    /// Tells what was done, or why nothing was.
    pub fn answer(self, outcome: Result<String, String>) {
        // Whoever has gone away meanwhile finds it in the log.
        let _ = self.answer.send(outcome);
    }
}

/// The orders as they come.
#[derive(Debug)]
pub struct Orders(mpsc::Receiver<Ordered>);

impl Orders {
    /// Waits for the next one; for ever, when there can be none.
    pub async fn next(&mut self) -> Ordered {
        match self.0.recv().await {
            Some(ordered) => ordered,
            None => pending().await,
        }
    }
}

/// Where orders are given.
#[derive(Clone, Debug)]
pub(super) struct Desk(mpsc::Sender<Ordered>);

/// A desk, and the orders that are given there.
pub(super) fn desk() -> (Desk, Orders) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Desk(sender), Orders(receiver))
}

impl Desk {
    async fn give(&self, order: Order) -> Result<Result<String, String>, Refusal> {
        let unavailable =
            |reason: &'static str| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason);
        let (answer, outcome) = oneshot::channel();
        self.0
            .try_send(Ordered { order, answer })
            .map_err(|_| unavailable("nobody takes orders here now; try again"))?;
        outcome
            .await
            .map_err(|_| unavailable("Noren stopped before this was done"))
    }
}

impl Routes {
    /// Has an order carried out, and answers with its outcome.
    pub(super) async fn order(
        &self,
        order: Order,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::POST {
            return self.refuse(request, not_allowed("POST"));
        }
        refuse(request.into_body(), &self.shutdown);
        let (status, text) = match self.desk.give(order).await? {
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
