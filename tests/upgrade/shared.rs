//! Shared consoles over an upgrade: they stay in the old process, and no process connects to a guest a second time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use super::{Fixture, line, running};
use crate::support::{PATIENCE, Process, path, scratch, until};

/// A guest's socket; each connection comes out of the channel.
fn guest(path: &str) -> Receiver<UnixStream> {
    let listener = UnixListener::bind(path).unwrap();
    let (sender, connections) = channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            if sender.send(connection.unwrap()).is_err() {
                return;
            }
        }
    });
    connections
}

/// Asks for the console; returns the status line, and the connection.
fn view(address: SocketAddr) -> (String, BufReader<TcpStream>) {
    let mut viewer = super::ask(
        address,
        "GET /websockify?token=vm HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    );
    let status = line(&mut viewer);
    while line(&mut viewer) != "\r\n" {}
    (status, viewer)
}

/// Sends a key of a viewer, which the guest gets.
fn types(viewer: &mut BufReader<TcpStream>, guest: &mut UnixStream, byte: u8) {
    let frame = [0x82, 0x81, 0, 0, 0, 0, byte];
    viewer.get_mut().write_all(&frame).unwrap();
    let mut got = [0];
    guest.read_exact(&mut got).unwrap();
    assert_eq!(got, [byte]);
}

#[test]
fn an_upgrade_keeps_the_viewers_and_makes_no_second_connection_to_their_guest() {
    let directory = scratch();
    let socket = path(&directory, "vm");
    let connections = guest(&socket);
    let fixture = Fixture::open(&format!(
        "[[bridge.target]]\ntoken = 'vm'\naddress = 'unix:{socket}'\nshared = {{ linger = '1h' }}\n"
    ));
    let (status, mut first) = view(fixture.http);
    assert!(status.contains("101"), "{status}");
    let mut at_guest = connections.recv_timeout(PATIENCE).unwrap();
    at_guest.set_read_timeout(Some(PATIENCE)).unwrap();

    // One that fails changes nothing: more viewers come to the same connection.
    let refused = fixture.upgrade_that_fails();
    assert!(!refused.status.success());
    let (status, second) = view(fixture.http);
    assert!(status.contains("101"), "{status}");
    drop(second);

    let mut processes = Vec::new();
    // The second new process hears of it too, although the first one has nothing open itself.
    for _ in 0..2 {
        processes.push(Process::after_upgrade(&fixture.noren(&["upgrade"]).well()));
        let (status, mut refused) = view(fixture.http);
        assert!(status.contains("409"), "{status}");
        let mut reason = String::new();
        refused.read_line(&mut reason).unwrap();
        assert!(reason.contains("that this one has replaced"), "{reason}");
        types(&mut first, &mut at_guest, b'k');
    }
    assert!(matches!(connections.try_recv(), Err(TryRecvError::Empty)));

    // Where no other viewer can come, the console does not linger.
    drop(first);
    let mut rest = Vec::new();
    at_guest.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    drop(at_guest);
    let mut viewer = until("the console to be free", || {
        let (status, viewer) = view(fixture.http);
        status.contains("101").then_some(viewer)
    });
    let mut at_guest = connections.recv_timeout(PATIENCE).unwrap();
    at_guest.set_read_timeout(Some(PATIENCE)).unwrap();
    types(&mut viewer, &mut at_guest, b'n');
    until("the old process to end", || {
        (!running(fixture.door.process())).then_some(())
    });
    assert!(matches!(connections.try_recv(), Err(TryRecvError::Empty)));
}
