//! The private directory of the demo's sockets and token files, removed with everything in it at the end.
//!
//! Only this user may enter it (mode 0700): the app and the console behind the sockets ask for no password,
//! exactly like the ones that Noren is made for.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A private directory with `tokens/` in it.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn create() -> io::Result<Directory> {
        let name = format!("noren-demo-{}", random_name()?);
        let root = std::env::temp_dir().join(name);
        if root.to_str().is_none() {
            return Err(io::Error::other(
                "the name of the temporary directory is not UTF-8 (see TMPDIR)",
            ));
        }
        // Fails when the name is taken, so nobody can have prepared the directory or a link in its place.
        let private = |path: &Path| {
            DirBuilder::new().mode(0o700).create(path).map_err(|error| {
                io::Error::new(error.kind(), format!("create {}: {error}", path.display()))
            })
        };
        private(&root)?;
        let directory = Directory(root);
        private(&directory.tokens())?;
        Ok(directory)
    }

    /// Path of a socket in the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn tokens(&self) -> PathBuf {
        self.0.join("tokens")
    }

    /// Writes the token file of the socket `name` as Wok does: one line `token: unix_socket:path` without a line
    /// end; the token is the name in base64url without padding.
    pub(super) fn announce(&self, name: &str) -> io::Result<()> {
        let line = format!("{}: unix_socket:{}", token(name), self.path(name).display());
        fs::write(self.tokens().join(name), line)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "demo cannot remove its directory");
        }
    }
}

/// The token with which a page reaches the socket `name` through the bridge.
pub(super) fn token(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

/// A random name of 22 characters, which has 128 bits.
pub(super) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_directory_is_private_and_goes_away() {
        let directory = Directory::create().expect("a directory");
        let path = directory.0.clone();
        let mode = fs::metadata(&path).expect("its mode").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_token_file_is_written_like_wok_writes_it() {
        let directory = Directory::create().expect("a directory");
        directory
            .announce("woknotifications")
            .expect("a token file");
        let text =
            fs::read_to_string(directory.tokens().join("woknotifications")).expect("its text");
        let path = directory.path("woknotifications");
        assert_eq!(
            text,
            format!("d29rbm90aWZpY2F0aW9ucw: unix_socket:{}", path.display())
        );
    }
}
