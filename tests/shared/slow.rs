//! Viewers that do not keep up: they miss output and are told, or are closed; guest and others never wait.

use super::{Serial, keys, output_until};
use crate::harness::{BINARY, CLOSE, Http2, Wire};

/// More than all buffers between a door and a viewer hold.
const FLOOD: usize = 24 << 20;

/// Sends lines without a pause until there were so many bytes, and then the last.
async fn flood(guest: &mut Wire) {
    let lines: Vec<_> = (0..1000).map(|line| format!("{line:060}\r\n")).collect();
    let lines = lines.concat();
    let mut sent = 0;
    while sent < FLOOD {
        guest.send(&lines).await;
        sent += lines.len();
    }
    guest.send("THE END\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_viewer_that_does_not_read_misses_output_and_is_told_how_much() {
    let serial = Serial::open("", "[bridge]\nheartbeat = 'off'\n").await;
    let mut slow = serial.view().await;
    let mut guest = serial.guest.accept().await;
    guest.send("begin\r\n").await;
    assert_eq!(output_until(&mut slow, "begin\r\n").await, "begin\r\n");
    // Its buffers fill, the guest is read to the end all the same.
    flood(&mut guest).await;
    let (mut read, mut frames) = (Vec::new(), 0);
    while !read.ends_with(b"THE END\r\n") {
        let frame = slow.frame().await;
        assert_eq!(frame.opcode, BINARY);
        read.extend(frame.payload);
        frames += 1;
    }
    let text = String::from_utf8(read).unwrap();
    assert!(text.len() < FLOOD, "{frames} frames");
    let mut missing = 0;
    for line in text
        .lines()
        .map(|line| line.trim_start_matches(['\u{18}', '\r']))
    {
        if let Some(told) = line.strip_prefix("\u{1b}[0m[noren: ") {
            missing += told.split(' ').next().unwrap().parse::<usize>().unwrap();
        }
    }
    let told = text.matches("bytes are missing here").count();
    assert!(told > 0);
    let lines = text
        .lines()
        .filter(|line| line.len() == 60 && line.parse::<u64>().is_ok());
    // Behind a gap, output begins with a whole line; before it, one may be cut.
    let whole = lines.count() * 62;
    let rounded = FLOOD.div_ceil(62_000) * 62_000;
    assert!(
        whole + missing <= rounded + 9 && whole + missing + told * 62 >= rounded,
        "{whole} {missing} {told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_viewer_that_does_not_read_is_closed_where_the_configuration_says_so() {
    let serial = Serial::open("slow = 'disconnect'", "[bridge]\nheartbeat = 'off'\n").await;
    let mut slow = serial.view().await;
    let mut guest = serial.guest.accept().await;
    flood(&mut guest).await;
    // A client that takes not even the close frame in time is cut off.
    while let Some(frame) = slow.input.try_frame().await {
        if frame.opcode == CLOSE {
            assert_eq!(frame.payload[..2], 1013_u16.to_be_bytes());
        }
    }
    serial.has_viewers(0).await;
    // The guest has not noticed, and others have not.
    let mut other = serial.view().await;
    guest.send("go on\r\n").await;
    output_until(&mut other, "go on\r\n").await;
    serial.guest.has_nobody().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_viewer_that_reads_gets_everything_while_another_sleeps() {
    let serial = Serial::open("lag = '1MiB'", "[bridge]\nheartbeat = 'off'\n").await;
    let asleep = serial.view().await;
    let mut guest = serial.guest.accept().await;
    let mut awake = serial.view().await;
    let lines: Vec<_> = (0..20_000).map(|line| format!("{line:060}\r\n")).collect();
    let text = lines.concat();
    let mut read = String::new();
    // As fast as the viewer reads, so that it never lags.
    for piece in text.as_bytes().chunks(62 * 1000) {
        guest.send(piece).await;
        let end = String::from_utf8(piece[piece.len() - 62..].to_vec()).unwrap();
        read += &output_until(&mut awake, &end).await;
    }
    assert!(read == text, "{} of {} bytes", read.len(), text.len());
    drop(asleep);
}

#[tokio::test]
async fn a_viewer_inside_of_an_http2_connection_shares_as_well() {
    let serial = Serial::open("typing = 'all'", "").await;
    let mut plain = serial.view().await;
    let mut guest = serial.guest.accept().await;
    let mut http2 = Http2::open(&serial.door).await;
    let mut inside = http2.websocket("/websockify?token=vm").await;
    guest.send("both").await;
    assert_eq!(output_until(&mut plain, "both").await, "both");
    assert_eq!(output_until(&mut inside, "both").await, "both");
    keys(&mut inside, "key").await;
    assert_eq!(guest.take(3).await, b"key");
    serial.guest.has_nobody().await;
}
