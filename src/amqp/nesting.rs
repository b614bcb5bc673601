//! A bound on the depth of tables in what a broker sends (AMQP 0-9-1 §4.2.3, §4.2.5.5).
//!
//! lapin reads a table inside a table by recursion, on a stack of its own. Whoever may publish at the broker could send
//! a header deep enough to overflow it, which ends the process. Here the bytes pass through before lapin gets them, and
//! a table that is too deep becomes an array of bytes: the same length with another letter, so that the message arrives
//! and only that value is unreadable. Nothing is stored; the bytes may be cut anywhere.
//!
//! Must not know connections or messages.

/// Limit on tables and arrays inside each other. Services of OpenStack send two.
const DEEPEST: usize = 16;

/// Types of frames (§4.2.3).
const METHOD: u32 = 1;
const HEADER: u32 = 2;
const BODY: u32 = 3;
const HEARTBEAT: u32 = 8;

/// Class and method of `connection.start`, the one method of a broker that has a table.
const START: u32 = 0x000A_000A;
/// Methods with a table that only clients send; no broker does.
const OF_CLIENTS: [u32; 8] = [
    0x000A_000B,
    0x0028_000A,
    0x0028_001E,
    0x0028_0028,
    0x0032_000A,
    0x0032_0014,
    0x0032_0032,
    0x003C_0014,
];

/// Flags of the properties of a message: those before the headers, and the headers.
const CONTENT_TYPE: u32 = 0x8000;
const CONTENT_ENCODING: u32 = 0x4000;
const HEADERS: u32 = 0x2000;

/// The reader of a stream of frames.
#[derive(Debug)]
pub(super) struct Nesting {
    step: Step,
    /// Bytes of the current number that are still to come, and the number so far.
    wanted: u32,
    number: u32,
    /// Bytes to pass over before that number.
    skipped: u32,
    kind: u32,
    /// Bytes of the frame's payload that no step has taken yet.
    payload: u32,
    /// Short strings before the headers.
    strings: u32,
    levels: Vec<Level>,
}

/// A table or an array that is being read.
#[derive(Debug)]
struct Level {
    is_table: bool,
    /// Bytes of the current frame that no step has taken yet.
    left: u32,
}

/// The meaning of the number that is being read.
#[derive(Clone, Copy, Debug)]
enum Step {
    FrameType,
    Channel,
    Size,
    Method,
    Flags,
    PropertyLength,
    TableLength,
    ArrayLength,
    NameLength,
    ValueType,
    BytesLength,
    FrameEnd,
}

/// The bytes are not those of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker sends something else than frames of AMQP 0-9-1")]
pub(super) struct Malformed;

impl Default for Nesting {
    fn default() -> Self {
        Self {
            step: Step::FrameType,
            wanted: 1,
            number: 0,
            skipped: 0,
            kind: 0,
            payload: 0,
            strings: 0,
            levels: Vec::with_capacity(DEEPEST),
        }
    }
}

