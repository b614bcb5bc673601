//! The spool of the real binary: its memory under a large upload, and a disk that is full.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{path, scratch, until};

/// A door between UNIX sockets, before an app that counts what it gets.
struct Between {
    directory: tempfile::TempDir,
    child: Child,
}

impl Between {
    /// `limit` is what the shell does before it becomes the door.
    fn open(limit: &str, tables: &str) -> Self {
        let directory = scratch();
        let app = UnixListener::bind(path(&directory, "app")).expect("a socket");
        serve(app);
        let file = path(&directory, "noren.toml");
        let config = format!(
            "[[listener]]\naddress = \"unix:{}\"\nprotocol = \"http\"\n[[app]]\nurl = \"unix:{}\"\n\
             [spool]\ndirectory = \"{}\"\n{tables}",
            path(&directory, "http"),
            path(&directory, "app"),
            directory.path().display(),
        );
        fs::write(&file, config).expect("the configuration written");
        let log = fs::File::create(path(&directory, "log")).expect("a log");
        let child = Command::new("sh")
            .args(["-c", &format!("{limit}exec \"$0\" serve --config \"$1\"")])
            .args([env!("CARGO_BIN_EXE_noren"), &file])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a shell");
        let door = Self { directory, child };
        until("the door to listen", || door.connect());
        door
    }

    fn connect(&self) -> Option<UnixStream> {
        let stream = UnixStream::connect(path(&self.directory, "http")).ok()?;
        let patience = Some(Duration::from_secs(120));
        stream.set_read_timeout(patience).expect("a limit");
        stream.set_write_timeout(patience).expect("a limit");
        Some(stream)
    }

    fn log(&self) -> String {
        fs::read_to_string(path(&self.directory, "log")).expect("the log")
    }

    /// The most memory it has had, in KiB.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the state of a process");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("the most memory it has had");
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number")
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers each request with the number of bytes it had.
fn serve(app: UnixListener) {
    let accepting = std::thread::Builder::new().name("app".to_owned());
    let accepting = accepting.spawn(move || {
        for stream in app.incoming().flatten() {
            let _: JoinHandle<()> = std::thread::Builder::new()
                .spawn(move || answer(stream))
                .expect("a thread");
        }
    });
    accepting.expect("a thread");
}

fn answer(mut stream: UnixStream) {
    let mut read = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    let end = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(length) => read.extend_from_slice(piece.get(..length).unwrap_or_default()),
        }
    };
    let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0_u64);
    let mut got = (read.len() - end) as u64;
    while got < length {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(length) => got += length as u64,
        }
    }
    let text = got.to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
}

/// Sends so many mebibytes and returns all that comes back.
fn upload(door: &Between, mebibytes: usize, chunked: bool) -> String {
    let mut client = door.connect().expect("a connection");
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {}", mebibytes << 20)
    };
    let head = format!(
        "PUT /upload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{framing}\r\n\r\n"
    );
    client.write_all(head.as_bytes()).expect("a head sent");
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..mebibytes {
        // One that is refused may be cut off while it sends; what counts is the answer.
        let sent = if chunked {
            client
                .write_all(b"100000\r\n")
                .and_then(|()| client.write_all(&piece))
                .and_then(|()| client.write_all(b"\r\n"))
        } else {
            client.write_all(&piece)
        };
        if sent.is_err() {
            break;
        }
    }
    if chunked {
        let _ = client.write_all(b"0\r\n\r\n");
    }
    let mut answer = String::new();
    let _ = client.read_to_string(&mut answer);
    answer
}

#[test]
fn a_large_upload_grows_memory_by_no_more_than_buffers() {
    let door = Between::open("", "");
    assert!(upload(&door, 1, false).ends_with("\r\n1048576"));
    let before = door.peak();
    for chunked in [false, true] {
        let answer = upload(&door, 512, chunked);
        assert!(answer.ends_with("\r\n536870912"), "{answer}");
    }
    let grown = door.peak() - before;
    assert!(grown < 16 * 1024, "{grown} KiB for 512 MiB");
    let named = fs::read_dir(door.directory.path()).expect("the directory");
    assert_eq!(named.count(), 4, "the files have no names");
}

#[test]
fn a_disk_that_takes_no_more_is_told_of_and_the_others_go_on() {
    // No file may be larger than a mebibyte, which looks like a full disk: writing fails with an error.
    let door = Between::open("trap '' XFSZ; ulimit -f 2048; ", "");
    let answer = upload(&door, 4, true);
    assert!(answer.starts_with("HTTP/1.1 507 "), "{answer}");
    assert!(answer.contains("Retry-After: 5"), "{answer}");
    let log = door.log();
    assert_eq!(log.matches("the spool cannot be written").count(), 1);
    assert!(log.contains(&door.directory.path().display().to_string()));
    // Its length is known, so what is on disk already goes to the app, and the rest as it comes.
    assert!(upload(&door, 4, false).ends_with("\r\n4194304"));
    assert!(upload(&door, 0, false).ends_with("\r\n0"));
}

#[test]
fn more_listeners_than_the_soft_limit_of_descriptors_has_room_for_are_opened() {
    let directory = scratch();
    let listeners: Vec<_> = (0..40)
        .map(|number| {
            let address = path(&directory, &number.to_string());
            format!("[[listener]]\naddress = \"unix:{address}\"\nprotocol = \"http\"\n")
        })
        .collect();
    let door = Between::open("ulimit -Sn 32; ", &listeners.concat());
    let log = door.log();
    assert!(
        log.contains("the limit of file descriptors was raised"),
        "{log}"
    );
    let last = path(&directory, "39");
    until("the last listener", || UnixStream::connect(&last).ok());
}

#[test]
fn with_few_descriptors_limits_are_lower_from_the_start_and_a_hundred_uploads_are_served() {
    let door = Between::open("ulimit -Sn 64; ulimit -Hn 128; ", "");
    let log = door.log();
    assert!(
        log.contains("the limit of file descriptors was raised"),
        "{log}"
    );
    until("the lower limits in the log", || {
        let log = door.log();
        let told = log.contains("fewer file descriptors than the limits need");
        told.then_some(())
    });
    let uploads: Vec<_> = (0..100)
        .map(|_| {
            let mut client = door.connect().expect("a connection");
            let thread = std::thread::Builder::new().spawn(move || {
                let size = 400_000;
                let head = format!(
                    "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
                );
                client.write_all(head.as_bytes()).expect("a head");
                client.write_all(&vec![b'x'; size]).expect("a body");
                let mut answer = String::new();
                client.read_to_string(&mut answer).expect("an answer");
                answer
            });
            thread.expect("a thread")
        })
        .collect();
    for upload in uploads {
        let answer = upload.join().expect("a thread");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("400000"), "{answer}");
    }
    let log = door.log();
    assert!(!log.contains("cannot accept"), "{log}");
}
