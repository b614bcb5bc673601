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
    /// Files by name: of two files with one token the last counts.
    files: BTreeMap<OsString, Indexed>,
    /// Start of that scan, which includes everything written before.
    begun: Option<Instant>,
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
        // A look that began after the token came has seen all that was there when it came.
        if index.begun.is_none_or(|begun| begun < search.begun) {
            index.begun = Some(Instant::now());
            if let Err(source) = self.look(&mut index, search.largest) {
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
    fn look(&self, index: &mut Index, largest: u64) -> io::Result<()> {
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
        // Links are followed later; a file that is gone by then is none.
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
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::tokens::test_directory::TestDirectory;
    use crate::tokens::{ResolveError, Token, encode};

    fn search(token: &str) -> Search {
        let token = Token::from_query(Some(&format!("token={token}"))).expect("a token");
        Search::new(token, 64 * 1024)
    }

    fn files(directory: &TestDirectory) -> TokenFiles {
        TokenFiles::directory(directory.path().to_owned())
    }

    fn find_with(files: &TokenFiles, token: &str) -> Result<String, ResolveError> {
        let mut search = search(token);
        let endpoint = files.find(&mut search);
        endpoint
            .map(|endpoint| endpoint.to_string())
            .ok_or_else(|| search.into_error())
    }

    fn find_in(directory: &TestDirectory, token: &str) -> Result<String, ResolveError> {
        find_with(&files(directory), token)
    }

    /// Number of scans, and of files read.
    fn counts(files: &TokenFiles) -> (usize, usize) {
        files.index.lock().expect("not poisoned").counts
    }

    fn unknown(directory: &TestDirectory, token: &str) -> bool {
        matches!(find_in(directory, token), Err(ResolveError::Unknown))
    }

    #[test]
    fn a_token_is_found_in_the_file_named_after_it_and_in_any_other() {
        let directory = TestDirectory::new();
        directory.write("vm", "dm0: localhost:5901");
        directory.write("list", "one: localhost:1\ntwo: localhost:2\n");
        assert_eq!(find_in(&directory, "dm0").expect("known"), "localhost:5901");
        assert_eq!(find_in(&directory, "two").expect("known"), "localhost:2");
        assert!(unknown(&directory, "three"));
        // A name alone opens nothing: the token has to be in the file.
        assert!(unknown(&directory, "vm"));
    }

    #[test]
    fn the_file_named_after_the_token_is_preferred_and_else_the_last_by_name() {
        let directory = TestDirectory::new();
        directory.write("a", "dm0: localhost:1\nx: localhost:1");
        directory.write("z", "dm0: localhost:3\nx: localhost:3");
        assert_eq!(find_in(&directory, "dm0").expect("known"), "localhost:3");
        directory.write("vm", "dm0: localhost:2");
        assert_eq!(find_in(&directory, "dm0").expect("known"), "localhost:2");
        assert_eq!(find_in(&directory, "x").expect("known"), "localhost:3");
    }

    #[test]
    fn a_name_that_is_not_ascii_is_found_by_its_utf_8_and_its_latin_1_token() {
        let directory = TestDirectory::new();
        directory.write("café", format!("{}: localhost:5901", encode("café")));
        assert_eq!(
            find_in(&directory, "Y2Fmw6k").expect("known"),
            "localhost:5901"
        );
        assert_eq!(
            find_in(&directory, "Y2Fm6Q").expect("known"),
            "localhost:5901"
        );
    }

    #[test]
    fn a_bad_file_does_not_hide_the_tokens_of_the_others() {
        let directory = TestDirectory::new();
        directory.write("junk", b"\xff\xfe\n\0");
        directory.write("large", "#".repeat(70_000));
        directory.write("old", "b: nowhere");
        directory.write("m", "b: localhost:2\n");
        assert_eq!(find_in(&directory, "b").expect("known"), "localhost:2");
        // Unknown to all, the first problem met is told.
        let error = find_in(&directory, "c").expect_err("unknown").to_string();
        assert!(
            error.contains("/large: it is larger than 65536 bytes"),
            "{error}"
        );
    }

    #[test]
    fn hidden_files_and_what_is_not_a_file_are_skipped() {
        let directory = TestDirectory::new();
        directory.write(".vm", "a: localhost:1");
        directory.write("plain", "b: localhost:2");
        fs::create_dir(directory.path().join("sub")).expect("a directory");
        directory.write("sub/vm", "a: localhost:3");
        symlink("nowhere", directory.path().join("dangling")).expect("a link");
        assert!(unknown(&directory, "a"));
        assert!(unknown(&directory, &encode(".vm")));
        assert!(unknown(&directory, &encode("sub")));
        assert_eq!(find_in(&directory, "b").expect("known"), "localhost:2");
    }

    #[test]
    fn a_name_cannot_leave_the_directory() {
        let parent = TestDirectory::new();
        for (folder, port) in [("dir", 1), ("dir-evil", 2)] {
            fs::create_dir(parent.path().join(folder)).expect("a directory");
            parent.write(&format!("{folder}/vm"), format!("x: localhost:{port}"));
        }
        for name in ["../secret", "../dir-evil/vm", "/etc/passwd", "..", "."] {
            parent.write("secret", format!("{}: localhost:9", encode(name)));
            parent.write("dir-evil/vm", format!("{}: localhost:9", encode(name)));
            let mut search = search(&encode(name));
            let files = TokenFiles::directory(parent.path().join("dir"));
            assert_eq!(files.find(&mut search), None, "{name}");
            assert!(
                matches!(search.into_error(), ResolveError::Unknown),
                "{name}"
            );
        }
    }

    #[test]
    fn an_empty_file_is_noted_once_and_a_missing_directory_is_told() {
        let directory = TestDirectory::new();
        directory.write("vm", "");
        let mut search = search("dm0");
        assert_eq!(files(&directory).find(&mut search), None);
        assert_eq!(
            search.take_being_written(),
            [(0, directory.path().join("vm"))]
        );

        let missing = directory.path().join("missing");
        let files = TokenFiles::directory(missing.clone());
        assert_eq!(files.find(&mut search), None);
        let error = search.into_error();
        assert!(matches!(error, ResolveError::Unreadable { path, .. } if path == missing));
    }

    #[test]
    fn beyond_the_most_files_or_tokens_only_the_file_named_after_the_token_is_certain() {
        let directory = TestDirectory::new();
        for number in 0..=20 {
            directory.write(&number.to_string(), "x: localhost:1\ny: localhost:2");
        }
        directory.write("vm", "dm0: localhost:5901");
        for (most, reason) in [
            ((20, 1000), "more than 100,000 files"),
            ((1000, 30), "more than 2,000,000 tokens"),
        ] {
            let mut files = files(&directory);
            (files.bounds.files, files.bounds.tokens) = most;
            assert_eq!(find_with(&files, "dm0").expect("known"), "localhost:5901");
            let error = find_with(&files, "unknown").expect_err("unknown");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn look_ups_that_come_at_once_share_one_look_and_no_file_is_read_twice() {
        let directory = TestDirectory::new();
        for number in 0..300 {
            directory.write(&format!("f{number}"), format!("t{number}: localhost:1"));
        }
        let mut files = files(&directory);
        files.bounds.settled = Duration::ZERO;
        let mut wrong: Vec<_> = (0..60)
            .map(|number| search(&format!("no{number}")))
            .collect();
        let mut good = search("t200");
        for search in &mut wrong {
            assert_eq!(files.find(search), None);
        }
        assert!(files.find(&mut good).is_some());
        assert_eq!(counts(&files), (1, 300), "all of them came before the look");
        assert!(matches!(
            find_with(&files, "later"),
            Err(ResolveError::Unknown)
        ));
        assert_eq!(counts(&files), (2, 300), "nothing has changed since");
        directory.write("f7", "new: localhost:7, or not");
        directory.write("f8", "new: localhost:8");
        assert_eq!(find_with(&files, "new").expect("known"), "localhost:8");
        assert!(matches!(
            find_with(&files, "t7"),
            Err(ResolveError::Unknown)
        ));
        assert_eq!(counts(&files), (4, 302));
        fs::remove_file(directory.path().join("f8")).expect("removed");
        assert!(find_with(&files, "new").is_err());
        assert_eq!(counts(&files), (5, 302));
    }

    #[test]
    fn an_edit_that_leaves_size_and_time_as_they_were_is_seen() {
        let directory = TestDirectory::new();
        let files = files(&directory);
        let path = directory.write("list", "a: localhost:1");
        let time = fs::metadata(&path).and_then(|metadata| metadata.modified());
        let time = time.expect("a time");
        for round in 0..200 {
            let (here, gone) = if round % 2 == 0 {
                ("a", "b")
            } else {
                ("b", "a")
            };
            directory.write("list", format!("{here}: localhost:1"));
            let file = fs::File::options().write(true).open(&path).expect("a file");
            file.set_modified(time).expect("a time that was set");
            assert!(find_with(&files, here).is_ok(), "{round}");
            assert!(find_with(&files, gone).is_err(), "{round}");
        }
    }

    #[test]
    fn a_file_with_thousands_of_lines_is_served_and_read_for_its_own_tokens_only() {
        let directory = TestDirectory::new();
        let lines: Vec<_> = (0..4000)
            .map(|line| format!("a-token-of-some-length-{line}: localhost:{}\n", line + 1))
            .collect();
        let path = directory.write("list", lines.concat());
        let mut files = TokenFiles::file(path.clone());
        files.bounds.settled = Duration::ZERO;
        let find = |token: &str, largest| {
            let mut search = search(token);
            search.largest = largest;
            let endpoint = files.find(&mut search);
            endpoint.map_or_else(
                || search.into_error().to_string(),
                |found| found.to_string(),
            )
        };
        let largest = 16 << 20;
        assert_eq!(
            find("a-token-of-some-length-3999", largest),
            "localhost:4000"
        );
        for wrong in 0..20 {
            let unknown = find(&format!("no-{wrong}"), largest);
            assert_eq!(unknown, "no source knows this token");
        }
        assert_eq!(counts(&files).1, 1);
        let files = TokenFiles::file(path);
        let mut search = search("a-token-of-some-length-1");
        assert_eq!(files.find(&mut search), None);
        let error = search.into_error().to_string();
        assert!(error.ends_with("(bridge.token-file-size)"), "{error}");
    }
}
