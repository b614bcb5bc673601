//! Splits a byte stream into messages at a marker. The kernel may cut the stream anywhere, even inside the marker.
//! Independent of sockets and channels.

use std::mem;

/// Bytes to read at a time from a stream that is split.
pub(super) const CHUNK: usize = 16 * 1024;

/// Buffer capacity that an idle splitter keeps after it had to hold a large message.
const KEPT: usize = 16 * 1024;

/// A splitter: collects bytes and returns the messages in them.
#[derive(Debug)]
pub(super) struct Splitter {
    marker: Box<[u8]>,
    /// True if a carriage return before the marker belongs to the marker.
    lines: bool,
    bytes: Vec<u8>,
    /// Start of the current message; bytes before it have been returned.
    start: usize,
    /// Position before which no marker begins.
    searched: usize,
    /// True while the rest of an oversized message is being skipped.
    skipping: bool,
}

/// A complete message, or a report of one that was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// The bytes of a message without the marker. Never empty.
    Message(&'a [u8]),
    /// A message longer than the limit.
    TooLarge,
}

impl Splitter {
    /// A splitter for messages that end with LF or CRLF.
    pub(super) fn lines() -> Self {
        Self {
            lines: true,
            ..Self::boundary(b"\n")
        }
    }

    /// A splitter for messages that end with `marker`, which must not be empty.
    pub(super) fn boundary(marker: &[u8]) -> Self {
        Self {
            marker: marker.into(),
            lines: false,
            bytes: Vec::new(),
            start: 0,
            searched: 0,
            skipping: false,
        }
    }

    /// Appends bytes. The caller should have taken all pieces before, because they bound the memory in use.
    pub(super) fn push(&mut self, read: &[u8]) {
        self.bytes.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT);
        }
        self.bytes.extend_from_slice(read);
    }

    /// Returns the next message, or reports one that has exceeded `limit`; skips empty messages.
    pub(super) fn next(&mut self, limit: usize) -> Option<Piece<'_>> {
        let (begin, end) = loop {
            let Some(end) = self.find() else {
                return self.wait(limit).then_some(Piece::TooLarge);
            };
            let begin = mem::replace(&mut self.start, end + self.marker.len());
            self.searched = self.start;
            // It was told of when it began to be skipped.
            if !mem::take(&mut self.skipping) && !self.message(begin, end).is_empty() {
                break (begin, end);
            }
        };
        Some(piece(self.message(begin, end), limit))
    }

    /// Returns the last message at the end of the stream, if it has no marker.
    pub(super) fn rest(&self, limit: usize) -> Option<Piece<'_>> {
        let rest = self.message(self.start, self.bytes.len());
        (!self.skipping && !rest.is_empty()).then(|| piece(rest, limit))
    }

    /// Returns the message in a datagram. Programs that also write to streams end it with a marker, which is
    /// removed.
    pub(super) fn only<'a>(&self, datagram: &'a [u8]) -> &'a [u8] {
        let message = datagram.strip_suffix(&*self.marker).unwrap_or(datagram);
        trimmed(message, self.lines)
    }

    fn message(&self, begin: usize, end: usize) -> &[u8] {
        trimmed(self.bytes.get(begin..end).unwrap_or_default(), self.lines)
    }

    fn find(&self) -> Option<usize> {
        let unsearched = self.bytes.get(self.searched..).unwrap_or_default();
        let found = unsearched
            .windows(self.marker.len())
            .position(|window| window == &*self.marker);
        found.map(|at| self.searched + at)
    }

    /// Handles a missing marker: keeps a possible start of one, and the message while it is within the limit; true when
    /// it has just exceeded the limit.
    fn wait(&mut self, limit: usize) -> bool {
        let may_begin = self.marker.len() - 1;
        self.searched = self
            .searched
            .max(self.bytes.len().saturating_sub(may_begin));
        let belongs_to_marker = may_begin + usize::from(self.lines);
        if !self.skipping
            && self.bytes.len() - self.start <= limit.saturating_add(belongs_to_marker)
        {
            return false;
        }
        self.start = self.searched;
        !mem::replace(&mut self.skipping, true)
    }
}

