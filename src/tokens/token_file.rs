//! One token file, in the format that websockify's `TokenFile` reads and Wok writes.
//!
//! Each line is `token: host:port` or `token: unix_socket:/path`, with `view-only` behind it or not. Blank lines and
//! lines that begin with `#` are skipped, the last line of a token counts, and the last line needs no line feed.
//! Programs truncate a file before they write it, so an empty one is *being written*.
//!
//! Independent of the source that the file belongs to.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::address::parse_entry;
use super::lookup::Search;
use super::{ResolveError, Token};
use crate::config::Endpoint;
use crate::text::file::UTF8_MARK;

/// Finds the token in the file. A problem with the file is noted in the search.
pub(super) fn find(path: &Path, search: &mut Search) -> Option<Endpoint> {
    let content = match read(path, search.largest) {
        Ok(content) => content,
        Err(source) => {
            search.note_unreadable(path, source);
            return None;
        }
    };
    if content.is_empty() {
        search.note_being_written(path);
        return None;
    }
    match find_in(&content, &search.token) {
        Ok(found) => found.map(|(written, (endpoint, view_only))| {
            search.name = Some(search.token.name_of(written).to_owned());
            search.view_only = view_only;
            endpoint
        }),
        Err(Malformed { line, reason }) => {
            let path = path.to_owned();
            search.note(ResolveError::Malformed { path, line, reason });
            None
        }
    }
}

/// Reads the file. Only a regular file is opened, because opening a pipe would wait for a writer.
pub(super) fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let too_large = || {
        io::Error::other(format!(
            "it is larger than {largest} bytes, the most a token file may have (bridge.token-file-size)"
        ))
    };
    // Before it is read: it may be looked at for each token that somebody made up.
    if metadata.len() > largest {
        return Err(too_large());
    }
    let mut content = Vec::new();
    File::open(path)?
        .take(largest.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > largest {
        return Err(too_large());
    }
    // Without it the first token would not be found.
    if content.starts_with(UTF8_MARK) {
        content.drain(..UTF8_MARK.len());
    }
    Ok(content)
}

/// A line that prevents, or may prevent, finding the token.
struct Malformed {
    /// Line number, from 1.
    line: usize,
    reason: &'static str,
}

/// True if the content of a token file has a valid line for a token. For fuzz targets, which have no file.
pub fn token_file_names(content: &[u8], token: &Token) -> bool {
    matches!(find_in(content, token), Ok(Some(_)))
}

/// A token as written, its target, and whether it is for looking only.
type Found<'a> = (&'a [u8], (Endpoint, bool));

/// Returns the token as written, its target, and whether it is for looking only. The last line of the token counts,
/// even if its address is invalid: earlier lines are outdated.
fn find_in<'a>(content: &'a [u8], token: &Token) -> Result<Option<Found<'a>>, Malformed> {
    let mut last = None;
    let mut unclear = None;
    for (number, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
        match Line::parse(line) {
            Line::Unclear => unclear = unclear.or(Some(number)),
            Line::Entry { written, address } if token.is_written(written) => {
                last = Some((number, written, address));
            }
            Line::Nothing | Line::Entry { .. } => {}
        }
    }
    match (last, unclear) {
        (Some((line, written, address)), _) => parse_entry(address)
            .map(|entry| Some((written, entry)))
            .map_err(|reason| Malformed { line, reason }),
        // It may have been meant for this token; nobody can tell.
        (None, Some(line)) => Err(Malformed {
            line,
            reason: "no colon and white space between a token and an address",
        }),
        (None, None) => Ok(None),
    }
}

/// One line, split but not interpreted. It is bytes, so that invalid text in one line does not hide another.
pub(super) enum Line<'a> {
    /// A blank line or a comment.
    Nothing,
    Entry {
        written: &'a [u8],
        address: &'a [u8],
    },
    /// A line whose token cannot be determined.
    Unclear,
}

impl<'a> Line<'a> {
    /// Splits a line at the first colon that is followed by white space. White space around the line, including
    /// the carriage return of a file from Windows, is removed.
    pub(super) fn parse(line: &'a [u8]) -> Self {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Self::Nothing;
        }
        let colon = line
            .windows(2)
            .position(|pair| matches!(pair, [b':', space] if space.is_ascii_whitespace()));
        match colon.and_then(|colon| line.split_at_checked(colon)) {
            Some((written, [_colon, address @ ..])) => Self::Entry {
                written,
                address: address.trim_ascii(),
            },
            _ => Self::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
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
        let content = "# dm0: localhost:1\n\n   \n  #dm0: localhost:2\ndm0: localhost:3\n# dm0: localhost:4\n";
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
        let no_socket =
            ":1: the path behind unix_socket: is not absolute, or too long for a socket";
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
}
