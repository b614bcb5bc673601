//! `noren publish`: publishes messages in the Noren that runs on this machine, through its admin socket.

use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Task, Poll};

use anyhow::{Context, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use noren::config::ChannelName;
use noren::text::percent::encoded;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::cli::admin::{AdminAddress, connect, run_with};
use crate::cli::output::note;
use crate::cli::{Failure, current_runtime, print, with_causes};

/// Size limit of a batch: lines that are available at the same time are sent together.
const BATCH: usize = 64 * 1024;
/// Size limit of a response.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The arguments of `noren publish`.
#[derive(Debug, Args)]
pub(super) struct Publish {
    /// The channel, as the configuration names it: `wok`, or `job.17` for the pattern `job.*`
    #[arg(value_parser = ChannelName::parse)]
    channel: ChannelName,
    /// The message; without it, each line of standard input is published as it comes
    text: Option<String>,
    /// The name of the event, by which pages can select it
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Subject of the message: on a channel with slow = "conflate", it replaces the one before with this key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Your own id of the message: a second message with the same id is not published. Lines of standard input
    /// get it with their number: ID:1, ID:2, …
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The message, or each line, is a JSON value
    #[arg(long)]
    json: bool,
    /// Print the id of the message (of the last one, with standard input)
    #[arg(long)]
    print_id: bool,
    #[command(flatten)]
    admin: AdminAddress,
}

/// A body of any kind.
type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// The form of the lines of standard input.
struct Form {
    json: bool,
    /// Prefix of the ids of their messages.
    id: Option<String>,
}

/// The fault of a line of standard input, set if there is one.
type Fault = Arc<OnceLock<String>>;

impl Publish {
    pub(super) fn run(mut self) -> Result<(), Failure> {
        let text = self.text.take();
        if let (Some(text), true) = (&text, self.json) {
            json_value(text.as_bytes()).context("TEXT is not JSON")?;
        }
        let fault = Fault::default();
        let (kind, body) = match text {
            Some(text) if self.json => ("application/json", whole(text)),
            Some(text) => ("text/plain; charset=utf-8", whole(text)),
            None => {
                hint();
                let form = Form {
                    json: self.json,
                    id: self.id.take(),
                };
                let lines = lines(form, Arc::clone(&fault)).context("read standard input")?;
                ("application/x-ndjson", lines)
            }
        };
        let mut request = Request::post(self.target())
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, kind);
        if let Some(id) = &self.id {
            request = request.header("Idempotency-Key", quoted(id));
        }
        let request = request.body(body).context("make the request")?;
        let socket = self.admin.socket()?;
        let answer = current_runtime()?.block_on(async {
            let stream = connect(&socket).await?;
            let (mut sender, connection) = http1::handshake(stream).await?;
            run_with(connection, async {
                answer(sender.send_request(request).await?).await
            })
            .await
        })?;
        if let Some(fault) = fault.get() {
            return Err(Failure::Other(anyhow!("{fault}")));
        }
        if self.print_id {
            print_id(&answer)?;
        }
        Ok(())
    }

    /// The path and the query of the request.
    fn target(&self) -> String {
        let mut target = format!("/publish/{}", self.channel);
        let labels = [("event", &self.event), ("key", &self.key)];
        let mut sign = '?';
        for (name, value) in labels {
            if let Some(value) = value {
                target.push(sign);
                target.push_str(name);
                target.push('=');
                target.push_str(&encoded(value));
                sign = '&';
            }
        }
        target
    }
}

/// Formats a string of structured fields (RFC 8941 §3.3.3).
fn quoted(id: &str) -> String {
    format!("\"{}\"", id.replace('\\', "\\\\").replace('"', "\\\""))
}

fn whole(text: String) -> Body {
    Full::new(Bytes::from(text)).boxed_unsync()
}

/// Prints a hint on a terminal: a user who forgot the text learns that the program waits for it.
fn hint() {
    if std::io::stdin().is_terminal() {
        note("each line is published as a message; end with Ctrl-D");
    }
}

