use std::os::unix::fs::symlink;

use super::*;
use crate::tokens::test_directory::TestDirectory;
use crate::tokens::{ResolveError, Token, encode};

fn search(token: &str) -> Search {
    let token = Token::from_query(Some(&format!("token={token}"))).expect("a token");
    Search::new(token, 64 * 1024)
}

fn files(directory: &TestDirectory) -> TokenFiles {
    TokenFiles::directory(directory.path().to_owned())
}

fn find_with(files: &TokenFiles, token: &str) -> Result<String, ResolveError> {
    let mut search = search(token);
    let endpoint = files.find(&mut search);
    endpoint
        .map(|endpoint| endpoint.to_string())
        .ok_or_else(|| search.into_error())
}

fn find_in(directory: &TestDirectory, token: &str) -> Result<String, ResolveError> {
    find_with(&files(directory), token)
}

/// Number of scans, and of files read.
fn counts(files: &TokenFiles) -> (usize, usize) {
    files.index.lock().expect("not poisoned").counts
}

fn unknown(directory: &TestDirectory, token: &str) -> bool {
    matches!(find_in(directory, token), Err(ResolveError::Unknown))
}

#[test]
fn a_token_is_found_in_the_file_named_after_it_and_in_any_other() {
    let directory = TestDirectory::new();
    directory.write("vm", "dm0: localhost:5901");
    directory.write("list", "one: localhost:1\ntwo: localhost:2\n");
    assert_eq!(find_in(&directory, "dm0").expect("known"), "localhost:5901");
    assert_eq!(find_in(&directory, "two").expect("known"), "localhost:2");
    assert!(unknown(&directory, "three"));
    // A name alone opens nothing: the token has to be in the file.
    assert!(unknown(&directory, "vm"));
}

#[test]
fn the_file_named_after_the_token_is_preferred_and_else_the_last_by_name() {
    let directory = TestDirectory::new();
    directory.write("a", "dm0: localhost:1\nx: localhost:1");
    directory.write("z", "dm0: localhost:3\nx: localhost:3");
    assert_eq!(find_in(&directory, "dm0").expect("known"), "localhost:3");
    directory.write("vm", "dm0: localhost:2");
    assert_eq!(find_in(&directory, "dm0").expect("known"), "localhost:2");
    assert_eq!(find_in(&directory, "x").expect("known"), "localhost:3");
}

#[test]
fn a_name_that_is_not_ascii_is_found_by_its_utf_8_and_its_latin_1_token() {
    let directory = TestDirectory::new();
    directory.write("café", format!("{}: localhost:5901", encode("café")));
    assert_eq!(
        find_in(&directory, "Y2Fmw6k").expect("known"),
        "localhost:5901"
    );
    assert_eq!(
        find_in(&directory, "Y2Fm6Q").expect("known"),
        "localhost:5901"
    );
}

#[test]
fn a_bad_file_does_not_hide_the_tokens_of_the_others() {
    let directory = TestDirectory::new();
    directory.write("junk", b"\xff\xfe\n\0");
    directory.write("large", "#".repeat(70_000));
    directory.write("old", "b: nowhere");
    directory.write("m", "b: localhost:2\n");
    assert_eq!(find_in(&directory, "b").expect("known"), "localhost:2");
    // Unknown to all, the first problem met is told.
    let error = find_in(&directory, "c").expect_err("unknown").to_string();
    assert!(
        error.contains("/large: it is larger than 65536 bytes"),
        "{error}"
    );
}

#[test]
fn hidden_files_and_what_is_not_a_file_are_skipped() {
    let directory = TestDirectory::new();
    directory.write(".vm", "a: localhost:1");
    directory.write("plain", "b: localhost:2");
    fs::create_dir(directory.path().join("sub")).expect("a directory");
    directory.write("sub/vm", "a: localhost:3");
    symlink("nowhere", directory.path().join("dangling")).expect("a link");
    assert!(unknown(&directory, "a"));
    assert!(unknown(&directory, &encode(".vm")));
    assert!(unknown(&directory, &encode("sub")));
    assert_eq!(find_in(&directory, "b").expect("known"), "localhost:2");
}

#[test]
fn a_name_cannot_leave_the_directory() {
    let parent = TestDirectory::new();
    for (folder, port) in [("dir", 1), ("dir-evil", 2)] {
        fs::create_dir(parent.path().join(folder)).expect("a directory");
        parent.write(&format!("{folder}/vm"), format!("x: localhost:{port}"));
    }
    for name in ["../secret", "../dir-evil/vm", "/etc/passwd", "..", "."] {
        parent.write("secret", format!("{}: localhost:9", encode(name)));
        parent.write("dir-evil/vm", format!("{}: localhost:9", encode(name)));
        let mut search = search(&encode(name));
        let files = TokenFiles::directory(parent.path().join("dir"));
        assert_eq!(files.find(&mut search), None, "{name}");
        assert!(
            matches!(search.into_error(), ResolveError::Unknown),
            "{name}"
        );
    }
}

