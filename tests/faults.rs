//! Tests of failures around a running server: no descriptors, and consoles that die.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should fail where it stands; it plays its clients itself"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::support::{Door, PATIENCE, run, until};

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(answer.get(..length).unwrap()).into_owned()
}

const HTTP: &str = "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'http'\n";
const PAGE: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn without_descriptors_clients_wait_and_are_served_once_there_are_some() {
    let door = Door::open(&format!("{HTTP}[server]\nwelcome = true\n"));
    let address = door.plain();
    let open = std::fs::read_dir(format!("/proc/{}/fd", door.process()))
        .unwrap()
        .count();
    let process = door.process().to_string();
    let limit = format!("--nofile={0}:{0}", open + 5);
    let _ = run(Command::new("prlimit").args(["--pid", &process, &limit])).well();
    let mut clients: Vec<_> = (0..20).map(|_| connect(address)).collect();
    until("the log to say so", || {
        door.log()
            .contains("cannot accept; trying again")
            .then_some(())
    });
    // The kernel has taken it, so it is not refused; it waits.
    let mut waiting = clients.pop().unwrap();
    waiting.write_all(PAGE.as_bytes()).unwrap();
    waiting
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(waiting.read(&mut [0; 16]).is_err());
    assert!(
        ask(clients.first_mut().unwrap(), PAGE).starts_with("HTTP/1.1 200 "),
        "who is in is served"
    );
    let log = door.log();
    let told = log.matches("cannot accept").count();
    assert_eq!(told, 1, "it has failed more often, and said so once: {log}");
    drop(clients);
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 13];
    waiting.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 ");
    until("the log to say that it is over", || {
        door.log()
            .contains("connections are accepted again")
            .then_some(())
    });
}

#[test]
fn a_console_that_dies_closes_its_page_with_a_word_and_harms_no_other() {
    let console = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = Door::open(&format!(
        "{HTTP}[[bridge.target]]\ntoken = 'vm'\naddress = '{}'\n",
        console.local_addr().unwrap()
    ));
    let address = door.plain();
    let open = || {
        let mut page = connect(address);
        let answer = ask(
            &mut page,
            "GET /websockify?token=vm HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert!(answer.contains(" 101 "), "{answer}");
        (page, console.accept().unwrap().0)
    };
    let (mut dying, behind_dying) = open();
    let (mut other, mut behind_other) = open();
    // As a crash does: with a reset, since something was not read.
    dying.write_all(&[0x82, 0x81, 0, 0, 0, 0, b'x']).unwrap();
    until("the byte at the console", || {
        behind_dying.peek(&mut [0]).is_ok().then_some(())
    });
    drop(behind_dying);
    let mut close = [0; 2];
    dying.read_exact(&mut close).unwrap();
    assert_eq!(close[0], 0x88, "a close frame, and no broken socket");
    behind_other.write_all(b"y").unwrap();
    let mut frame = [0; 3];
    other.read_exact(&mut frame).unwrap();
    assert_eq!(frame, [0x82, 1, b'y']);
    until("the line in the log", || {
        door.log().contains("closed kind=console").then_some(())
    });
}
