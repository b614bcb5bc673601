//! Compressed messages and event streams, read by the programs that people have: Python's library, Chromium, gzip and
//! zstd.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::{Command, Stdio};

use crate::support::{Door, alone, ask, browser, path, python, run, scratch, until};

struct Fixture {
    door: Door,
    directory: tempfile::TempDir,
    lines: Vec<String>,
}

impl Fixture {
    /// A channel with messages of many sizes, one that is not compressed, and one that is for bearers of a token.
    fn open() -> Self {
        let directory = scratch();
        let key = path(&directory, "key");
        fs::write(&key, "a2V5IG9mIHRoZSB0ZXN0cywgb2YgdGhpcnR5LXR3byBieXRlcw").expect("a key");
        let history = "[channel.history]\nsize = '16MiB'\n";
        let door = Door::open(&format!(
            "[hub]\nmessage-size = '256KiB'\nbudget = '16MiB'\n[hub.tokens]\nkeys = ['{key}']\n\
             [[channel]]\nname = 'a'\nneeds = 'nothing'\ncompress = true\n{history}\
             [[channel]]\nname = 'b'\nneeds = 'nothing'\n{history}\
             [[channel]]\nname = 'closed'\nneeds = 'token'\ncompress = true\n\
             [[channel]]\nname = 'asked'\nneeds = 'token'\ncompress = true\ncompress-private = true\n\
             [admin]\nsocket = '{}'\n",
            path(&directory, "admin.sock")
        ));
        let sizes = [
            0, 1, 16, 64, 255, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072,
        ];
        let lines = sizes.iter().map(|size| {
            let mut line = String::new();
            for number in 0..*size / 16 {
                // Writing to a string cannot fail.
                let _ = write!(
                    line,
                    "{:016x}",
                    (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
                );
            }
            format!("{line}x{}", "\u{e9}".repeat(size % 16))
        });
        let fixture = Self {
            door,
            lines: lines.collect(),
            directory,
        };
        fs::write(fixture.file("lines"), fixture.lines.join("\n")).expect("a file");
        for channel in ["a", "b", "closed", "asked"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
            let socket = fixture.file("admin.sock");
            let input = File::open(fixture.file("lines")).expect("the file");
            let published = command.args(["publish", channel, "--socket", &socket]);
            let published = published.stdin(Stdio::from(input)).status();
            assert!(published.is_ok_and(|status| status.success()));
        }
        fixture
    }

    fn file(&self, name: &str) -> String {
        path(&self.directory, name)
    }

    /// The headers of an event stream, as it begins.
    fn headers(&self, channel: &str, headers: &[&str]) -> String {
        let target = format!("/events/{channel}?last-event-id=earliest");
        let mut request = ask(&self.door, &target).header("Accept: text/event-stream");
        for header in headers {
            request = request.header(header);
        }
        let request = request.with("--max-time", "2").with("--dump-header", "-");
        let mut command = request.into_command();
        let output = command.output().expect("curl");
        String::from_utf8_lossy(&output.stdout).to_lowercase()
    }

    /// The text of an event stream in this coding, from its beginning to the stop of the door.
    fn stream(self, (coding, suffix): (&str, &str), decoder: &[&str]) -> String {
        let file = self.file(&format!("stream.{suffix}"));
        let output = File::create(&file).expect("a file");
        let mut child = ask(&self.door, "/events/a?last-event-id=earliest")
            .header("Accept: text/event-stream")
            .header(&format!("Accept-Encoding: {coding}"))
            .into_command()
            .arg("--no-buffer")
            .stdout(output)
            .spawn()
            .expect("curl");
        let size = |file: &str| fs::metadata(file).map_or(0, |found| found.len());
        let all: usize = self.lines.iter().map(String::len).sum();
        until("most of it", || {
            (size(&file) > all as u64 / 4).then_some(())
        });
        let stopped = Command::new("kill")
            .arg(self.door.process().to_string())
            .status();
        assert!(stopped.is_ok_and(|status| status.success()));
        until("the end of the stream", || child.try_wait().ok().flatten());
        let (program, arguments) = decoder.split_first().expect("a program");
        let mut command = Command::new(program);
        run(command.args(arguments).arg(&file)).well().stdout
    }

    fn events(&self) -> String {
        let mut events = String::new();
        for line in &self.lines {
            let _ = writeln!(events, "data: {line}");
        }
        events
    }
}

fn data_of(stream: &str) -> String {
    let lines = stream.lines().filter(|line| line.starts_with("data: "));
    lines.fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{line}");
        all
    })
}

#[test]
fn pythons_library_reads_and_writes_compressed_messages_by_every_offer() {
    let _alone = alone();
    let fixture = Fixture::open();
    let url = fixture
        .door
        .url("/events/a?format=plain")
        .replace("https", "wss");
    let authority = fixture.door.file("ca.pem");
    let mut command = python("deflate_client.py");
    let ran = run(command.args([&url, &authority, &fixture.file("lines")])).well();
    assert_eq!(ran.stdout, "offers=28 ok\n");
}

#[test]
fn chromium_reads_compressed_messages_and_streams_as_they_come() {
    let _alone = alone();
    let fixture = Fixture::open();
    let certificate = fixture.door.file("door.pem");
    let count = fixture.lines.len().to_string();
    let url = fixture.door.url("");
    let ran = run(browser("compressed_page.mjs").args([
        "--url",
        &url,
        "--certificate",
        &certificate,
        "--count",
        &count,
    ]))
    .well();
    assert_eq!(ran.stdout, format!("messages={count} coding=zstd\n"));
}

#[test]
fn a_whole_stream_in_gzip_is_what_gzip_reads() {
    let fixture = Fixture::open();
    let expected = fixture.events();
    let read = fixture.stream(("gzip", "gz"), &["gzip", "--decompress", "--stdout"]);
    assert_eq!(data_of(&read), expected);
}

#[test]
fn a_whole_stream_in_zstd_is_what_zstd_reads() {
    let fixture = Fixture::open();
    let expected = fixture.events();
    let read = fixture.stream(
        ("zstd", "zst"),
        &["zstd", "--decompress", "--stdout", "--quiet"],
    );
    assert_eq!(data_of(&read), expected);
}

#[test]
fn only_what_is_open_to_all_is_compressed_unless_it_is_asked_for() {
    let fixture = Fixture::open();
    let both = "Accept-Encoding: gzip, zstd";
    assert!(
        fixture
            .headers("a", &[both])
            .contains("content-encoding: zstd")
    );
    assert!(
        fixture
            .headers("a", &["Accept-Encoding: gzip"])
            .contains("vary: accept-encoding")
    );
    assert!(
        !fixture
            .headers("a", &["Accept-Encoding: br"])
            .contains("content-encoding")
    );
    assert!(!fixture.headers("b", &[both]).contains("content-encoding"));
    assert!(!fixture.headers("a,b", &[both]).contains("content-encoding"));
    for (channel, compressed) in [("closed", false), ("asked", true)] {
        let signed =
            run(python("channel_token.py").args(["HS256", &fixture.file("key"), channel])).well();
        let bearer = format!("Authorization: Bearer {}", signed.stdout.trim());
        let headers = fixture.headers(channel, &[both, &bearer]);
        assert!(headers.contains("text/event-stream"), "{headers}");
        assert_eq!(
            headers.contains("content-encoding: zstd"),
            compressed,
            "{channel}"
        );
    }
}
