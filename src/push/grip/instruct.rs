//! The instruction in a response of the app: the response for the client, and the messages that the connection then
//! waits for (<https://pushpin.org/docs/protocols/grip/>). Does not execute it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::filter::Filter;
use super::json::{self, Object};

/// The media type of an instruction in the body.
const INSTRUCT: &str = "application/grip-instruct";
/// A fault of an instruction, for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{header}: {reason}")]
pub(crate) struct Fault {
    /// The header, or the part of the body.
    pub header: &'static str,
    /// Description of the fault.
    pub reason: String,
}

impl Fault {
    pub(super) fn new(header: &'static str, reason: impl Into<String>) -> Self {
        Self {
            header,
            reason: reason.into(),
        }
    }
}

/// The two ways to hold a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// The response is sent later, with the first message or after the timeout.
    Response,
    /// The response is sent at once, and messages follow in its body.
    Stream,
}

/// A channel of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) previous: Option<String>,
    pub(super) filters: Vec<Filter>,
}

impl Channel {
    pub(super) fn named(name: String) -> Self {
        Self {
            name,
            previous: None,
            filters: Vec::new(),
        }
    }
}

/// A heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeepAlive {
    pub(super) content: Bytes,
    pub(super) every: Duration,
    /// True if other content does not delay it.
    pub(super) is_regular: bool,
}

/// The link to the continuation of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) uri: String,
    pub(super) timeout: Duration,
}

/// A response of the app, apart from its instruction.
#[derive(Clone, Debug)]
pub(super) struct AppResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An instruction.
#[derive(Clone, Debug)]
pub(super) struct Instruct {
    pub(super) hold: Option<Hold>,
    pub(super) channels: Vec<Channel>,
    pub(super) timeout: Duration,
    pub(super) keep_alive: Option<KeepAlive>,
    pub(super) meta: BTreeMap<String, String>,
    pub(super) next: Option<Link>,
    pub(super) gone: Option<String>,
    pub(super) answer: AppResponse,
}

/// Removes the headers of GRIP, which no client gets.
pub(crate) fn drop_grip_headers(headers: &mut HeaderMap) {
    let names = headers.keys().filter(|name| is_grip_header(name));
    let names: Vec<HeaderName> = names.cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// True for a header of GRIP, which no client gets.
#[must_use]
pub(super) fn is_grip_header(name: &HeaderName) -> bool {
    name.as_str().starts_with("grip-")
}

/// True if a response with these headers has an instruction.
#[must_use]
pub(crate) fn is_instruction(headers: &HeaderMap) -> bool {
    headers.keys().any(is_grip_header) || is_json(headers)
}

/// True if the instruction is in the body.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next();
    kind.unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case(INSTRUCT)
}

impl Hold {
    pub(super) fn parse(mode: &str) -> Result<Self, String> {
        match mode {
            "response" => Ok(Self::Response),
            "stream" => Ok(Self::Stream),
            _ => Err(format!("{mode:?} is neither response nor stream")),
        }
    }
}

impl AppResponse {
    pub(super) fn empty() -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn read(response: &Object) -> Result<Self, String> {
        let mut answer = Self::empty();
        if let Some(code) = json::number(response, "code")? {
            answer.status = parse_status(&code.to_string())?;
        }
        answer.set_headers(&json::headers(response, "headers")?)?;
        answer.body = json::bytes(response, "body")?.unwrap_or_default();
        Ok(answer)
    }

    /// Replaces headers with these.
    pub(super) fn set_headers(&mut self, headers: &[(String, String)]) -> Result<(), String> {
        let mut own = HeaderMap::new();
        for (name, value) in headers {
            let fault = |_| format!("{name:?} is no header");
            let name: HeaderName = name.parse().map_err(fault)?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("the value of {name} is no header value"))?;
            own.append(name, value);
        }
        crate::http::drop_hop_by_hop(&mut own);
        own.remove(CONTENT_LENGTH);
        for name in own.keys() {
            self.headers.remove(name);
        }
        // Appended one by one, so that several of a name stay several.
        for (name, value) in &own {
            self.headers.append(name, value.clone());
        }
        Ok(())
    }
}

/// Reads the status of a final response.
pub(super) fn parse_status(code: &str) -> Result<StatusCode, String> {
    let status: Option<StatusCode> = code.parse().ok();
    status
        .filter(|status| (200..600).contains(&status.as_u16()))
        .ok_or_else(|| format!("{code:?} is no status of a response"))
}
