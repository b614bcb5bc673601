//! The end of the guest, of the last viewer, and of the server: what becomes of the one connection, and of who views.

use std::fs;
use std::path::Path;

use noren::recording::{Kind, Reader};

use super::{Serial, closed, keys, output_until};
use crate::harness::{Backend, Door, until};

#[tokio::test]
async fn viewers_get_the_rest_when_the_guest_ends_and_the_next_one_connects_anew() {
    let serial = Serial::open("reconnect = 'off'", "").await;
    let mut viewers = [serial.view().await, serial.view().await];
    let mut guest = serial.guest.accept().await;
    guest.send("shutting down\r\n").await;
    drop(guest);
    for viewer in &mut viewers {
        output_until(viewer, "shutting down\r\n").await;
        let (code, reason) = closed(viewer).await;
        assert_eq!(
            (code, reason.as_str()),
            (1000, "the target closed the connection")
        );
    }
    let mut again = serial.view().await;
    let mut guest = serial.guest.accept().await;
    guest.send("new").await;
    assert_eq!(
        output_until(&mut again, "new").await,
        "new",
        "nothing of the guest before"
    );
}

#[tokio::test]
async fn viewers_wait_for_a_guest_that_comes_back_and_are_told() {
    let serial = Serial::open("reconnect = '1h'", "").await;
    let mut first = serial.view().await;
    let guest = serial.guest.accept().await;
    drop(guest);
    output_until(&mut first, "waiting 3600s for it]\r\n").await;
    assert_eq!(serial.presence("").await["connected"], false);
    // One who comes meanwhile waits too, and makes no connection of its own; keys are for nobody.
    let mut second = serial.view().await;
    keys(&mut first, "lost").await;
    let mut guest = serial.guest.accept().await;
    serial.guest.has_nobody().await;
    guest.send("back\r\n").await;
    for viewer in [&mut first, &mut second] {
        let told = output_until(viewer, "back\r\n").await;
        assert!(told.contains("[noren: connected again]"), "{told}");
    }
    keys(&mut first, "found").await;
    assert_eq!(guest.take(5).await, b"found");
}

#[tokio::test]
async fn a_socket_that_vanishes_is_waited_for_and_not_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vm");
    let open = |reconnect: &str, address: &str| {
        format!(
            "[[bridge.target]]\ntoken = 'vm'\naddress = '{address}'\nshared = {{ reconnect = '{reconnect}' }}\n"
        )
    };
    let guest = Backend::unix(&path);
    let door = Door::open(&open("1h", guest.address())).await;
    let mut viewer = door.websocket("/websockify?token=vm").await;
    let wire = guest.accept().await;
    // As Kimchi's: the socket is gone before the connection is.
    drop(guest);
    fs::remove_file(&path).unwrap();
    drop(wire);
    output_until(&mut viewer, "for it]\r\n").await;
    let guest = Backend::unix(&path);
    let mut wire = guest.accept().await;
    wire.send("again").await;
    output_until(&mut viewer, "again").await;

    let door = Door::open(&open("600ms", guest.address())).await;
    let mut viewer = door.websocket("/websockify?token=vm").await;
    let other = guest.accept().await;
    drop(guest);
    fs::remove_file(&path).unwrap();
    drop(other);
    assert_eq!(closed(&mut viewer).await.0, 1000);
}

#[tokio::test]
async fn a_port_that_a_source_names_is_not_connected_again() {
    let guest = Backend::tcp().await;
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    fs::write(&tokens, format!("vm: {}\n", guest.address())).unwrap();
    let door = Door::open(&format!(
        "[[bridge.tokens]]\nsource = 'file'\npath = '{}'\nshared = {{ reconnect = '1h' }}\n",
        tokens.display()
    ))
    .await;
    let mut viewer = door.websocket("/websockify?token=vm").await;
    drop(guest.accept().await);
    assert_eq!(closed(&mut viewer).await.0, 1000);
    guest.has_nobody().await;
}

#[tokio::test]
async fn the_connection_ends_with_the_last_viewer_whose_last_keys_arrive() {
    let serial = Serial::open("linger = '0s'", "").await;
    let mut viewer = serial.view().await;
    let mut guest = serial.guest.accept().await;
    keys(&mut viewer, "exit\r").await;
    drop(viewer);
    assert_eq!(guest.rest().await, b"exit\r");
    // It lingers for who comes back.
    let serial = Serial::open("linger = '1h'", "").await;
    drop(serial.view().await);
    let mut guest = serial.guest.accept().await;
    serial.has_viewers(0).await;
    let mut back = serial.view().await;
    keys(&mut back, "x").await;
    assert_eq!(guest.take(1).await, b"x");
}

#[tokio::test]
async fn a_client_that_leaves_while_the_guest_is_connected_spoils_it_for_nobody() {
    let serial = Serial::open("linger = '0s'", "").await;
    for _ in 0..20 {
        let mut gone = serial.door.tls().await;
        gone.send(Door::handshake("/websockify?token=vm", "")).await;
        drop(gone);
    }
    let mut viewer = serial.view().await;
    let mut guest = serial.guest.accept().await;
    guest.send("here").await;
    output_until(&mut viewer, "here").await;
    serial.guest.has_nobody().await;
}

