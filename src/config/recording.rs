//! `[bridge.recording]`: which consoles are recorded to files, and how much of them. Opens nothing.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Table;
use super::size::{GIB, KIB};
use super::value;

/// Rule for a recording that cannot continue, because it has reached a limit, or the disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnrecordable {
    /// `stop`: the recording ends and the console goes on. The default.
    Stop,
    /// `close`: the console is closed too, and none is opened that cannot be recorded.
    Close,
    /// `drop-oldest`: the oldest recordings are deleted to make room for new ones.
    DropOldest,
}

impl WhenUnrecordable {
    const NAMES: [(&'static str, Self); 3] = [
        ("stop", Self::Stop),
        ("close", Self::Close),
        ("drop-oldest", Self::DropOldest),
    ];
}

/// The `[bridge.recording]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// `directory`: the directory of the files. Default `None`: nothing is recorded.
    pub directory: Option<PathBuf>,
    /// `consoles`: names of tokens to record; `*` at the end of one stands for anything. Empty, the
    /// default: all.
    pub consoles: Vec<String>,
    /// `input`: records the input of clients, too, keys and passwords included. Default `true`.
    pub input: bool,
    /// `announce`: the page of a console says that it is recorded. Default `false`.
    pub announce: bool,
    /// `size`: bytes of one recording. Default 256 MiB.
    pub size: u64,
    /// `total`: bytes of all recordings in the directory. Default 10 GiB.
    pub total: u64,
    /// `age`: recordings whose last byte is older are deleted. Default `None`, `"off"`: a recording is evidence, and
    /// nothing deletes it unless `age` is set.
    pub age: Option<Duration>,
    /// `when-full`: default `stop`.
    pub when_full: WhenUnrecordable,
    /// `buffer`: bytes of one recording that may wait for the disk, 64 KiB to 1 GiB; what comes
    /// beyond is left out, and the recording says so. Default 4 MiB.
    pub buffer: usize,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            directory: None,
            consoles: Vec::new(),
            input: true,
            announce: false,
            size: 256 << 20,
            total: 10 << 30,
            age: None,
            when_full: WhenUnrecordable::Stop,
            buffer: 4 << 20,
        }
    }
}

impl Recording {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        let recording = Self {
            directory: table.text("directory", None, |text| value::path(text).map(Some)),
            consoles: table.list("consoles", default.consoles, value::not_empty),
            input: table.flag("input", default.input),
            announce: table.flag("announce", default.announce),
            size: table.size("size", default.size),
            total: table.size("total", default.total),
            age: table.time_limit_or_off("age", default.age),
            when_full: table.text("when-full", default.when_full, |text| {
                value::choice(text, &WhenUnrecordable::NAMES)
            }),
            buffer: table.buffer("buffer", default.buffer, 64 * KIB..=GIB),
        };
        if table.is_sound() && recording.directory.is_none() && recording != Self::default() {
            table.problem(
                "directory",
                r#"is missing, and without it nothing is recorded; write directory = "/var/lib/noren/recordings""#,
            );
        }
        if table.is_sound() && recording.total < recording.size {
            table.problem(
                "total",
                "is less than the size of one recording; write at least as much",
            );
        }
        recording
    }

    /// True if the console with this name is to be recorded.
    #[must_use]
    pub fn records(&self, name: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => pattern == name,
        };
        self.directory.is_some() && (self.consoles.is_empty() || self.consoles.iter().any(fits))
    }
}
