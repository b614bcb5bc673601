//! Wire encodings of a message. Each is made once, when the first subscriber needs it, and shared by all.

use std::any::Any;
use std::io::Write as _;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

use crate::hub::compression::{Coding, deflate};
use crate::hub::kind::Kind;
use crate::hub::message::{Data, Message};
use crate::hub::sockjs_message;
use crate::websocket::{HEADER_SPACE, Opcode, Window, write_header};

/// The bit of a frame that says that its message is compressed.
const COMPRESSED: u8 = 0x40;

/// The form in which a subscriber receives messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The envelope: id, channel, event, key, data, time.
    Json,
    /// The data alone.
    Plain,
}

impl Message {
    /// The data, parsed once for all subscribers of this type.
    #[must_use]
    pub(crate) fn parsed<T: Any + Send + Sync>(&self, parse: impl Fn(&Data) -> T) -> Arc<T> {
        let fresh = || Arc::new(parse(&self.draft.data));
        let kept = self.forms.parsed.get_or_init(|| fresh());
        // Of another type it is only where two transports parse the messages of one channel.
        Arc::clone(kept).downcast().unwrap_or_else(|_| fresh())
    }

    /// The message as one WebSocket frame.
    #[must_use]
    pub(crate) fn socket_frame(&self, format: Format) -> Bytes {
        match format {
            Format::Json => self
                .forms
                .socket_json
                .get_or_init(|| frame(Opcode::Text, &self.encode())),
            Format::Plain => self.forms.socket_plain.get_or_init(|| {
                let data = &self.draft.data;
                match data.as_text() {
                    Some(text) => frame(Opcode::Text, text.as_bytes()),
                    None => frame(Opcode::Binary, data.as_bytes()),
                }
            }),
        }
        .clone()
    }

    /// The message as one WebSocket frame, compressed if that makes it smaller.
    #[must_use]
    pub(crate) fn deflated_frame(&self, format: Format, window: Window) -> Bytes {
        let slot = match (format, window) {
            (Format::Json, Window::Full) => &self.forms.socket_json_deflated,
            (Format::Plain, Window::Full) => &self.forms.socket_plain_deflated,
            (Format::Json, Window::Small) => &self.forms.socket_json_deflated_small,
            (Format::Plain, Window::Small) => &self.forms.socket_plain_deflated_small,
        };
        slot.get_or_init(|| deflated(&self.socket_frame(format), window))
            .clone()
    }

    /// The message as one event of an event stream (HTML, "Server-sent events").
    #[must_use]
    pub(crate) fn stream_event(&self, format: Format) -> Bytes {
        match format {
            Format::Json => self
                .forms
                .stream_json
                .get_or_init(|| self.event_of(None, &self.encode())),
            Format::Plain => self.forms.stream_plain.get_or_init(|| {
                let data = &self.draft.data;
                let event = self.draft.event.as_deref();
                match data.as_text() {
                    Some(text) => self.event_of(event, text.as_bytes()),
                    None => self.event_of(event, STANDARD.encode(data.as_bytes()).as_bytes()),
                }
            }),
        }
        .clone()
    }

    /// The message as one event in a content coding.
    #[must_use]
    pub(crate) fn coded_event(&self, format: Format, coding: Coding) -> Bytes {
        let slot = match (format, coding) {
            (Format::Json, Coding::Zstd) => &self.forms.stream_json_zstd,
            (Format::Plain, Coding::Zstd) => &self.forms.stream_plain_zstd,
            (Format::Json, Coding::Gzip) => &self.forms.stream_json_gzip,
            (Format::Plain, Coding::Gzip) => &self.forms.stream_plain_gzip,
        };
        slot.get_or_init(|| coding.encode(&self.stream_event(format)).into())
            .clone()
    }

    /// The message as one frame for a page of Wok: data and end-of-message marker, in bytes or in base64.
    #[must_use]
    pub(crate) fn wok_frame(&self, boundary: &str, base64: bool) -> Bytes {
        let whole = || [self.draft.data.as_bytes(), boundary.as_bytes()].concat();
        if base64 {
            self.forms
                .wok_base64
                .get_or_init(|| frame(Opcode::Text, STANDARD.encode(whole()).as_bytes()))
        } else {
            self.forms
                .wok_binary
                .get_or_init(|| frame(Opcode::Binary, &whole()))
        }
        .clone()
    }

