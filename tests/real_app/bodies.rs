//! Tests of bodies to and from the app: large, small, empty, of unknown length.

use std::process::Command;

use super::kitchen;
use crate::support::{Door, VERSIONS, alone, ask, path, run, scratch};

const MIB: usize = 1 << 20;
/// Limit on memory that a body may cost while it passes, in KiB, however large it is.
const GROWTH: u64 = 64 * 1024;

/// A file of numbers that repeat no block.
fn make_file(file: &str, size: usize) {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let numbers = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let bytes: Vec<u8> = numbers.take(size / 8).flatten().collect();
    std::fs::write(file, bytes).expect("room for the file");
}

/// Additional peak memory of the server during the task, in KiB.
fn growth(door: &Door, task: impl FnOnce()) -> u64 {
    let before = door.peak_memory();
    task();
    // Linux counts the memory of a process by thread and adds up late, so the highest mark can fall a little.
    door.peak_memory().saturating_sub(before)
}

#[test]
fn an_upload_of_200_mib_arrives_whole_and_costs_no_memory() {
    let _alone = alone();
    let (_app, door) = kitchen();
    let directory = scratch();
    let file = path(&directory, "upload");
    make_file(&file, 200 * MIB);
    let sum = run(Command::new("sha256sum").arg(&file)).well().stdout;
    let sum = sum.split_ascii_whitespace().next().unwrap_or_default();
    for version in VERSIONS {
        let text = ask(&door, "/upload")
            .over(version)
            .with("--data-binary", "warm")
            .gets(200)
            .text();
        assert!(text.ends_with(" 4 length=4\n"), "{text}");
        let growth = growth(&door, || {
            let upload = ask(&door, "/upload").over(version).method("POST");
            let text = upload.with("--upload-file", &file).gets(200).text();
            let size = 200 * MIB;
            assert_eq!(text, format!("{sum} {size} length={size}\n"));
        });
        assert!(
            growth < GROWTH,
            "the upload over HTTP/{version} cost {growth} KiB"
        );
    }
}

#[test]
fn a_download_of_200_mib_arrives_whole_and_costs_no_memory() {
    let _alone = alone();
    let (_app, door) = kitchen();
    let directory = scratch();
    let (file, copy) = (path(&directory, "download"), path(&directory, "copy"));
    make_file(&file, 200 * MIB);
    for version in VERSIONS {
        ask(&door, "/").over(version).gets(200);
        let growth = growth(&door, || {
            // Slower than the app, so that the answer has to wait in the door.
            let download = ask(&door, &format!("/download?path={file}")).over(version);
            let download = download
                .with("--limit-rate", "100M")
                .with("--output", &copy);
            run(&mut download.into_command()).well();
        });
        run(Command::new("cmp").args([&file, &copy])).well();
        assert!(
            growth < GROWTH,
            "the download over HTTP/{version} cost {growth} KiB"
        );
    }
}

#[test]
fn every_body_reaches_the_app_with_its_length() {
    let (_app, door) = kitchen();
    for version in VERSIONS {
        // A body whose length the client does not say: chunked in HTTP/1.1, open in HTTP/2.
        let unknown = ask(&door, "/upload")
            .over(version)
            .header("Transfer-Encoding: chunked");
        let text = unknown.with("--data-binary", "soup").gets(200).text();
        assert!(text.ends_with(" 4 length=4\n"), "{text}");
        // Requests that may have a body and have none.
        for method in ["POST", "PUT", "PATCH"] {
            let empty = ask(&door, "/head").over(version).method(method);
            let text = empty.header("Content-Length:").gets(200).text();
            assert!(text.starts_with(method), "{text}");
            assert!(text.contains("\nCONTENT_LENGTH: 0\n"), "{version} {text}");
        }
        let text = ask(&door, "/head").over(version).gets(200).text();
        assert!(!text.contains("TRANSFER_ENCODING"), "{text}");
    }
}

#[test]
fn a_client_that_expects_100_continue_is_served() {
    let (_app, door) = kitchen();
    let expecting = |version| {
        let request = ask(&door, "/head")
            .over(version)
            .header("Expect: 100-continue");
        request.with("--data-binary", "soup")
    };
    for version in VERSIONS {
        // Without the interim answer curl would wait longer than any test does.
        let answer = expecting(version)
            .with("--expect100-timeout", "1000")
            .gets(200);
        let interim = format!("HTTP/{version} 100");
        assert!(answer.head.starts_with(&interim), "{}", answer.head);
        assert!(!answer.text().contains("EXPECT"), "{}", answer.text());
    }
}