fn trimmed(message: &[u8], lines: bool) -> &[u8] {
    match message.strip_suffix(b"\r") {
        Some(line) if lines => line,
        _ => message,
    }
}

fn piece(message: &[u8], limit: usize) -> Piece<'_> {
    if message.len() > limit {
        Piece::TooLarge
    } else {
        Piece::Message(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 8;

    fn drain(splitter: &mut Splitter, texts: &mut Vec<String>) {
        while let Some(piece) = splitter.next(LIMIT) {
            texts.push(match piece {
                Piece::Message(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Piece::TooLarge => "too large".to_owned(),
            });
        }
    }

    fn pieces(mut splitter: Splitter, reads: &[&[u8]]) -> Vec<String> {
        let mut texts = Vec::new();
        for read in reads {
            splitter.push(read);
            drain(&mut splitter, &mut texts);
            let kept = splitter.bytes.len() - splitter.start;
            assert!(kept <= LIMIT + splitter.marker.len(), "{kept} are kept");
        }
        if let Some(Piece::Message(rest)) = splitter.rest(LIMIT) {
            texts.push(format!("rest {}", String::from_utf8_lossy(rest)));
        }
        texts
    }

    /// Returns all messages of `stream`, and checks that they do not depend on where it is cut.
    fn messages(splitter: fn() -> Splitter, stream: &[u8]) -> Vec<String> {
        let whole = pieces(splitter(), &[stream]);
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let cut = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(pieces(splitter(), &cut), whole, "{first} {second}");
            }
        }
        let bytes: Vec<_> = stream.chunks(1).collect();
        assert_eq!(pieces(splitter(), &bytes), whole, "byte by byte");
        whole
    }

    fn eom() -> Splitter {
        Splitter::boundary(b"//EOM//")
    }

    #[test]
    fn wherever_a_stream_is_cut_its_messages_are_the_same() {
        assert_eq!(
            messages(eom, b"POST:/a//EOM////EOM//METHOD//EOM//half"),
            ["POST:/a", "METHOD", "rest half"]
        );
        assert_eq!(messages(eom, b"a//EOM//EOM//b//EOM//"), ["a", "EOM//b"]);
        assert_eq!(messages(eom, b"a///EOM//b/EOM//EOM//"), ["a/", "b/EOM"]);
        assert_eq!(
            messages(|| Splitter::boundary(b"aab"), b"xaaabyaab"),
            ["xa", "y"]
        );
    }

    #[test]
    fn a_line_ends_with_a_line_feed_or_a_carriage_return_and_one() {
        assert_eq!(
            messages(Splitter::lines, b"one\ntwo\r\n\r\n\nth\rree\r\r\nfour"),
            ["one", "two", "th\rree\r", "rest four"]
        );
        assert_eq!(messages(Splitter::lines, b"12345678\r\n"), ["12345678"]);
    }

    #[test]
    fn a_message_that_is_too_large_is_told_once_and_the_next_one_comes() {
        assert_eq!(
            messages(eom, b"123456789//EOM//12345678//EOM//a//EOM//"),
            ["too large", "12345678", "a"]
        );
        assert_eq!(
            messages(eom, b"a//EOM//////////////////////////////EOM//b//EOM//"),
            ["a", "too large", "b"]
        );
        assert_eq!(
            messages(Splitter::lines, b"123456789\n1234567890abcdefgh\r\nb"),
            ["too large", "too large", "rest b"]
        );
        assert_eq!(
            messages(Splitter::lines, b"1234567890abcdefgh"),
            ["too large"]
        );
    }

    #[test]
    fn a_datagram_loses_one_marker_at_its_end() {
        assert_eq!(Splitter::lines().only(b"a\nb\r\n"), b"a\nb");
        assert_eq!(eom().only(b"a//EOM//"), b"a");
        assert_eq!(eom().only(b"a\r"), b"a\r");
    }
}
