//! A held response (long poll): the client gets the first message, or the app's own response after the timeout. Does
//! not check permissions.

use std::future::poll_fn;

use bytes::Bytes;
use http::response::Parts;
use http::{Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::http::{Body, full};
use crate::hub::End;

use super::held::{Event, HeldConnection, HoldContext};
use super::instruct::{AppResponse, Hold, Instruct, is_instruction};
use super::item::{Action, Item, ResponseBody, ResponseForm};
use super::next::{AppSender, FollowUp, FollowUpKind};
use super::stream;
use super::{Continuation, HoldError};

/// The result of the wait.
enum Outcome {
    /// Send this.
    Response(AppResponse),
    /// The app is to be queried again with these last ids, for this reason.
    Again(Again, Vec<(String, String)>),
}

/// Reasons for a new request to the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// The message is a hint: the app is to be queried.
    Hint,
    /// Messages are missing.
    Gap,
    /// The subscription has ended: the app also decides about a visitor whose session has ended.
    Ended,
}

/// Limit on successive requests for missing messages: an app that names an unknown id would get them without end.
const MOST_GAPS: u32 = 5;

/// Waits for a message, the timeout or the end, and responds.
///
/// # Errors
/// A limit that is reached, or a fault of an instruction.
pub(super) async fn hold(
    mut hold_context: HoldContext,
    mut instruct: Instruct,
    sender: AppSender,
    continuation: Continuation,
) -> Result<Response<Body>, HoldError> {
    let (mut gaps, mut has_ended) = (0, false);
    loop {
        let own = instruct.answer.clone();
        let (reason, last) = match wait(&hold_context, instruct).await? {
            Outcome::Response(answer) => return Ok(answer.into_response()),
            Outcome::Again(reason, last) => (reason, last),
        };
        gaps = if reason == Again::Gap { gaps + 1 } else { 0 };
        if gaps > MOST_GAPS || (has_ended && reason == Again::Ended) {
            return Ok(own.into_response());
        }
        has_ended |= reason == Again::Ended;
        let follow_up = FollowUp {
            kind: FollowUpKind::Again,
            last,
        };
        hold_context.query();
        // A client whose request cannot be repeated comes back itself.
        let Ok((parts, body)) = sender(follow_up).await else {
            return Ok(own.into_response());
        };
        if !is_instruction(&parts.headers) {
            return Ok(whole(parts, body));
        }
        instruct = Instruct::read(&parts, body)?;
        match instruct.hold {
            Some(Hold::Response) => {}
            Some(Hold::Stream) => {
                return stream::hold(hold_context, instruct, sender, continuation);
            }
            None => return Ok(instruct.answer.into_response()),
        }
    }
}

async fn wait(hold_context: &HoldContext, instruct: Instruct) -> Result<Outcome, HoldError> {
    let Instruct {
        channels,
        meta,
        answer,
        timeout,
        ..
    } = instruct;
    let mut held = HeldConnection::new(hold_context, channels, meta)?;
    let end = Instant::now() + timeout;
    loop {
        let Ok(event) = timeout_at(end, poll_fn(|cx| held.poll(cx))).await else {
            held.because("nothing came in time");
            let body = held.initial(&answer.body).map_err(HoldError::content)?;
            return Ok(Outcome::Response(AppResponse { body, ..answer }));
        };
        match event {
            Event::Item(item, index) => {
                let Some(form) = &item.response else {
                    continue;
                };
                if form.action == Action::Hint {
                    return Ok(Outcome::Again(Again::Hint, held.lasts()));
                }
                match made(&held, index, form, &answer) {
                    Ok(Some(answer)) => {
                        held.because("a message came");
                        held.moved(0, answer.body.len() as u64);
                        return Ok(Outcome::Response(answer));
                    }
                    Ok(None) => {}
                    Err(reason) => unsent(hold_context, &item, &reason),
                }
            }
            Event::Gap => return Ok(Outcome::Again(Again::Gap, held.lasts())),
            // As if nothing had come: the client comes back, to whoever serves then.
            Event::End(End::Stopping) => {
                let body = held.initial(&answer.body).map_err(HoldError::content)?;
                return Ok(Outcome::Response(AppResponse { body, ..answer }));
            }
            Event::End(_) => return Ok(Outcome::Again(Again::Ended, held.lasts())),
        }
    }
}

fn unsent(hold_context: &HoldContext, item: &Item, reason: &str) {
    warn!(app = %hold_context.app, channel = item.channel, reason, "a message cannot be sent");
}

/// The app's response with a message applied to it; `None` if the message is not for this connection.
fn made(
    held: &HeldConnection,
    index: usize,
    form: &ResponseForm,
    own: &AppResponse,
) -> Result<Option<AppResponse>, String> {
    let body = match &form.body {
        ResponseBody::Whole(body) => body.clone(),
        ResponseBody::Patched(patch) => patch.apply(&own.body)?.into(),
    };
    let Some(body) = held.content(index, &body, &form.filters)? else {
        return Ok(None);
    };
    let mut answer = AppResponse {
        status: StatusCode::from_u16(form.code).map_err(|error| error.to_string())?,
        headers: own.headers.clone(),
        body,
    };
    answer.set_headers(&form.headers)?;
    Ok(Some(answer))
}

impl AppResponse {
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(full(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

fn whole(parts: Parts, body: Bytes) -> Response<Body> {
    Response::from_parts(parts, full(body))
}
