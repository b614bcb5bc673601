//! `[log]`: the content and the form of the log. Knows no logging library.

use std::fmt;

use super::reader::Table;
use super::value;

/// The least important level that is still logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Faults of Noren or of the system, which need an operator.
    Error,
    /// In addition, conditions to look into soon, such as an app that refuses connections.
    Warn,
    /// In addition, start, stop, reload and the access lines. The default.
    Info,
    /// In addition, mistakes of clients: failed handshakes, refused requests.
    Debug,
    /// All lines, for finding faults in Noren itself.
    Trace,
}

impl Level {
    const NAMES: [(&'static str, Self); 5] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];

    /// Reads `error`, `warn`, `info`, `debug` or `trace`; the error text says what to write
    /// instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        value::choice(text, &Self::NAMES)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(value::name_of(*self, &Self::NAMES))
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people and journald: `message key=value key=value`. The default.
    Text,
    /// One JSON object a line, for collectors.
    Json,
    /// Entries of the journal of systemd, with a field of its own for each value.
    Journald,
}

impl LogFormat {
    const NAMES: [(&'static str, Self); 3] = [
        ("text", Self::Text),
        ("json", Self::Json),
        ("journald", Self::Journald),
    ];

    /// Reads `text`, `json` or `journald`; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        value::choice(text, &Self::NAMES)
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(value::name_of(*self, &Self::NAMES))
    }
}

/// Destination of audit lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// In the log, in its format. The default.
    Log,
    /// On standard output, one JSON object a line.
    Stdout,
}

impl Audit {
    const NAMES: [(&'static str, Self); 2] = [("log", Self::Log), ("stdout", Self::Stdout)];
}

/// The form of access lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessFormat {
    /// Fields, like all other lines of the log. The default.
    Fields,
    /// The "combined" form of Apache and nginx, on standard output.
    Combined,
}

impl AccessFormat {
    const NAMES: [(&'static str, Self); 2] =
        [("fields", Self::Fields), ("combined", Self::Combined)];

    /// Reads `fields` or `combined`; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        value::choice(text, &Self::NAMES)
    }
}

/// The `[log]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// `level`: the least important level that is still logged. Default `info`.
    pub level: Level,
    /// `format`: the form of a line. Default `text`.
    pub format: LogFormat,
    /// `access`: logs each request with one line. Default `true`.
    pub access: bool,
    /// `access-format`: the form of that line. Default `fields`.
    pub access_format: AccessFormat,
    /// `audit`: the destination of audit lines. Default `log`. The level does not matter to them.
    pub audit: Audit,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: Level::Info,
            format: LogFormat::Text,
            access: true,
            access_format: AccessFormat::Fields,
            audit: Audit::Log,
        }
    }
}

impl Log {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            level: table.text("level", default.level, Level::parse),
            format: table.text("format", default.format, LogFormat::parse),
            access: table.flag("access", default.access),
            access_format: table.text("access-format", default.access_format, AccessFormat::parse),
            audit: table.text("audit", default.audit, |text| {
                value::choice(text, &Audit::NAMES)
            }),
        }
    }
}