    /// The message as a `SockJS` frame inside a WebSocket frame.
    #[must_use]
    pub(crate) fn sockjs_frame(&self) -> Bytes {
        let wrapped = || {
            let envelope = self.encode();
            let text = std::str::from_utf8(&envelope).unwrap_or_default();
            frame(Opcode::Text, sockjs_message::message(text).as_bytes())
        };
        self.forms.socket_sockjs.get_or_init(wrapped).clone()
    }

    /// The message as a `SockJS` frame alone.
    #[must_use]
    pub(crate) fn sockjs_text(&self) -> Bytes {
        payload(&self.sockjs_frame())
    }

    /// The envelope as JSON.
    #[must_use]
    pub(crate) fn envelope(&self) -> Bytes {
        payload(&self.socket_frame(Format::Json))
    }

    /// The JSON envelope, as the page "Channels" of the book documents it. It is written by hand, because a serializer
    /// would parse data that is JSON once more.
    fn encode(&self) -> Vec<u8> {
        let data = &self.draft.data;
        let mut text = Vec::with_capacity(data.as_bytes().len() + 256);
        // An id has no characters that JSON escapes.
        let _ = write!(text, r#"{{"id":"{}","channel":"#, self.id);
        push_string(&mut text, self.channel.as_str());
        for (name, label) in [("event", &self.draft.event), ("key", &self.draft.key)] {
            if let Some(label) = label {
                let _ = write!(text, r#","{name}":"#);
                push_string(&mut text, label);
            }
        }
        text.extend_from_slice(br#","data":"#);
        match (data.kind(), data.as_text()) {
            (Kind::Json, Some(value)) => text.extend_from_slice(value.as_bytes()),
            (_, Some(plain)) => push_string(&mut text, plain),
            (_, None) => {
                push_string(&mut text, &STANDARD.encode(data.as_bytes()));
                text.extend_from_slice(br#","encoding":"base64""#);
            }
        }
        let _ = write!(text, r#","time":{}}}"#, self.time);
        text
    }

    fn event_of(&self, event: Option<&str>, data: &[u8]) -> Bytes {
        let mut text = BytesMut::with_capacity(data.len() + 64);
        text.extend_from_slice(format!("id: {}\n", self.id).as_bytes());
        if let Some(event) = event {
            text.extend_from_slice(format!("event: {event}\n").as_bytes());
        }
        push_data(&mut text, data);
        text.extend_from_slice(b"\n");
        text.freeze()
    }
}

/// Appends a JSON string. A string can always be encoded, and memory always be written to.
fn push_string(text: &mut Vec<u8>, string: &str) {
    let _ = serde_json::to_writer(text, string);
}

/// Appends the data as `data:` lines. A carriage return also ends a line; the standard cannot preserve it.
fn push_data(text: &mut BytesMut, data: &[u8]) {
    let mut rest = data;
    loop {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (line, next) = rest.split_at(end.unwrap_or(rest.len()));
        text.extend_from_slice(b"data: ");
        text.extend_from_slice(line);
        text.extend_from_slice(b"\n");
        rest = match next {
            [] => return,
            [b'\r', b'\n', next @ ..] | [_, next @ ..] => next,
        };
    }
}

/// Encodes a complete, unmasked WebSocket frame.
pub(crate) fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut header = [0; HEADER_SPACE];
    let start = write_header(&mut header, opcode, payload.len());
    let mut frame = BytesMut::with_capacity(HEADER_SPACE + payload.len());
    frame.extend_from_slice(header.get(start..).unwrap_or_default());
    frame.extend_from_slice(payload);
    frame.freeze()
}

/// Compresses the payload of a frame and marks the frame as compressed (RFC 7692 §6); returns it unchanged if that
/// saves nothing.
pub(crate) fn deflated(plain: &Bytes, window: Window) -> Bytes {
    let Some(block) = deflate(&payload(plain), window) else {
        return plain.clone();
    };
    let is_binary = plain.first().is_some_and(|first| first & 0x0f == 2);
    let opcode = if is_binary {
        Opcode::Binary
    } else {
        Opcode::Text
    };
    let mut frame = Vec::from(frame(opcode, &block));
    if let Some(first) = frame.first_mut() {
        *first |= COMPRESSED;
    }
    frame.into()
}

/// The payload of a frame without its header.
fn payload(frame: &Bytes) -> Bytes {
    let header = header_length(frame);
    frame.slice(header.min(frame.len())..)
}

/// Length of the header of an unmasked frame (RFC 6455 §5.2).
fn header_length(frame: &[u8]) -> usize {
    match frame.get(1).map(|second| second & 0x7f) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    }
}

#[cfg(test)]
mod tests;
