//! Videos of recorded consoles, as far as they need no encoder: `ffmpeg` is played here, and the real one is in
//! `real_consoles`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use noren::recording::{Header, Kind, encode};

use crate::support::until;

/// The command `noren replay --video`, with a program in place of `ffmpeg`.
fn command(directory: &Path, program: Option<&str>, console: &[u8], video: &str) -> Command {
    let recording = directory.join("1-vm.noren");
    let header = Header::new(0, "unix:/run/vm1".into(), "unix".into());
    let mut file = header.line();
    encode(Kind::Output, Duration::ZERO, console, &mut file);
    fs::write(&recording, file).unwrap();
    let programs = directory.join("programs");
    let _ = fs::remove_dir_all(&programs);
    fs::create_dir(&programs).unwrap();
    if let Some(script) = program {
        let file = programs.join("ffmpeg");
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
    command
        .args(["replay", "--video", video])
        .arg(&recording)
        .env("PATH", &programs)
        .current_dir(directory);
    command
}

/// Runs the command; returns whether it succeeded, and its errors.
fn filmed(directory: &Path, program: Option<&str>, console: &[u8], video: &str) -> (bool, String) {
    let ran = command(directory, program, console, video)
        .output()
        .unwrap();
    let error = String::from_utf8(ran.stderr).unwrap();
    (ran.status.success(), error)
}

/// The output of a console up to a red picture of one pixel, in the pixel format of noVNC.
const RED: &[u8] =
    b"RFB 003.008\n\x01\x01\0\0\0\0\0\x01\0\x01\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0\
    \0\0\0\0\0\0\0\x01\0\0\0\0\0\x01\0\x01\0\0\0\0\xff\0\0\0";

#[test]
fn a_video_has_its_program_its_picture_and_a_file_of_its_own_or_there_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (video, partial) = (path.join("vm.mp4"), path.join("vm.mp4.part"));
    let reads = "while IFS= read -r line; do :; done";
    for (program, console, reason) in [
        (None, RED, "install the package ffmpeg"),
        (Some(reads), b"login: ", "it is of a serial console"),
        (
            Some(reads),
            b"RFB 003.008\n",
            "it ends before the console has drawn one",
        ),
        (
            Some("exit 3"),
            RED,
            "ffmpeg could not encode the video (exit status: 3)",
        ),
    ] {
        let (well, error) = filmed(path, program, console, "vm.mp4");
        assert!(!well && error.contains(reason), "{reason}: {error}");
        assert!(!video.exists() && !partial.exists(), "{reason}");
    }
    for name in ["vm.gif", "vm"] {
        let (well, error) = filmed(path, Some(reads), RED, name);
        assert!(
            !well && error.contains("ends with .mp4, .mkv or .webm"),
            "{error}"
        );
    }
    let (well, error) = filmed(path, Some(reads), RED, "vm.mp4");
    assert!(well && error.contains("vm.mp4: 0.04 s"), "{error}");
    assert_eq!(
        fs::metadata(&video).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::write(&video, "of somebody").unwrap();
    let (well, error) = filmed(path, Some(reads), RED, "vm.mp4");
    assert!(
        !well && error.contains("create vm.mp4: File exists"),
        "{error}"
    );
    assert_eq!(fs::read(&video).unwrap(), b"of somebody");
    // The part before something that cannot be drawn is a video, and no success.
    fs::remove_file(&video).unwrap();
    let more = [RED, b"\0\0\0\x01\0\0\0\0\0\x01\0\x01\0\0\0\x32\0\0\0\0"].concat();
    let (well, error) = filmed(path, Some(reads), &more, "vm.mp4");
    assert!(
        !well
            && error
                .contains("the video ends before the recording: the console uses the encoding 50")
    );
    assert!(video.exists());
}

#[test]
fn an_unfinished_video_has_another_name_and_is_gone_after_an_interruption() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (video, partial) = (path.join("vm.mkv"), path.join("vm.mkv.part"));
    let waits = "for last; do :; done\necho \"$*\" >arguments\necho half >\"${last#file:}\"\n\
                 exec /bin/sleep 60";
    let mut command = command(path, Some(waits), RED, "vm.mkv");
    let mut running = command.stderr(Stdio::null()).spawn().unwrap();
    until("the encoder", || {
        let half = fs::read(&partial).ok()?;
        (half == b"half\n").then_some(())
    });
    assert!(!video.exists());
    let mode = fs::metadata(&partial).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The encoder cannot tell the format from this name.
    let arguments = fs::read_to_string(path.join("arguments")).unwrap();
    assert!(arguments.contains(" -f matroska file:"), "{arguments}");
    let interrupted = Command::new("kill")
        .args(["-INT", &running.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    let ended = running.wait().unwrap();
    assert!(ended.code().is_some_and(|code| code != 0), "{ended}");
    assert!(!video.exists() && !partial.exists());

    // A file of somebody else under the other name stays as it is.
    fs::write(&partial, "of somebody").unwrap();
    let (well, error) = filmed(path, Some("exit 0"), RED, "vm.mkv");
    assert!(
        !well && error.contains("create vm.mkv.part: File exists"),
        "{error}"
    );
    assert_eq!(fs::read(&partial).unwrap(), b"of somebody");
    assert!(!video.exists());
}
