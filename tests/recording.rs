//! Recordings of consoles: what is in the file, who may read it, what a limit does, and how it is played.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use noren::recording::{Header, Kind, Reader, Record};

use crate::harness::{Backend, CLOSE, Door, FIN, Wire, binary, masked, pattern, until};

const PATH: &str = "/websockify?token=vm";

/// A console, and a door that records it with these keys.
async fn console(directory: &Path, keys: &str) -> (Backend, Door) {
    let console = Backend::tcp().await;
    let settings = format!(
        "{}[bridge.recording]\ndirectory = '{}'\n{keys}",
        console.target("vm"),
        directory.display()
    );
    (console, Door::open(&settings).await)
}

async fn tunnel(console: &Backend, door: &Door) -> (Wire, Wire) {
    let client = door.websocket(PATH).await;
    (client, console.accept().await)
}

/// Sends bytes of the console, and waits until the page has got them.
async fn says(target: &mut Wire, client: &mut Wire, bytes: &[u8]) {
    target.send(bytes).await;
    assert_eq!(client.input.messages(bytes.len()).await, bytes);
}

/// The page leaves, and the console when it has heard of that.
async fn leave((mut client, mut target): (Wire, Wire)) {
    client
        .send(masked(FIN | CLOSE, &1000_u16.to_be_bytes()))
        .await;
    target.rest().await;
    drop(target);
    client.rest().await;
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// None while not even its first line is written.
fn begun(path: &Path) -> Option<(Header, Vec<Record>)> {
    let mut reader = Reader::open(BufReader::new(fs::File::open(path).unwrap())).ok()?;
    let header = reader.header().clone();
    let records = std::iter::from_fn(|| reader.read().unwrap()).collect();
    Some((header, records))
}

/// The recording once it has its end.
async fn ended(path: &Path) -> (Header, Vec<Record>) {
    until("the end of the recording", || async {
        let (header, records) = begun(path)?;
        let last = records.last()?.kind;
        (last == Kind::End).then_some((header, records))
    })
    .await
}

/// All bytes of one direction.
fn bytes(records: &[Record], kind: Kind) -> Vec<u8> {
    let own = records.iter().filter(|record| record.kind == kind);
    own.flat_map(|record| record.data.clone()).collect()
}

#[tokio::test]
async fn a_recording_has_all_that_passed_in_order_and_only_its_owner_may_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("recordings");
    let (console, door) = console(&inside, "").await;
    let (mut client, mut target) = tunnel(&console, &door).await;
    says(&mut target, &mut client, b"login: ").await;
    client.send(binary(b"cook\r")).await;
    assert_eq!(target.take(5).await, b"cook\r");
    let long = pattern(300_000);
    says(&mut target, &mut client, &long).await;
    leave((client, target)).await;
    let files = files(&inside);
    assert_eq!(files.len(), 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&inside), mode(&files[0])), (0o700, 0o600));
    let (header, records) = ended(&files[0]).await;
    assert_eq!(header.target, console.address());
    assert_eq!((header.console, header.user), (None, None));
    assert!(header.peer.starts_with("127.0.0.1:"));
    assert!(header.begun > 1_700_000_000_000);
    assert_eq!(bytes(&records, Kind::Input), b"cook\r");
    assert_eq!(
        bytes(&records, Kind::Output),
        [b"login: ", &long[..]].concat()
    );
    assert_eq!(
        (records[0].kind, records[1].kind),
        (Kind::Output, Kind::Input)
    );
    assert!(records.is_sorted_by_key(|record| record.at));
    assert_eq!(records.last().unwrap().data, b"the client closed it");
}

#[tokio::test]
async fn a_base64_console_is_recorded_as_bytes_and_input_only_where_it_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let (console, door) = console(directory.path(), "input = false").await;
    let mut client = door.tls().await;
    let handshake = Door::handshake(PATH, "Sec-WebSocket-Protocol: base64\r\n");
    assert_eq!(client.ask(&handshake).await.status, 101);
    let mut target = console.accept().await;
    client.send(masked(FIN | 1, b"czNjcmV0")).await;
    assert_eq!(target.take(6).await, b"s3cret");
    target.send(b"\xff\0").await;
    assert_eq!(client.frame().await.payload, b"/wA=");
    leave((client, target)).await;
    let (_, records) = ended(&files(directory.path())[0]).await;
    assert_eq!(bytes(&records, Kind::Output), b"\xff\0");
    assert_eq!(bytes(&records, Kind::Input), b"");
}

