//! A small blocking web app, of the kind that Noren protects: HTTP/1.1 on a UNIX socket and five worker threads,
//! each occupied by one connection for as long as it lasts.
//!
//! Five half-sent requests would block it, and so would five slow downloads; behind Noren they do not. This file
//! is the server; `routes` has the responses.

mod pages;
mod request;
mod response;
mod routes;
mod wire;

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::state::{AppState, Count, Counted};
use super::threads::{Listening, OpenSocket};
use request::{Request, Trouble};
use response::Response;
use wire::Wire;

use crate::sync::lock;

pub(super) const WORKERS: usize = 5;
/// Number of workers that Noren uses for its session queries. Pages get the others.
pub(super) const ASKED: usize = 1;
/// Limit on accepted connections that wait for a worker; others wait in the system's backlog.
const QUEUE: usize = 64;

/// Serves the app at `path` on threads of the demo.
pub(super) fn serve(state: &Arc<AppState>, path: &Path) -> io::Result<()> {
    let listening = state.threads.listen(path)?;
    let (sender, receiver) = sync_channel(QUEUE);
    let waiting = Count::default();
    let receiver = Arc::new(Mutex::new(receiver));
    for number in 1..=WORKERS {
        let worker = (Arc::clone(state), Arc::clone(&receiver), waiting.clone());
        let work = move || work(&worker.0, &worker.1, &worker.2);
        state.threads.spawn(&format!("worker-{number}"), work)?;
    }
    state
        .threads
        .spawn("app", move || accept(&listening, &sender, &waiting))
}

fn accept(listening: &Listening, queue: &SyncSender<(OpenSocket, Counted)>, waiting: &Count) {
    while let Some(connection) = listening.accept() {
        if queue.send((connection, waiting.enter())).is_err() {
            break;
        }
    }
}

/// The loop of a worker: serves one connection after the other until the acceptor has ended.
fn work(state: &Arc<AppState>, queue: &Mutex<Receiver<(OpenSocket, Counted)>>, waiting: &Count) {
    loop {
        // The worker that waits holds the lock; the others wait for the lock, which is the same.
        let next = lock(queue).recv();
        let Ok((connection, counted)) = next else {
            break;
        };
        drop(counted);
        converse(state, &connection, waiting);
    }
}

/// Responds to the requests of one connection until it ends.
fn converse(state: &Arc<AppState>, connection: &OpenSocket, waiting: &Count) {
    let stream = connection.stream();
    let Ok(mut wire) = Wire::new(stream) else {
        return;
    };
    loop {
        match wire.next(|| waiting.now() > 0, routes::counts_body) {
            Ok(request) => {
                let _busy = state.busy.enter();
                let answer = answer(state, &request);
                // Somebody who waits for a worker gets this one, without a race: the client knows.
                let keep = request.keep_alive && waiting.now() == 0;
                if answer.write(stream, &request.method, keep).is_err() || !keep {
                    break;
                }
            }
            Err(Trouble::Refused(status, reason)) => {
                if Response::error(status, reason)
                    .write(stream, "", false)
                    .is_ok()
                {
                    wire.linger();
                }
                break;
            }
            Err(Trouble::Over) => break,
        }
    }
}

/// Handles a request and catches panics: a fault in one page must not cost one of the few workers.
fn answer(state: &Arc<AppState>, request: &Request) -> Response {
    let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        routes::answer(state, request)
    }));
    answered.unwrap_or_else(|_| Response::error(500, "this page of the demo is broken"))
}
