//! Tests of notifications for a service manager: systemd's protocol over a socket of the test's own.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use crate::support::{PATIENCE, path, run, scratch};

/// A running door that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn systemd_hears_ready_then_a_beat_of_the_watchdog_and_a_reload() {
    let directory = scratch();
    let address = path(&directory, "notify");
    let socket = UnixDatagram::bind(&address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(buffer.get(..length).unwrap()).into_owned()
    };
    let config = path(&directory, "noren.toml");
    fs::write(
        &config,
        "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'http'\n[server]\nwelcome = true\n",
    )
    .unwrap();
    let door = Running(
        Command::new(env!("CARGO_BIN_EXE_noren"))
            .args(["serve", "--config", &config])
            .current_dir(directory.path())
            .env("NOTIFY_SOCKET", &address)
            .env("WATCHDOG_USEC", "200000")
            .env_remove("WATCHDOG_PID")
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    assert_eq!(hear().trim(), "READY=1");
    assert_eq!(hear().trim(), "WATCHDOG=1");
    let _ = run(Command::new("kill").args(["-HUP", &door.0.id().to_string()])).well();
    // Beats may come between.
    let news = || {
        let mut heard = hear();
        while heard.trim() == "WATCHDOG=1" {
            heard = hear();
        }
        heard
    };
    let heard = news();
    assert!(heard.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{heard}");
    assert_eq!(news().trim(), "READY=1");
}