#[tokio::test]
async fn only_the_consoles_that_are_named_are_recorded() {
    let directory = tempfile::tempdir().unwrap();
    for (name, keys, recorded) in [
        ("a", "consoles = ['v*']", true),
        ("b", "consoles = ['other', 'vm']", true),
        ("c", "consoles = ['vm1', 'm*']", false),
    ] {
        let inside = directory.path().join(name);
        let (console, door) = console(&inside, keys).await;
        let (mut client, mut target) = tunnel(&console, &door).await;
        says(&mut target, &mut client, b"hi").await;
        assert_eq!(files(&inside).len(), usize::from(recorded), "{keys}");
    }
}

#[tokio::test]
async fn a_recording_that_reaches_its_size_ends_and_its_console_goes_on_or_not() {
    let directory = tempfile::tempdir().unwrap();
    for (rule, closes) in [("stop", false), ("close", true)] {
        let inside = directory.path().join(rule);
        let keys = format!("size = '4KiB'\nwhen-full = '{rule}'");
        let (console, door) = console(&inside, &keys).await;
        let (mut client, mut target) = tunnel(&console, &door).await;
        says(&mut target, &mut client, b"hi").await;
        let path = &files(&inside)[0];
        until("the first bytes in the file", || async {
            begun(path).filter(|(_, records)| records.len() == 1)
        })
        .await;
        target.send(pattern(5000)).await;
        assert_eq!(client.input.messages(5000).await, pattern(5000));
        let (_, records) = ended(path).await;
        assert_eq!(bytes(&records, Kind::Output), b"hi");
        let last = &records.last().unwrap().data;
        assert_eq!(last, b"the recording has reached bridge.recording.size");
        if closes {
            assert_eq!(client.close_code().await, 1011);
        } else {
            says(&mut target, &mut client, b"still here").await;
        }
        assert!(fs::metadata(path).unwrap().len() < 4096 + 256);
    }
}

#[tokio::test]
async fn with_no_room_left_a_console_is_not_recorded_or_not_opened_or_the_oldest_goes() {
    let directory = tempfile::tempdir().unwrap();
    for (rule, status) in [("stop", 101), ("close", 503), ("drop-oldest", 101)] {
        let inside = directory.path().join(rule);
        fs::create_dir(&inside).unwrap();
        for name in [
            "0000000000001-a.noren",
            "0000000000002-b.noren",
            "notes.txt",
        ] {
            fs::write(inside.join(name), pattern(3000)).unwrap();
        }
        let keys = format!("size = '2KiB'\ntotal = '6000B'\nwhen-full = '{rule}'");
        let (console, door) = console(&inside, &keys).await;
        let answer = door.tls().await.ask(&Door::handshake(PATH, "")).await;
        assert_eq!(answer.status, status, "{rule}");
        let names: Vec<_> = files(&inside)
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        if rule == "drop-oldest" {
            assert_eq!(
                (names.len(), names[0].as_str()),
                (3, "0000000000002-b.noren")
            );
        } else {
            assert_eq!(names.len(), 3, "{rule}: {names:?}");
            assert_eq!(names[0], "0000000000001-a.noren");
        }
        if status == 101 {
            console.accept().await;
        }
    }
}

