//! A held stream: the app's response, to whose body messages are appended until either side ends it.
//!
//! The app's worker is free: the connection is a subscriber of the hub, and sends a request to the app only after a
//! loss, or when the app's next link is due. Independent of the way to the app.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio::time::{Sleep, sleep};
use tracing::warn;

use crate::http::{Body, Lease, Pieces, in_pieces};
use crate::hub::End;
use crate::shares::Client;

use super::heartbeat::Heartbeat;
use super::held::{Event, HeldConnection, HoldContext};
use super::instruct::{Instruct, Link};
use super::item::{Action, Item};
use super::next::{AppSender, FollowUp, FollowUpKind, fetch, random};
use super::resumable_streams::Ticket;
use super::{Continuation, HoldError};

/// Random delay of fetching the next link, as a part of its time, so that clients do not come all at once.
const SPREAD: f64 = 0.2;

type Fetching = Pin<Box<dyn Future<Output = Result<Instruct, String>> + Send>>;

/// The body of a held stream.
struct Stream {
    hold_context: HoldContext,
    sender: AppSender,
    /// Pieces that are sent to the client first.
    ready: VecDeque<Bytes>,
    /// The subscription; `None` while the app continues the response without holding it.
    held: Option<HeldConnection>,
    link: Option<Link>,
    /// Shortest time between two fetches while nothing is missing.
    refresh: Duration,
    due: Option<Pin<Box<Sleep>>>,
    fetching: Option<Fetching>,
    heartbeat: Option<Heartbeat>,
    gone: Option<String>,
    ticket: Option<Ticket>,
    ended: bool,
}

/// Responds with the app's response, and holds the stream.
///
/// # Errors
/// A limit that is reached, or a fault of the instruction.
pub(super) fn hold(
    hold_context: HoldContext,
    instruct: Instruct,
    sender: AppSender,
    continuation: Continuation,
) -> Result<Response<Body>, HoldError> {
    let mut response = Response::new(());
    *response.status_mut() = instruct.answer.status;
    *response.headers_mut() = instruct.answer.headers.clone();
    let client = Client {
        address: hold_context.address,
        session: hold_context.lease.as_ref().and_then(Lease::session),
    };
    let remembered = continuation.returning;
    let ticket = remembered.and_then(|(returning, key)| {
        returning.remember(key, client, &instruct, continuation.resume)
    });
    let mut stream = Stream {
        gone: None,
        ticket,
        hold_context,
        sender,
        ready: VecDeque::new(),
        held: None,
        link: None,
        refresh: continuation.refresh,
        due: None,
        fetching: None,
        heartbeat: None,
        ended: false,
    };
    let gone = instruct.gone.clone();
    stream.take(instruct)?;
    stream.gone = gone;
    Ok(response.map(|()| in_pieces(stream)))
}

impl Stream {
    /// Continues with an instruction, whose body comes first.
    fn take(&mut self, instruct: Instruct) -> Result<(), HoldError> {
        let is_held = instruct.hold.is_some() && !instruct.channels.is_empty();
        self.held = if is_held {
            Some(HeldConnection::new(
                &self.hold_context,
                instruct.channels,
                instruct.meta,
            )?)
        } else {
            None
        };
        let body = match &self.held {
            Some(held) => held.initial(&instruct.answer.body),
            None => Ok(instruct.answer.body),
        };
        self.push(body.map_err(HoldError::content)?);
        self.heartbeat = instruct.keep_alive.map(Heartbeat::new);
        self.link = instruct.next;
        match (&self.link, instruct.hold) {
            (Some(link), Some(_)) => {
                let reliable = self.held.as_ref().is_some_and(HeldConnection::is_reliable);
                let shortest = if reliable {
                    self.refresh
                } else {
                    Duration::ZERO
                };
                let wait = link.timeout.max(shortest);
                self.due = Some(Box::pin(sleep(wait + wait.mul_f64(SPREAD * random()))));
            }
            // It goes on where the link leads.
            (Some(_), None) => self.fetch(),
            (None, Some(_)) => self.due = None,
            (None, None) => self.ended = true,
        }
        Ok(())
    }

    fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if let Some(held) = &mut self.held {
            held.moved(0, piece.len() as u64);
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.wrote();
        }
        self.ready.push_back(piece);
    }

    /// Starts to fetch the next link; without one the stream ends.
    fn fetch(&mut self) {
        let Some(link) = &self.link else {
            self.end("messages are missing, and the app has named no link to fetch them from");
            return;
        };
        let last = self
            .held
            .as_ref()
            .map(HeldConnection::lasts)
            .unwrap_or_default();
        self.hold_context.query();
        let fetch = fetch(self.sender.clone(), link.uri.clone(), last);
        self.fetching = Some(Box::pin(fetch));
        self.due = None;
    }

    fn end(&mut self, reason: &'static str) {
        if let Some(held) = &mut self.held {
            held.because(reason);
        }
        self.ended = true;
    }

    /// Ends the stream regularly: the next request of the visitor goes to the app.
    fn close(&mut self, reason: &'static str) {
        if let Some(ticket) = &self.ticket {
            ticket.close();
        }
        self.end(reason);
    }

    fn fetched(&mut self, fetched: Result<Instruct, String>) {
        if let (Ok(instruct), Some(ticket)) = (&fetched, &self.ticket) {
            ticket.renew(instruct);
        }
        let taken =
            fetched.and_then(|instruct| self.take(instruct).map_err(|error| error.to_string()));
        if let Err(reason) = taken {
            warn!(app = %self.hold_context.app, reason, "a held stream cannot be continued");
            self.close("the app does not continue it");
        }
    }

    fn on_item(&mut self, item: &Item, index: usize) {
        let Some(form) = &item.stream else {
            return;
        };
        match form.action {
            Action::Send => {
                let held = self.held.as_ref();
                let content = held.map(|held| held.content(index, &form.content, &form.filters));
                match content {
                    Some(Ok(Some(content))) => self.push(content),
                    Some(Ok(None)) | None => {}
                    Some(Err(reason)) => {
                        warn!(app = %self.hold_context.app, channel = item.channel, reason, "a message cannot be sent");
                    }
                }
            }
            Action::Close => self.close("closed by the app"),
            Action::Hint | Action::Refresh => self.fetch(),
        }
    }

    /// Takes messages until something is ready to be sent, or there are no more.
    fn poll_held(&mut self, cx: &mut Context<'_>) {
        while self.ready.is_empty() && self.fetching.is_none() && !self.ended {
            let Some(held) = &mut self.held else {
                return;
            };
            match held.poll(cx) {
                Poll::Ready(Event::Item(item, index)) => self.on_item(&item, index),
                Poll::Ready(Event::Gap) => self.fetch(),
                Poll::Ready(Event::End(End::Slow)) => self.end("too slow"),
                Poll::Ready(Event::End(End::Stopping)) => self.ended = true,
                Poll::Ready(Event::End(end)) => self.close(end.reason()),
                Poll::Pending => return,
            }
        }
    }

    /// Checks for the end of the session while messages wait for the app and the subscription is not polled.
    fn poll_end(&mut self, cx: &mut Context<'_>) {
        if let Some(held) = &mut self.held
            && self.fetching.is_some()
            && let Poll::Ready(end) = held.poll_lost(cx)
        {
            match end {
                End::Slow | End::Stopping => self.end(end.reason()),
                _ => self.close(end.reason()),
            }
        }
    }
}

impl Pieces for Stream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(piece));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            if let Some(fetching) = &mut self.fetching
                && let Poll::Ready(fetched) = fetching.as_mut().poll(cx)
            {
                self.fetching = None;
                self.fetched(fetched);
                continue;
            }
            let fetched = self.fetching.is_some();
            self.poll_held(cx);
            self.poll_end(cx);
            // A request that has just begun is polled for the first time, too.
            if !self.ready.is_empty() || self.ended || (self.fetching.is_some() && !fetched) {
                continue;
            }
            if let Some(due) = &mut self.due
                && due.as_mut().poll(cx).is_ready()
            {
                self.fetch();
                continue;
            }
            let Some(heartbeat) = &mut self.heartbeat else {
                return Poll::Pending;
            };
            return heartbeat.poll(cx).map(Some);
        }
    }

    fn has_ended(&self) -> bool {
        self.ended && self.ready.is_empty()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(uri) = self.gone.take() {
            let follow_up = FollowUp {
                kind: FollowUpKind::Gone(uri),
                last: Vec::new(),
            };
            let told = (self.sender)(follow_up);
            self.hold_context.tasks.spawn(async move {
                let _ = told.await;
            });
        }
    }
}
