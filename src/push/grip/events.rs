//! Events of a WebSocket in the bodies of requests and responses (WebSocket-over-HTTP,
//! <https://pushpin.org/docs/protocols/websocket-over-http/>). Does not send them.

use bytes::{Buf, Bytes, BytesMut};

/// Limit on events in one response.
const MOST: usize = 10_000;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Open,
    Text(Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Pong(Bytes),
    /// The code and the reason, as in a close frame.
    Close(Option<u16>, String),
    /// The connection ends without a close frame.
    Disconnect,
}

impl Event {
    /// Size by which it counts in the queue.
    pub(super) fn size(&self) -> usize {
        /// Size of the line before the content, and of the memory beside it.
        const OVERHEAD: usize = 64;
        let content = match self {
            Self::Text(content)
            | Self::Binary(content)
            | Self::Ping(content)
            | Self::Pong(content) => content.len(),
            Self::Close(_, reason) => reason.len(),
            Self::Open | Self::Disconnect => 0,
        };
        content + OVERHEAD
    }

    /// Appends the event to others.
    pub(super) fn write(&self, body: &mut BytesMut) {
        let (name, content) = match self {
            Self::Open => ("OPEN", None),
            Self::Text(content) => ("TEXT", Some(content.clone())),
            Self::Binary(content) => ("BINARY", Some(content.clone())),
            Self::Ping(content) => ("PING", Some(content.clone())),
            Self::Pong(content) => ("PONG", Some(content.clone())),
            Self::Close(None, _) => ("CLOSE", None),
            Self::Close(Some(code), reason) => {
                let content = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
                ("CLOSE", Some(content.into()))
            }
            Self::Disconnect => ("DISCONNECT", None),
        };
        body.extend_from_slice(name.as_bytes());
        if let Some(content) = content {
            body.extend_from_slice(format!(" {:x}\r\n", content.len()).as_bytes());
            body.extend_from_slice(&content);
        }
        body.extend_from_slice(b"\r\n");
    }

    /// Reads all events of a body. Events of unknown types are left out.
    pub(super) fn read_all(mut body: Bytes) -> Result<Vec<Self>, &'static str> {
        let mut events = Vec::new();
        while !body.is_empty() {
            let end = body.windows(2).position(|pair| pair == b"\r\n");
            let end = end.ok_or("an event has no end of its line")?;
            let line = body.split_to(end);
            body.advance(2);
            let line = std::str::from_utf8(&line).map_err(|_| "an event has no name")?;
            let (name, content) = match line.split_once(' ') {
                None => (line, None),
                Some((name, length)) => {
                    let length = usize::from_str_radix(length, 16);
                    let length = length.map_err(|_| "the length of an event is no number")?;
                    let end = body.get(length..length.saturating_add(2));
                    if end != Some(b"\r\n") {
                        return Err("an event is shorter or longer than it says");
                    }
                    let content = body.split_to(length);
                    body.advance(2);
                    (name, Some(content))
                }
            };
            events.extend(Self::read(name, content)?);
            if events.len() > MOST {
                return Err("there are too many events");
            }
        }
        Ok(events)
    }

    fn read(name: &str, content: Option<Bytes>) -> Result<Option<Self>, &'static str> {
        let has_content = content.is_some();
        let content = content.unwrap_or_default();
        Ok(Some(match name {
            "OPEN" => Self::Open,
            "TEXT" | "BINARY" if !has_content => return Err("a message has no length"),
            "TEXT" if std::str::from_utf8(&content).is_err() => return Err("a text is not UTF-8"),
            "TEXT" => Self::Text(content),
            "BINARY" => Self::Binary(content),
            "PING" => Self::Ping(content),
            "PONG" => Self::Pong(content),
            "CLOSE" => close(&content),
            "DISCONNECT" => Self::Disconnect,
            _ => return Ok(None),
        }))
    }
}

fn close(content: &Bytes) -> Event {
    let code = content.first_chunk().copied().map(u16::from_be_bytes);
    let reason = String::from_utf8_lossy(content.get(2..).unwrap_or_default());
    Event::Close(code, reason.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_are_written() {
        let events = [
            Event::Open,
            Event::Text("h\u{e9}llo\r\n".into()),
            Event::Binary(Bytes::from_static(&[0; 300])),
            Event::Ping(Bytes::new()),
            Event::Pong("x".into()),
            Event::Close(Some(4000), "bye".to_owned()),
            Event::Close(None, String::new()),
            Event::Disconnect,
        ];
        let mut body = BytesMut::new();
        for event in &events {
            event.write(&mut body);
        }
        assert!(body.starts_with(b"OPEN\r\nTEXT 8\r\nh"), "{body:?}");
        assert_eq!(Event::read_all(body.freeze()), Ok(events.to_vec()));
        let unknown = Bytes::from_static(b"FOO 1\r\nx\r\nBAR\r\nOPEN\r\n");
        assert_eq!(Event::read_all(unknown), Ok(vec![Event::Open]));
    }

    #[test]
    fn a_malformed_body_is_refused() {
        for body in [
            "OPEN",
            "TEXT\r\n",
            "TEXT x\r\n",
            "TEXT 2\r\nx\r\n",
            "TEXT 1\r\nxx\r\n",
            "TEXT ffffffffffffffff\r\nx\r\n",
            "TEXT -1\r\nx\r\n",
        ] {
            assert!(
                Event::read_all(Bytes::from_static(body.as_bytes())).is_err(),
                "{body:?}"
            );
        }
        assert!(Event::read_all(Bytes::from_static(b"TEXT 1\r\n\xff\r\n")).is_err());
    }
}
