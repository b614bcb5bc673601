//! The tokens of a source, for a list. Servers in the network are not queried, because they do not list tokens.

use std::fs;
use std::path::Path;

use super::file_name::FileName;
use super::sockets;
use super::token_file::{self, Line};
use crate::config::SourceKind;

/// Limit on token files that are read for a list.
const MOST_FILES: usize = 10_000;

/// The tokens of a source, at most `most`, unordered. A problem with a file does not hide others. Blocks.
pub(super) fn names(kind: &SourceKind, largest: u64, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    match kind {
        SourceKind::Sockets(directory) => {
            let names = visible(directory).filter(|name| sockets::has(directory, name));
            found.extend(names.take(most));
        }
        SourceKind::FileName(directory) => {
            let names = visible(directory).filter(|name| directory.join(name).is_file());
            found.extend(names.take(most));
        }
        SourceKind::Directory(directory) => {
            for name in visible(directory).take(MOST_FILES) {
                add(&directory.join(name), largest, &mut found);
                if found.len() >= most {
                    break;
                }
            }
        }
        SourceKind::File(path) => add(path, largest, &mut found),
        SourceKind::Http(_) | SourceKind::Nova(_) | SourceKind::Redis(_) => {}
    }
    found.truncate(most);
    found
}

/// The visible names of a directory that are text.
fn visible(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| FileName::parse(name).is_some())
}

/// Adds the tokens of a token file.
fn add(path: &Path, largest: u64, found: &mut Vec<String>) {
    let Ok(content) = token_file::read(path, largest) else {
        return;
    };
    for line in content.split(|byte| *byte == b'\n') {
        if let Line::Entry { written, .. } = Line::parse(line)
            && let Ok(token) = std::str::from_utf8(written)
        {
            found.push(token.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::tokens::test_directory::TestDirectory;

    fn sorted(kind: &SourceKind) -> Vec<String> {
        let mut found = names(kind, 1024, 10);
        found.sort_unstable();
        found
    }

    #[test]
    fn a_source_lists_what_it_would_find_and_nothing_else() {
        let directory = TestDirectory::new();
        let path = directory.path().to_owned();
        UnixListener::bind(path.join("vm1")).expect("a socket");
        UnixListener::bind(path.join(".hidden")).expect("a socket");
        std::os::unix::fs::symlink("/etc/passwd", path.join("out")).expect("a link");
        directory.write("list", "# comment\none: localhost:1\n\ntwo: localhost:2\n");
        directory.write("large", "x".repeat(2000));
        assert_eq!(sorted(&SourceKind::Sockets(path.clone())), ["vm1"]);
        assert_eq!(sorted(&SourceKind::Directory(path.clone())), ["one", "two"]);
        assert_eq!(sorted(&SourceKind::File(path.join("list"))), ["one", "two"]);
        assert_eq!(
            sorted(&SourceKind::FileName(path.clone())),
            ["large", "list", "out"]
        );
        assert_eq!(
            names(&SourceKind::Directory(path.clone()), 1024, 1).len(),
            1
        );
        assert!(sorted(&SourceKind::Sockets(path.join("missing"))).is_empty());
    }
}
