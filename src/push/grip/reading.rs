//! Reads the instruction in a response of the app, from its headers or from its body of `application/grip-instruct`.
//! Does not execute it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{HeaderMap, HeaderName, StatusCode};

use super::field::{self, Value};
use super::filter::Filter;
use super::instruct::{
    AppResponse, Channel, Fault, Hold, Instruct, KeepAlive, Link, is_grip_header, is_json,
    parse_status,
};
use super::json::{self, Object};

/// Default and minimum time that a response is held.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(55);
const SHORTEST_RESPONSE: Duration = Duration::from_secs(5);
/// Default and minimum interval of heartbeats.
const KEEP_ALIVE: Duration = Duration::from_secs(55);
const SHORTEST_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Default time until a next link is fetched.
const LINK_TIMEOUT: Duration = Duration::from_secs(120);
/// Limits on channels of a connection and on filters of a channel.
const MOST_CHANNELS: usize = 20;
const MOST_FILTERS: usize = 5;

impl Instruct {
    /// Reads the instruction of a response with its whole body.
    pub(super) fn read(parts: &Parts, body: Bytes) -> Result<Self, Fault> {
        let headers = &parts.headers;
        let mut instruct = Self {
            hold: hold(headers)?,
            channels: channels(headers)?,
            timeout: timeout(headers)?.unwrap_or(RESPONSE_TIMEOUT),
            keep_alive: keep_alive(headers)?,
            meta: meta(headers)?,
            next: None,
            gone: None,
            answer: AppResponse {
                status: parts.status,
                headers: headers.clone(),
                body,
            },
        };
        instruct.read_links(headers)?;
        if let Some(status) = status(headers)? {
            instruct.answer.status = status;
        }
        if is_json(headers) {
            instruct.read_json(parts.status)?;
        }
        instruct.expose()?;
        instruct.check()?;
        Ok(instruct)
    }

    fn read_links(&mut self, headers: &HeaderMap) -> Result<(), Fault> {
        const HEADER: &str = "Grip-Link";
        let fault = |reason: String| Fault::new(HEADER, reason);
        for value in field::values(headers, "grip-link").map_err(fault)? {
            let uri = value.text.strip_prefix('<');
            let uri = uri.and_then(|uri| uri.strip_suffix('>'));
            let uri = uri.ok_or_else(|| fault("the address is not between < and >".to_owned()))?;
            match value.parameter("rel") {
                Some("next") => {
                    let timeout = value.parameter("timeout").map(seconds).transpose();
                    let timeout = timeout.map_err(fault)?;
                    self.next = Some(Link {
                        uri: uri.to_owned(),
                        timeout: timeout
                            .filter(|time| !time.is_zero())
                            .unwrap_or(LINK_TIMEOUT),
                    });
                }
                Some("gone") => self.gone = Some(uri.to_owned()),
                _ => return Err(fault("its rel is neither next nor gone".to_owned())),
            }
        }
        Ok(())
    }

    /// Reads an instruction in the body.
    fn read_json(&mut self, status: StatusCode) -> Result<(), Fault> {
        const PLACE: &str = "application/grip-instruct";
        if status != StatusCode::OK {
            return Err(Fault::new(
                PLACE,
                format!("the status is {status} instead of 200"),
            ));
        }
        let object: Object = serde_json::from_slice(&self.answer.body)
            .map_err(|_| Fault::new(PLACE, "the body is not a JSON object"))?;
        let read = || -> Result<_, String> {
            let hold = json::object(&object, "hold")?;
            Ok((hold, json::object(&object, "response")?))
        };
        let (hold, response) = read().map_err(|reason| Fault::new(PLACE, reason))?;
        if let Some(hold) = hold {
            self.read_hold(hold)
                .map_err(|reason| Fault::new(PLACE, format!("hold: {reason}")))?;
        }
        let answer = response.map_or_else(|| Ok(AppResponse::empty()), AppResponse::read);
        self.answer = answer.map_err(|reason| Fault::new(PLACE, format!("response: {reason}")))?;
        Ok(())
    }

