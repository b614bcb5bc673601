//! A client's WebSocket whose app gets requests (WebSocket-over-HTTP): carries events to the app, one request at a
//! time, and sends the messages of its responses and of its channels.
//!
//! The app's worker is free between two requests. Messages of the client that arrive during a request wait within
//! bounds; beyond them the client is not read. Independent of the way to the app.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::warn;

use crate::hub::{End, frame};
use crate::push::send_buffer::SendBuffer;
use crate::telemetry::Tunnel;
use crate::websocket::{Accepts, MessageReader, Opcode, Received, close_frame, control_frame};

use super::cause::Cause;
use super::control::Message;
use super::dialogue::{Dialogue, Effect};
use super::events::Event;
use super::held::{self, HoldContext};
use super::item::{Action, Item, MessageKind};
use super::post::{Post, Posting};

/// Time limit of the closing handshake, and of the last request to the app.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
const LAST_REQUEST: Duration = Duration::from_secs(30);
/// Limit on bytes that wait for the app.
const QUEUE: usize = 200_000;
/// Limit on bytes of frames that wait for the client; beyond it nothing more is read.
const UNSENT: usize = 64 * 1024;
/// Consecutive pings that may stay unanswered.
const MISSED_PINGS: u32 = 2;

/// An open socket.
pub(super) struct Session<C> {
    client: C,
    messages: MessageReader,
    outbox: SendBuffer,
    hold_context: HoldContext,
    dialogue: Dialogue,
    post: Post,
    /// Events that were not sent to the app yet.
    queue: VecDeque<Event>,
    queued: usize,
    posting: Option<Posting>,
    /// True once the client has closed: the app is notified, and nothing more is read.
    closing: bool,
    /// The time of the next empty request.
    idle: Option<Pin<Box<Sleep>>>,
    heartbeat: Duration,
    unanswered: u32,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Session<C> {
    pub(super) fn new(
        client: C,
        hold_context: HoldContext,
        dialogue: Dialogue,
        post: Post,
    ) -> Self {
        let settings = hold_context.hub.settings();
        let mut session = Self {
            client,
            messages: MessageReader::new(Accepts::All, settings.message_size),
            outbox: SendBuffer::default(),
            hold_context,
            dialogue,
            post,
            queue: VecDeque::new(),
            queued: 0,
            posting: None,
            closing: false,
            idle: None,
            heartbeat: settings.heartbeat,
            unanswered: 0,
        };
        session.wait_again();
        session
    }

    /// Carries events until either side ends it. `first` are the events of the app's first response, `read` the bytes
    /// that arrived right behind the handshake.
    pub(super) async fn run(
        mut self: Box<Self>,
        first: Vec<Event>,
        read: Vec<u8>,
        tunnel: &Tunnel,
    ) -> (u64, u64, String) {
        self.messages.feed(&read);
        drop(read);
        let cause = match self.take_events(first) {
            Some(cause) => cause,
            None => self.exchange(tunnel).await,
        };
        let reason = cause.to_string();
        if let Cause::App(reason) = &cause {
            warn!(app = %self.hold_context.app, reason, "a WebSocket of the app ends");
        }
        self.tell_app(&cause).await;
        let _ = timeout(CLOSE_LIMIT, self.close(&cause)).await;
        (self.messages.bytes(), self.outbox.sent, reason)
    }

    async fn exchange(&mut self, tunnel: &Tunnel) -> Cause {
        let mut clock = std::pin::pin!(sleep(self.heartbeat));
        let tasks = self.hold_context.tasks.clone();
        let mut stop = std::pin::pin!(tasks.tunnels_requested());
        let mut ended = self
            .hold_context
            .lease
            .as_ref()
            .map(|lease| Box::pin(lease.ended_owned()));
        poll_fn(|cx| {
            if stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Cause::Stopping);
            }
            if tunnel.poll_close_request(cx).is_ready() {
                return Poll::Ready(Cause::ByAdministrator);
            }
            if ended
                .as_mut()
                .is_some_and(|ended| ended.as_mut().poll(cx).is_ready())
            {
                return Poll::Ready(Cause::Ended(End::SessionEnded));
            }
            if let Poll::Ready(cause) = self.poll_clock(clock.as_mut(), cx) {
                return Poll::Ready(cause);
            }
            self.poll_all(cx)
        })
        .await
    }

    fn poll_clock(&mut self, mut clock: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<Cause> {
        while clock.as_mut().poll(cx).is_ready() {
            clock.as_mut().reset(Instant::now() + self.heartbeat);
            if self.messages.take_heard() {
                self.unanswered = 0;
            } else if self.unanswered == MISSED_PINGS {
                return Poll::Ready(Cause::HeartbeatLost);
            }
            self.unanswered += 1;
            self.outbox.push_control(control_frame(Opcode::Ping, b""));
        }
        Poll::Pending
    }

    /// Moves all data that can be moved.
    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<Cause> {
        loop {
            let mut moved = false;
            if let Poll::Ready(Err(error)) = self.outbox.poll_write(&mut self.client, cx) {
                return Poll::Ready(Cause::Broke(error));
            }
            if self.outbox.is_over(UNSENT) {
                return self.poll_lost(cx);
            }
            for step in [
                Self::poll_app,
                Self::poll_client,
                Self::poll_channels,
                Self::poll_timers,
            ] {
                match step(self, cx) {
                    Poll::Ready(Ok(())) => moved = true,
                    Poll::Ready(Err(cause)) => return Poll::Ready(cause),
                    Poll::Pending => {}
                }
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// Ready with the cause once a held connection that takes no messages at the moment has to end.
    fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<Cause> {
        match self.dialogue.held() {
            Some(held) => held.poll_lost(cx).map(Cause::Ended),
            None => Poll::Pending,
        }
    }

    /// Takes the response of the app, and sends it the next events.
    fn poll_app(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if let Some(posting) = &mut self.posting {
            let answered = ready!(posting.as_mut().poll(cx));
            self.posting = None;
            self.wait_again();
            let cause = match answered {
                Ok((parts, body)) => self.take_response(&parts, body),
                Err(reason) => Some(Cause::App(reason)),
            };
            return Poll::Ready(cause.map_or(Ok(()), Err));
        }
        if self.queue.is_empty() {
            return Poll::Pending;
        }
        self.post_events();
        Poll::Ready(Ok(()))
    }

    /// Sends all waiting events to the app.
    fn post_events(&mut self) {
        let mut body = BytesMut::new();
        for event in self.queue.drain(..) {
            event.write(&mut body);
        }
        self.queued = 0;
        self.posting = Some(self.post.send(body.freeze(), &self.dialogue.meta));
    }

    fn take_response(&mut self, parts: &Parts, body: Bytes) -> Option<Cause> {
        match self.dialogue.read(parts, body) {
            Ok(events) => {
                self.wait_again();
                let cause = self.take_events(events);
                // The app has heard of the end, and may say so or not.
                let code = self.dialogue.closed;
                cause.or_else(|| self.closing.then(|| Cause::Closed(code, String::new())))
            }
            Err(reason) => Some(Cause::App(reason)),
        }
    }

    fn take_events(&mut self, events: Vec<Event>) -> Option<Cause> {
        for event in events {
            match self.dialogue.take(event) {
                Effect::None => {}
                Effect::Send(message) => self.send(&message),
                Effect::Close(code, reason) => return Some(Cause::Closed(code, reason)),
                Effect::Drop(reason) => return Some(Cause::App(reason.to_owned())),
            }
        }
        match self.dialogue.join(&self.hold_context) {
            Ok(()) => None,
            Err(error) => Some(Cause::App(error.to_string())),
        }
    }

    fn send(&mut self, message: &Message) {
        let content = &message.content;
        match message.kind {
            MessageKind::Text => self.outbox.push(frame(Opcode::Text, content)),
            MessageKind::Binary => self.outbox.push(frame(Opcode::Binary, content)),
            MessageKind::Ping => self
                .outbox
                .push(control_frame(Opcode::Ping, content).into()),
            MessageKind::Pong => self
                .outbox
                .push(control_frame(Opcode::Pong, content).into()),
        }
        self.dialogue.wrote();
    }

    /// Reads messages of the client while there is room for them.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if self.closing || self.queued > QUEUE {
            return Poll::Pending;
        }
        let event = match ready!(self.messages.poll(&mut self.client, cx)) {
            Ok(Some(Received::Text(text))) => Event::Text(text.into()),
            Ok(Some(Received::Binary(content))) => Event::Binary(content.into()),
            // The app answers it, if it still hears of it.
            Ok(Some(Received::Ping(payload))) if self.dialogue.is_detached => {
                self.outbox
                    .push_control(control_frame(Opcode::Pong, &payload));
                return Poll::Ready(Ok(()));
            }
            Ok(Some(Received::Ping(payload))) => Event::Ping(payload.into()),
            Ok(Some(Received::Close(code))) if self.dialogue.is_detached => {
                return Poll::Ready(Err(Cause::Closed(code, String::new())));
            }
            Ok(Some(Received::Close(code))) => {
                self.closing = true;
                self.dialogue.closed = code;
                Event::Close(code, String::new())
            }
            Ok(None) => return Poll::Ready(Err(Cause::Gone)),
            Err(held_up) => return Poll::Ready(Err(held_up.into())),
        };
        if !self.dialogue.is_detached {
            self.queued += event.size();
            self.queue.push_back(event);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next message of a channel.
    fn poll_channels(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        let Some(held) = self.dialogue.held() else {
            return Poll::Pending;
        };
        match ready!(held.poll(cx)) {
            held::Event::Item(item, index) => Poll::Ready(self.take_item(&item, index)),
            held::Event::Gap => Poll::Ready(Ok(())),
            held::Event::End(end) => Poll::Ready(Err(Cause::Ended(end))),
        }
    }

    fn take_item(&mut self, item: &Item, index: usize) -> Result<(), Cause> {
        let Some(form) = &item.message else {
            return Ok(());
        };
        match form.action {
            Action::Send => {
                let held = self.dialogue.held();
                let content = held.map(|held| held.content(index, &form.content, &form.filters));
                match content {
                    Some(Ok(Some(content))) => self.send(&Message {
                        kind: form.kind,
                        content,
                    }),
                    Some(Ok(None)) | None => {}
                    Some(Err(reason)) => {
                        warn!(app = %self.hold_context.app, channel = item.channel, reason, "a message cannot be sent");
                    }
                }
                Ok(())
            }
            Action::Close => Err(Cause::Closed(
                Some(form.code.unwrap_or(1000)),
                form.reason.clone(),
            )),
            Action::Hint | Action::Refresh => {
                if self.posting.is_none() && !self.dialogue.is_detached {
                    self.post_events();
                }
                Ok(())
            }
        }
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if let Poll::Ready(message) = self.dialogue.poll_timers(cx) {
            self.send(&message);
            return Poll::Ready(Ok(()));
        }
        let Some(idle) = &mut self.idle else {
            return Poll::Pending;
        };
        ready!(idle.as_mut().poll(cx));
        self.idle = None;
        if self.posting.is_none() && !self.dialogue.is_detached {
            self.post_events();
        }
        Poll::Ready(Ok(()))
    }

    /// Starts the timer for the next empty request.
    fn wait_again(&mut self) {
        let every = self
            .dialogue
            .interval
            .filter(|_| !self.dialogue.is_detached);
        self.idle = every.map(|every| Box::pin(sleep(every)));
    }

    /// Notifies the app of an end that it does not know yet.
    async fn tell_app(&mut self, cause: &Cause) {
        if self.dialogue.is_detached || matches!(cause, Cause::Closed(..) | Cause::App(_)) {
            return;
        }
        let last = async {
            if let Some(posting) = self.posting.take() {
                let _ = posting.await;
            }
            self.queue.push_back(Event::Disconnect);
            self.post_events();
            if let Some(posting) = self.posting.take() {
                let _ = posting.await;
            }
        };
        let _ = timeout(LAST_REQUEST, last).await;
    }

    async fn close(&mut self, cause: &Cause) {
        let Some((code, reason)) = cause.close_frame() else {
            return;
        };
        self.outbox.push(close_frame(code, reason).into());
        let stream = &mut self.client;
        let written = poll_fn(|cx| self.outbox.poll_write(&mut *stream, cx)).await;
        if written.is_err() || stream.shutdown().await.is_err() {
            return;
        }
        // So that closing cannot overtake what the client still receives (RFC 6455 §7.1.1).
        let mut unread = [0; 512];
        while matches!(stream.read(&mut unread).await, Ok(1..)) {}
    }
}
