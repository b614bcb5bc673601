//! `[spool]`: the place and the size of bodies that wait for slow clients. Opens nothing.

use std::path::PathBuf;

use super::reader::Table;
use super::size::{GIB, MIB};
use super::value;

/// The `[spool]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Spool {
    /// `directory`: the directory of the nameless files. Default `/var/tmp`. They take no longer to vanish than their
    /// request, or the program.
    pub directory: PathBuf,
    /// `size`: bytes on disk, all bodies together. Default 4 GiB; with 0 nothing goes to disk.
    pub size: u64,
    /// `files`: bodies on disk at once, each of which has a descriptor, 1 to 1,000,000. Default 4,096; lower where
    /// there are fewer descriptors.
    pub files: usize,
    /// `memory`: bytes of all responses in memory that their clients have not read yet. Default 64 MiB.
    pub memory: u64,
    /// `request-size`: bytes of one request body that is complete before the app gets the request; a larger one
    /// streams. Default 1 GiB.
    pub request_size: u64,
    /// `answer-buffer`: bytes of one response that wait in memory; more go to disk. At most 1 GiB. Default 256 KiB.
    pub answer_buffer: usize,
    /// `answer-size`: bytes of one response that wait on disk; beyond, the app waits for the client. Default 1 GiB.
    pub answer_size: u64,
    /// `when-full`: the rule for a request body without room. Default [`WhenFull::Stream`].
    pub when_full: WhenFull,
}

/// Rule for a request body for which the spool has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The body is passed on to the app as it arrives if its length is known; otherwise the response is 507.
    Stream,
    /// 507: no client is let near a worker before its request is complete.
    Refuse,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/tmp"),
            size: 4 * GIB,
            files: 4096,
            memory: 64 * MIB,
            request_size: GIB,
            answer_buffer: 256 << 10,
            answer_size: GIB,
            when_full: WhenFull::Stream,
        }
    }
}

impl Spool {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            directory: table.text("directory", default.directory, value::path),
            size: table.size("size", default.size),
            files: table.number("files", default.files, 1..=1_000_000),
            memory: table.size("memory", default.memory),
            request_size: table.size("request-size", default.request_size),
            answer_buffer: table.buffer("answer-buffer", default.answer_buffer, 0..=GIB),
            answer_size: table.size("answer-size", default.answer_size),
            when_full: table.text("when-full", default.when_full, |text| {
                value::choice(
                    text,
                    &[("stream", WhenFull::Stream), ("refuse", WhenFull::Refuse)],
                )
            }),
        }
    }
}
