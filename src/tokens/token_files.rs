//! A directory of token files, such as Wok's `/var/lib/wok/ws-tokens`, or one such file.
//!
//! Every visible regular file in it may contain any token. Wok names a file after its virtual machine, so the file
//! with the token's name is read first, and is usually the only one. For all other tokens there is an index: each
//! look-up compares the files with it and reads changed ones, and concurrent look-ups share that work. A token in
//! the index is then read from its file, so that a removed one is not found.
//!
//! Independent of the format of a line. The directory belongs to its owner: symbolic links in it are followed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::file_name::FileName;
use super::lookup::Search;
use super::token_file;
use super::token_index::{Indexed, Marks, SETTLED};
use crate::config::Endpoint;
use crate::sync::lock;

/// Limit on directory entries. Beyond it, only the file with the token's name is found.
const MOST_FILES: usize = 100_000;
/// Limit on tokens in the index of a directory, which takes 16 bytes for each.
const MOST_TOKENS: usize = 2_000_000;

/// A directory or a file, with its index.
#[derive(Debug)]
pub(super) struct TokenFiles {
    path: PathBuf,
    is_directory: bool,
    bounds: Bounds,
    marks: Marks,
    index: Mutex<Index>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    files: usize,
    tokens: usize,
    /// Age from which unchanged metadata of a file proves unchanged content.
    settled: Duration,
}

/// Index of the files at the last scan.
#[derive(Debug, Default)]
struct Index {
    /// The files by name: if two files have the same token, the last one counts.
    files: BTreeMap<OsString, Indexed>,
    /// Start of that scan, which includes everything written before.
    started_at: Option<Instant>,
    /// Reason why some files are missing from the index.
    problem: Option<&'static str>,
    /// Number of scans, and of files read.
    #[cfg(test)]
    counts: (usize, usize),
}

impl TokenFiles {
    /// An index of the files in a directory.
    pub(super) fn directory(path: PathBuf) -> Self {
        Self::new(path, true)
    }

    /// An index of one file.
    pub(super) fn file(path: PathBuf) -> Self {
        Self::new(path, false)
    }

    fn new(path: PathBuf, is_directory: bool) -> Self {
        Self {
            path,
            is_directory,
            bounds: Bounds {
                files: MOST_FILES,
                tokens: MOST_TOKENS,
                settled: SETTLED,
            },
            marks: Marks::new(),
            index: Mutex::default(),
        }
    }

    /// Finds the token in the files. Problems with them are noted in the search. Blocks.
    pub(super) fn find(&self, search: &mut Search) -> Option<Endpoint> {
        let own_file = self.own_file(search);
        if let Some(own_file) = &own_file
            && let Some(endpoint) = token_file::find(&self.path.join(own_file), search)
        {
            return Some(endpoint);
        }
        for name in self.candidates(own_file.as_ref(), search) {
            if let Some(endpoint) = token_file::find(&self.path_of(&name), search) {
                return Some(endpoint);
            }
        }
        None
    }

    /// Name of the file that is named after the token, if it exists.
    fn own_file(&self, search: &Search) -> Option<OsString> {
        let name = search.token.decoded().filter(|_| self.is_directory);
        let name = name.and_then(FileName::parse)?;
        let name: &Path = name.as_ref();
        let is_there = self.path.join(name).is_file();
        is_there.then(|| name.as_os_str().to_owned())
    }

    /// Path of a file in the index.
    fn path_of(&self, name: &OsString) -> PathBuf {
        if self.is_directory {
            self.path.join(name)
        } else {
            self.path.clone()
        }
    }

    /// Files that contain the token, from the last name to the first, then the first faulty file unless a problem
    /// is known already. Empty files are noted to be read again.
    fn candidates(&self, own_file: Option<&OsString>, search: &mut Search) -> Vec<OsString> {
        let mut index = lock(&self.index);
        // A scan that began after the token had arrived has seen every file of that time.
        if index
            .started_at
            .is_none_or(|started_at| started_at < search.started_at)
        {
            index.started_at = Some(Instant::now());
            if let Err(source) = self.update(&mut index, search.largest) {
                *index = Index::default();
                search.note_unreadable(&self.path, source);
                return Vec::new();
            }
        }
        if let Some(problem) = index.problem {
            search.note_unreadable(&self.path, io::Error::other(problem));
        }
        let marks = self.marks.of_token(&search.token);
        let mut faulty = search.has_problem();
        let mut found = Vec::new();
        for (name, file) in index.files.iter().rev() {
            if own_file == Some(name) {
                continue;
            }
            if file.is_empty() {
                search.note_being_written(&self.path_of(name));
                continue;
            }
            let tells_fault = file.is_faulty() && !faulty;
            if file.has_any(&marks) || tells_fault {
                faulty |= tells_fault;
                found.push(name.clone());
            }
        }
        found
    }

    /// Updates the index.
    fn update(&self, index: &mut Index, largest: u64) -> io::Result<()> {
        index.problem = None;
        let mut names = if self.is_directory {
            list(&self.path, self.bounds.files)?
        } else {
            vec![OsString::new()]
        };
        if names.len() > self.bounds.files {
            names.truncate(self.bounds.files);
            index.problem = Some("more than 100,000 files; the others are not read");
        }
        names.sort_unstable();
        let mut before = std::mem::take(&mut index.files);
        let mut tokens = 0;
        #[cfg(test)]
        {
            index.counts.0 += 1;
        }
        for name in names {
            let path = self.path_of(&name);
            let known = before.remove(&name);
            let same = known.filter(|known| known.is_still(&path, self.bounds.settled));
            let file = same.unwrap_or_else(|| {
                #[cfg(test)]
                {
                    index.counts.1 += 1;
                }
                Indexed::read(&path, largest, &self.marks)
            });
            tokens += file.count();
            if tokens > self.bounds.tokens {
                index.problem = Some("more than 2,000,000 tokens; the others are not read");
                break;
            }
            // Directories and removed files are not indexed.
            if !self.is_directory || !file.is_absent() {
                index.files.insert(name, file);
            }
        }
        Ok(())
    }
}

/// Lists names of possible visible regular files, up to one more than the limit.
fn list(directory: &Path, most: usize) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let kind = entry.file_type()?;
        // Links are followed later; a file that was removed by then is skipped.
        if !hidden && (kind.is_file() || kind.is_symlink()) {
            names.push(entry.file_name());
        }
        if names.len() > most {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
