//! A directory of UNIX sockets: each token is the name of a socket, plain or as base64url.
//!
//! Does not connect. The client chooses the name, so it is confined to the directory: it is one visible component, and
//! a symbolic link must resolve to a socket inside. The result is the resolved path, so that a later change of the link
//! has no effect.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::ResolveError;
use super::file_name::FileName;
use super::lookup::Search;
use crate::config::Endpoint;

/// Finds a socket with the token's name. A problem with the directory is recorded in the search.
pub(super) fn find(directory: &Path, search: &mut Search) -> Option<Endpoint> {
    let mut problem = None;
    let names: Vec<String> = search.token.names().map(str::to_owned).collect();
    for text in names {
        let Some(name) = FileName::parse(&text) else {
            continue;
        };
        match socket(directory, name) {
            Ok(path) => {
                search.name = Some(text);
                return Some(Endpoint::Unix(path));
            }
            Err(Miss::Nothing) => {}
            Err(Miss::Problem(found)) => problem = problem.or(Some(found)),
        }
    }
    if let Some(problem) = problem {
        search.note(problem);
    } else if let Err(source) = fs::metadata(directory) {
        // No socket of that name, because there is no such directory: worth telling apart at night.
        search.note(unreadable(directory, source));
    }
    None
}

/// True if a name leads to a socket.
pub(super) fn has(directory: &Path, name: &str) -> bool {
    FileName::parse(name).is_some_and(|name| socket(directory, name).is_ok())
}

/// Reasons why a name leads to no socket.
enum Miss {
    /// The name does not exist.
    Nothing,
    /// A problem to be logged.
    Problem(ResolveError),
}

/// Returns the path to connect.
fn socket(directory: &Path, name: FileName<'_>) -> Result<PathBuf, Miss> {
    let path = directory.join(name);
    let kind = fs::symlink_metadata(&path)
        .map_err(|source| miss(directory, source))?
        .file_type();
    let refused = |reason| {
        Err(Miss::Problem(ResolveError::Refused {
            directory: directory.to_owned(),
            reason,
        }))
    };
    if kind.is_socket() {
        return Ok(path);
    }
    if !kind.is_symlink() {
        return refused("the name in a token belongs to something that is not a socket");
    }
    let resolved = |path: &Path| fs::canonicalize(path).map_err(|source| miss(directory, source));
    let (inside, path) = (resolved(directory)?, resolved(&path)?);
    // `Path::starts_with` compares whole components: /run/dir-evil does not start with /run/dir.
    if !path.starts_with(&inside) {
        return refused("the name in a token is a symbolic link that leads out of the directory");
    }
    let kind = fs::symlink_metadata(&path)
        .map_err(|source| miss(directory, source))?
        .file_type();
    if kind.is_socket() {
        Ok(path)
    } else {
        refused("the name in a token is a symbolic link to something that is not a socket")
    }
}

/// Adds the path of the directory to an error; the path of the file would contain the token.
fn miss(directory: &Path, source: io::Error) -> Miss {
    match source.kind() {
        io::ErrorKind::NotFound => Miss::Nothing,
        _ => Miss::Problem(unreadable(directory, source)),
    }
}