#[test]
fn an_empty_file_is_noted_once_and_a_missing_directory_is_told() {
    let directory = TestDirectory::new();
    directory.write("vm", "");
    let mut search = search("dm0");
    assert_eq!(files(&directory).find(&mut search), None);
    assert_eq!(
        search.take_being_written(),
        [(0, directory.path().join("vm"))]
    );

    let missing = directory.path().join("missing");
    let files = TokenFiles::directory(missing.clone());
    assert_eq!(files.find(&mut search), None);
    let error = search.into_error();
    assert!(matches!(error, ResolveError::Unreadable { path, .. } if path == missing));
}

#[test]
fn beyond_the_most_files_or_tokens_only_the_file_named_after_the_token_is_certain() {
    let directory = TestDirectory::new();
    for number in 0..=20 {
        directory.write(&number.to_string(), "x: localhost:1\ny: localhost:2");
    }
    directory.write("vm", "dm0: localhost:5901");
    for (most, reason) in [
        ((20, 1000), "more than 100,000 files"),
        ((1000, 30), "more than 2,000,000 tokens"),
    ] {
        let mut files = files(&directory);
        (files.bounds.files, files.bounds.tokens) = most;
        assert_eq!(find_with(&files, "dm0").expect("known"), "localhost:5901");
        let error = find_with(&files, "unknown").expect_err("unknown");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn look_ups_that_come_at_once_share_one_look_and_no_file_is_read_twice() {
    let directory = TestDirectory::new();
    for number in 0..300 {
        directory.write(&format!("f{number}"), format!("t{number}: localhost:1"));
    }
    let mut files = files(&directory);
    files.bounds.settled = Duration::ZERO;
    let mut wrong: Vec<_> = (0..60)
        .map(|number| search(&format!("no{number}")))
        .collect();
    let mut good = search("t200");
    for search in &mut wrong {
        assert_eq!(files.find(search), None);
    }
    assert!(files.find(&mut good).is_some());
    assert_eq!(counts(&files), (1, 300), "all of them came before the look");
    assert!(matches!(
        find_with(&files, "later"),
        Err(ResolveError::Unknown)
    ));
    assert_eq!(counts(&files), (2, 300), "nothing has changed since");
    directory.write("f7", "new: localhost:7, or not");
    directory.write("f8", "new: localhost:8");
    assert_eq!(find_with(&files, "new").expect("known"), "localhost:8");
    assert!(matches!(
        find_with(&files, "t7"),
        Err(ResolveError::Unknown)
    ));
    assert_eq!(counts(&files), (4, 302));
    fs::remove_file(directory.path().join("f8")).expect("removed");
    assert!(find_with(&files, "new").is_err());
    assert_eq!(counts(&files), (5, 302));
}

#[test]
fn an_edit_that_leaves_size_and_time_as_they_were_is_seen() {
    let directory = TestDirectory::new();
    let files = files(&directory);
    let path = directory.write("list", "a: localhost:1");
    let time = fs::metadata(&path).and_then(|metadata| metadata.modified());
    let time = time.expect("a time");
    for round in 0..200 {
        let (here, gone) = if round % 2 == 0 {
            ("a", "b")
        } else {
            ("b", "a")
        };
        directory.write("list", format!("{here}: localhost:1"));
        let file = fs::File::options().write(true).open(&path).expect("a file");
        file.set_modified(time).expect("a time that was set");
        assert!(find_with(&files, here).is_ok(), "{round}");
        assert!(find_with(&files, gone).is_err(), "{round}");
    }
}

#[test]
fn a_file_with_thousands_of_lines_is_served_and_read_for_its_own_tokens_only() {
    let directory = TestDirectory::new();
    let lines: Vec<_> = (0..4000)
        .map(|line| format!("a-token-of-some-length-{line}: localhost:{}\n", line + 1))
        .collect();
    let path = directory.write("list", lines.concat());
    let mut files = TokenFiles::file(path.clone());
    files.bounds.settled = Duration::ZERO;
    let find = |token: &str, largest| {
        let mut search = search(token);
        search.largest = largest;
        let endpoint = files.find(&mut search);
        endpoint.map_or_else(
            || search.into_error().to_string(),
            |found| found.to_string(),
        )
    };
    let largest = 16 << 20;
    assert_eq!(
        find("a-token-of-some-length-3999", largest),
        "localhost:4000"
    );
    for wrong in 0..20 {
        let unknown = find(&format!("no-{wrong}"), largest);
        assert_eq!(unknown, "no source knows this token");
    }
    assert_eq!(counts(&files).1, 1);
    let files = TokenFiles::file(path);
    let mut search = search("a-token-of-some-length-1");
    assert_eq!(files.find(&mut search), None);
    let error = search.into_error().to_string();
    assert!(error.ends_with("(bridge.token-file-size)"), "{error}");
}
