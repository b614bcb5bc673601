//! A real VNC server, recorded on its way through the door and played to a viewer that knows nothing of it.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::{Door, Peer, alone, path, python, run, scratch, until};

#[test]
fn a_recorded_vnc_console_shows_a_viewer_the_same_picture_also_after_a_kill() {
    let _alone = alone();
    let directory = scratch();
    let (socket, recordings) = (path(&directory, "vm1"), path(&directory, "recordings"));
    let (picture, typed) = (path(&directory, "picture.png"), path(&directory, "typed"));
    let server = Peer::start("vnc_server.py", &[&socket, &picture, &typed]);
    let door = Door::open(&format!(
        "[bridge.recording]\ndirectory = \"{recordings}\"\n\
         [[bridge.target]]\ntoken = \"vm1\"\naddress = \"unix:{socket}\"\n"
    ));
    let url = format!("wss://localhost:{}/websockify?token=vm1", door.port);
    let seen = run(python("rfb_client.py").args([&url, &door.file("ca.pem")])).well();
    assert!(seen.stdout.starts_with("640x480 "), "{}", seen.stdout);
    let file = until("a recording with an end", || {
        let mut files = fs::read_dir(&recordings).ok()?;
        let file = files.next()?.ok()?.path();
        door.log().contains("recorded").then_some(file)
    });
    // What the audit says of it is what the file says.
    let log = door.log();
    let line = log
        .lines()
        .find(|line| line.contains("recorded"))
        .expect("a line");
    let digest = line.split_once("digest=").expect("a digest").1.trim();
    let digest = digest.split_whitespace().next().unwrap_or_default();
    let digest = digest.trim_matches('"');
    let verified = Command::new(env!("CARGO_BIN_EXE_noren"))
        .args(["recordings", "verify", "--digest", digest])
        .arg(&file)
        .status();
    assert!(
        verified
            .expect("the binary that cargo built for this test")
            .success(),
        "{line}"
    );
    // Dropped, it is killed without a word; what was recorded is there.
    drop((door, server));
    let viewer = path(&directory, "viewer");
    let mut replay = Command::new(env!("CARGO_BIN_EXE_noren"))
        .args(["replay", "--once", "--listen", &format!("unix:{viewer}")])
        .arg(&file)
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary that cargo built for this test");
    until("the player to listen", || {
        fs::exists(&viewer).ok()?.then_some(())
    });
    let played = run(python("rfb_client.py").arg(format!("unix:{viewer}")));
    // Its end is awaited whatever came of it.
    let ended = replay.wait().expect("the state of a child");
    assert_eq!(played.well().stdout, seen.stdout);
    assert!(ended.success(), "{ended}");
}
