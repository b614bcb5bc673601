//! UNIX listening sockets: created with exactly their permissions, replacing a stale file, and removed at the end.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, SockAddr, Socket as RawSocket, Type};

use crate::text::Reason;
use crate::text::permission::{self, Use};

/// A socket file of this process, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct OwnedPath {
    path: PathBuf,
    /// True while another process is responsible for removing the file.
    given_away: AtomicBool,
    /// Device and inode of the file. Another file at this path does not belong to this process.
    identity: (u64, u64),
    /// The directory that was created for the file, and is removed with it unless
    /// [`keep_directory`](Self::keep_directory) was called.
    directory: Option<PathBuf>,
    is_kept: AtomicBool,
}

impl OwnedPath {
    /// Takes ownership of the file of a socket.
    ///
    /// # Errors
    /// The error of the system if there is no such file.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            given_away: AtomicBool::new(false),
            identity: identity(path)?,
            directory: None,
            is_kept: AtomicBool::new(false),
        })
    }

    /// Keeps the directory that was created for the socket: the socket is in use, and an administrator's changes to the
    /// directory must not be lost at a stop.
    pub(crate) fn keep_directory(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// Sets if another process is responsible for removing the file.
    pub(crate) fn give_away(&self, away: bool) {
        self.given_away.store(away, Ordering::Relaxed);
    }

    /// Sets the permission bits regardless of the umask of the process.
    ///
    /// # Errors
    /// The text gives the reason.
    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), Reason> {
        fs::set_permissions(&self.path, Permissions::from_mode(mode))
            .map_err(|error| format!("set its mode: {error}").into())
    }
}

impl Drop for OwnedPath {
    fn drop(&mut self) {
        if self.given_away.load(Ordering::Relaxed) {
            return;
        }
        // The administrator may have replaced or removed it meanwhile.
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
        if let Some(directory) = &self.directory
            && !self.is_kept.load(Ordering::Relaxed)
        {
            // Only an empty one can be removed.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Listens for connections with this accept backlog.
///
/// # Errors
/// The text gives the reason, without the path.
pub(crate) fn listen_unix(
    path: &Path,
    mode: u32,
    backlog: i32,
) -> Result<(UnixListener, OwnedPath), Reason> {
    let (socket, path) = bind(path, mode, Type::STREAM)?;
    socket.listen(backlog).map_err(described)?;
    Ok((OwnedFd::from(socket).into(), path))
}

/// Binds a datagram socket.
///
/// # Errors
/// The text gives the reason, without the path.
pub(crate) fn bind_unix_datagram(
    path: &Path,
    mode: u32,
) -> Result<(UnixDatagram, OwnedPath), Reason> {
    let (socket, path) = bind(path, mode, Type::DGRAM)?;
    Ok((OwnedFd::from(socket).into(), path))
}

/// Checks that a socket can be created at a path. Creates nothing. A socket on which a process listens is no obstacle,
/// since this process may be about to replace that one.
///
/// # Errors
/// The reason, without the path.
pub(crate) fn check_unix(path: &Path) -> Result<(), Reason> {
    let denied = |error: io::Error| Reason::new(path, Use::Write, &error);
    if let Some(directory) = missing_directory(path) {
        let above = directory.parent().filter(|above| above.is_dir());
        let Some(above) = above else {
            return Err(unmade(directory, &io::ErrorKind::NotFound.into()));
        };
        return permission::writable(above).map_err(denied);
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(obstruction()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(denied(error)),
        Ok(_) | Err(_) => permission::writable(directory_of(path)).map_err(denied),
    }
}

fn bind(path: &Path, mode: u32, kind: Type) -> Result<(RawSocket, OwnedPath), Reason> {
    let directory = make_directory(path)?;
    remove_stale(path)?;
    let bound = bind_closed(path, mode, kind);
    let (socket, mut owned) = bound.map_err(|error| Reason::new(path, Use::Write, &error))?;
    owned.directory = directory;
    // The umask may have removed further bits.
    owned.set_mode(mode)?;
    socket.set_nonblocking(true).map_err(described)?;
    Ok((socket, owned))
}

/// Creates the file with at most the bits of `mode`. Linux gives a socket file the mode of its descriptor, less the
/// umask; with the usual 0777 of a descriptor any user could connect until the path's mode is changed.
fn bind_closed(path: &Path, mode: u32, kind: Type) -> io::Result<(RawSocket, OwnedPath)> {
    let socket = RawSocket::new(Domain::UNIX, kind, None)?;
    // Only a `File` has fchmod; it takes any descriptor.
    let descriptor = File::from(OwnedFd::from(socket));
    descriptor.set_permissions(Permissions::from_mode(mode))?;
    let socket = RawSocket::from(OwnedFd::from(descriptor));
    socket.bind(&SockAddr::unix(path)?)?;
    Ok((socket, OwnedPath::of(path)?))
}

/// The directory of a socket; that of a bare name is the working directory.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

fn missing_directory(path: &Path) -> Option<&Path> {
    Some(directory_of(path)).filter(|directory| !directory.exists())
}

/// Creates the directory of a socket if only the last level is missing. Every user may enter it: the mode of the socket
/// decides who may connect.
fn make_directory(path: &Path) -> Result<Option<PathBuf>, Reason> {
    let Some(directory) = missing_directory(path) else {
        return Ok(None);
    };
    fs::create_dir(directory)
        .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o755)))
        .map_err(|error| unmade(directory, &error))?;
    Ok(Some(directory.to_owned()))
}

fn unmade(directory: &Path, error: &io::Error) -> Reason {
    let shown = directory.display();
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Reason::new(directory, Use::Write, error);
    }
    let why = if error.kind() == io::ErrorKind::NotFound {
        "the one above it is missing too".to_owned()
    } else {
        error.to_string()
    };
    Reason::from(format!(
        "the directory {shown} is missing and cannot be made ({why}); \
         make it, and let the user that noren runs as write to it"
    ))
}

