//! Directories that are served without an app.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use crate::harness::{Answer, Door, Http2, pattern};

/// A directory with a file of each kind, inside of one with a secret.
fn tree() -> TempDir {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("root");
    fs::create_dir_all(root.join("sub/.well-known")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    fs::write(root.join("page.html"), "<p>page").unwrap();
    fs::write(root.join("page.html.gz"), "not really gzip").unwrap();
    fs::write(root.join("big"), pattern(300_000)).unwrap();
    fs::write(root.join("sub/index.html"), "index").unwrap();
    fs::write(root.join("sub/.well-known/x"), "known").unwrap();
    fs::write(root.join(".git/config"), "secret").unwrap();
    fs::write(root.join("a b"), "space").unwrap();
    symlink("page.html", root.join("inside")).unwrap();
    symlink("../secret", root.join("outside")).unwrap();
    symlink(outside.path(), root.join("up")).unwrap();
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(root.join("pipe"))
        .status();
    assert!(made.unwrap().success());
    outside
}

fn settings(tree: &TempDir, more: &str) -> String {
    let root = tree.path().join("root");
    format!(
        "[[files]]\npath = '/static'\ndirectory = '{}'\n{more}",
        root.display()
    )
}

async fn get(door: &Door, path: &str, lines: &str) -> Answer {
    door.tls().await.ask(&Door::get(path, lines)).await
}

#[tokio::test]
async fn files_are_served_with_their_type_and_what_browsers_need_to_keep_them() {
    let tree = tree();
    let door = Door::open(&settings(&tree, "cache-control = 'max-age=60'\n")).await;
    let answer = get(&door, "/static/page.html", "").await;
    assert_eq!((answer.status, answer.text()), (200, "<p>page"));
    assert_eq!(answer.head.one("content-type"), Some("text/html"));
    assert_eq!(answer.head.one("cache-control"), Some("max-age=60"));
    assert_eq!(answer.head.one("x-content-type-options"), Some("nosniff"));
    let tag = answer.head.one("etag").unwrap().to_owned();
    let again = get(
        &door,
        "/static/page.html",
        &format!("If-None-Match: {tag}\r\n"),
    )
    .await;
    assert_eq!(again.status, 304);
    assert_eq!(again.head.one("cache-control"), Some("max-age=60"));
    let answer = get(&door, "/static/sub/", "").await;
    assert_eq!((answer.status, answer.text()), (200, "index"));
    let answer = get(&door, "/static/sub", "").await;
    assert_eq!(answer.status, 307);
    assert_eq!(answer.head.one("location"), Some("/static/sub/"));
    for (path, text) in [
        ("/static/a%20b", "space"),
        ("/static/inside", "<p>page"),
        ("/static/sub/.well-known/x", "known"),
    ] {
        assert_eq!(get(&door, path, "").await.text(), text, "{path}");
    }
    let (status, body) = Http2::open(&door)
        .await
        .ask(Http2::get("/static/big"))
        .await;
    assert_eq!(status, 200);
    assert!(body == pattern(300_000), "byte for byte");
}

#[tokio::test]
async fn parts_of_a_file_can_be_asked_for() {
    let tree = tree();
    let door = Door::open(&settings(&tree, "")).await;
    let answer = get(&door, "/static/big", "Range: bytes=100000-199999\r\n").await;
    assert_eq!(answer.status, 206);
    assert_eq!(
        answer.head.one("content-range"),
        Some("bytes 100000-199999/300000")
    );
    assert!(
        answer.body == pattern(300_000)[100_000..200_000],
        "the part"
    );
    let answer = get(&door, "/static/big", "Range: bytes=300000-\r\n").await;
    assert_eq!(answer.status, 416);
}

#[tokio::test]
async fn nothing_outside_of_the_directory_is_reached_whatever_the_path_or_the_links_say() {
    let tree = tree();
    let door = Door::open(&settings(&tree, "")).await;
    for path in [
        "/static/outside",
        "/static/up/secret",
        "/static/absolute",
        "/static/loop",
        "/static/pipe",
        "/static/nothing",
        "/static/page.html/x",
        "/static/.git/config",
        "/static/%2egit/config",
        "/static/sub/%2Egit",
        "/static/../secret",
        "/static/%2e%2e/secret",
        "/static/sub/..%2f..%2fsecret",
        "/static/..%5csecret",
        "/static//etc/passwd",
        "/staticx/page.html",
        "/static/page.html%00",
    ] {
        let answer = get(&door, path, "").await;
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text().contains("secret"), "{path}");
        assert!(!answer.text().contains("root:"), "{path}");
    }
    let mut client = door.plain().await;
    client
        .send("POST /static/page.html HTTP/1.1\r\nHost: door.example\r\nContent-Length: 1\r\n\r\n1")
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.head.one("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn a_compressed_neighbour_is_sent_to_who_takes_it() {
    let tree = tree();
    let door = Door::open(&settings(&tree, "precompressed = true\n")).await;
    let answer = get(&door, "/static/page.html", "Accept-Encoding: gzip\r\n").await;
    assert_eq!(answer.text(), "not really gzip");
    assert_eq!(answer.head.one("content-encoding"), Some("gzip"));
    assert_eq!(answer.head.one("content-type"), Some("text/html"));
    assert_eq!(answer.head.one("vary"), Some("accept-encoding"));
    let answer = get(&door, "/static/page.html", "").await;
    assert_eq!(answer.text(), "<p>page");
    assert_eq!(answer.head.one("content-encoding"), None);
    let answer = get(&door, "/static/big", "Accept-Encoding: gzip\r\n").await;
    assert_eq!(answer.head.one("content-encoding"), None);
}

#[tokio::test]
async fn a_directory_that_is_replaced_as_a_whole_is_seen() {
    let place = tempfile::tempdir().unwrap();
    let current = place.path().join("current");
    for (release, text) in [("one", "first"), ("two", "second")] {
        fs::create_dir(place.path().join(release)).unwrap();
        fs::write(place.path().join(release).join("x"), text).unwrap();
    }
    symlink("one", &current).unwrap();
    let door = Door::open(&format!(
        "[[files]]\npath = '/'\ndirectory = '{}'\n",
        current.display()
    ))
    .await;
    assert_eq!(get(&door, "/x", "").await.text(), "first");
    fs::remove_file(&current).unwrap();
    symlink("two", &current).unwrap();
    assert_eq!(get(&door, "/x", "").await.text(), "second");
}
