//! State of the search for one token.
//!
//! Does not read anything; the sources do, and report their findings here.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{CloudServer, ResolveError, Token};
use crate::text::Secret;

/// Limit on empty files that are read again. Wok writes one file at a time; a directory full of empty files must not be
/// read again and again for an invented token.
const MOST_REREAD: usize = 16;

/// A search for one token.
#[derive(Debug)]
pub(super) struct Search {
    /// The token to find.
    pub(super) token: Token,
    /// Start of the search: files written before this must be found.
    pub(super) started_at: Instant,
    /// Size limit of a token file, in bytes.
    pub(super) largest: u64,
    /// The name that was found, in sources that use names.
    pub(super) name: Option<String>,
    /// The console's password, from sources that have it.
    pub(super) password: Option<Secret>,
    /// True if the source says that the token is view-only.
    pub(super) view_only: bool,
    /// The path for `CONNECT` at the host, from sources that have it.
    pub(super) path: Option<String>,
    /// End of the token in Unix seconds, from sources that have it.
    pub(super) expires: Option<u64>,
    /// The server of a cloud that the console belongs to, from sources that have it.
    pub(super) server: Option<CloudServer>,
    /// Index in the configuration of the source being searched.
    pub(super) source: usize,
    /// Empty token files, which may be in the middle of being written, with their sources.
    being_written: Vec<(usize, PathBuf)>,
    /// The first problem, which is reported only if no source knows the token.
    problem: Option<ResolveError>,
}

impl Search {
    pub(super) fn new(token: Token, largest: u64) -> Self {
        Self {
            token,
            started_at: Instant::now(),
            largest,
            name: None,
            password: None,
            view_only: false,
            path: None,
            expires: None,
            server: None,
            source: 0,
            being_written: Vec::new(),
            problem: None,
        }
    }

    /// Records a problem without ending the search: one bad file does not hide the tokens of others.
    pub(super) fn note(&mut self, problem: ResolveError) {
        self.problem.get_or_insert(problem);
    }

    /// True if there was a problem.
    pub(super) fn has_problem(&self) -> bool {
        self.problem.is_some()
    }

    /// Ends the search, because the target is not permitted.
    pub(super) fn forbid(&mut self, reason: ResolveError) {
        self.problem = Some(reason);
    }

    /// Records an error of the system for `path`.
    pub(super) fn note_unreadable(&mut self, path: &Path, source: io::Error) {
        self.note(ResolveError::Unreadable {
            path: path.to_owned(),
            source,
        });
    }

    /// Records an empty file, to be read again.
    pub(super) fn note_being_written(&mut self, path: &Path) {
        if self.being_written.len() < MOST_REREAD {
            self.being_written.push((self.source, path.to_owned()));
        }
    }

    /// True if the token may be found by reading files again.
    pub(super) fn may_yet_find(&self) -> bool {
        !self.being_written.is_empty()
    }

    /// Takes the files to read again; if they are still empty they are recorded again.
    pub(super) fn take_being_written(&mut self) -> Vec<(usize, PathBuf)> {
        std::mem::take(&mut self.being_written)
    }

    /// The error of a search that found nothing.
    pub(super) fn into_error(self) -> ResolveError {
        self.problem.unwrap_or(ResolveError::Unknown)
    }
}
