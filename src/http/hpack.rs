//! Follows compressed header blocks (HPACK, RFC 7541) far enough to recognise pseudo-headers, and a fragment in
//! `:path`.
//!
//! h2 decodes the same blocks afterwards and refuses invalid ones, so nothing is refused here: a block that cannot be
//! followed is [`Lost`], and h2 ends its connection. Names and values are not stored, only their lengths, which
//! determine the content of the dynamic table.
//!
//! A `:path` with a fragment is malformed (RFC 9113 §8.3.1), but h2 removes the fragment silently. So the number
//! sign is replaced, before h2 reads it, by a character with a code of the same length that no path may contain.
//! h2 then resets the stream (§8.1.1), and the other streams of the connection continue.

mod huffman;
mod table;

use crate::http::hpack::huffman::DecodedLength;
use crate::http::hpack::table::{Name, Table};

/// A character that no `:path` may contain; its code differs from that of the number sign in the last bit only.
const REFUSED: u8 = b'>';

/// A header block that breaks the rules, and so cannot be followed.
#[derive(Debug, PartialEq)]
pub(super) struct Lost;

/// The header blocks of one direction of a connection, in pieces as they arrive.
#[derive(Debug)]
pub(super) struct FieldNames {
    table: Table,
    step: Step,
    /// The integer being read, and the shift of its next bits.
    value: usize,
    shift: u32,
    /// The name of the field being read, and a flag that is true if the field is added to the dynamic table.
    name: Name,
    indexed: bool,
    length: DecodedLength,
    /// Number of pseudo-headers in this block.
    pseudo: usize,
}

/// Position in a header block: the kind of its next part.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// A field, or a change of the table size.
    Field,
    /// The rest of an integer (RFC 7541 §5.1).
    Integer(Meaning),
    /// The length of a name or a value (RFC 7541 §5.2).
    Length { is_name: bool },
    /// The octets of a string.
    Text(Text),
}

/// Meaning of an integer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    Field,
    Name,
    TableSize,
    Length(Part),
}

/// A string, with its coding.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    is_name: bool,
    is_huffman: bool,
}

/// A string being read.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Text {
    part: Part,
    /// Number of its encoded octets.
    length: usize,
    /// Number of octets that have not arrived.
    left: usize,
}

impl FieldNames {
    pub(super) fn new() -> Self {
        Self {
            table: Table::new(),
            step: Step::Field,
            value: 0,
            shift: 0,
            name: Name::default(),
            indexed: false,
            length: DecodedLength::default(),
            pseudo: 0,
        }
    }

    /// Reads more of a header block; returns the number of pseudo-headers in it so far.
    pub(super) fn take(&mut self, mut piece: &mut [u8]) -> Result<usize, Lost> {
        while let Some(first) = piece.first().copied() {
            let count = match self.step {
                Step::Text(text) => text.left.min(piece.len()),
                _ => 1,
            };
            let (octets, rest) = piece.split_at_mut(count);
            match self.step {
                Step::Text(text) => self.text(text, octets),
                Step::Field => self.begin_field(first)?,
                Step::Integer(meaning) => self.integer(meaning, first)?,
                Step::Length { is_name } => self.begin_string(is_name, first)?,
            }
            piece = rest;
        }
        Ok(self.pseudo)
    }

    /// Ends a header block; returns the number of pseudo-headers in it.
    pub(super) fn end(&mut self) -> Result<usize, Lost> {
        if self.step != Step::Field {
            return Err(Lost);
        }
        Ok(std::mem::take(&mut self.pseudo))
    }

    /// Reads the first byte of a field, which determines its kind (RFC 7541 §6).
    fn begin_field(&mut self, byte: u8) -> Result<(), Lost> {
        self.indexed = byte & 0xc0 == 0x40;
        match byte {
            0x80.. => self.begin_integer(Meaning::Field, byte, 0x7f),
            0x40.. => self.begin_integer(Meaning::Name, byte, 0x3f),
            0x20.. => self.begin_integer(Meaning::TableSize, byte, 0x1f),
            _ => self.begin_integer(Meaning::Name, byte, 0x0f),
        }
    }

    fn begin_string(&mut self, is_name: bool, byte: u8) -> Result<(), Lost> {
        let is_huffman = byte & 0x80 != 0;
        let part = Part {
            is_name,
            is_huffman,
        };
        self.begin_integer(Meaning::Length(part), byte, 0x7f)
    }

    fn begin_integer(&mut self, meaning: Meaning, byte: u8, mask: u8) -> Result<(), Lost> {
        let value = usize::from(byte & mask);
        if value < usize::from(mask) {
            return self.complete(meaning, value);
        }
        (self.value, self.shift) = (value, 0);
        self.step = Step::Integer(meaning);
        Ok(())
    }

    fn integer(&mut self, meaning: Meaning, byte: u8) -> Result<(), Lost> {
        self.value += usize::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        match byte {
            ..0x80 => self.complete(meaning, self.value),
            // h2 takes no more bytes either.
            0x80.. if self.shift < 28 => Ok(()),
            0x80.. => Err(Lost),
        }
    }

    fn complete(&mut self, meaning: Meaning, value: usize) -> Result<(), Lost> {
        self.step = match meaning {
            Meaning::Field => {
                self.pseudo += usize::from(self.table.name(value)?.is_pseudo);
                Step::Field
            }
            Meaning::Name if value == 0 => Step::Length { is_name: true },
            Meaning::Name => {
                self.name = self.table.name(value)?;
                self.pseudo += usize::from(self.name.is_pseudo);
                Step::Length { is_name: false }
            }
            Meaning::TableSize => {
                self.table.resize(value)?;
                Step::Field
            }
            Meaning::Length(part) => {
                let (length, left) = (value, value);
                let text = Text { part, length, left };
                self.step = Step::Text(text);
                // An empty string is over at once.
                if length == 0 {
                    self.text(text, &mut []);
                }
                return Ok(());
            }
        };
        Ok(())
    }

    /// Reads further octets of a string.
    fn text(&mut self, mut text: Text, octets: &mut [u8]) {
        let Part {
            is_name,
            is_huffman,
        } = text.part;
        if is_name && text.left == text.length {
            self.name = Name::new(0, begins_with_colon(octets, is_huffman));
            self.pseudo += usize::from(self.name.is_pseudo);
        }
        let is_path = !is_name && self.name.is_path();
        match (is_huffman, is_path) {
            (true, true) => self.length.take_path(octets),
            (true, false) if is_name || self.indexed => self.length.take(octets),
            (false, true) => {
                let signs = octets.iter_mut().filter(|octet| **octet == b'#');
                signs.for_each(|sign| *sign = REFUSED);
            }
            _ => {}
        }
        text.left -= octets.len();
        if text.left > 0 {
            self.step = Step::Text(text);
            return;
        }
        let length = if is_huffman {
            self.length.end()
        } else {
            text.length
        };
        if is_name {
            self.name = Name::new(length, self.name.is_pseudo);
            self.step = Step::Length { is_name: false };
            return;
        }
        if self.indexed {
            self.table.insert(self.name, length);
        }
        self.step = Step::Field;
    }
}

/// True if a name begins with a colon. The code of the colon has seven bits (RFC 7541 Appendix B).
fn begins_with_colon(octets: &[u8], is_huffman: bool) -> bool {
    octets.first().is_some_and(|first| {
        if is_huffman {
            first >> 1 == 0b101_1100
        } else {
            *first == b':'
        }
    })
}

#[cfg(test)]
mod tests;
