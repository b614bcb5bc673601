//! An HTTP/2 connection: its limits, its requests, and the reasons to end it.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

use super::{Served, log_end, rate};
use crate::http::{AbortAfterFlush, Activity, Incoming, Paced, Sent, Unread};
use crate::http2::{Body, Connection, ReadPause, Settings};
use crate::server::dormant::Dormant;
use crate::server::responder::Responder;
use crate::service::ServiceBody;
use crate::shutdown::Shutdown;

/// Window of each stream. Enough for an upload at 100 Mbit/s over 80 ms.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Window of the connection. h2 permits unread small frames up to half of it in total, and then ends the connection as
/// a flood; the keystrokes and mouse moves of a console over HTTP/2 are such frames.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// Time in which a client may be silent before it gets a ping, and again before it counts as dead.
const PING: Duration = Duration::from_secs(20);
/// Age below which a new connection is not closed by a stop before its first request: the request may have been sent
/// with the connection and still be in transit.
const FRESH: Duration = Duration::from_secs(1);

/// The body of a response in the form that h2 gets.
type PacedBody = Paced<AbortAfterFlush<ServiceBody>>;

/// The handler of a request, which ends with its response.
type Handler = Pin<Box<dyn Future<Output = Response<PacedBody>> + Send>>;

/// Reasons to look after an HTTP/2 connection.
enum Reason {
    /// It is time to look for responses that their client does not read. Ends nothing else.
    Scan,
    /// Its client has cancelled too many requests.
    Abandoned,
    Idle,
    Stop,
    /// It was idle and is closing, but streams whose responses were let go of hold it open.
    Held,
}

impl Served {
    pub(super) async fn http2(self) {
        let rate = rate(&self.state.config.limits);
        let limits = &self.state.config.limits;
        let pause = ReadPause::default();
        let settings = Settings {
            streams: limits.streams,
            head_size: limits.head_size,
            stream_window: STREAM_WINDOW,
            window: CONNECTION_WINDOW,
            ping: PING,
            connect: self.state.config.bridge.http2,
        };
        let (keep_alive, body_idle) = (limits.keep_alive, limits.body_idle);
        let transport = self.transport.gathering().checking_frames();
        let activity = self.context.activity.clone();
        let share = self.state.service.unread_memory(&self.context);
        let unread = Unread::new(share, CONNECTION_WINDOW, activity.clone(), pause.clone());
        let transport = transport
            .with_preface_limit(limits.head)
            .counting(unread.clone());
        let responder = Arc::new(Responder {
            current: self.current,
            context: self.context,
            role: self.role,
        });
        // Boxed, because the future is large, and a connection that streams a channel for hours does not need it.
        let service = move |request: Request<Body>| {
            let responder = Arc::clone(&responder);
            let request = request.map(|body| Incoming::http2(body, unread.clone()));
            let response = async move {
                let (service, limit) = responder.service();
                let response = service
                    .respond(request, &responder.context, responder.role)
                    .await;
                let sent = |body| AbortAfterFlush::new(body, Sent::Fenced, limit);
                response.map(|body| Paced::new(sent(body), rate))
            };
            Box::pin(response) as Handler
        };
        let mut connection = Box::pin(Connection::new(transport, pause, &settings, service));
        let (mut is_closing, mut end) = (false, None);
        loop {
            let reason = Dormant::new(async {
                tokio::select! {
                    () = sleep(body_idle) => Reason::Scan,
                    () = activity.many_are_abandoned() => Reason::Abandoned,
                    () = idle_for(&activity, keep_alive), if !is_closing => Reason::Idle,
                    () = may_close(&self.shutdown, self.started_at), if !is_closing => Reason::Stop,
                    () = passed(end) => Reason::Held,
                }
            });
            let reason = tokio::select! {
                ended = &mut connection => return log_end(ended),
                reason = reason => reason,
            };
            match reason {
                Reason::Scan => connection.reset_bodies(|body: &mut PacedBody| {
                    let is_late = body.is_late();
                    if is_late {
                        let response = body.body_mut().body_mut();
                        response.fail("the client did not take the answer");
                    }
                    is_late
                }),
                Reason::Abandoned => {
                    activity
                        .close_reason()
                        .is("the client gave up too many requests");
                    debug!("the client gave up too many requests; the connection is closed");
                    return;
                }
                Reason::Idle | Reason::Stop => {
                    is_closing = true;
                    connection.shut_down();
                    if matches!(reason, Reason::Idle) {
                        end = Some(Instant::now() + keep_alive);
                    }
                }
                // A request may have come before the client knew that the connection closes.
                Reason::Held if activity.is_busy() => end = Some(Instant::now() + keep_alive),
                Reason::Held => return,
            }
        }
    }
}

/// Ready at this time, if there is one.
async fn passed(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => pending().await,
    }
}

/// Ready once the server stops and the connection is older than [`FRESH`].
async fn may_close(shutdown: &Shutdown, started_at: Instant) {
    shutdown.requested().await;
    sleep_until(started_at + FRESH).await;
}

/// Ready once no request has been in progress for `limit`. Pings keep a connection open, but do not count as use.
async fn idle_for(activity: &Activity, limit: Duration) {
    loop {
        let idle = activity.idle();
        if idle >= limit {
            return;
        }
        // A busy connection is looked at again after the whole limit, which is early enough.
        sleep(limit.saturating_sub(idle)).await;
    }
}
