//! The viewers of a console as server-sent events: one event now, and one for each change, until the client loses its
//! permission. Does not decide about permission.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::bridge::{ConsoleView, Revocation};
use crate::http::{Body, BoxError, Lease};
use crate::net::ConnectionPermit;
use crate::push::set_headers;
use crate::shutdown::Shutdown;

/// Shortest time between two events. Viewers that join and leave, or pass the keyboard around, as fast as they can
/// would otherwise cause as many events to all pages.
const PACE: Duration = Duration::from_millis(100);

/// The rights that a stream holds while it is open.
pub(super) struct Rights {
    pub(super) lease: Option<Lease>,
    pub(super) revocation: Option<Revocation>,
    /// True if the rights are those of one viewer, and end with it: its link opens nothing else.
    pub(super) are_of_viewer: bool,
    /// The permit of the stream, if it counts as a connection of its own.
    pub(super) _permit: Option<ConnectionPermit>,
}

/// The body of a stream.
struct Events(mpsc::Receiver<Bytes>);

/// Responds with the viewers, sends them again after each change, and sends a comment after each interval without a
/// change.
pub(super) fn presence_stream(
    view: ConsoleView,
    name: Option<Box<str>>,
    rights: Rights,
    interval: Duration,
    tasks: &Shutdown,
) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(1);
    let stop = tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = feed(&view, name.as_deref(), rights.are_of_viewer, interval, &sender) => {}
            () = ended(&rights) => {}
            () = sender.closed() => {}
            // Pages come back to the process that takes over.
            () = stop.requested() => {}
        }
    });
    let mut response = Response::new(Events(receiver).boxed_unsync());
    set_headers(&mut response);
    response
}

async fn feed(
    view: &ConsoleView,
    name: Option<&str>,
    is_of_viewer: bool,
    interval: Duration,
    sender: &mpsc::Sender<Bytes>,
) {
    let mut changes = view.changes();
    while !view.has_ended() {
        // Before the state is read, so that no change is missed.
        changes.mark_unchanged();
        if is_of_viewer && !name.is_some_and(|name| view.has(name)) {
            return;
        }
        let presence = serde_json::to_string(&view.presence(name)).unwrap_or_default();
        let event = format!("event: presence\ndata: {presence}\n\n");
        if sender.send(event.into()).await.is_err() {
            return;
        }
        sleep(PACE).await;
        while timeout(interval, changes.changed()).await.is_err() {
            if sender.send(Bytes::from_static(b":\n\n")).await.is_err() {
                return;
            }
        }
    }
}

/// Completes when the visitor's permission for the console has ended.
async fn ended(rights: &Rights) {
    tokio::select! {
        () = async {
            match &rights.lease {
                Some(lease) => lease.ended().await,
                None => std::future::pending().await,
            }
        } => {}
        () = async {
            match &rights.revocation {
                Some(revocation) => revocation.ended().await,
                None => std::future::pending().await,
            }
        } => {}
    }
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let event = self.get_mut().0.poll_recv(cx);
        event.map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
