//! `POST /publish/CHANNEL`: publishes one message, or one per line until the sender ends the stream.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::admin::View;
use crate::admin::ndjson::{Labels, Lines, draft};
use crate::admin::responses::{object, refused, unknown};
use crate::config::{self, ChannelName};
use crate::http::{
    Body, BodyFault, BodyLimits, Rate, Received, Refusal, idempotency_key, receive, refuse,
};
use crate::hub::{Data, Draft, EventId, Hub, PublishError, Published, PublisherId};
use crate::push::publish_refusal;
use crate::shutdown::Shutdown;

/// Growth of text in JSON: one byte may become six (`\u001b`), plus the names of the fields.
const ESCAPED: usize = 6;
const FIELDS: usize = 4096;
/// Limit on trailer fields behind the body of a message; they are ignored.
const MOST_TRAILERS: usize = 100;
/// Time limit for the results of lines behind a refused one.
const LATE: Duration = Duration::from_secs(5);

/// Progress of a stream of messages.
#[derive(Debug, Default)]
struct Progress {
    /// Number of the line that was read or refused last.
    line: u64,
    published: u64,
    /// Number of messages that were published behind a refused one.
    behind: u64,
    last: Option<EventId>,
}

/// Publishes messages of programs on this machine.
#[derive(Debug)]
pub(super) struct Publisher {
    hub: Hub,
    /// Time limit without a byte of a message.
    idle: Duration,
    shutdown: Shutdown,
}

impl Publisher {
    pub(super) fn new(view: &View, idle: Duration) -> Self {
        Self {
            hub: view.hub.clone(),
            idle,
            shutdown: view.shutdown.clone(),
        }
    }

    /// Publishes the message or the messages of a request.
    pub(super) async fn publish(
        &self,
        name: &ChannelName,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        let rules = self.hub.rules(name);
        if !rules.is_some_and(|rules| rules.publish.contains(&config::Publisher::Local)) {
            let reason = format!(
                r#"the channel {name} takes no messages from here; its `publish` has no "local""#
            );
            let refusal = Refusal::new(StatusCode::FORBIDDEN, reason);
            return refused(request, refusal, &self.shutdown);
        }
        let (parts, body) = request.into_parts();
        let labels = match Labels::read(parts.uri.query()) {
            Ok(labels) => labels,
            Err(refusal) => {
                refuse(body, &self.shutdown);
                return Err(refusal);
            }
        };
        match media_type(&parts.headers).as_str() {
            "application/x-ndjson" => self.publish_lines(name, &labels, body).await,
            kind => {
                let bytes = self.whole(body).await?;
                let own = idempotency_key(&parts.headers)?;
                let own = own.as_deref().map(PublisherId::parse).transpose();
                let own = own.map_err(Refusal::bad_request)?;
                let id = self.one(name, data(kind, bytes)?, own, &labels).await?;
                Ok(object(
                    StatusCode::ACCEPTED,
                    &json!({ "id": id.to_string() }),
                ))
            }
        }
    }

