//! Splits the output of a target into frames that end at a message boundary.
//!
//! Wok's page splits each frame on `//EOM//` and cannot join parts, so it loses a message that is cut by the end of a
//! frame. A stream socket may cut anywhere.

use std::sync::Arc;

/// Limit on the bytes of an incomplete message that are held back.
pub(super) const LONGEST_MESSAGE: usize = 1024 * 1024;

/// Buffer that holds back an incomplete message.
#[derive(Debug)]
pub(super) struct Boundary {
    marker: Arc<[u8]>,
    partial: Vec<u8>,
}

/// Error for a message that exceeds the limit without an end; the value is its length so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endless(pub(super) usize);

impl Boundary {
    pub(super) fn new(marker: Arc<[u8]>) -> Self {
        Self {
            marker,
            partial: Vec::new(),
        }
    }

    /// Number of bytes of the incomplete message.
    pub(super) fn partial_length(&self) -> usize {
        self.partial.len()
    }

    /// Appends bytes, and returns all messages that are complete now.
    pub(super) fn whole(&mut self, read: &[u8]) -> Result<Vec<u8>, Endless> {
        // The marker itself may be cut, so the search begins a little before the new bytes.
        let from = (self.partial.len() + 1).saturating_sub(self.marker.len());
        self.partial.extend_from_slice(read);
        let searched = self.partial.get(from..).unwrap_or_default();
        let Some(found) = rfind(searched, &self.marker) else {
            return if self.partial.len() > LONGEST_MESSAGE {
                Err(Endless(self.partial.len()))
            } else {
                Ok(Vec::new())
            };
        };
        let rest = self.partial.split_off(from + found + self.marker.len());
        Ok(std::mem::replace(&mut self.partial, rest))
    }

    /// Returns the position to cut whole messages at, so that each piece is at most `limit` long if its messages
    /// are.
    pub(super) fn cut(&self, messages: &[u8], limit: usize) -> usize {
        if messages.len() <= limit {
            return messages.len();
        }
        let within = messages.get(..limit).unwrap_or(messages);
        match rfind(within, &self.marker).or_else(|| find(messages, &self.marker)) {
            Some(at) => at + self.marker.len(),
            None => messages.len(),
        }
    }
}

fn find(text: &[u8], marker: &[u8]) -> Option<usize> {
    text.windows(marker.len().max(1))
        .position(|window| window == marker)
}

fn rfind(text: &[u8], marker: &[u8]) -> Option<usize> {
    text.windows(marker.len().max(1))
        .rposition(|window| window == marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boundary() -> Boundary {
        Boundary::new(Arc::from(*b"//EOM//"))
    }

    #[test]
    fn wherever_the_stream_is_cut_every_piece_ends_on_a_whole_message() {
        let stream = b"POST:/wok/login//EOM//DELETE:/a/b//EOM//METHOD:/kimchi/vms//EOM//";
        for first in 0..stream.len() {
            for second in first..stream.len() {
                let mut boundary = boundary();
                let mut joined = Vec::new();
                for piece in [&stream[..first], &stream[first..second], &stream[second..]] {
                    let whole = boundary.whole(piece).expect("short messages");
                    assert!(whole.is_empty() || whole.ends_with(b"//EOM//"));
                    joined.extend(whole);
                }
                assert_eq!(joined, stream, "cut at {first} and {second}");
                assert!(boundary.partial.is_empty());
            }
        }
    }

    #[test]
    fn a_message_without_an_end_is_not_kept_for_ever() {
        let mut boundary = boundary();
        let piece = vec![b'x'; LONGEST_MESSAGE];
        assert_eq!(boundary.whole(&piece), Ok(Vec::new()));
        assert!(boundary.whole(&piece).is_err());
    }

    #[test]
    fn large_bursts_are_cut_between_messages() {
        let boundary = boundary();
        let messages = b"a//EOM//bb//EOM//ccc//EOM//";
        assert_eq!(boundary.cut(messages, 100), messages.len());
        assert_eq!(boundary.cut(messages, 18), 17);
        assert_eq!(boundary.cut(messages, 9), 8);
        assert_eq!(boundary.cut(messages, 3), 8, "a message is never cut");
    }
}
