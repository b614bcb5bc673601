//! Builds the description line by line, and formats times and sizes in the syntax of the file.

use std::fmt::{Display, Write as _};
use std::time::Duration;

/// A text that grows line by line. Writing to a string cannot fail.
pub(super) struct Text(pub(super) String);

impl Text {
    /// Adds a heading.
    pub(super) fn heading(&mut self, text: &str) {
        let _ = writeln!(self.0, "\n{text}");
    }

    /// Adds a line.
    pub(super) fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.0, "  {text}");
    }

    /// Adds a line that belongs to the previous one.
    pub(super) fn more(&mut self, text: impl Display) {
        let _ = writeln!(self.0, "       {text}");
    }

    /// Adds a limit with its value.
    pub(super) fn limit(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "  {name:<34} {value}");
    }
}

/// Formats a time in the syntax of the file.
pub(super) fn time(time: Duration) -> String {
    let (seconds, rest) = (time.as_secs(), time.subsec_millis());
    match seconds {
        _ if rest > 0 => format!("{}ms", time.as_millis()),
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// Formats a size in the syntax of the file.
pub(super) fn bytes(size: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if size >= unit && size.is_multiple_of(unit) {
            return format!("{}{name}", size / unit);
        }
    }
    format!("{size} bytes")
}
