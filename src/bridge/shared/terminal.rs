//! The position in the output of a terminal: between two characters and control sequences, or inside one (UTF-8 as in
//! RFC 3629 §4, control functions as in ECMA-48 §5.4, strings as in §5.6). Does not model a screen.

/// Length limit of a control string, such as a title. A longer one is probably the content of a binary file, and must
/// not hide the output behind it.
const LONGEST_STRING: u16 = 4096;

const BELL: u8 = 0x07;
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const ESCAPE: u8 = 0x1b;

/// A reader of a terminal's output that follows characters and control sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Terminal(State);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between two characters.
    #[default]
    Between,
    /// In a character with this many bytes missing.
    Character(u8),
    /// Behind ESC.
    Escape,
    /// In an escape sequence with an intermediate byte, such as the choice of a character set, and behind a single
    /// shift.
    Intermediate,
    /// In a control sequence (CSI).
    Sequence,
    /// In a control string (OSC, DCS, SOS, PM, APC) that has this many bytes so far.
    Text(u16),
}

impl Terminal {
    /// True between two characters and sequences, where the output may be cut.
    pub(super) fn is_between(self) -> bool {
        self.0 == State::Between
    }

    /// Reads bytes.
    pub(super) fn read<'a>(&mut self, bytes: impl IntoIterator<Item = &'a u8>) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    /// Reads one byte.
    pub(super) fn step(&mut self, byte: u8) {
        self.0 = match byte {
            CANCEL | SUBSTITUTE => State::Between,
            ESCAPE => State::Escape,
            _ => self.0.next(byte),
        };
    }
}

impl State {
    /// The state behind a byte that neither begins nor cancels a sequence.
    fn next(self, byte: u8) -> Self {
        match self {
            Self::Between => first(byte),
            Self::Character(more) => match byte {
                0x80..=0xbf if more > 1 => Self::Character(more - 1),
                0x80..=0xbf => Self::Between,
                // What does not go on as a character does is none, and begins something new.
                _ => first(byte),
            },
            Self::Escape => match byte {
                b'[' => Self::Sequence,
                b']' | b'P' | b'X' | b'^' | b'_' => Self::Text(0),
                0x20..=0x2f | b'N' | b'O' => Self::Intermediate,
                // Controls are performed in the middle of a sequence, which goes on.
                0x00..=0x1f => self,
                _ => first(byte),
            },
            // In both, what is no ASCII ends the sequence and is a character of its own.
            Self::Intermediate if byte >= 0x30 => first(byte),
            Self::Sequence if (0x40..=0x7e).contains(&byte) => Self::Between,
            Self::Intermediate | Self::Sequence => self,
            Self::Text(_) if byte == BELL => Self::Between,
            // Not in the middle of a character.
            Self::Text(LONGEST_STRING..) if !(0x80..=0xbf).contains(&byte) => first(byte),
            Self::Text(length) => Self::Text(length.saturating_add(1)),
        }
    }
}

/// The state behind the first byte of a character. Bytes that are invalid in UTF-8 count as characters.
fn first(byte: u8) -> State {
    match byte {
        0xc2..=0xdf => State::Character(1),
        0xe0..=0xef => State::Character(2),
        0xf0..=0xf4 => State::Character(3),
        _ => State::Between,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The positions in a text where nothing is split.
    fn between(text: &[u8]) -> Vec<usize> {
        let mut terminal = Terminal::default();
        let mut found = Vec::new();
        for (at, byte) in text.iter().enumerate() {
            if terminal.is_between() {
                found.push(at);
            }
            terminal.step(*byte);
        }
        if terminal.is_between() {
            found.push(text.len());
        }
        found
    }

    #[test]
    fn characters_and_sequences_are_whole() {
        for (text, expected) in [
            (&b"ab"[..], vec![0, 1, 2]),
            (
                "a\u{e9}\u{20ac}\u{1f35c}.".as_bytes(),
                vec![0, 1, 3, 6, 10, 11],
            ),
            (b"\x1b[31mx", vec![0, 5, 6]),
            (b"\x1b[?25;1$p", vec![0, 9]),
            (b"\x1b(B\x1b)0", vec![0, 3, 6]),
            (b"\x1bM\x1b7", vec![0, 2, 4]),
            (b"\x1b]0;title\x07.", vec![0, 10, 11]),
            (b"\x1bPq#0~\x1b\\.", vec![0, 8, 9]),
            // Controls inside of a sequence, and one that cancels it.
            (b"\x1b[3\n1m", vec![0, 6]),
            (b"\x1b[3\x18m", vec![0, 4, 5]),
            // A sequence that another interrupts.
            (b"\x1b[3\x1b[1m", vec![0, 7]),
            // A character behind an escape.
            ("\x1b\u{20ac}.".as_bytes(), vec![0, 4, 5]),
            // Latin-1, and a character that is cut.
            (b"\xe9t\xe9", vec![0, 2]),
            (b"\xff\x80.", vec![0, 1, 2, 3]),
        ] {
            assert_eq!(between(text), expected, "{:?}", text.escape_ascii());
        }
    }

    #[test]
    fn a_string_without_an_end_does_not_hide_the_rest() {
        let mut text = b"\x1b]".to_vec();
        text.resize(usize::from(LONGEST_STRING) + 10, b'x');
        assert!(between(&text).len() > 1);
    }
}
