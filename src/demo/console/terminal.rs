//! Line editing on a raw byte stream, as a terminal driver does it for a shell.
//!
//! The far end is a plain terminal: it sends keys as bytes and shows what comes back, so all input is echoed from
//! here. Independent of commands.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Length limit of a line; further bytes are refused with a bell.
const MOST_LINE: usize = 1000;
/// Idle time limit of a console, because their number is limited.
const IDLE: Duration = Duration::from_secs(3600);
/// Write timeout of a client that does not read.
const STUCK: Duration = Duration::from_secs(10);

const ESCAPE: u8 = 0x1b;

pub(super) struct Terminal<'a> {
    stream: &'a UnixStream,
    unread: VecDeque<u8>,
    // Input is echoed once no more of it can be read: a paste is echoed in one piece.
    unshown: Vec<u8>,
    // Enter is CR, LF or both.
    after_cr: bool,
}

/// Result of editing a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Entered(String),
    /// Ctrl-C was pressed.
    Interrupted,
    /// Ctrl-D was pressed on an empty line.
    Ended,
    Idle,
}

/// Meaning of a byte while a line is edited.
enum Key {
    Text(u8),
    Enter,
    Erase,
    EraseLine,
    Interrupt,
    End,
    Clear,
    Nothing,
}

impl<'a> Terminal<'a> {
    pub(super) fn new(stream: &'a UnixStream) -> Terminal<'a> {
        Terminal {
            stream,
            unread: VecDeque::new(),
            unshown: Vec::new(),
            after_cr: false,
        }
    }

    /// Shows `text`, whose lines end with CR LF.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        self.echo(text.as_bytes());
        self.show()
    }

