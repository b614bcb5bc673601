//! The pages of consoles in real Chromium: a list, TigerVNC in noVNC, a serial line in xterm.js; and recordings of both
//! on the admin page, played, searched, and watched while they are written.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use noren::recording::{Header, Kind, encode};

use crate::support::{Certificates, Door, Peer, alone, browser, path, run, scratch};

/// A directory with noVNC and xterm.js, as a package has it: those of npm.
fn viewers(directory: &Path) -> String {
    let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/node_modules");
    let viewers = directory.join("viewers");
    fs::create_dir(&viewers).expect("a directory of our own");
    for (name, package) in [("novnc", "@novnc/novnc"), ("xterm", "@xterm")] {
        symlink(format!("{modules}/{package}"), viewers.join(name)).expect("a link");
    }
    viewers.to_str().expect("UTF-8").to_owned()
}

/// The directory where pictures of the pages are kept: one that the environment names, or none for long.
fn pictures(directory: &Path) -> String {
    let kept = std::env::var("NOREN_TEST_PICTURES").ok();
    kept.unwrap_or_else(|| directory.to_str().expect("UTF-8").to_owned())
}

#[test]
fn one_command_gives_a_list_of_consoles_and_opens_a_graphical_and_a_serial_one() {
    let _alone = alone();
    let directory = scratch();
    let sockets = path(&directory, "sockets");
    fs::create_dir(&sockets).expect("a directory for the sockets");
    let (picture, typed) = (path(&directory, "picture.png"), path(&directory, "typed"));
    let _vnc = Peer::start(
        "vnc_server.py",
        &[&format!("{sockets}/vnc"), &picture, &typed],
    );
    let _serial = Peer::start("serial_console.py", &[&format!("{sockets}/serial")]);
    // A name is data, also in a page.
    let _hostile = UnixListener::bind(format!("{sockets}/<img src=x onerror=alert(1)>"));
    let viewers = viewers(directory.path());
    let door = Door::with_flags(&["--sockets", &sockets, "--viewers", &viewers]);
    let log = door.log();
    assert!(
        log.contains(&format!("open {}", door.url("/consoles/"))),
        "{log}"
    );
    // A machine may allow fewer descriptors than the limits need, which is told as well.
    let warnings = log.lines().filter(|line| line.contains("WARN"));
    let about_pages = warnings.filter(|line| !line.contains("file descriptors"));
    assert_eq!(about_pages.count(), 0, "{log}");
    let mut command = browser("consoles_page.mjs");
    command.args([
        "--url",
        &door.url(""),
        "--certificate",
        &door.file("ca.pem"),
    ]);
    command.args(["--path", "/consoles", "--typed", &typed]);
    let ran = run(command.args(["--pictures", &pictures(directory.path())])).well();
    assert!(ran.stdout.contains("consoles=ok"), "{}", ran.stdout);
}

#[test]
fn recordings_are_played_searched_and_watched_by_an_administrator_and_nobody_else() {
    let _alone = alone();
    let directory = scratch();
    let (serial, vnc) = (path(&directory, "serial"), path(&directory, "vnc"));
    let (picture, typed) = (path(&directory, "picture.png"), path(&directory, "typed"));
    let _vnc = Peer::start("vnc_server.py", &[&vnc, &picture, &typed]);
    let _serial = Peer::start("serial_console.py", &[&serial]);
    viewers(directory.path());
    let names = &["localhost", "127.0.0.1"];
    Certificates::new(directory.path()).sign(directory.path(), "door", names);
    let ran = run(browser("recordings_page.mjs")
        .args(["--program", env!("CARGO_BIN_EXE_noren"), "--directory"])
        .arg(directory.path())
        .args(["--pictures", &pictures(directory.path())]))
    .well();
    assert!(ran.stdout.contains("recordings=ok"), "{}", ran.stdout);
    // What noVNC has seen of TigerVNC, as video: pictures in Tight with JPEG.
    let recordings = path(&directory, "recordings");
    for format in ["mp4", "webm"] {
        let film = path(&directory, &format!("vnc.{format}"));
        is_filmed(Path::new(&recordings), &film);
    }
}

