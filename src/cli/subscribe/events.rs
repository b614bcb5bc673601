//! Parses an event stream (HTML, "Server-sent events": parsing and interpreting). Must not know connections.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};

/// Size limit of an event: the largest possible message of 16 MiB, with each byte escaped to six.
const LONGEST: usize = 128 << 20;

/// Parser of an event stream, with the latest cursor and reconnect delay.
#[derive(Debug, Default)]
pub(super) struct Events {
    waiting: BytesMut,
    /// Position up to which no line end was found.
    looked: usize,
    /// True if the last line ended in a carriage return, so that a following line feed belongs to it.
    skip_line_feed: bool,
    event: String,
    data: String,
    new_id: Option<String>,
    /// The cursor to resume with.
    pub(super) id: Option<String>,
    /// Delay after which the client should reconnect, as the server announced it.
    pub(super) retry: Option<Duration>,
}

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Type of the event; empty for an ordinary message.
    pub(super) kind: String,
    pub(super) data: String,
}

impl Events {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// True if the bytes cannot be an event stream, because no event is that long.
    pub(super) fn is_too_long(&self) -> bool {
        self.waiting.len() + self.data.len() > LONGEST
    }

    /// Returns the next complete event, and sets `id` and `retry` as of that event.
    pub(super) fn next(&mut self) -> Option<Event> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Some(event);
                }
            } else {
                self.field(&line);
            }
        }
        None
    }

    fn line(&mut self) -> Option<String> {
        if self.skip_line_feed && !self.waiting.is_empty() {
            self.skip_line_feed = false;
            if self.waiting.first() == Some(&b'\n') {
                self.waiting.advance(1);
            }
        }
        let unseen = self.waiting.get(self.looked..).unwrap_or_default();
        let end = unseen.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let Some(end) = end else {
            self.looked = self.waiting.len();
            return None;
        };
        let line = self.waiting.split_to(self.looked + end);
        self.looked = 0;
        self.skip_line_feed = self.waiting.first() == Some(&b'\r');
        self.waiting.advance(1);
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.new_id = Some(value.to_owned()),
            "retry" => {
                if let Ok(milliseconds) = value.parse() {
                    self.retry = Some(Duration::from_millis(milliseconds));
                }
            }
            // A comment (no name), or something of a later time.
            _ => {}
        }
    }

    /// Handles an empty line, which completes an event. An event without data only moves the cursor.
    fn dispatch(&mut self) -> Option<Event> {
        if let Some(id) = self.new_id.take() {
            self.id = Some(id);
        }
        let kind = std::mem::take(&mut self.event);
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        Some(Event { kind, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str) -> Event {
        Event {
            kind: kind.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn events_are_the_same_in_whatever_pieces_they_come() {
        let text = b"retry: 1500\nid: a:1\n\n:\n\nid: a:2\r\ndata: x\r\ndata:  y\r\n\r\nevent: \
                     reset\rdata\r\rdata: no end\n";
        for size in [1, 2, 3, 7, text.len()] {
            let mut events = Events::default();
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                events.push(piece);
                while let Some(event) = events.next() {
                    found.push((event, events.id.clone()));
                }
            }
            let cursor = Some("a:2".to_owned());
            assert_eq!(
                found,
                [
                    (event("", "x\n y"), cursor.clone()),
                    (event("reset", ""), cursor),
                ],
                "in pieces of {size}"
            );
            assert_eq!(events.retry, Some(Duration::from_millis(1500)));
        }
    }

    #[test]
    fn the_cursor_moves_without_a_message_and_only_with_a_whole_block() {
        let mut events = Events::default();
        events.push(b"id: a:1\n\nid: a:2\ndata: x\n");
        assert_eq!(events.next(), None);
        assert_eq!(events.id.as_deref(), Some("a:1"));
    }
}
