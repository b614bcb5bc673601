//! Shows a status that is redrawn each second, on an alternate screen that disappears at the end.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use crossterm::{cursor, execute, terminal};
use http::Method;
use noren::text::escape;

use crate::cli::admin::request;
use crate::cli::status::table;
use crate::cli::{current_runtime, with_causes};

/// Time between two refreshes.
const INTERVAL: Duration = Duration::from_secs(1);

/// The terminal in raw mode, until it is dropped.
struct Screen;

impl Screen {
    fn open() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        // From here on a failure has to give the terminal back, which dropping does.
        let screen = Self;
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// Shows the status until the user quits.
pub(super) fn watch(socket: &Path, target: &str) -> anyhow::Result<()> {
    ensure!(
        io::stdout().is_terminal(),
        "--watch needs a terminal; for a program there is --json"
    );
    let runtime = current_runtime()?;
    // Before the screen is taken, so that the usual mistakes are told where they can be read.
    runtime.block_on(request(socket, Method::GET, target))?;
    let _screen = Screen::open().context("take the terminal")?;
    loop {
        let lines = match runtime.block_on(request(socket, Method::GET, target)) {
            Ok(answer) => table::lines(&answer)?,
            Err(error) => vec![with_causes(&error), "trying again".to_owned()],
        };
        draw(&lines)?;
        if !wait(&lines)? {
            return Ok(());
        }
    }
}

/// Draws the screen in one write, over the previous one: clearing it first would flicker.
fn draw(lines: &[String]) -> io::Result<()> {
    let (width, height) = terminal::size()?;
    let mut out = io::stdout().lock();
    out.write_all(frame(lines, usize::from(width), usize::from(height)).as_bytes())?;
    out.flush()
}

/// Formats one screen: lines cut at its width and height, each cleared behind its end. Between the first and the last
/// sequence a terminal that supports them (mode 2026) shows no incomplete screen. A serial line that does not know its
/// size reports 0, and is treated like a terminal of 80 by 24.
fn frame(lines: &[String], width: usize, height: usize) -> String {
    let known = |size: usize, usual: usize| if size == 0 { usual } else { size };
    let (width, height) = (known(width, 80), known(height, 24));
    let mut text = String::from("\x1b[?2026h\x1b[H");
    let shown = height.saturating_sub(1);
    for line in lines.iter().take(shown) {
        let cut: String = escape::line(line).chars().take(width).collect();
        let title = !cut.starts_with(' ');
        let (begin, end) = if title {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        let _ = write!(text, "{begin}{cut}{end}\x1b[K\r\n");
    }
    let hidden = lines.len().saturating_sub(shown);
    let last = if hidden > 0 {
        format!("{hidden} more lines; q ends")
    } else {
        "q ends".to_owned()
    };
    let last: String = last.chars().take(width).collect();
    let _ = write!(text, "\x1b[2m{last}\x1b[0m\x1b[K\x1b[J\x1b[?2026l");
    text
}

/// Waits for the next refresh; false if the user quits. After a change of its size the terminal is redrawn at once.
fn wait(lines: &[String]) -> io::Result<bool> {
    let due = Instant::now() + INTERVAL;
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() || !event::poll(left)? {
            return Ok(true);
        }
        match event::read()? {
            Event::Key(key) if ends(key) => return Ok(false),
            Event::Resize(..) => draw(lines)?,
            _ => {}
        }
    }
}

fn ends(key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        KeyCode::Char('q') | KeyCode::Esc => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_the_terminal_and_says_what_does_not() {
        let lines: Vec<String> = (0..5)
            .map(|number| format!("  line {number} is long"))
            .collect();
        let text = frame(&lines, 8, 3);
        assert_eq!(
            text,
            "\x1b[?2026h\x1b[H  line 0\x1b[K\r\n  line 1\x1b[K\r\n\x1b[2m3 more l\x1b[0m\x1b[K\x1b[J\x1b[?2026l"
        );
        // A terminal without a size of its own.
        assert_eq!(frame(&lines, 0, 0), frame(&lines, 80, 24));
        // An error may quote others.
        let lines = ["a\x1b[2J\u{9b}".to_owned()];
        let text = frame(&lines, 80, 3);
        assert!(text.contains(r"a\u{1b}[2J\u{9b}"), "{text:?}");
    }
}
