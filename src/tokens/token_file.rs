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

/// Finds the token in the file. A problem with the file is recorded in the search.
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
    // Before it is read: invented tokens cause as many look-ups as a client likes.
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

/// True if a token file with this content has a valid line for a token. For fuzz targets, which have no file.
pub(crate) fn token_file_names(content: &[u8], token: &Token) -> bool {
    matches!(find_in(content, token), Ok(Some(_)))
}

/// A token as written, its target, and whether it is view-only.
type Found<'a> = (&'a [u8], (Endpoint, bool));

/// Returns the token as written, its target, and whether it is view-only. The last line of the token counts, even if
/// its address is invalid: earlier lines are outdated.
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
        // It may have been for this token.
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
mod tests;
