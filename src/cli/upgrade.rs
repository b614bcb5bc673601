//! Upgrade: starts the program again, perhaps in a newer version, which replaces this process without refusing a
//! client.
//!
//! This module finds the program, passes it one end of a socket pair, and decides when this process may end. The
//! protocol between the two is in the server.

use std::env;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use noren::Handle;
use noren::server::Inheritance;

/// Environment variable that marks a new process whose standard input is a connection to the old one.
const MARK: &str = "NOREN_TAKES_OVER";
/// Suffix that Linux appends to the name of a program whose file was replaced.
const DELETED: &[u8] = b" (deleted)";

/// Starts the program and hands over to it; returns its process number. Blocks until it serves.
///
/// # Errors
/// Reasons why the new process did not take over. Nothing has changed then, and this process continues to serve.
pub(super) fn hand_over(handle: &Handle) -> anyhow::Result<u32> {
    let program = program().context("find out which program this is")?;
    let (mut line, other) = UnixStream::pair()?;
    let mut child = Command::new(&program)
        .args(env::args_os().skip(1))
        .env(MARK, "1")
        // These are for this process only (sd_listen_fds(3), sd_watchdog_enabled(3)).
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_FDNAMES")
        .env_remove("WATCHDOG_PID")
        .stdin(OwnedFd::from(other))
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    handle.hand_over(&mut line, || {
        // It has no sockets, or does not serve on them. A failure here means that it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    })?;
    Ok(child.id())
}

/// Returns, in the new process, the connection to the old one, if there is one.
pub(super) fn inheritance() -> anyhow::Result<Option<Inheritance>> {
    if env::var_os(MARK).is_none() {
        return Ok(None);
    }
    let line = io::stdin().as_fd().try_clone_to_owned()?;
    let inheritance = Inheritance::receive(UnixStream::from(line))
        .context("take over from the process before this one")?;
    Ok(Some(inheritance))
}

/// Returns the file of this program, or the new file that has replaced it.
fn program() -> io::Result<PathBuf> {
    let path = env::current_exe()?.into_os_string().into_vec();
    let path = path.strip_suffix(DELETED).unwrap_or(&path);
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
}