#[tokio::test]
async fn a_shared_console_is_one_recording_with_all_that_was_typed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let serial = Serial::open(
        "typing = 'all', linger = '0s'",
        &format!("[bridge.recording]\ndirectory = '{}'\n", path.display()),
    )
    .await;
    let mut first = serial.view().await;
    let mut guest = serial.guest.accept().await;
    let mut second = serial.view().await;
    guest.send("# ").await;
    for viewer in [&mut first, &mut second] {
        output_until(viewer, "# ").await;
    }
    for (viewer, text) in [(&mut first, "a"), (&mut second, "b")] {
        keys(viewer, text).await;
        assert_eq!(guest.take(1).await, text.as_bytes());
    }
    drop((first, second));
    assert_eq!(guest.rest().await, b"");
    let records = until("the recording to end", || async { records(path) }).await;
    let of = |kind: Kind| -> Vec<u8> {
        let of_kind = records.iter().filter(|(one, _)| *one == kind);
        of_kind.flat_map(|(_, data)| data.clone()).collect()
    };
    assert_eq!(
        (of(Kind::Output), of(Kind::Input)),
        (b"# ".to_vec(), b"ab".to_vec())
    );
}

/// The records of the only recording, once it has its end.
fn records(directory: &Path) -> Option<Vec<(Kind, Vec<u8>)>> {
    let files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert!(files.len() <= 1, "{files:?}");
    let bytes = fs::read(files.first()?).unwrap();
    let mut reader = Reader::open(&bytes[..]).ok()?;
    let mut records = Vec::new();
    while let Ok(Some(record)) = reader.read() {
        records.push((record.kind, record.data));
    }
    records
        .iter()
        .any(|(kind, _)| *kind == Kind::End)
        .then_some(records)
}

#[tokio::test]
async fn scrollback_on_disk_outlives_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let settings = format!(
        "linger = '0s', reconnect = 'off', directory = '{}'",
        directory.path().join("scrollback").display()
    );
    let serial = Serial::open(&settings, "").await;
    let mut viewer = serial.view().await;
    let mut guest = serial.guest.accept().await;
    guest.send("before\r\n").await;
    output_until(&mut viewer, "before\r\n").await;
    drop(viewer);
    assert_eq!(guest.rest().await, b"");
    drop(guest);
    let file = directory.path().join("scrollback");
    until("the file", || async {
        let mut files = fs::read_dir(&file).ok()?;
        let text = fs::read(files.next()?.ok()?.path()).ok()?;
        (text == b"before\r\n").then_some(())
    })
    .await;
    let mut viewer = serial.view().await;
    let mut guest = serial.guest.accept().await;
    guest.send("after\r\n").await;
    let seen = output_until(&mut viewer, "after\r\n").await;
    assert!(
        seen.starts_with("before\r\n")
            && seen.contains("[noren: the lines above are of an earlier connection]"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_stop_tells_every_viewer() {
    let Serial {
        guest,
        door,
        _directory,
    } = Serial::open("", "").await;
    let mut first = door.websocket("/websockify?token=vm").await;
    let mut second = door.websocket("/websockify?token=vm").await;
    let mut wire = guest.accept().await;
    let stopped = door.stop();
    assert_eq!(closed(&mut first).await.0, 1001);
    assert_eq!(closed(&mut second).await.0, 1001);
    drop((first, second));
    assert_eq!(wire.rest().await, b"");
    let _ = stopped.await.unwrap();
}

#[tokio::test]
async fn what_one_guest_has_said_is_not_kept_for_the_next_at_its_port() {
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("scrollback");
    let tokens = directory.path().join("tokens");
    let guest = Backend::tcp().await;
    fs::write(&tokens, format!("vm: {}\n", guest.address())).unwrap();
    let door = Door::open(&format!(
        "[[bridge.tokens]]\nsource = 'file'\npath = '{}'\nshared = {{ linger = '0s', directory = '{}' }}\n",
        tokens.display(),
        kept.display()
    ))
    .await;
    let mut viewer = door.websocket("/websockify?token=vm").await;
    let mut wire = guest.accept().await;
    wire.send("a secret\r\n").await;
    output_until(&mut viewer, "a secret\r\n").await;
    drop(viewer);
    assert_eq!(wire.rest().await, b"");
    drop(wire);
    let mut viewer = door.websocket("/websockify?token=vm").await;
    guest.accept().await.send("another guest").await;
    assert_eq!(
        output_until(&mut viewer, "another guest").await,
        "another guest"
    );
    assert!(!kept.exists(), "nothing was written");
}

#[tokio::test]
async fn a_viewer_whose_console_is_recorded_is_recorded_at_one_that_another_opened() {
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("recordings");
    let settings = |target: &str| {
        format!(
            "[bridge.recording]\ndirectory = '{}'\nconsoles = ['prod']\nwhen-full = 'close'\n{target}",
            kept.display()
        )
    };
    let guest = Backend::unix(&directory.path().join("vm"));
    let one = |token: &str| {
        format!(
            "{}shared = {{ typing = 'all', linger = '0s' }}\n",
            guest.target(token)
        )
    };
    let door = Door::open(&settings(&format!("{}{}", one("other"), one("prod")))).await;
    let mut other = door.websocket("/websockify?token=other").await;
    let mut wire = guest.accept().await;
    keys(&mut other, "a").await;
    assert_eq!(wire.take(1).await, b"a");
    // Where it cannot be recorded, it is not opened by the name that has to be.
    fs::write(&kept, "no directory").unwrap();
    let handshake = Door::handshake("/websockify?token=prod", "");
    let refused = door.tls().await.ask(&handshake).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    fs::remove_file(&kept).unwrap();
    let mut prod = door.websocket("/websockify?token=prod").await;
    keys(&mut prod, "b").await;
    assert_eq!(wire.take(1).await, b"b");
    drop((other, prod));
    assert_eq!(wire.rest().await, b"");
    let records = until("the recording to end", || async { records(&kept) }).await;
    let input = records.iter().filter(|(kind, _)| *kind == Kind::Input);
    let input: Vec<_> = input.flat_map(|(_, data)| data.clone()).collect();
    assert_eq!(input, b"b");
}
