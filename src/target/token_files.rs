//! A directory of token files, such as Wok's `/var/lib/wok/ws-tokens`.
//!
//! Every visible regular file in it may hold any token. Wok names the file after the virtual machine, so the
//! file of that name is read first and usually alone.
//!
//! Must not know what is in a token file. The directory is its owner's: symbolic links in it are followed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file_name::FileName;
use super::search::Search;
use super::token_file;
use crate::config::Endpoint;

/// The most entries of a directory that are looked at. Beyond, only the file named after the token is found.
const MOST_FILES: usize = 10_000;

/// Looks for the token in the files of the directory. What is wrong with them is noted in the search.
pub(super) fn find(directory: &Path, search: &mut Search) -> Option<Endpoint> {
    let own_file = search
        .token
        .decoded()
        .and_then(FileName::parse)
        .map(|name| directory.join(name))
        .filter(|path| path.is_file());
    if let Some(endpoint) = own_file
        .as_deref()
        .and_then(|path| token_file::find(path, search))
    {
        return Some(endpoint);
    }
    let mut files = match list(directory) {
        Ok(files) => files,
        Err(source) => {
            search.note_unreadable(directory, source);
            return None;
        }
    };
    if files.len() > MOST_FILES {
        files.truncate(MOST_FILES);
        let reason = "more than 10,000 files; the others are not read";
        search.note_unreadable(directory, io::Error::other(reason));
    }
    // The last duplicate wins, as within a file: so from the last name to the first, and the first hit counts.
    files.sort_unstable();
    files
        .iter()
        .rev()
        .filter(|path| own_file.as_ref() != Some(path))
        .find_map(|path| token_file::find(path, search))
}

/// The visible regular files, one more than the limit if there are that many.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // `is_file` follows symbolic links; a file that is gone by now is none.
        if !hidden && entry.path().is_file() {
            files.push(entry.path());
        }
        if files.len() > MOST_FILES {
            break;
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::target::test_directory::TestDirectory;
    use crate::target::{ResolveError, Token, encode};

    fn find_in(directory: &TestDirectory, token: &str) -> Result<String, ResolveError> {
        let token = Token::from_query(Some(&format!("token={token}"))).expect("a token");
        let mut search = Search::new(token);
        let endpoint = find(directory.path(), &mut search);
        endpoint
            .map(|endpoint| endpoint.to_string())
            .ok_or_else(|| search.into_error())
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
            error.ends_with("/large: a token file may have 64 KiB at most"),
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
            let token =
                Token::from_query(Some(&format!("token={}", encode(name)))).expect("a token");
            let mut search = Search::new(token);
            assert_eq!(
                find(&parent.path().join("dir"), &mut search),
                None,
                "{name}"
            );
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
        let mut search = Search::new(Token::from_query(Some("token=dm0")).expect("a token"));
        assert_eq!(find(directory.path(), &mut search), None);
        assert_eq!(
            search.take_being_written(),
            [(0, directory.path().join("vm"))]
        );

        let missing = directory.path().join("missing");
        assert_eq!(find(&missing, &mut search), None);
        let error = search.into_error();
        assert!(matches!(error, ResolveError::Unreadable { path, .. } if path == missing));
    }

    #[test]
    fn beyond_10_000_files_only_the_one_named_after_the_token_is_certain() {
        let directory = TestDirectory::new();
        for number in 0..=MOST_FILES {
            directory.write(&number.to_string(), "x: localhost:1");
        }
        directory.write("vm", "dm0: localhost:5901");
        assert_eq!(find_in(&directory, "dm0").expect("known"), "localhost:5901");
        let error = find_in(&directory, "unknown")
            .expect_err("unknown")
            .to_string();
        assert!(error.contains("more than 10,000 files"), "{error}");
    }
}
