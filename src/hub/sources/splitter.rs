//! Where one message ends and the next begins in a stream of bytes that is cut wherever the kernel likes, also
//! inside the marker. Knows no socket and no channel.

use std::mem;

/// What an idle splitter keeps of a buffer that had to hold a large message.
const KEPT: usize = 16 * 1024;

/// Collects bytes, and gives the messages in them.
#[derive(Debug)]
pub(super) struct Splitter {
    marker: Box<[u8]>,
    /// A carriage return before the marker belongs to it.
    lines: bool,
    bytes: Vec<u8>,
    /// The message being looked at begins here; what is before was given.
    start: usize,
    /// No marker begins before this.
    searched: usize,
    /// What comes until the next marker belongs to a message that is too large already.
    skipping: bool,
}

/// A message, or that there was one which is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Its bytes without the marker. Never empty.
    Message(&'a [u8]),
    /// It is longer than the limit.
    TooLarge,
}

impl Splitter {
    /// Messages that end with LF or CRLF.
    pub(super) fn lines() -> Self {
        Self {
            lines: true,
            ..Self::boundary(b"\n")
        }
    }

    /// Messages that end with `marker`, which is not empty.
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

    /// Takes what was read. All pieces before should have been taken out: they bound what is kept.
    pub(super) fn push(&mut self, read: &[u8]) {
        self.bytes.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT);
        }
        self.bytes.extend_from_slice(read);
    }

    /// The next piece, if its end has come or it is longer than `limit` already; empty messages are passed over.
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

    /// What there is of a message whose end has not come, when no more will come.
    pub(super) fn rest(&self, limit: usize) -> Option<Piece<'_>> {
        let rest = self.message(self.start, self.bytes.len());
        (!self.skipping && !rest.is_empty()).then(|| piece(rest, limit))
    }

    /// A datagram is one message, but programs that also write to streams end it with a marker.
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

    /// There is no marker. Keeps the beginning of what may be one, and of the message as long as it is not too
    /// large; true when it has just become so.
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

    /// All messages of `stream`, which must not depend on where it is cut.
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
