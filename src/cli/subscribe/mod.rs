//! `noren subscribe`: prints the messages of channels in a terminal as they arrive. After a lost connection it resumes
//! with its cursor, so that no message is missed; if messages are missing nevertheless, it reports a gap.

mod events;
mod line;
mod source;

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::Args;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use noren::config::ChannelName;
use noren::text::escape;
use tokio::time::{sleep, timeout};

use crate::cli::admin::{AdminAddress, run_with};
use crate::cli::output::{note, print, print_json};
use crate::cli::{Failure, current_runtime, with_causes};

use events::{Event, Events};
use source::{Source, Trust};

/// Delay between two attempts to connect, until the server announces another one.
const RETRY: Duration = Duration::from_secs(2);
/// Limit on the delay before an attempt, up to a random factor of two, unless the server announces a longer delay.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Time without a byte after which the connection counts as dead: servers send a heartbeat every 15 s by default.
const SILENCE: Duration = Duration::from_secs(120);
/// Size limit of the reason of a refusal.
const LONGEST_REASON: usize = 4096;

/// The arguments of `noren subscribe`.
#[derive(Debug, Args)]
pub(super) struct Subscribe {
    /// One URL, such as `https://example.org:8001/events/wok`, or channels of the Noren on this machine
    #[arg(value_name = "URL|CHANNEL", required = true)]
    sources: Vec<String>,
    /// Print each message as one line of JSON: id, channel, event, key, data, time
    #[arg(long)]
    json: bool,
    /// Begin behind the message with this id, or with the `earliest` one [default: messages from now on]
    #[arg(long, value_name = "ID|earliest")]
    from: Option<HeaderValue>,
    /// End after this many messages
    #[arg(long, value_name = "N")]
    once: Option<NonZeroU64>,
    /// Send this header too, such as 'Cookie: session=1' (repeatable)
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// Trust the certificates in this PEM file, in place of those the system trusts
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Trust any certificate: for the self-signed one of `noren demo`, never over a network
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    admin: AdminAddress,
}

/// Parses a header in the syntax of curl.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name = name
        .trim()
        .parse()
        .map_err(|_| "this is no name of a header")?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| "this is no value of a header")?;
    Ok((name, value))
}

impl Subscribe {
    pub(super) fn run(self) -> Result<(), Failure> {
        let trust = match self.ca {
            _ if self.insecure => Trust::Anyone,
            Some(file) => Trust::File(file),
            None => Trust::System,
        };
        let source = match self.sources.as_slice() {
            [url] if url.contains("://") => Source::url(url, &trust)?,
            channels => {
                for channel in channels {
                    if channel.contains('/') {
                        let reason = anyhow!("{channel:?} is no URL; write https://{channel}");
                        return Err(reason.into());
                    }
                    ChannelName::parse(channel).map_err(|reason| {
                        anyhow!("{reason} (one URL, or one or more channels, can be listened to)")
                    })?;
                }
                Source::admin(self.admin.socket()?, channels)
            }
        };
        let reader = Reader {
            source,
            headers: self.header.into_iter().collect(),
            json: self.json,
            left: self.once.map(NonZeroU64::get),
            cursor: self.from,
            retry: RETRY,
            failures: 0,
            was_there: false,
        };
        Ok(current_runtime()?.block_on(reader.read())?)
    }
}

/// A subscriber that reconnects as often as necessary.
struct Reader {
    source: Source,
    headers: HeaderMap,
    json: bool,
    /// Number of messages that are still to be printed.
    left: Option<u64>,
    cursor: Option<HeaderValue>,
    retry: Duration,
    /// Number of failed attempts in a row.
    failures: u32,
    was_there: bool,
}

/// Reason why a connection has ended.
enum Ended {
    /// All requested messages were printed, or the reader has gone.
    Enough,
    /// The connection was lost; another attempt may succeed, after this delay if the server announces one.
    Lost(anyhow::Error, Option<Duration>),
    /// An error for which another attempt does not help.
    Final(anyhow::Error),
}

impl Reader {
    async fn read(mut self) -> anyhow::Result<()> {
        loop {
            let (reason, after) = match self.connection().await {
                Ended::Enough => return Ok(()),
                Ended::Final(reason) => return Err(reason),
                Ended::Lost(reason, after) => (reason, after),
            };
            // A mistyped address should not be tried for ever. A server that is full asks for that.
            if !self.was_there && after.is_none() {
                return Err(reason);
            }
            let wait = after.unwrap_or_default().max(self.wait());
            let reason = with_causes(&reason);
            note(&format!("{reason}; again in {:.1} s", wait.as_secs_f64()));
            self.failures = self.failures.saturating_add(1);
            sleep(wait).await;
        }
    }

    /// Returns the delay before the next attempt: doubled after each failure, times a random factor of up to two, so
    /// that clients do not reconnect all at once.
    fn wait(&self) -> Duration {
        let factor = 1_u32 << self.failures.min(10);
        let base = (self.retry * factor).min(LONGEST_WAIT.max(self.retry));
        let random = RandomState::new().hash_one(self.failures) % 1000;
        base + base * u32::try_from(random).unwrap_or_default() / 1000
    }