    /// Waits for a byte until `deadline`; `None` if none arrived.
    pub(super) fn byte(&mut self, deadline: Instant) -> io::Result<Option<u8>> {
        while self.unread.is_empty() {
            self.show()?;
            let left = deadline.saturating_duration_since(Instant::now());
            // Zero would mean no limit at all.
            self.stream
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(size) => self.unread.extend(piece.iter().take(size)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(self.unread.pop_front())
    }

    /// Edits one line.
    pub(super) fn line(&mut self, prompt: &str) -> io::Result<Line> {
        let mut line = Vec::new();
        self.write(prompt)?;
        loop {
            let Some(key) = self.key()? else {
                return Ok(Line::Idle);
            };
            match key {
                Key::Text(_) if line.len() >= MOST_LINE => self.echo(b"\x07"),
                Key::Text(byte) => {
                    line.push(byte);
                    self.echo(&[byte]);
                }
                Key::Erase if erase(&mut line) => self.echo(b"\x08 \x08"),
                Key::EraseLine => {
                    while erase(&mut line) {
                        self.echo(b"\x08 \x08");
                    }
                }
                Key::Clear => {
                    self.echo(b"\x1b[H\x1b[2J");
                    self.echo(prompt.as_bytes());
                    self.echo(&line);
                }
                Key::Enter => {
                    self.write("\r\n")?;
                    return Ok(Line::Entered(String::from_utf8_lossy(&line).into_owned()));
                }
                Key::Interrupt => {
                    self.write("^C\r\n")?;
                    return Ok(Line::Interrupted);
                }
                Key::End if line.is_empty() => {
                    self.write("\r\n")?;
                    return Ok(Line::Ended);
                }
                Key::Erase | Key::End | Key::Nothing => {}
            }
        }
    }

    fn key(&mut self) -> io::Result<Option<Key>> {
        let Some(byte) = self.byte(Instant::now() + IDLE)? else {
            return Ok(None);
        };
        let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
        Ok(Some(match byte {
            b'\n' if after_cr => Key::Nothing,
            b'\r' | b'\n' => Key::Enter,
            0x08 | 0x7f => Key::Erase,
            0x03 => Key::Interrupt,
            0x04 => Key::End,
            0x0c => Key::Clear,
            0x15 => Key::EraseLine,
            ESCAPE => {
                self.skip_escape_sequence()?;
                Key::Nothing
            }
            0x00..0x20 => Key::Nothing,
            text => Key::Text(text),
        }))
    }

    /// Skips arrow keys and the like (ECMA-48: ESC [ ... final, or ESC and one more), which have no function. A
    /// lone Escape key ends when nothing follows at once.
    fn skip_escape_sequence(&mut self) -> io::Result<()> {
        let soon = Instant::now() + Duration::from_millis(50);
        let Some(introducer) = self.byte(soon)? else {
            return Ok(());
        };
        if introducer == b'[' || introducer == b'O' {
            while self
                .byte(soon)?
                .is_some_and(|byte| !(0x40..0x7f).contains(&byte))
            {}
        }
        Ok(())
    }

    fn echo(&mut self, bytes: &[u8]) {
        self.unshown.extend_from_slice(bytes);
    }

    fn show(&mut self) -> io::Result<()> {
        self.stream.set_write_timeout(Some(STUCK))?;
        self.stream.write_all(&std::mem::take(&mut self.unshown))
    }
}

/// Removes the last character, which may be several bytes of UTF-8. False if there is none.
fn erase(line: &mut Vec<u8>) -> bool {
    while let Some(byte) = line.pop() {
        let continues = byte & 0b1100_0000 == 0b1000_0000;
        if !continues {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line that results from `typed`, and the output to the screen.
    fn edit(typed: &[u8]) -> (Line, String) {
        let (mut client, server) = UnixStream::pair().expect("two ends");
        client.write_all(typed).expect("room for the keys");
        let line = Terminal::new(&server).line("> ").expect("a line");
        drop(server);
        let mut shown = Vec::new();
        // Keys left unread reset the connection after what was shown.
        let _ = client.read_to_end(&mut shown);
        (line, String::from_utf8_lossy(&shown).into_owned())
    }

    fn entered(text: &str) -> Line {
        Line::Entered(text.to_owned())
    }

    #[test]
    fn what_is_typed_is_echoed_and_entered() {
        assert_eq!(edit(b"date\r"), (entered("date"), "> date\r\n".to_owned()));
        assert_eq!(edit("暖簾\n".as_bytes()).0, entered("暖簾"));
    }

    #[test]
    fn backspace_takes_one_character_back_and_stops_at_the_prompt() {
        assert_eq!(
            edit(b"\x7fab\x08c\r"),
            (entered("ac"), "> ab\x08 \x08c\r\n".to_owned())
        );
        assert_eq!(edit("aé\x7fb\r".as_bytes()).0, entered("ab"));
        assert_eq!(edit(b"abc\x15d\r").0, entered("d"));
    }

    #[test]
    fn control_keys_interrupt_end_and_clear() {
        assert_eq!(
            edit(b"abc\x03"),
            (Line::Interrupted, "> abc^C\r\n".to_owned())
        );
        assert_eq!(edit(b"\x04").0, Line::Ended);
        assert_eq!(edit(b"a\x04b\r").0, entered("ab"));
        assert_eq!(
            edit(b"ab\x0c\r"),
            (entered("ab"), "> ab\x1b[H\x1b[2J> ab\r\n".to_owned())
        );
    }

    #[test]
    fn arrow_keys_and_a_lone_escape_change_nothing() {
        assert_eq!(edit(b"a\x1b[A\x1b[1;5Cb\x1bOPc\r").0, entered("abc"));
    }

    #[test]
    fn enter_may_be_cr_lf_or_both() {
        let (mut client, server) = UnixStream::pair().expect("two ends");
        client.write_all(b"a\r\nb\nc\r").expect("room for the keys");
        let mut terminal = Terminal::new(&server);
        for text in ["a", "b", "c"] {
            assert_eq!(terminal.line("").expect("a line"), entered(text));
        }
    }

    #[test]
    fn a_line_has_a_largest_size() {
        let (line, shown) = edit(format!("{}\r", "a".repeat(MOST_LINE + 3)).as_bytes());
        assert_eq!(line, entered(&"a".repeat(MOST_LINE)));
        assert!(shown.ends_with("\x07\x07\x07\r\n"));
    }
}
