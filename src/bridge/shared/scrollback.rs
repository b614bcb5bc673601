//! The latest output of a guest: a bounded ring buffer with absolute offsets, from which every viewer reads at its own
//! pace. A late viewer starts where no character and no control sequence is cut, at a line if possible.

use std::collections::VecDeque;

use super::terminal::Terminal;

/// Distance within which the start of a line is searched.
const LONGEST_LINE: usize = 4096;

/// Distance of the offsets at which the terminal is remembered, so that finding a beginning never reads much, however
/// much is kept: a viewer that lags has one found again and again, while the guest waits.
const MARK: u64 = 16 * 1024;

/// The output of a guest that is in memory.
#[derive(Debug, Default)]
pub(super) struct Scrollback {
    bytes: VecDeque<u8>,
    /// Offset of the first byte in memory.
    start: u64,
    /// State of the terminal at the first byte.
    at_start: Terminal,
    /// State of the terminal behind the last byte.
    at_end: Terminal,
    /// The terminal at each multiple of [`MARK`] that is kept.
    marks: VecDeque<(u64, Terminal)>,
}

impl Scrollback {
    /// Offset of the first byte in memory.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Offset behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Number of bytes in memory.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True if a line of Noren can be added at the end without cutting a character or a sequence.
    pub(super) fn ends_between(&self) -> bool {
        self.at_end.is_between()
    }

    /// Adds output, and keeps at most the last `limit` bytes of all.
    pub(super) fn append(&mut self, output: &[u8], limit: usize) {
        self.read(output);
        let excess = output.len().saturating_sub(limit);
        let (passing, kept) = output.split_at_checked(excess).unwrap_or((output, &[]));
        // Room is made first, so that the ring never grows beyond its limit.
        self.forget((self.bytes.len() + kept.len()).saturating_sub(limit));
        if !passing.is_empty() {
            self.at_start.read(passing);
            self.start += passing.len() as u64;
        }
        self.bytes.extend(kept);
        while self.marks.front().is_some_and(|(at, _)| *at < self.start) {
            self.marks.pop_front();
        }
        if self.bytes.capacity() / 4 > limit {
            self.bytes.shrink_to(limit);
        }
    }

    /// Reads output at the end, and remembers the terminal at each mark.
    fn read(&mut self, mut output: &[u8]) {
        let mut at = self.end();
        while !output.is_empty() {
            let next = usize::try_from(MARK - at % MARK).unwrap_or(usize::MAX);
            let (piece, rest) = output.split_at(next.min(output.len()));
            self.at_end.read(piece);
            at += piece.len() as u64;
            if at.is_multiple_of(MARK) {
                self.marks.push_back((at, self.at_end));
            }
            output = rest;
        }
    }

    /// The terminal behind this number of bytes that are kept.
    fn terminal_behind(&self, count: usize) -> Terminal {
        let offset = self.start + count as u64;
        let later = self.marks.partition_point(|(at, _)| *at <= offset);
        let mark = later.checked_sub(1).and_then(|last| self.marks.get(last));
        let (at, mut terminal) = mark.copied().unwrap_or((self.start, self.at_start));
        let read = usize::try_from(at - self.start).unwrap_or(count);
        terminal.read(self.bytes.range(read..count));
        terminal
    }

    /// Drops the oldest bytes.
    fn forget(&mut self, count: usize) {
        let count = count.min(self.bytes.len());
        self.at_start.read(self.bytes.range(..count));
        self.bytes.drain(..count);
        self.start += count as u64;
    }

    /// The bytes from this offset on, in two pieces of which the second may be empty.
    pub(super) fn from(&self, offset: u64) -> (&[u8], &[u8]) {
        let skipped = offset.saturating_sub(self.start);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let (front, back) = self.bytes.as_slices();
        match skipped.checked_sub(front.len()) {
            None => (front.get(skipped..).unwrap_or_default(), back),
            Some(skipped) => (back.get(skipped..).unwrap_or_default(), &[]),
        }
    }

    /// The offset for a viewer that gets at most the last `most` bytes: the start of a line if there is one near,
    /// otherwise a place between two characters. Without such a place the output is not that of a terminal; then only
    /// possible characters are not cut.
    pub(super) fn beginning(&self, most: usize) -> u64 {
        let skipped = self.bytes.len().saturating_sub(most);
        let offset = self.start + skipped as u64;
        if offset == 0 {
            return 0;
        }
        let mut terminal = self.terminal_behind(skipped);
        let is_line = skipped.checked_sub(1).and_then(|last| self.bytes.get(last)) == Some(&b'\n');
        if is_line && terminal.is_between() {
            return offset;
        }
        let mut character = terminal.is_between().then_some(offset);
        for (distance, byte) in self.bytes.range(skipped..).enumerate() {
            if distance == LONGEST_LINE && character.is_some() {
                break;
            }
            terminal.step(*byte);
            if terminal.is_between() {
                let place = offset + distance as u64 + 1;
                if *byte == b'\n' && place < self.end() {
                    return place;
                }
                character = character.or(Some(place));
            }
        }
        let mut rest = self.bytes.range(skipped..);
        let begins = rest.position(|byte| !(0x80..=0xbf).contains(byte));
        let begins = begins.map_or_else(|| self.end(), |begins| offset + begins as u64);
        character.unwrap_or(begins)
    }
}