fn unreadable(directory: &Path, source: io::Error) -> ResolveError {
    ResolveError::Unreadable {
        path: directory.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::tokens::test_directory::TestDirectory;
    use crate::tokens::{Token, encode};

    /// Creates the sockets `parent/dir/vm`, `parent/dir/café` and `parent/dir-evil/vm`.
    fn sockets() -> (TestDirectory, PathBuf) {
        let parent = TestDirectory::new();
        for path in ["dir", "dir/sub", "dir-evil"] {
            fs::create_dir(parent.path().join(path)).expect("a directory");
        }
        for path in [
            "dir/vm",
            "dir/café",
            "dir/.hidden",
            "dir/sub/deep",
            "dir-evil/vm",
            "outside",
        ] {
            // The socket file outlives the listener.
            UnixListener::bind(parent.path().join(path)).expect("a socket");
        }
        let directory = parent.path().join("dir");
        (parent, directory)
    }

    fn find_in(directory: &Path, token: &str) -> Result<PathBuf, ResolveError> {
        let token = Token::from_query(Some(&format!("token={token}"))).expect("a token");
        let mut search = Search::new(token, 1024);
        match find(directory, &mut search) {
            Some(Endpoint::Unix(path)) => Ok(path),
            Some(other) => panic!("{other} is not a UNIX socket"),
            None => Err(search.into_error()),
        }
    }

    #[test]
    fn a_socket_is_found_by_its_name_plain_or_encoded() {
        let (_parent, directory) = sockets();
        for (token, name) in [
            ("vm", "vm"),
            ("dm0", "vm"),
            ("dm0=", "vm"),
            ("caf%C3%A9", "café"),
            ("caf%E9", "café"),
            ("Y2Fm6Q", "café"),
            ("Y2Fmw6k", "café"),
        ] {
            assert_eq!(
                find_in(&directory, token).expect("known"),
                directory.join(name),
                "{token}"
            );
        }
        assert!(matches!(
            find_in(&directory, "other"),
            Err(ResolveError::Unknown)
        ));
    }

    #[test]
    fn a_name_cannot_leave_the_directory() {
        let (_parent, directory) = sockets();
        for name in [
            "../outside",
            "../dir-evil/vm",
            "-evil/vm",
            "sub/deep",
            "./vm",
            "/run",
            ".",
            "..",
            ".hidden",
            "vm/",
            "//vm",
        ] {
            let escaped = name.replace('.', "%2e").replace('/', "%2F");
            for token in [name, &escaped, &encode(name)] {
                let result = find_in(&directory, token);
                assert!(
                    matches!(result, Err(ResolveError::Unknown)),
                    "{token}: {result:?}"
                );
            }
        }
        assert!(matches!(
            find_in(&directory, "bm8AdGU"),
            Err(ResolveError::Unknown)
        ));
    }

    #[test]
    fn what_is_not_a_socket_is_refused() {
        let (parent, directory) = sockets();
        parent.write("dir/file", "text");
        for token in ["file", "sub", &encode("file")] {
            let error = find_in(&directory, token)
                .expect_err("no socket")
                .to_string();
            assert!(
                error.ends_with(
                    "/dir: the name in a token belongs to something that is not a socket"
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn a_symbolic_link_is_followed_only_inside_the_directory() {
        let (_parent, directory) = sockets();
        for (link, leads_to) in [
            ("inside", "vm"),
            ("deeper", "sub/deep"),
            ("out", "../outside"),
            ("sibling", "../dir-evil/vm"),
            ("nowhere", "missing"),
            ("loop", "loop"),
            ("folder", "sub"),
        ] {
            symlink(leads_to, directory.join(link)).expect("a link");
        }
        let real = fs::canonicalize(&directory).expect("it is there");
        assert_eq!(
            find_in(&directory, "inside").expect("known"),
            real.join("vm")
        );
        assert_eq!(
            find_in(&directory, "deeper").expect("known"),
            real.join("sub/deep")
        );
        for name in ["out", "sibling", "folder"] {
            let result = find_in(&directory, name);
            assert!(
                matches!(result, Err(ResolveError::Refused { .. })),
                "{name}: {result:?}"
            );
        }
        assert!(matches!(
            find_in(&directory, "nowhere"),
            Err(ResolveError::Unknown)
        ));
        assert!(matches!(
            find_in(&directory, "loop"),
            Err(ResolveError::Unreadable { .. })
        ));
    }

    #[test]
    fn the_directory_itself_may_be_a_symbolic_link() {
        let (parent, directory) = sockets();
        let alias = parent.path().join("alias");
        symlink(&directory, &alias).expect("a link");
        symlink("vm", directory.join("inside")).expect("a link");
        assert_eq!(find_in(&alias, "vm").expect("known"), alias.join("vm"));
        assert!(find_in(&alias, "inside").is_ok());
    }

    #[test]
    fn an_error_names_the_directory_and_not_the_token() {
        let (parent, directory) = sockets();
        let missing = parent.path().join("missing");
        let error = find_in(&missing, "secretname")
            .expect_err("nothing there")
            .to_string();
        assert!(error.starts_with(&missing.display().to_string()), "{error}");
        parent.write("dir/secretname", "text");
        let error = find_in(&directory, "secretname")
            .expect_err("no socket")
            .to_string();
        assert!(!error.contains("secretname"), "{error}");
    }
}