    fn read_hold(&mut self, hold: &Object) -> Result<(), String> {
        let mode = json::text(hold, "mode")?;
        self.hold = Some(Hold::parse(mode.as_deref().unwrap_or("response"))?);
        let none = serde_json::Value::Array(Vec::new());
        let list = hold.get("channels").unwrap_or(&none);
        for channel in list.as_array().ok_or("channels are not a list")? {
            let channel = channel.as_object().ok_or("a channel is not an object")?;
            self.channels.push(Channel {
                name: json::text(channel, "name")?.ok_or("a channel has no name")?,
                previous: json::text(channel, "prev-id")?,
                filters: Filter::parse_all(&json::texts(channel, "filters")?)?,
            });
        }
        if let Some(seconds) = json::number(hold, "timeout")? {
            self.timeout = Duration::from_secs(seconds);
        }
        if let Some(keep_alive) = json::object(hold, "keep-alive")? {
            let every = json::number(keep_alive, "timeout")?.map(Duration::from_secs);
            self.keep_alive = Some(KeepAlive {
                content: json::bytes(keep_alive, "content")?.ok_or("keep-alive has no content")?,
                every: every.unwrap_or(KEEP_ALIVE),
                is_regular: regularity(json::text(keep_alive, "mode")?.as_deref())?,
            });
        }
        self.meta.extend(json::pairs(hold, "meta")?);
        Ok(())
    }

    /// Removes the headers that the client does not get.
    fn expose(&mut self) -> Result<(), Fault> {
        let exposed = field::values(&self.answer.headers, "grip-expose-headers");
        let exposed = exposed.map_err(|reason| Fault::new("Grip-Expose-Headers", reason))?;
        let doomed = |name: &HeaderName| {
            let is_hidden = !exposed.is_empty()
                && !exposed
                    .iter()
                    .any(|one| one.text.eq_ignore_ascii_case(name.as_str()));
            is_grip_header(name) || name == CONTENT_LENGTH || is_hidden
        };
        let headers = &mut self.answer.headers;
        let doomed: Vec<_> = headers
            .keys()
            .filter(|name| doomed(name))
            .cloned()
            .collect();
        for name in doomed {
            headers.remove(name);
        }
        Ok(())
    }

    /// Checks that the parts are consistent, and applies their bounds.
    fn check(&mut self) -> Result<(), Fault> {
        self.timeout = self.timeout.max(SHORTEST_RESPONSE);
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.every = keep_alive.every.max(SHORTEST_KEEP_ALIVE);
        }
        self.channels.truncate(MOST_CHANNELS);
        for channel in &mut self.channels {
            channel.filters.truncate(MOST_FILTERS);
        }
        let builds = |channel: &Channel| channel.filters.contains(&Filter::BuildId);
        if self.channels.iter().any(builds) && !self.meta.contains_key("id_format") {
            let reason = "the filter build-id needs the meta id_format (Grip-Set-Meta)";
            return Err(Fault::new("Grip-Channel", reason));
        }
        if self.hold.is_some() && self.channels.is_empty() && self.next.is_none() {
            let reason = "the connection is held, and no channel is named";
            return Err(Fault::new("Grip-Channel", reason));
        }
        if self.hold == Some(Hold::Stream) && self.next.is_none() {
            let reliable = |channel: &Channel| channel.previous.is_some();
            if self.channels.iter().any(reliable) {
                let reason =
                    "a stream with prev-id needs a Grip-Link with rel=next, for what it misses";
                return Err(Fault::new("Grip-Channel", reason));
            }
        }
        Ok(())
    }
}

fn hold(headers: &HeaderMap) -> Result<Option<Hold>, Fault> {
    let fault = |reason| Fault::new("Grip-Hold", reason);
    let value = field::single(headers, "grip-hold").map_err(fault)?;
    value
        .map(|value| Hold::parse(&value.text))
        .transpose()
        .map_err(fault)
}

fn channels(headers: &HeaderMap) -> Result<Vec<Channel>, Fault> {
    let fault = |reason| Fault::new("Grip-Channel", reason);
    let values = field::values(headers, "grip-channel").map_err(fault)?;
    values
        .iter()
        .map(channel)
        .collect::<Result<_, _>>()
        .map_err(fault)
}

