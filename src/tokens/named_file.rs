//! A directory in which each token is the name of a file with one address, as in websockify's `TokenFileName`.
//!
//! The client chooses the name, so it is confined to the directory, as in a directory of sockets. The directory belongs
//! to its owner, and symbolic links in it are followed.

use std::io;
use std::path::Path;

use super::address::parse_entry;
use super::file_name::FileName;
use super::lookup::Search;
use super::{ResolveError, token_file};
use crate::config::Endpoint;

/// Reads the file with the token's name. A problem is recorded in the search.
pub(super) fn find(directory: &Path, search: &mut Search) -> Option<Endpoint> {
    let names: Vec<String> = search.token.names().map(str::to_owned).collect();
    for text in names {
        let Some(name) = FileName::parse(&text) else {
            continue;
        };
        // The error names the directory and not the file, whose name is the token.
        let content = match token_file::read(&directory.join(name), search.largest) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                search.note_unreadable(directory, error);
                continue;
            }
        };
        match parse_entry(content.trim_ascii()) {
            Ok((endpoint, view_only)) => {
                search.view_only = view_only;
                search.name = Some(text);
                return Some(endpoint);
            }
            Err(reason) => search.note(ResolveError::Refused {
                directory: directory.to_owned(),
                reason,
            }),
        }
    }
    // No file of that name, because there is no such directory: worth telling apart at night.
    if let Err(error) = std::fs::metadata(directory) {
        search.note_unreadable(directory, error);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::test_directory::TestDirectory;
    use crate::tokens::{Token, encode};

    fn find_in(directory: &Path, token: &str) -> Result<String, ResolveError> {
        let token = Token::from_query(Some(&format!("token={token}"))).expect("a token");
        let mut search = Search::new(token, 1024);
        let endpoint = find(directory, &mut search);
        endpoint
            .map(|endpoint| endpoint.to_string())
            .ok_or_else(|| search.into_error())
    }

    #[test]
    fn the_token_is_the_name_of_a_file_with_an_address() {
        let directory = TestDirectory::new();
        directory.write("vm1", "localhost:5901\n");
        directory.write("vm2", "unix_socket:/run/vm2");
        let found = |token: &str| find_in(directory.path(), token).expect("known");
        assert_eq!(found("vm1"), "localhost:5901");
        assert_eq!(found(&encode("vm2")), "unix:/run/vm2");
        for token in ["vm3", "..", ".vm1", "a%2Fvm1", "%2Fetc%2Fpasswd"] {
            let unknown = find_in(directory.path(), token);
            assert!(matches!(unknown, Err(ResolveError::Unknown)), "{token}");
        }
    }

    #[test]
    fn a_bad_file_or_a_missing_directory_is_told_without_the_token() {
        let directory = TestDirectory::new();
        directory.write("secret-name", "nowhere");
        for path in [
            directory.path().to_owned(),
            directory.path().join("missing"),
        ] {
            let error = find_in(&path, "secret-name")
                .expect_err("no address")
                .to_string();
            assert!(error.starts_with(&path.display().to_string()), "{error}");
            assert!(!error.contains("secret-name"), "{error}");
        }
    }
}