fn obstruction() -> Reason {
    "a file that is not a socket is in the way; remove it or choose another path".into()
}

/// Removes a stale socket file, on which no process listens. Any other file at that path is not touched.
fn remove_stale(path: &Path) -> Result<(), Reason> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(obstruction());
    }
    // A dead socket refuses before its type matters, so this serves for sockets of datagrams too.
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| Reason::new(path, Use::Write, &error))
        }
        _ => Err("another program listens on this socket already".into()),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn described(error: io::Error) -> Reason {
    error.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        let found = fs::symlink_metadata(path).expect("the socket");
        found.permissions().mode() & 0o777
    }

    #[test]
    fn a_socket_is_never_more_open_than_its_mode() {
        let directory = tempfile::tempdir().expect("a directory");
        for kind in [Type::STREAM, Type::DGRAM] {
            for mode in [0o600, 0o000, 0o400] {
                let path = directory.path().join("s");
                let bound = bind_closed(&path, mode, kind).expect("bound");
                // This is before any chmod of the path.
                assert_eq!(mode_of(&path) & !mode, 0, "{mode:o}");
                drop(bound);
                assert!(!path.exists());
            }
        }
    }

    #[test]
    fn a_socket_has_its_mode_whatever_the_umask() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        let (_listener, owned) = listen_unix(&path, 0o666, 8).expect("listening");
        assert_eq!(mode_of(&path), 0o666);
        owned.set_mode(0o600).expect("changed");
        assert_eq!(mode_of(&path), 0o600);
    }

    #[test]
    fn the_directory_of_a_socket_is_made_and_a_whole_path_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("publish");
        let (_listener, _owned) = listen_unix(&missing.join("s"), 0o600, 8).expect("listening");
        assert_eq!(mode_of(&missing), 0o755);
        let deep = directory.path().join("a/b/s");
        let refusal = bind_unix_datagram(&deep, 0o600).expect_err("two are missing");
        assert!(refusal.to_string().contains("a/b is missing"), "{refusal}");
        let looked = check_unix(&deep).expect_err("two are missing");
        assert!(looked.to_string().contains("a/b is missing"), "{looked}");
        assert!(!directory.path().join("a").exists());
    }

    #[test]
    fn a_directory_that_was_made_for_a_socket_goes_with_it_unless_it_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let made = directory.path().join("publish");
        let path = made.join("s");
        check_unix(&path).expect("it can be made");
        assert!(!made.exists(), "to look makes nothing");
        drop(listen_unix(&path, 0o600, 8).expect("listening"));
        assert!(!made.exists());
        let (_listener, owned) = listen_unix(&path, 0o600, 8).expect("listening");
        owned.keep_directory();
        drop(owned);
        assert!(made.exists() && !path.exists());
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).expect("bound"));
        assert!(path.exists(), "std leaves the file");
        let (stream, owned) = listen_unix(&path, 0o600, 8).expect("in place of the dead one");
        let refusal = bind_unix_datagram(&path, 0o600).expect_err("it is alive");
        assert!(refusal.to_string().contains("another program"), "{refusal}");
        drop((stream, owned));
        drop(UnixDatagram::bind(&path).expect("bound"));
        let (_datagram, _owned) = bind_unix_datagram(&path, 0o600).expect("in its place");
        let refusal = listen_unix(&path, 0o600, 8).expect_err("it is alive");
        assert!(refusal.to_string().contains("another program"), "{refusal}");
    }

    #[test]
    fn a_file_that_is_not_ours_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        fs::write(&path, "precious").expect("written");
        let refusal = listen_unix(&path, 0o600, 8).expect_err("in the way");
        assert!(refusal.to_string().contains("not a socket"), "{refusal}");
        fs::remove_file(&path).expect("removed");
        let bound = listen_unix(&path, 0o600, 8).expect("listening");
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "precious").expect("written");
        drop(bound);
        assert!(path.exists());
    }
}