fn channel(value: &Value) -> Result<Channel, String> {
    if value.text.is_empty() {
        return Err("a channel has no name".to_owned());
    }
    let filters = value.parameters.iter().filter(|(name, _)| name == "filter");
    Ok(Channel {
        name: value.text.clone(),
        previous: value.parameter("prev-id").map(str::to_owned),
        filters: filters
            .map(|(_, name)| Filter::parse(name))
            .collect::<Result<_, _>>()?,
    })
}

fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Fault> {
    let fault = |reason| Fault::new("Grip-Timeout", reason);
    let value = field::single(headers, "grip-timeout").map_err(fault)?;
    value
        .map(|value| seconds(&value.text))
        .transpose()
        .map_err(fault)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: Result<u32, _> = text.parse();
    number
        .map(|seconds| Duration::from_secs(seconds.into()))
        .map_err(|_| format!("{text:?} is no number of seconds"))
}

fn keep_alive(headers: &HeaderMap) -> Result<Option<KeepAlive>, Fault> {
    let fault = |reason| Fault::new("Grip-Keep-Alive", reason);
    let value = field::single(headers, "grip-keep-alive").map_err(fault)?;
    let read = |value: Value| -> Result<_, String> {
        let content = match value.parameter("format").unwrap_or("raw") {
            "raw" => value.text.clone().into_bytes(),
            "cstring" => from_cstring(&value.text)?,
            "base64" => STANDARD
                .decode(&value.text)
                .map_err(|_| "the data is not base64")?,
            format => return Err(format!("the format {format:?} is not known here")),
        };
        let every = value.parameter("timeout").map(seconds).transpose()?;
        Ok(KeepAlive {
            content: content.into(),
            every: every.unwrap_or(KEEP_ALIVE),
            is_regular: regularity(value.parameter("mode"))?,
        })
    };
    value.map(read).transpose().map_err(fault)
}

fn regularity(mode: Option<&str>) -> Result<bool, String> {
    match mode {
        None | Some("idle") => Ok(false),
        Some("interval") => Ok(true),
        Some(mode) => Err(format!("the mode {mode:?} is neither idle nor interval")),
    }
}

/// Reads a text with the escapes of C strings.
fn from_cstring(text: &str) -> Result<Vec<u8>, String> {
    let mut made = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            made.push(*byte);
            continue;
        }
        let (sign, after) = rest.split_first().ok_or("a backslash stands at the end")?;
        rest = after;
        match sign {
            b'n' => made.push(b'\n'),
            b'r' => made.push(b'\r'),
            b't' => made.push(b'\t'),
            b'\\' => made.push(b'\\'),
            b'x' => {
                let digits = rest.split_at_checked(2);
                let (digits, after) = digits.ok_or("a \\x has fewer than two digits")?;
                rest = after;
                let digits = std::str::from_utf8(digits).unwrap_or_default();
                let byte = u8::from_str_radix(digits, 16);
                made.push(byte.map_err(|_| "a \\x has other than two digits")?);
            }
            _ => return Err("a backslash stands before a sign that it does not escape".to_owned()),
        }
    }
    Ok(made)
}

fn meta(headers: &HeaderMap) -> Result<BTreeMap<String, String>, Fault> {
    let fault = |reason| Fault::new("Grip-Set-Meta", reason);
    let mut meta = BTreeMap::new();
    for value in field::values(headers, "grip-set-meta").map_err(fault)? {
        let (name, text) = field::parameter(&value.text).map_err(fault)?;
        if name.is_empty() {
            return Err(fault("a value has no name".to_owned()));
        }
        meta.insert(name, text);
    }
    Ok(meta)
}

fn status(headers: &HeaderMap) -> Result<Option<StatusCode>, Fault> {
    let fault = |reason| Fault::new("Grip-Status", reason);
    let value = field::single(headers, "grip-status").map_err(fault)?;
    // The reason phrase means nothing in HTTP (RFC 9112 §4).
    let code = |value: Value| parse_status(value.text.split(' ').next().unwrap_or_default());
    value.map(code).transpose().map_err(fault)
}
