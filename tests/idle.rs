//! An idle connection costs little memory, however many there are.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should fail where it stands; its clients hold no runtime"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::support::{Door, PATIENCE};

const TABLES: &str = "[limits]
connections-per-address = 1000
[[listener]]
address = '127.0.0.1:0'
protocol = 'http'
[[channel]]
name = 'a'
";

/// Streams that are open before the count begins, so that what the first ones of a process cost does not count.
const FIRST: usize = 50;
/// Streams that are counted.
const COUNTED: usize = 500;

/// Opens event streams, and reads each up to its position, after which nothing comes for a while.
fn open(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let streams = (0..count).map(|_| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(b"GET /events/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
            .unwrap();
        let lines = BufReader::new(&stream).lines();
        let mut lines = lines.map(Result::unwrap);
        assert!(lines.any(|line| line.starts_with("id: ")));
        stream
    });
    streams.collect()
}

#[test]
fn an_idle_event_stream_has_no_buffers_of_its_protocol() {
    let door = Door::open(TABLES);
    let address = door.plain();
    let first = open(address, FIRST);
    let before = door.memory("RssAnon");
    let counted = open(address, COUNTED);
    let grown = door.memory("RssAnon") - before;
    let bytes = grown * 1024 / COUNTED as u64;
    // hyper has two buffers of 8 KiB. The system counts memory in large pieces, so there has to be some room.
    assert!(bytes < 12 * 1024, "{bytes} bytes for each of them");
    drop((first, counted));
}
