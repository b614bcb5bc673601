use super::*;
use crate::tokens::test_directory::TestDirectory;

/// Looks up the token "vm" (base64url `dm0`) in a file with this content.
fn find_vm(content: impl AsRef<[u8]>) -> Result<Endpoint, ResolveError> {
    let directory = TestDirectory::new();
    let path = directory.write("tokens", content);
    let mut search = Search::new(
        Token::from_query(Some("token=dm0")).expect("a token"),
        64 * 1024,
    );
    find(&path, &mut search).ok_or_else(|| search.into_error())
}

fn found(content: impl AsRef<[u8]>) -> String {
    find_vm(content)
        .expect("the file has the token")
        .to_string()
}

fn reason(content: impl AsRef<[u8]>) -> String {
    let error = find_vm(content)
        .expect_err("the file has no usable line")
        .to_string();
    assert!(!error.contains("dm0"), "{error} shows the token");
    error
        .split_once("/tokens")
        .map_or(error.clone(), |(_, reason)| reason.to_owned())
}

#[test]
fn the_two_forms_wok_writes_are_read_without_a_line_feed_at_the_end() {
    assert_eq!(found("dm0: unix_socket:/run/vm"), "unix:/run/vm");
    assert_eq!(found("dm0: localhost:5901"), "localhost:5901");
}

#[test]
fn the_address_is_split_at_its_last_colon() {
    assert_eq!(found("dm0: ::1:5901"), found("dm0: [::1]:5901"));
    assert_eq!(found("dm0: unix_socket:/run/a:b"), "unix:/run/a:b");
    assert_eq!(found("dm0: unix:/run/a"), "unix:/run/a");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_token() {
    assert_eq!(found("\u{feff}dm0: localhost:5901\r\n"), "localhost:5901");
}

#[test]
fn any_white_space_may_follow_the_colon() {
    assert_eq!(found("  dm0:\t  localhost:5901 \t\n"), "localhost:5901");
}

#[test]
fn comments_and_blank_lines_are_skipped() {
    let content =
        "# dm0: localhost:1\n\n   \n  #dm0: localhost:2\ndm0: localhost:3\n# dm0: localhost:4\n";
    assert_eq!(found(content), "localhost:3");
}

#[test]
fn a_comment_is_no_malformed_line() {
    let content = "# consoles, one a line\nx: localhost:1\n";
    assert!(matches!(find_vm(content), Err(ResolveError::Unknown)));
}

#[test]
fn of_two_lines_for_one_token_the_last_counts() {
    assert_eq!(
        found("dm0: localhost:1\nother: localhost:9\ndm0: localhost:2\n"),
        "localhost:2"
    );
    assert_eq!(
        reason("dm0: localhost:1\ndm0: nowhere"),
        ":2: the address is neither host:port nor unix_socket:/path"
    );
}

#[test]
fn lines_may_end_as_on_windows() {
    assert_eq!(
        found("# list\r\ndm0: localhost:5901\r\n\r\nb: localhost:2\r\n"),
        "localhost:5901"
    );
}

#[test]
fn junk_does_not_hide_the_lines_around_it() {
    let content = b"\xff\xfe\0\x80\n: \n:::\ndm0: localhost:5901\nno colon\n\xff: \xff:1\n";
    assert_eq!(found(content), "localhost:5901");
}

#[test]
fn a_token_is_matched_whole() {
    for content in [
        "dm0x: a:1",
        "xdm0: a:1",
        "dm: a:1",
        "DM0: a:1",
        "x dm0: a:1",
        "a: dm0: a:1",
        "x: dm0:1",
    ] {
        assert!(
            matches!(find_vm(content), Err(ResolveError::Unknown)),
            "{content}"
        );
    }
}

#[test]
fn a_line_without_separator_is_told_when_the_token_is_not_found() {
    let unclear = ":2: no colon and white space between a token and an address";
    assert_eq!(
        reason("x: localhost:1\ndm0:localhost:5901\nalso bad\n"),
        unclear
    );
}

#[test]
fn a_bad_address_is_told_only_for_its_own_token() {
    assert!(matches!(
        find_vm("x: nowhere\n"),
        Err(ResolveError::Unknown)
    ));
    let neither = ":1: the address is neither host:port nor unix_socket:/path";
    for address in [
        "nowhere",
        "host:",
        "host:http",
        "host:65536",
        "host:-1",
        "host:0",
        "::1",
        "a:b:1",
        ":5901",
        "a b:1",
        "host: 1",
    ] {
        assert_eq!(reason(format!("dm0: {address}")), neither, "{address}");
    }
    let no_socket = ":1: the path behind unix_socket: is not absolute, or too long for a socket";
    for path in ["", "run/vm", &"/long".repeat(30)] {
        assert_eq!(
            reason(format!("dm0: unix_socket:{path}")),
            no_socket,
            "{path}"
        );
    }
    assert_eq!(reason(b"dm0: h\xff:1"), ":1: the address is not UTF-8");
    assert_eq!(
        reason("dm0: unix_socket:/run/\0vm"),
        ":1: the address contains a control character"
    );
}

#[test]
fn an_empty_file_is_being_written_and_a_blank_one_is_not() {
    let directory = TestDirectory::new();
    for (content, expected) in [("", true), ("\n", false)] {
        let path = directory.write("tokens", content);
        let mut search = Search::new(
            Token::from_query(Some("token=dm0")).expect("a token"),
            64 * 1024,
        );
        assert_eq!(find(&path, &mut search), None);
        assert_eq!(search.may_yet_find(), expected);
    }
}

#[test]
fn a_file_may_have_as_many_bytes_as_the_configuration_says_and_no_more() {
    let line = "dm0: localhost:5901\n";
    let largest = format!("{line}{}", "#".repeat(64 * 1024 - line.len()));
    assert_eq!(found(&largest), "localhost:5901");
    assert_eq!(
        reason(format!("{largest}#")),
        ": it is larger than 65536 bytes, the most a token file may have (bridge.token-file-size)"
    );
}

#[test]
fn what_is_not_a_regular_file_is_not_opened() {
    let directory = TestDirectory::new();
    let mut search = Search::new(
        Token::from_query(Some("token=dm0")).expect("a token"),
        64 * 1024,
    );
    assert_eq!(find(directory.path(), &mut search), None);
    let error = search.into_error().to_string();
    assert!(error.ends_with(": not a regular file"), "{error}");
}
