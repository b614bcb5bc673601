//! Tables for a terminal, and the texts of their cells. Nothing in a cell can move the cursor.

use std::time::Duration;

use noren::status::Condition;
use noren::text::escape;

/// A table with a title.
pub(super) struct Table<'h> {
    title: String,
    heads: &'h [&'h str],
    rows: Vec<Vec<String>>,
}

impl<'h> Table<'h> {
    pub(super) fn new(
        title: impl Into<String>,
        heads: &'h [&'h str],
        rows: Vec<Vec<String>>,
    ) -> Self {
        Self {
            title: title.into(),
            heads,
            rows,
        }
    }

    /// Returns an empty line, the title and the rows; nothing if there are no rows.
    pub(super) fn lines(self) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![String::new(), self.title];
        lines.extend(columns(self.heads, &self.rows));
        lines
    }
}

/// Formats columns as wide as their widest cell. The last column is not padded.
fn columns(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let all = || std::iter::once(&heads).chain(rows);
    let width = |column: usize| {
        let cells = all().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"));
        format!("  {}", cells.collect::<Vec<_>>().join("  "))
            .trim_end()
            .to_owned()
    };
    all().map(line).collect()
}

/// The current time, since the Unix epoch. Times of a status are Unix milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Clock(pub(super) Duration);

impl Clock {
    /// Formats the time since a moment, in its two largest units.
    pub(super) fn age(self, moment: u64) -> String {
        span(self.0.saturating_sub(Duration::from_millis(moment)))
    }

    /// Formats the time since a moment, if there is one.
    pub(super) fn age_if(self, moment: Option<u64>) -> String {
        moment.map_or_else(none, |moment| self.age(moment))
    }

    /// Formats the time since which something has been up.
    pub(super) fn up(self, since: Option<u64>) -> String {
        since.map_or_else(|| "no".to_owned(), |since| self.age(since))
    }

    /// Formats the time until a moment, if there is one.
    pub(super) fn until(self, moment: Option<u64>) -> String {
        let left = |moment| span(Duration::from_millis(moment).saturating_sub(self.0));
        moment.map_or_else(none, left)
    }

    pub(super) fn last_success(self, condition: &Condition) -> String {
        let at = condition.last_success;
        at.map_or_else(none, |at| format!("{} ago", self.age(at)))
    }

    pub(super) fn last_error(self, condition: &Condition) -> String {
        let error = optional(condition.last_error.as_deref());
        let at = condition.last_error_at;
        at.map_or_else(none, |at| format!("{} ago: {error}", self.age(at)))
    }
}

/// The cell of a missing value.
pub(super) fn none() -> String {
    "-".to_owned()
}

pub(super) fn optional(text: Option<&str>) -> String {
    text.map_or_else(none, clean)
}

pub(super) fn number(number: Option<u64>) -> String {
    number.map_or_else(none, |number| number.to_string())
}

/// Replaces the characters that could move the cursor of a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|sign| if escape::is_active(sign) { '?' } else { sign })
        .collect()
}

/// Formats the number of a session as `noren close` accepts it.
pub(super) fn session(number: Option<u64>) -> String {
    number.map_or_else(none, |number| format!("v{number}"))
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Formats a size in the largest unit that fits.
pub(super) fn bytes(size: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let found = units.iter().find(|(unit, _)| size >= *unit);
    found.map_or_else(
        || format!("{size} B"),
        |(unit, name)| {
            let tenths = u128::from(size) * 10 / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        },
    )
}