#[tokio::test]
async fn after_the_clock_was_put_back_the_newest_recording_is_still_the_last_by_name() {
    let directory = tempfile::tempdir().unwrap();
    // Of a clock that was wrong.
    let name = "9000000000000-z.noren";
    fs::write(directory.path().join(name), "").unwrap();
    let (console, door) = console(directory.path(), "").await;
    let mut known = vec![directory.path().join(name)];
    for _ in 0..3 {
        leave(tunnel(&console, &door).await).await;
        let files = files(directory.path());
        assert_eq!(files.len(), known.len() + 1);
        assert!(files.starts_with(&known), "{files:?}");
        let (header, _) = ended(files.last().unwrap()).await;
        assert!(header.begun < 9_000_000_000_000);
        known = files;
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to_keeps_consoles_shut_only_where_the_file_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("no-directory");
    fs::write(&inside, "").unwrap();
    for (rule, status) in [("stop", 101), ("close", 503)] {
        let (_console, door) = console(&inside, &format!("when-full = '{rule}'")).await;
        let answer = door.tls().await.ask(&Door::handshake(PATH, "")).await;
        assert_eq!(answer.status, status, "{rule}");
        assert!(!answer.text().contains("no-directory"), "{}", answer.text());
    }
}

/// The output of `noren replay --terminal`.
fn played(path: &Path) -> (Vec<u8>, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_noren"))
        .args(["replay", "--terminal", "--speed", "1000000"])
        .arg(path)
        .output()
        .unwrap();
    let errors = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{errors}");
    (ran.stdout, errors)
}

#[tokio::test]
async fn a_serial_console_is_played_to_the_terminal_also_from_a_file_that_was_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let (console, door) = console(directory.path(), "").await;
    let (mut client, mut target) = tunnel(&console, &door).await;
    for line in ["Linux 6.1 ttyS0\r\n", "login: ", "cook\r\n"] {
        says(&mut target, &mut client, line.as_bytes()).await;
    }
    // Before its end: what a kill would leave.
    let path = files(directory.path()).remove(0);
    until("the last bytes in the file", || async {
        let said = bytes(&begun(&path)?.1, Kind::Output);
        said.ends_with(b"cook\r\n").then_some(())
    })
    .await;
    let whole = fs::read(&path).unwrap();
    let cut = directory.path().join("cut");
    fs::write(&cut, &whole[..whole.len() - 2]).unwrap();
    let (output, errors) = played(&path);
    assert_eq!(output, b"Linux 6.1 ttyS0\r\nlogin: cook\r\n");
    assert!(errors.contains(console.address()), "{errors}");
    let (output, _) = played(&cut);
    assert!(output.starts_with(b"Linux 6.1 ttyS0\r\n"));
}

#[test]
fn the_head_of_a_recording_cannot_command_the_terminal_and_its_content_can() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hostile.noren");
    let hostile = "a\u{1b}]0;x\u{7}\u{9b}2J\r\nb\u{202e}c";
    let mut header = Header::new(0, format!("target {hostile}"), hostile.to_owned());
    header.user = Some(hostile.to_owned());
    for console in [None, Some(hostile.to_owned())] {
        header.console = console;
        let mut file = header.line();
        noren::recording::encode(
            Kind::Output,
            std::time::Duration::ZERO,
            hostile.as_bytes(),
            &mut file,
        );
        fs::write(&path, file).unwrap();
        let (output, errors) = played(&path);
        assert_eq!(output, hostile.as_bytes());
        let line = errors.strip_suffix('\n').unwrap();
        assert!(!line.contains(noren::text::escape::is_active), "{line:?}");
        let escaped = r"as a\u{1b}]0;x\u{7}\u{9b}2J\r\nb\u{202e}c at a";
        assert!(line.contains(escaped), "{line}");
    }
}

#[test]
fn a_recording_is_offered_to_this_machine_only() {
    let ran = Command::new(env!("CARGO_BIN_EXE_noren"))
        .args(["replay", "--listen", "0.0.0.0:5999", "nothing.noren"])
        .output()
        .unwrap();
    assert!(!ran.status.success());
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("only played on this machine"), "{said}");
}

/// Runs `noren` with these arguments; true if it succeeded, and what it printed.
fn noren(arguments: &[&str]) -> (bool, String, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_noren"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ran.status.success(), text(ran.stdout), text(ran.stderr))
}

