//! Files that the app names instead of sending them.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use crate::harness::{Answer, Backend, Door, pattern};

struct Named {
    app: Backend,
    door: Door,
    tree: TempDir,
}

impl Named {
    async fn new() -> Self {
        let tree = tempfile::tempdir().unwrap();
        let files = tree.path().join("files");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("a b.iso"), pattern(100_000)).unwrap();
        fs::write(tree.path().join("secret"), "secret").unwrap();
        fs::create_dir(files.join("below")).unwrap();
        fs::write(files.join("below/index.html"), "secret").unwrap();
        symlink("../secret", files.join("link")).unwrap();
        let app = Backend::tcp().await;
        let door = Door::open(&format!(
            "{}workers = 1\n[[app.offload]]\npath = '/protected'\ndirectory = '{}'\n",
            app.app(),
            files.display()
        ))
        .await;
        Self { app, door, tree }
    }

    /// The visitor's response when the app answers with these lines.
    async fn answer(&self, request: &str, lines: &str) -> Answer {
        let mut client = self.door.plain().await;
        client.send(request).await;
        let mut worker = self.app.accept().await;
        worker.head().await;
        worker
            .send(format!(
                "HTTP/1.1 200 OK\r\n{lines}Content-Length: 7\r\nConnection: close\r\n\r\nignored"
            ))
            .await;
        client.answer().await
    }
}

#[tokio::test]
async fn the_file_goes_out_with_the_headers_of_the_app() {
    let named = Named::new().await;
    let file = named.tree.path().join("files/a b.iso");
    for line in [
        "X-Accel-Redirect: /protected/a%20b.iso\r\n".to_owned(),
        format!("X-Sendfile: {}\r\n", file.display()),
    ] {
        let lines = format!(
            "{line}Content-Type: application/x-iso\r\nContent-Disposition: attachment\r\n\
             Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: \"of-the-app\"\r\n"
        );
        let answer = named.answer(&Door::get("/download/1", ""), &lines).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == pattern(100_000), "byte for byte");
        assert_eq!(answer.head.one("content-type"), Some("application/x-iso"));
        assert_eq!(answer.head.one("content-disposition"), Some("attachment"));
        assert_eq!(answer.head.all("set-cookie"), ["a=1", "b=2"]);
        assert_ne!(answer.head.one("etag"), Some("\"of-the-app\""));
        assert_eq!(answer.head.one("x-accel-redirect"), None);
        assert_eq!(answer.head.one("x-sendfile"), None);
        let range = Door::get("/download/1", "Range: bytes=10-19\r\n");
        let answer = named.answer(&range, &line).await;
        assert_eq!(answer.status, 206);
        assert_eq!(answer.body, pattern(100_000)[10..20]);
    }
}

#[tokio::test]
async fn what_lies_outside_of_the_directories_is_never_sent() {
    let named = Named::new().await;
    let base = named.tree.path().display().to_string();
    for (line, status) in [
        ("X-Accel-Redirect: /etc/passwd".to_owned(), 502),
        ("X-Accel-Redirect: /protectedx/a".to_owned(), 502),
        ("X-Accel-Redirect: http://127.0.0.1/".to_owned(), 502),
        ("X-Sendfile: /etc/passwd".to_owned(), 502),
        (format!("X-Sendfile: {base}/secret"), 502),
        (format!("X-Sendfile: {base}/files/../secret"), 502),
        ("X-Accel-Redirect: /protected/../secret".to_owned(), 404),
        ("X-Accel-Redirect: /protected/%2e%2e/secret".to_owned(), 404),
        ("X-Accel-Redirect: /protected/link".to_owned(), 404),
        (format!("X-Sendfile: {base}/files/link"), 404),
        ("X-Accel-Redirect: /protected/nothing".to_owned(), 404),
        ("X-Accel-Redirect: /protected".to_owned(), 404),
        ("X-Accel-Redirect: /protected/below".to_owned(), 404),
    ] {
        let lines = format!("{line}\r\n");
        let answer = named.answer(&Door::get("/download/1", ""), &lines).await;
        assert_eq!(answer.status, status, "{line}");
        assert!(!answer.text().contains("secret"), "{line}");
        assert!(!answer.text().contains("root:"), "{line}");
    }
}

#[tokio::test]
async fn visitors_can_neither_name_a_file_nor_reach_its_directory() {
    let named = Named::new().await;
    let request = Door::get(
        "/protected/a%20b.iso",
        "X-Accel-Redirect: /protected/a%20b.iso\r\n",
    );
    let answer = named.answer(&request, "").await;
    assert_eq!(
        answer.text(),
        "ignored",
        "the app is asked, as for any path"
    );
}

#[tokio::test]
async fn a_name_that_the_app_has_not_quoted_is_found() {
    let named = Named::new().await;
    let directory = named.tree.path().join("files");
    for (name, line) in [
        ("a b.iso", "/protected/a b.iso"),
        ("100%", "/protected/100%"),
        ("caf\u{e9} #1?.txt", "/protected/caf\u{e9} #1%3F.txt"),
    ] {
        fs::write(directory.join(name), name).unwrap();
        let lines = format!("X-Accel-Redirect: {line}\r\n");
        let answer = named.answer(&Door::get("/x", ""), &lines).await;
        assert_eq!((answer.status, answer.text()), (200, name), "{line}");
    }
}