    async fn connection(&mut self) -> Ended {
        let stream = match self.source.connect().await {
            Ok(stream) => stream,
            Err(failed) if failed.lasting => return Ended::Final(failed.reason),
            Err(failed) => return Ended::Lost(failed.reason, None),
        };
        let (mut sender, connection) = match http1::handshake(stream).await {
            Ok(opened) => opened,
            Err(error) => return Ended::Lost(error.into(), None),
        };
        let request = match self.request() {
            Ok(request) => request,
            Err(error) => return Ended::Final(error),
        };
        run_with(connection, async {
            match timeout(SILENCE, sender.send_request(request)).await {
                Ok(Ok(response)) => self.read_response(response).await,
                Ok(Err(error)) => Ended::Lost(anyhow!(error).context("no answer"), None),
                Err(_) => Ended::Lost(anyhow!("no answer within {SILENCE:?}"), None),
            }
        })
        .await
    }

    fn request(&self) -> anyhow::Result<Request<Empty<Bytes>>> {
        let mut request = Request::get(&self.source.target)
            .header(HOST, &self.source.host)
            .header(ACCEPT, "text/event-stream")
            .body(Empty::new())
            .context("make the request")?;
        request.headers_mut().extend(self.headers.clone());
        if let Some(cursor) = &self.cursor {
            request
                .headers_mut()
                .insert("last-event-id", cursor.clone());
        }
        Ok(request)
    }

    async fn read_response(&mut self, response: Response<Incoming>) -> Ended {
        let status = response.status();
        if status != StatusCode::OK {
            return refused(response).await;
        }
        let kind = response.headers().get(CONTENT_TYPE).cloned();
        if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
            return Ended::Final(anyhow!(
                "this address sends no events; Noren's channels are below its [hub] path, such as /events/CHANNEL"
            ));
        }
        self.was_there = true;
        let mut body = response.into_body();
        let mut events = Events::default();
        loop {
            match timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => events.push(frame.data_ref().map_or(&[], |data| data)),
                Ok(Some(Err(error))) => {
                    return Ended::Lost(anyhow!(error).context("the connection was lost"), None);
                }
                Ok(None) => return Ended::Lost(anyhow!("the server ended the connection"), None),
                Err(_) => return Ended::Lost(anyhow!("not a byte for {SILENCE:?}"), None),
            }
            if let Some(ended) = self.take(&mut events) {
                return ended;
            }
        }
    }

    /// Prints the complete events, and stores the cursor.
    fn take(&mut self, events: &mut Events) -> Option<Ended> {
        while let Some(event) = events.next() {
            match self.report(&event) {
                Ok(true) => {}
                Ok(false) => return Some(Ended::Enough),
                Err(error) => return Some(Ended::Final(error)),
            }
        }
        if let Some(cursor) = events.id.as_deref().and_then(|id| id.parse().ok()) {
            self.cursor = Some(cursor);
            self.failures = 0;
        }
        if let Some(retry) = events.retry {
            self.retry = retry;
        }
        events.is_too_long().then(|| {
            Ended::Final(anyhow!(
                "this is no event stream of Noren: an event has no end"
            ))
        })
    }

    /// Prints a message or a gap; false after the last message, or if the reader has gone.
    fn report(&mut self, event: &Event) -> anyhow::Result<bool> {
        match event.kind.as_str() {
            "" => {}
            "reset" => {
                note(&format!(
                    "messages were missed here: {}",
                    reason(&event.data)
                ));
                return Ok(true);
            }
            _ => return Ok(true),
        }
        let line = line::human(&event.data).context("this is no message of Noren")?;
        let read = if self.json {
            print_json(&format!("{}\n", event.data))?
        } else {
            print(&line)?
        };
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        Ok(read && self.left != Some(0))
    }
}

/// Converts a refusal to the reason of the end. A fault of the request will not change by itself (RFC 9110 §15.5).
async fn refused(response: Response<Incoming>) -> Ended {
    let status = response.status();
    let headers = response.headers().clone();
    let body = Limited::new(response.into_body(), LONGEST_REASON).collect();
    let body = match timeout(SILENCE, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    if let Some(location) = text(LOCATION) {
        return Ended::Final(anyhow!("{status}: the server sends to {location}"));
    }
    let said = String::from_utf8_lossy(&body);
    let is_text = text(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/plain"));
    let reason = if is_text || status != StatusCode::NOT_FOUND {
        anyhow!("{status}: {}", escape::line(said.trim()))
    } else {
        // An app's page says nothing of channels.
        anyhow!(
            "{status}: there is no channel at this address; Noren's are below /events, such as /events/CHANNEL"
        )
    };
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            let seconds = text(RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
            Ended::Lost(
                reason,
                Some(Duration::from_secs(seconds.unwrap_or_default())),
            )
        }
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            Ended::Lost(reason, None)
        }
        _ => Ended::Final(reason),
    }
}

/// Describes a gap for a person.
fn reason(data: &str) -> String {
    let parsed: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
    match parsed.get("reason").and_then(serde_json::Value::as_str) {
        Some("expired") => "the history does not reach back so far".to_owned(),
        Some("restarted") => {
            "Noren has been restarted since, or the id is none of its own".to_owned()
        }
        Some("slow") => "they came faster than they were read".to_owned(),
        other => format!("{:?}", other.unwrap_or_default()),
    }
}