#[tokio::test]
async fn a_recording_is_listed_and_verified_and_whatever_was_changed_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (console, door) = console(directory.path(), "").await;
    let (mut client, mut target) = tunnel(&console, &door).await;
    says(&mut target, &mut client, b"login: ").await;
    client.send(binary(b"cook\r")).await;
    target.take(5).await;
    let path = files(directory.path()).remove(0);
    let (file, shown) = (path.to_str().unwrap(), directory.path().to_str().unwrap());
    let listed = || {
        let (_, line, _) = noren(&["recordings", "list", "--json", shown]);
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };
    assert_eq!(listed()["state"], "open");
    leave((client, target)).await;
    let (header, records) = ended(&path).await;
    assert!(header.is_chained());
    until("the end of the writer", || async {
        (listed()["state"] == "ended").then_some(())
    })
    .await;
    let one = listed();
    assert_eq!(one["reason"], "the client closed it");
    assert_eq!(one["target"], console.address());
    assert_eq!(
        (&one["graphical"], &one["digests"]),
        (&false.into(), &true.into())
    );
    let (_, line, _) = noren(&["recordings", "list", shown]);
    assert!(line.contains("(the client closed it)"), "{line}");

    let (well, said, _) = noren(&["recordings", "verify", file]);
    assert!(well, "{said}");
    let digest = said.trim_end().rsplit_once("digest ").unwrap().1.to_owned();
    assert!(noren(&["recordings", "verify", "--digest", &digest, file]).0);
    let whole = fs::read(&path).unwrap();
    let at = whole.windows(4).position(|four| four == b"cook").unwrap();
    let mut changed = whole.clone();
    changed[at] = b'b';
    let typed = records.iter().position(|record| record.kind == Kind::Input);
    let typed = typed.unwrap() + 1;
    let copy = directory.path().join("copy");
    let copied = copy.to_str().unwrap();
    // A file that was written anew as a whole has digests that match each other, and not that of the audit.
    let mut anew = header.line();
    noren::recording::Chain::of(&header.line()).append(&encoded(Kind::End, b""), &mut anew);
    for (content, told) in [
        (
            &changed[..],
            format!("record {typed} is not as it was written"),
        ),
        (&whole[..whole.len() - 3], "its end is missing".to_owned()),
        (&anew, "its digest is ".to_owned()),
    ] {
        fs::write(&copy, content).unwrap();
        let (well, said, error) =
            noren(&["recordings", "verify", "--digest", &digest, file, copied]);
        assert!(!well && said.contains(&told), "{said}");
        assert!(said.starts_with(file), "{said}");
        assert!(
            error.contains("1 of 2 recordings cannot be relied on"),
            "{error}"
        );
    }
}

fn encoded(kind: Kind, data: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    noren::recording::encode(kind, std::time::Duration::ZERO, data, &mut record);
    record
}

#[test]
fn a_recording_of_an_earlier_version_is_played_and_exported_and_said_to_have_no_digests() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0000000000001-old.noren");
    let header = Header::new(1_764_111_600_123, "unix:/run/vm1".into(), "unix".into());
    let records = [
        encoded(Kind::Output, b"caf\xc3"),
        encoded(Kind::Output, b"\xa9\r\n"),
    ];
    fs::write(&path, [header.line(), records.concat()].concat()).unwrap();
    assert_eq!(played(&path).0, "café\r\n".as_bytes());
    let file = path.to_str().unwrap();
    let (well, said, _) = noren(&["recordings", "verify", file]);
    assert!(!well && said.contains("it has no digests"), "{said}");
    let (well, cast, _) = noren(&["replay", "--asciicast", "--columns", "132", file]);
    assert!(well);
    let lines: Vec<serde_json::Value> = cast
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["version"], &lines[0]["width"]),
        (&2.into(), &132.into())
    );
    assert_eq!(
        (&lines[1][2], &lines[2][2]),
        (&"caf".into(), &"é\r\n".into())
    );
}

#[test]
fn a_graphical_recording_is_not_exported_as_text_and_nothing_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("1-vm.noren");
    let header = Header::new(0, "unix:/run/vm1".into(), "unix".into());
    let records = encoded(Kind::Output, b"RFB 003.008\n");
    fs::write(&path, [header.line(), records].concat()).unwrap();
    let (well, cast, error) = noren(&["replay", "--asciicast", path.to_str().unwrap()]);
    assert!(!well && cast.is_empty(), "{cast}");
    assert!(error.contains("graphical console"), "{error}");
}

#[tokio::test]
async fn recordings_that_are_too_old_are_deleted_and_none_that_is_being_written() {
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("0000000000001-a.noren");
    let (busy, new) = (
        old.with_file_name("0000000000002-b.noren"),
        old.with_file_name("0000000000003-c.noren"),
    );
    for (path, days) in [(&old, 40), (&busy, 40), (&new, 1)] {
        fs::write(path, "").unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        let age = std::time::Duration::from_secs(days * 86_400);
        file.set_modified(std::time::SystemTime::now() - age)
            .unwrap();
    }
    // Another process writes it, as during an upgrade.
    let writer = fs::File::open(&busy).unwrap();
    writer.lock().unwrap();
    let (_console, _door) = console(directory.path(), "age = '30d'").await;
    until("the old recording to go", || async {
        (!old.exists()).then_some(())
    })
    .await;
    assert!(busy.exists() && new.exists());
}