/// The output for a viewer that arrives when all of `output` has come in pieces of `step` bytes, for the fuzz targets.
pub(crate) fn latest_output(output: &[u8], step: usize, limit: usize, most: usize) -> Vec<u8> {
    let mut scrollback = Scrollback::default();
    for piece in output.chunks(step.max(1)) {
        scrollback.append(piece, limit);
    }
    let (front, back) = scrollback.from(scrollback.beginning(most));
    [front, back].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output for a viewer that comes now.
    fn seen(scrollback: &Scrollback, most: usize) -> Vec<u8> {
        let (front, back) = scrollback.from(scrollback.beginning(most));
        [front, back].concat()
    }

    /// Numbers that look random and are always the same.
    fn numbers(mut seed: u64) -> impl FnMut(usize) -> usize {
        move |below| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 11).unwrap_or(0) % below.max(1)
        }
    }

    const PIECES: [&str; 12] = [
        "a",
        "plain text ",
        "\r\n",
        "\n",
        "\u{e9}",
        "\u{20ac}",
        "\u{1f35c}",
        "\x1b[31m",
        "\x1b[?1049h",
        "\x1b]0;vm\x07",
        "\x1b(B",
        "\x1bPq~\x1b\\",
    ];

    #[test]
    fn whoever_comes_gets_a_whole_end_of_the_output_that_cuts_nothing() {
        for seed in 1..=400 {
            let mut number = numbers(0x9e37_79b9_7f4a_7c15 ^ (seed << 20));
            let limit = number(90);
            let mut scrollback = Scrollback::default();
            let (mut all, mut places) = (Vec::new(), vec![0]);
            for _ in 0..60 {
                let piece = PIECES[number(PIECES.len())];
                // The pieces come in reads that are cut anywhere.
                let (first, second) = piece.as_bytes().split_at(number(piece.len() + 1));
                scrollback.append(first, limit);
                scrollback.append(second, limit);
                all.extend_from_slice(piece.as_bytes());
                places.push(all.len());
                assert!(
                    scrollback.len() <= limit && scrollback.bytes.capacity() <= 2 * limit.max(64)
                );
                assert_eq!(scrollback.end(), all.len() as u64);
                assert!(scrollback.ends_between());
                let kept = &all[all.len() - scrollback.len()..];
                assert_eq!(
                    [
                        scrollback.from(scrollback.start()).0,
                        scrollback.from(scrollback.start()).1
                    ]
                    .concat(),
                    kept
                );
                for most in [0, 1, limit / 2, limit, 10 * limit] {
                    let seen = seen(&scrollback, most);
                    assert!(all.ends_with(&seen) && seen.len() <= most.min(limit));
                    let begins = all.len() - seen.len();
                    let is_letter = |at: usize| {
                        "aplain text \n".contains(char::from(all[at.min(all.len() - 1)]))
                    };
                    assert!(
                        places.contains(&begins) || is_letter(begins),
                        "seed {seed}: begins in {:?}",
                        String::from_utf8_lossy(&seen)
                    );
                }
            }
        }
    }

    #[test]
    fn the_first_line_is_whole_if_there_is_one_near() {
        let mut scrollback = Scrollback::default();
        for line in 0..100 {
            scrollback.append(format!("line {line}\r\n").as_bytes(), 100);
        }
        let text = String::from_utf8(seen(&scrollback, 1000)).expect("text");
        assert!(
            text.starts_with("line 89") && text.ends_with("line 99\r\n"),
            "{text}"
        );
        assert_eq!(seen(&scrollback, 9), b"line 99\r\n");
        assert_eq!(seen(&scrollback, 10), b"line 99\r\n");
        scrollback.append(&[b'x'; 10_000], 9000);
        assert_eq!(seen(&scrollback, 10_000).len(), 9000, "no line is near");
    }

    #[test]
    fn output_that_nobody_missed_begins_at_its_beginning() {
        let mut scrollback = Scrollback::default();
        scrollback.append(b"\x80\xbfno line yet", 100);
        assert_eq!(seen(&scrollback, 100), b"\x80\xbfno line yet");
    }

    #[test]
    fn bytes_of_no_terminal_are_cut_anywhere() {
        let mut scrollback = Scrollback::default();
        scrollback.append(&[0xe2; 500], 100);
        scrollback.append(b"\x1b[", 1);
        assert_eq!(seen(&scrollback, 100), b"[");
    }

    #[test]
    fn the_terminal_at_any_place_is_found_from_a_mark_that_is_near() {
        let mut number = numbers(7);
        let (mut scrollback, limit) = (Scrollback::default(), 200_000);
        for _ in 0..2000 {
            let many = PIECES[number(PIECES.len())].repeat(number(400));
            let (first, second) = many.as_bytes().split_at(number(many.len() + 1));
            scrollback.append(first, limit);
            scrollback.append(second, limit);
        }
        assert_eq!(scrollback.len(), limit);
        let mut expected = scrollback.at_start;
        for count in 0..=limit {
            if number(50) == 0 || count == limit {
                assert_eq!(scrollback.terminal_behind(count), expected, "{count}");
            }
            if let Some(byte) = scrollback.bytes.get(count) {
                expected.step(*byte);
            }
        }
        let ats: Vec<_> = scrollback.marks.iter().map(|(at, _)| *at).collect();
        assert!(ats[0] - scrollback.start() < MARK && scrollback.end() - ats[ats.len() - 1] < MARK);
        assert!(ats.windows(2).all(|two| two[1] - two[0] == MARK));
        scrollback.append(&vec![b'x'; 300_000], 100);
        assert!(scrollback.marks.len() <= 1);
    }
}