impl Nesting {
    /// Reads the next bytes of the stream, and changes those that lapin must not read.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) -> Result<(), Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.skipped > 0 {
                let count = usize::try_from(self.skipped).unwrap_or(usize::MAX);
                let count = count.min(rest.len());
                self.skipped -= u32::try_from(count).unwrap_or(self.skipped);
                rest = rest.get_mut(count..).unwrap_or_default();
                continue;
            }
            let Some((byte, behind)) = rest.split_first_mut() else {
                break;
            };
            self.number = (self.number << 8) | u32::from(*byte);
            self.wanted -= 1;
            if self.wanted == 0 {
                self.take(byte)?;
            }
            rest = behind;
        }
        Ok(())
    }

    /// Acts on a complete number, of which this is the last byte.
    fn take(&mut self, byte: &mut u8) -> Result<(), Malformed> {
        let number = self.number;
        match self.step {
            Step::FrameType => {
                if ![METHOD, HEADER, BODY, HEARTBEAT].contains(&number) {
                    return Err(Malformed);
                }
                self.kind = number;
                self.read(Step::Channel, 2);
            }
            Step::Channel => self.read(Step::Size, 4),
            Step::Size => {
                self.payload = number;
                match self.kind {
                    METHOD => self.expect(Step::Method, 4)?,
                    HEADER => {
                        // The class, the weight and the size of the body.
                        self.skip(12)?;
                        self.expect(Step::Flags, 2)?;
                    }
                    _ => self.end_frame(),
                }
            }
            Step::Method if number == START => {
                // The version.
                self.skip(2)?;
                self.expect(Step::TableLength, 4)?;
            }
            Step::Method if OF_CLIENTS.contains(&number) => return Err(Malformed),
            Step::Method => self.end_frame(),
            Step::Flags if number & HEADERS == 0 => self.end_frame(),
            Step::Flags => {
                let before = [CONTENT_TYPE, CONTENT_ENCODING].into_iter();
                self.strings = before.filter(|flag| number & flag != 0).map(|_| 1).sum();
                self.next_property()?;
            }
            Step::PropertyLength => {
                self.skip(number)?;
                self.next_property()?;
            }
            Step::TableLength => self.enter(true)?,
            Step::ArrayLength => self.enter(false)?,
            Step::NameLength => {
                self.skip(number)?;
                self.expect(Step::ValueType, 1)?;
            }
            Step::ValueType => self.take_type(byte)?,
            Step::BytesLength => {
                self.skip(number)?;
                self.next_value()?;
            }
            Step::FrameEnd => self.read(Step::FrameType, 1),
        }
        Ok(())
    }

    /// Acts on the type of a value (§4.2.5.5, with RabbitMQ's letters).
    fn take_type(&mut self, letter: &mut u8) -> Result<(), Malformed> {
        if matches!(letter, b'F' | b'A') && self.levels.len() >= DEEPEST {
            *letter = b'x';
        }
        let length = match letter {
            b'F' => return self.expect(Step::TableLength, 4),
            b'A' => return self.expect(Step::ArrayLength, 4),
            b'S' | b'x' => return self.expect(Step::BytesLength, 4),
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'U' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'L' | b'l' | b'd' | b'T' => 8,
            _ => return Err(Malformed),
        };
        self.skip(length)?;
        self.next_value()
    }

    fn next_property(&mut self) -> Result<(), Malformed> {
        if self.strings == 0 {
            return self.expect(Step::TableLength, 4);
        }
        self.strings -= 1;
        self.expect(Step::PropertyLength, 1)
    }

    fn enter(&mut self, is_table: bool) -> Result<(), Malformed> {
        let left = self.number;
        self.reserve(left)?;
        self.levels.push(Level { is_table, left });
        self.next_value()
    }

    fn next_value(&mut self) -> Result<(), Malformed> {
        while self.levels.pop_if(|level| level.left == 0).is_some() {}
        match self.levels.last() {
            None => {
                self.end_frame();
                Ok(())
            }
            Some(level) if level.is_table => self.expect(Step::NameLength, 1),
            Some(_) => self.expect(Step::ValueType, 1),
        }
    }

    fn end_frame(&mut self) {
        self.skipped += std::mem::take(&mut self.payload);
        self.read(Step::FrameEnd, 1);
    }

    /// Passes over bytes of the innermost level.
    fn skip(&mut self, count: u32) -> Result<(), Malformed> {
        self.reserve(count)?;
        self.skipped += count;
        Ok(())
    }

    /// Reads a number of the innermost level.
    fn expect(&mut self, step: Step, length: u32) -> Result<(), Malformed> {
        self.reserve(length)?;
        self.read(step, length);
        Ok(())
    }

    fn read(&mut self, step: Step, length: u32) {
        (self.step, self.wanted, self.number) = (step, length, 0);
    }

    /// Takes bytes of the innermost level, or of the payload.
    fn reserve(&mut self, count: u32) -> Result<(), Malformed> {
        let left = match self.levels.last_mut() {
            Some(level) => &mut level.left,
            None => &mut self.payload,
        };
        *left = left.checked_sub(count).ok_or(Malformed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
