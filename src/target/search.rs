//! What is known so far while the sources are asked for one token.
//!
//! Must not read anything; the sources do that and note here what they saw.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{ResolveError, Token};

/// The most empty files that are read again. Wok writes one at a time; a directory full of files that stay empty
/// must not be read again and again for a token somebody made up.
const MOST_REREAD: usize = 16;

/// A search for one token.
#[derive(Debug)]
pub(super) struct Search {
    /// What is looked for.
    pub(super) token: Token,
    /// Since when: what was written before has to be found.
    pub(super) begun: Instant,
    /// The largest token file that is read, in bytes.
    pub(super) largest: u64,
    /// The name that was found, where a source goes by names.
    pub(super) name: Option<String>,
    /// Which source is being asked, by its place in the configuration.
    pub(super) source: usize,
    /// Token files that were empty, which is how a file looks while it is being written, with their sources.
    being_written: Vec<(usize, PathBuf)>,
    /// The first thing that went wrong, told only if no source knows the token.
    problem: Option<ResolveError>,
}

impl Search {
    pub(super) fn new(token: Token, largest: u64) -> Self {
        Self {
            token,
            begun: Instant::now(),
            largest,
            name: None,
            source: 0,
            being_written: Vec::new(),
            problem: None,
        }
    }

    /// Notes a problem. It must not end the search: one bad file does not hide the tokens of the others.
    pub(super) fn note(&mut self, problem: ResolveError) {
        self.problem.get_or_insert(problem);
    }

    /// Whether there was one already.
    pub(super) fn has_problem(&self) -> bool {
        self.problem.is_some()
    }

    /// Ends the search: a target was found, and must not be connected to.
    pub(super) fn forbid(&mut self, reason: ResolveError) {
        self.problem = Some(reason);
    }

    /// Notes what the system said of `path`.
    pub(super) fn note_unreadable(&mut self, path: &Path, source: io::Error) {
        self.note(ResolveError::Unreadable {
            path: path.to_owned(),
            source,
        });
    }

    /// Notes an empty file, to be read again.
    pub(super) fn note_being_written(&mut self, path: &Path) {
        if self.being_written.len() < MOST_REREAD {
            self.being_written.push((self.source, path.to_owned()));
        }
    }

    /// True if reading again may find what was not there.
    pub(super) fn may_yet_find(&self) -> bool {
        !self.being_written.is_empty()
    }

    /// The files to read again; those that are still empty are noted anew.
    pub(super) fn take_being_written(&mut self) -> Vec<(usize, PathBuf)> {
        std::mem::take(&mut self.being_written)
    }

    /// The end of a search that found nothing.
    pub(super) fn into_error(self) -> ResolveError {
        self.problem.unwrap_or(ResolveError::Unknown)
    }
}