/// Writes the recording of the display that `vnc_server.py` draws as a video, and looks at its last picture.
fn is_filmed(recordings: &Path, video: &str) {
    let noren = || Command::new(env!("CARGO_BIN_EXE_noren"));
    let listing = run(noren()
        .args(["recordings", "list", "--json"])
        .arg(recordings))
    .well();
    let mut recorded = listing.stdout.lines();
    let graphical = recorded.find(|line| line.contains("\"graphical\":true"));
    let record: serde_json::Value =
        serde_json::from_str(graphical.expect("a graphical one")).expect("JSON");
    let name = record.get("file").and_then(serde_json::Value::as_str);
    let file = recordings.join(name.expect("a name"));
    run(noren()
        .args(["replay", "--max-pause", "2", "--video", video])
        .arg(file))
    .well();
    let show = "stream=width,height:format=duration";
    let mut ffprobe = Command::new("ffprobe");
    let printed = run(ffprobe.args([
        "-v",
        "error",
        "-of",
        "csv=p=0",
        "-show_entries",
        show,
        video,
    ]))
    .well();
    let (size, duration) = printed.stdout.trim().split_once('\n').expect("two lines");
    assert_eq!(size, "640,480");
    let duration: f64 = duration.parse().expect("seconds");
    assert!((0.04..600.0).contains(&duration), "{duration}");
    let decoded = Command::new("ffmpeg")
        .args([
            "-v", "error", "-i", video, "-f", "rawvideo", "-pix_fmt", "rgb24", "-",
        ])
        .output()
        .expect("the program that made the video");
    let (rows, _) = decoded.stdout.as_chunks::<{ 640 * 3 }>();
    let last = rows.len().checked_sub(480).expect("a picture");
    for (x, y, colour) in [
        (100, 75, [0xc0, 0x30, 0x30]),
        (320, 75, [0x30, 0xa0, 0x40]),
        (530, 75, [0xf0, 0xd0, 0x20]),
        (10, 470, [0x20, 0x40, 0x60]),
    ] {
        let line = rows.get(last + y).expect("a row");
        let seen = line.get(3 * x..3 * x + 3).expect("a pixel");
        let is_close = seen
            .iter()
            .zip(colour)
            .all(|(seen, drawn)| seen.abs_diff(drawn) <= 12);
        assert!(is_close, "{video}: {seen:?} at {x},{y} is not {colour:?}");
    }
}

#[test]
fn asciinema_shows_an_exported_serial_console() {
    let directory = scratch();
    let file = path(&directory, "1-vm1.noren");
    let header = Header::new(1_764_111_600_123, "unix:/run/vm1".into(), "unix".into());
    let mut recording = header.line();
    for (milliseconds, data) in [
        (0, &b"guest login: caf\xc3"[..]),
        (20, b"\xa9\r\n\xff"),
        (40, b"$ \r\n"),
    ] {
        encode(
            Kind::Output,
            Duration::from_millis(milliseconds),
            data,
            &mut recording,
        );
    }
    fs::write(&file, recording).expect("a file of our own");
    let cast = path(&directory, "vm1.cast");
    let exported = Command::new(env!("CARGO_BIN_EXE_noren"))
        .args(["replay", "--asciicast", &file])
        .stdout(fs::File::create(&cast).expect("a file of our own"))
        .status();
    let exported = exported.expect("the binary that cargo built for this test");
    assert!(exported.success(), "{exported}");
    // asciinema shows nothing without a terminal.
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &format!("asciinema cat {cast}"), "/dev/null"]);
    let shown = run(terminal.env("LC_ALL", "C.UTF-8")).well();
    assert_eq!(shown.stdout, "guest login: café\r\n\u{fffd}$ \r\n");
}