/// Returns the whole response, or the reason of a failure.
async fn answer(response: Response<Incoming>) -> anyhow::Result<Bytes> {
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER)
        .collect()
        .await;
    let body = body
        .map_err(|error| anyhow!("the answer broke off: {error}"))?
        .to_bytes();
    if !status.is_success() {
        bail!(
            "{} ({})",
            String::from_utf8_lossy(&body).trim_end(),
            status.as_u16()
        );
    }
    Ok(body)
}

fn print_id(answer: &[u8]) -> anyhow::Result<()> {
    let answer: serde_json::Value = serde_json::from_slice(answer).context("read the answer")?;
    match answer.get("id").and_then(serde_json::Value::as_str) {
        Some(id) => print(&format!("{id}\n")),
        // Not a line came.
        None => Ok(()),
    }
}

/// Standard input as a body. A thread reads it, since a blocking read cannot be cancelled: the thread ends with the
/// input, or with the process.
fn lines(form: Form, fault: Fault) -> std::io::Result<Body> {
    let (sender, receiver) = mpsc::channel(2);
    std::thread::Builder::new()
        .name("standard input".to_owned())
        .spawn(move || {
            let send = |batch: Vec<u8>| sender.blocking_send(batch.into()).is_ok();
            // The end of the body must not be seen before the fault, so the sender is only lent.
            if let Err(error) = read_lines(std::io::stdin(), &form, &send) {
                let _ = fault.set(with_causes(&error));
            }
        })?;
    Ok(Lines(receiver).boxed_unsync())
}

/// Passes each line to `send` as a message, in batches of the lines that are available. Ends early, without an error,
/// if `send` returns false.
fn read_lines(
    input: impl Read,
    form: &Form,
    mut send: impl FnMut(Vec<u8>) -> bool,
) -> anyhow::Result<()> {
    let mut input = BufReader::with_capacity(BATCH, input);
    let (mut line, mut batch) = (Vec::new(), Vec::new());
    for number in 1_u64.. {
        line.clear();
        if input
            .read_until(b'\n', &mut line)
            .context("read standard input")?
            == 0
        {
            break;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let id = form.id.as_ref().map(|id| format!("{id}:{number}"));
        let message = if form.json {
            value_line(text, id)
        } else {
            Ok(text_line(text, id))
        };
        match message {
            Ok(message) => batch.extend(message.into_bytes()),
            Err(error) => {
                send(batch);
                let reason = format!(
                    "line {number} of standard input is not JSON; those before it were published"
                );
                return Err(error.context(reason));
            }
        }
        batch.push(b'\n');
        // Another line is there already: one write for both.
        let more = batch.len() < BATCH && input.buffer().contains(&b'\n');
        if !more && !send(std::mem::take(&mut batch)) {
            return Ok(());
        }
    }
    send(batch);
    Ok(())
}

/// Converts a line of text to a message. A line that is not UTF-8 becomes bytes.
fn text_line(text: &[u8], id: Option<String>) -> String {
    let mut message = match std::str::from_utf8(text) {
        Ok(text) => serde_json::json!({ "data": text }),
        Err(_) => serde_json::json!({ "data": STANDARD.encode(text), "encoding": "base64" }),
    };
    if let (Some(id), Some(object)) = (id, message.as_object_mut()) {
        object.insert("id".to_owned(), id.into());
    }
    message.to_string()
}

/// Converts a line of JSON to a message; an empty line stays empty, which is no message.
fn value_line(text: &[u8], id: Option<String>) -> anyhow::Result<String> {
    if text.trim_ascii().is_empty() {
        return Ok(String::new());
    }
    let id = id.map_or(String::new(), |id| {
        format!(r#""id":{},"#, serde_json::Value::from(id))
    });
    Ok(format!(r#"{{{id}"data":{}}}"#, json_value(text)?.get()))
}

fn json_value(text: &[u8]) -> anyhow::Result<&RawValue> {
    let text = std::str::from_utf8(text)?;
    ensure!(!text.trim().is_empty(), "it is empty");
    Ok(serde_json::from_str(text)?)
}

/// Batches of lines as a body.
struct Lines(mpsc::Receiver<Bytes>);

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let batch = self.get_mut().0.poll_recv(cx);
        batch.map(|batch| batch.map(|batch| Ok(Frame::data(batch))))
    }
}

#[cfg(test)]
mod tests;
