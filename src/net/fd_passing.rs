//! Passes listening sockets from one process to another, over a UNIX socket between the two (`SCM_RIGHTS`,
//! unix(7)). The kernel's accept queue goes with them, so that no client is refused meanwhile.
//!
//! Blocks. Independent of the other messages between the two processes.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Limit on the number of sockets. The kernel permits 253 in a message.
const MOST: usize = 128;
/// The data byte that carries the sockets, because the kernel requires one.
const CARRIER: u8 = b'L';

/// Sends the sockets.
///
/// # Errors
/// The error of the system, or an error if there are too many.
pub(crate) fn send_sockets(to: &UnixStream, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if sockets.len() > MOST || !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other(format!(
            "more than {MOST} listening sockets cannot be handed over"
        )));
    }
    sendmsg(
        to,
        &[IoSlice::new(&[CARRIER])],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Receives the sockets of [`send_sockets`]. They are close-on-exec.
///
/// # Errors
/// The error of the system, or an error if anything else was received.
pub(crate) fn receive_sockets(from: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut carrier = [0];
    let received = recvmsg(
        from,
        &mut [IoSliceMut::new(&mut carrier)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if carrier != [CARRIER] {
        return Err(io::Error::other("the other process sent no sockets"));
    }
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            sockets.extend(received);
        }
    }
    Ok(sockets)
}