    /// Reads the whole body of a single message.
    async fn whole(&self, body: Incoming) -> Result<Bytes, Refusal> {
        let size = self.hub.settings().message_size;
        let limits = BodyLimits {
            idle: self.idle,
            rate: Rate::NONE,
            size: size as u64,
            buffer: size,
            trailers: MOST_TRAILERS,
        };
        match receive(body, limits, None, &self.shutdown).await {
            Ok(Received::Whole(bytes)) => Ok(bytes),
            // A body that is larger than the buffer is larger than the limit, which is the same.
            Ok(Received::None | Received::Begun(_)) => Ok(Bytes::new()),
            Err(BodyFault::TooLarge(limit)) => Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the message is larger than hub.message-size, {limit} bytes"),
            )
            .closing()),
            Err(fault) => Err(fault.into()),
        }
    }

    async fn one(
        &self,
        name: &ChannelName,
        data: Data,
        id: Option<PublisherId>,
        labels: &Labels<'_>,
    ) -> Result<EventId, Refusal> {
        let draft = Draft {
            event: labels.event.as_deref().map(Into::into),
            key: labels.key.as_deref().map(Into::into),
            id,
            data,
        };
        let published = self.hub.publish(name, draft);
        let published = published.map_err(|error| self.refusal(&error))?;
        let kept = published.acknowledged().await;
        kept.map_err(|error| self.refusal(&error))
    }

    fn refusal(&self, error: &PublishError) -> Refusal {
        match error {
            PublishError::Unknown(name) => unknown(&self.hub, name),
            error => publish_refusal(error, self.hub.retry()),
        }
    }

    /// Publishes each line as it arrives. The stream may be silent for any time, as that of `tail -f` is.
    async fn publish_lines(
        &self,
        name: &ChannelName,
        labels: &Labels<'_>,
        mut body: Incoming,
    ) -> Result<Response<Body>, Refusal> {
        let mut progress = Progress::default();
        let ended = self
            .take_lines(name, labels, &mut body, &mut progress)
            .await;
        match ended {
            Ok(()) => Ok(object(
                StatusCode::ACCEPTED,
                &json!({
                    "published": progress.published,
                    "id": progress.last.map(|id| id.to_string()),
                }),
            )),
            Err(mut refusal) => {
                // Once the server stops, the rest of such a stream is not awaited.
                if !self.shutdown.has_begun() {
                    refuse(body, &self.shutdown);
                }
                refusal.reason = progress.error_text(&refusal.reason).into();
                Err(refusal.closing())
            }
        }
    }

    async fn take_lines(
        &self,
        name: &ChannelName,
        labels: &Labels<'_>,
        body: &mut Incoming,
        progress: &mut Progress,
    ) -> Result<(), Refusal> {
        let limit = self.hub.settings().message_size * ESCAPED + FIELDS;
        let mut lines = Lines::new(limit);
        loop {
            // What has come is published and answered for, also when the server stops.
            let frame = tokio::select! {
                frame = body.frame() => frame.transpose(),
                () = self.shutdown.requested() => return Err(Refusal::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Noren stops",
                )),
            };
            let frame = frame.map_err(|_| Refusal::from(BodyFault::Broken))?;
            let ended = frame.is_none();
            match frame.map(http_body::Frame::into_data) {
                Some(Ok(data)) => lines.push(&data),
                Some(Err(_trailers)) => continue,
                None => lines.finish(),
            }
            // Together: one write to the disk for all lines that arrived together.
            let mut unkept = Vec::new();
            let taken = self.take_batch(name, labels, &mut lines, progress, &mut unkept);
            self.confirm_batch(unkept, progress).await?;
            taken?;
            if lines.is_too_long() {
                progress.line += 1;
                let reason = format!("it is longer than {limit} bytes");
                return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason));
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Publishes the complete lines, up to the first one that cannot be published.
    fn take_batch(
        &self,
        name: &ChannelName,
        labels: &Labels<'_>,
        lines: &mut Lines,
        progress: &mut Progress,
        unkept: &mut Vec<(u64, Published)>,
    ) -> Result<(), Refusal> {
        while let Some(line) = lines.next() {
            progress.line += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let draft = draft(line, labels).map_err(Refusal::bad_request)?;
            let published = self.hub.publish(name, draft);
            let published = published.map_err(|error| self.refusal(&error))?;
            unkept.push((progress.line, published));
        }
        Ok(())
    }

    /// Waits until these lines are as durable as their channel promises. A line behind a refused one may have been
    /// published, and is counted separately.
    async fn confirm_batch(
        &self,
        unkept: Vec<(u64, Published)>,
        progress: &mut Progress,
    ) -> Result<(), Refusal> {
        let mut refused: Option<(u64, PublishError, Instant)> = None;
        for (line, published) in unkept {
            let kept = published.acknowledged();
            let kept = match &refused {
                None => kept.await,
                Some((_, error, end)) => {
                    let late = timeout_at(*end, kept).await;
                    late.unwrap_or_else(|_| Err(error.clone()))
                }
            };
            match (kept, &refused) {
                (Ok(id), None) => {
                    progress.published += 1;
                    progress.last = Some(id);
                }
                (Ok(_), Some(_)) => progress.behind += 1,
                (Err(error), None) => refused = Some((line, error, Instant::now() + LATE)),
                (Err(_), Some(_)) => {}
            }
        }
        let Some((line, error, _)) = refused else {
            return Ok(());
        };
        progress.line = line;
        Err(self.refusal(&error))
    }
}

impl Progress {
    /// The reason of a refusal with the number of lines that were published.
    fn error_text(&self, reason: &str) -> String {
        let Self {
            line,
            published,
            behind,
            ..
        } = self;
        let after = if *published == 1 {
            "message was"
        } else {
            "messages were"
        };
        let mut told = format!("line {line}: {reason}; {published} {after} published before it");
        if *behind > 0 {
            // Writing to a string cannot fail.
            let _ = write!(told, ", and {behind} of those behind it");
        }
        told
    }
}

/// Converts the data of a message by its media type.
fn data(kind: &str, bytes: Bytes) -> Result<Data, Refusal> {
    if kind != "application/json" && !kind.starts_with("text/") {
        return Ok(Data::bytes(bytes));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Refusal::bad_request(format!("a message of type {kind} must be UTF-8")))?;
    if kind == "application/json" {
        Data::json(text).map_err(|error| Refusal::bad_request(format!("this is not JSON: {error}")))
    } else {
        Ok(Data::text(text))
    }
}

/// The media type without parameters, in lower case: `text/plain` for `Text/Plain; charset=utf-8`.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = value.unwrap_or_default().split(';').next();
    kind.unwrap_or_default().trim().to_ascii_lowercase()
}
