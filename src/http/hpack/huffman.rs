//! The decoded length of Huffman-coded strings (RFC 7541 §5.2), without the strings.
//!
//! The code is canonical: shorter codes have the lower values, and codes of one length follow each other. So the
//! number of codes of each length says where each code ends.

/// Number of codes of each length, of the 257 codes (RFC 7541 Appendix B).
const CODES: [(u32, u64); 21] = [
    (5, 10),
    (6, 26),
    (7, 32),
    (8, 6),
    (10, 5),
    (11, 3),
    (12, 2),
    (13, 6),
    (14, 2),
    (15, 3),
    (19, 3),
    (20, 8),
    (21, 13),
    (22, 26),
    (23, 29),
    (24, 12),
    (25, 4),
    (26, 15),
    (27, 19),
    (28, 29),
    (30, 4),
];

/// Number of bits that index [`STARTS`].
const SEEN: u32 = 12;
/// The code of the number sign; that of [`REFUSED`](super::REFUSED) is the next one.
const NUMBER_SIGN: u64 = 0xffa;
/// For each possible beginning of the bits: the number of symbols that are complete in it (at most two) plus 16 times
/// the number of their bits; zero if the first code is longer. A static, because a constant of this size would be
/// copied.
static STARTS: [u8; 1 << SEEN] = starts();

/// Counter of the symbols in a string that arrives in pieces.
#[derive(Debug, Default)]
pub(super) struct DecodedLength {
    /// Bits that do not form a symbol yet, from the highest on.
    bits: u64,
    held: u32,
    symbols: usize,
}

impl DecodedLength {
    pub(super) fn take(&mut self, piece: &[u8]) {
        // At most 29 bits are held over, and 32 come.
        for bytes in piece.chunks(4) {
            for byte in bytes {
                self.bits |= u64::from(*byte) << (56 - self.held);
                self.held += 8;
            }
            self.count();
        }
    }

    /// Counts the symbols of a piece of `:path`, and replaces each number sign by a character that h2 refuses.
    pub(super) fn take_path(&mut self, piece: &mut [u8]) {
        for byte in piece {
            self.bits |= u64::from(*byte) << (56 - self.held);
            self.held += 8;
            // Each code is checked as soon as it is complete, so the last bit of a number sign is in this byte.
            while self.held >= SEEN {
                if self.bits >> (64 - SEEN) == NUMBER_SIGN {
                    *byte ^= 1 << (self.held - SEEN);
                }
                let length = code_length(self.bits >> 32);
                if length > self.held {
                    break;
                }
                self.drop_bits(length);
                self.symbols += 1;
            }
        }
    }

    fn count(&mut self) {
        while self.held >= SEEN {
            let start = usize::try_from(self.bits >> (64 - SEEN)).unwrap_or_default();
            let whole = STARTS.get(start).copied().unwrap_or_default();
            if whole == 0 {
                let length = code_length(self.bits >> 32);
                if length > self.held {
                    return;
                }
                self.drop_bits(length);
                self.symbols += 1;
            } else {
                self.drop_bits(u32::from(whole >> 4));
                self.symbols += usize::from(whole & 3);
            }
        }
    }

    fn drop_bits(&mut self, count: u32) {
        self.bits <<= count;
        self.held -= count;
    }

    /// Ends a string: returns its decoded length, and resets the count. Padding is not counted: no code is as short and
    /// all ones.
    pub(super) fn end(&mut self) -> usize {
        loop {
            let length = code_length(self.bits >> 32);
            if length > self.held {
                return std::mem::take(self).symbols;
            }
            self.drop_bits(length);
            self.symbols += 1;
        }
    }
}

/// Length of the code at the start of 32 bits.
#[expect(
    clippy::indexing_slicing,
    reason = "within the table's length; used to make a constant"
)]
const fn code_length(bits: u64) -> u32 {
    let (mut end, mut at) = (0, 0);
    while at < CODES.len() {
        let (length, count) = CODES[at];
        end += count << (32 - length);
        if bits < end {
            return length;
        }
        at += 1;
    }
    30
}

#[expect(
    clippy::indexing_slicing,
    reason = "within the table's length, when it is compiled"
)]
const fn starts() -> [u8; 1 << SEEN] {
    let mut starts = [0; 1 << SEEN];
    let (mut at, mut bits) = (0, 0_u64);
    while at < starts.len() {
        let first = code_length(bits);
        if first <= SEEN {
            let both = first + code_length(bits << first & 0xffff_ffff);
            let (symbols, length) = if both <= SEEN { (2, both) } else { (1, first) };
            // Twelve and two at most.
            starts[at] = (length << 4 | symbols).to_le_bytes()[0];
        }
        at += 1;
        bits += 1 << (32 - SEEN);
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(coded: &[u8], step: usize) -> usize {
        let mut length = DecodedLength::default();
        coded.chunks(step).for_each(|piece| length.take(piece));
        length.end()
    }

    #[test]
    fn each_number_sign_of_a_path_becomes_the_sign_behind_it_however_it_is_cut() {
        // "o#0#", "#" and "ooooooo#": 5, 12, 5, 12 bits and ones up to the end of the byte.
        let (sign, other) = ("111111111010", "111111111011");
        for pattern in [
            "00111S00000S",
            "S",
            "00111001110011100111001110011100111S",
            "S00000SS",
        ] {
            let coded = |of_sign| {
                let mut bits = pattern.replace('S', of_sign);
                while !bits.len().is_multiple_of(8) {
                    bits.push('1');
                }
                let bytes = bits.as_bytes().chunks(8);
                let bytes = bytes.map(|byte| std::str::from_utf8(byte).expect("ASCII"));
                let bytes = bytes.map(|byte| u8::from_str_radix(byte, 2).expect("bits"));
                bytes.collect::<Vec<u8>>()
            };
            let symbols = length(&coded(sign), 1);
            for step in 1..=coded(sign).len() {
                let mut changed = coded(sign);
                let mut path = DecodedLength::default();
                changed
                    .chunks_mut(step)
                    .for_each(|piece| path.take_path(piece));
                assert_eq!(
                    (changed, path.end()),
                    (coded(other), symbols),
                    "{pattern} by {step}"
                );
            }
        }
    }

    #[test]
    fn the_code_has_257_symbols_and_no_gap() {
        assert_eq!(CODES.iter().map(|(_, count)| count).sum::<u64>(), 257);
        let space: u64 = CODES.iter().map(|(of, count)| count << (32 - of)).sum();
        assert_eq!(space, 1 << 32);
    }

    #[test]
    fn the_length_of_a_string_is_that_of_its_symbols_however_it_is_cut() {
        let www = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        for (coded, symbols) in [
            (&www[..], "www.example.com".len()),
            (&[], 0),
            // "o", "0", "#" and a line feed: 5, 5, 12 and 30 bits.
            (&[0b0011_1111], 1),
            (&[0b0000_0111], 1),
            (&[0xff, 0xaf], 1),
            (&[0xff, 0xff, 0xff, 0xf3], 1),
            (&[0; 500], 800),
        ] {
            for step in 1..=coded.len().max(1) {
                assert_eq!(length(coded, step), symbols, "{coded:x?} by {step}");
            }
        }
    }
}
