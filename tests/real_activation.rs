//! Sockets of systemd: its protocol, spoken by a peer that restarts the door while clients come.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should fail where it stands; it plays its clients on threads"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::{PATIENCE, Peer, path, scratch, until};

fn gets_the_page(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}

#[test]
fn clients_wait_and_are_not_refused_while_the_door_restarts() {
    let directory = scratch();
    let config = path(&directory, "noren.toml");
    let admin = path(&directory, "admin.sock");
    fs::write(
        &config,
        format!(
            "[[listener]]\naddress = 'systemd:https'\nprotocol = 'http'\n[server]\nwelcome = true\n\
                 [admin]\nsocket = '{admin}'\n"
        ),
    )
    .unwrap();
    let mut unit = Peer::start("socket_unit.py", &[env!("CARGO_BIN_EXE_noren"), &config]);
    let address: SocketAddr = unit.address.parse().unwrap();
    let (stop, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (until_then, count) = (Arc::clone(&stop), Arc::clone(&served));
    // The first comes before the door is there at all.
    let client = thread::spawn(move || {
        let mut lost = Vec::new();
        while !until_then.load(Ordering::Relaxed) {
            match gets_the_page(address) {
                Ok(true) => _ = count.fetch_add(1, Ordering::Relaxed),
                other => lost.push(format!("{other:?}")),
            }
        }
        lost
    });
    for _ in 0..3 {
        unit.ask("start");
        let before = served.load(Ordering::Relaxed);
        until("clients to be served", || {
            (served.load(Ordering::Relaxed) > before + 20).then_some(())
        });
        unit.ask("stop");
    }
    // A door that was killed left its admin socket behind; the next one takes its place.
    unit.ask("start");
    until("the admin socket", || {
        fs::exists(&admin).unwrap().then_some(())
    });
    stop.store(true, Ordering::Relaxed);
    let lost = client.join().unwrap();
    assert!(lost.is_empty(), "{lost:?}");
    unit.ask("kill");
    assert!(fs::exists(&admin).unwrap());
    unit.ask("start");
    until("the door after a kill", || {
        gets_the_page(address).unwrap().then_some(())
    });
}

#[test]
fn a_socket_of_systemd_is_taken_by_its_address_as_well_as_by_its_name() {
    let directory = scratch();
    let config = path(&directory, "noren.toml");
    fs::write(&config, "").unwrap();
    let mut unit = Peer::start("socket_unit.py", &[env!("CARGO_BIN_EXE_noren"), &config]);
    let address: SocketAddr = unit.address.parse().unwrap();
    // Another address is opened beside it, before and behind.
    let listener =
        |address: &str| format!("[[listener]]\naddress = '{address}'\nprotocol = 'http'\n");
    for order in [
        [address.to_string().as_str(), "127.0.0.1:0"],
        ["127.0.0.1:0", address.to_string().as_str()],
        ["127.0.0.1:0", "systemd:https"],
    ] {
        let listeners = order.map(listener).concat();
        fs::write(&config, format!("{listeners}[server]\nwelcome = true\n")).unwrap();
        unit.ask("start");
        until("the door on the socket of systemd", || {
            gets_the_page(address).ok()?.then_some(())
        });
        unit.ask("stop");
    }
}
