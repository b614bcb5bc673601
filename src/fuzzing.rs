//! The entrances of the fuzz targets in `tests/fuzz`: what reads bytes from outside, with the properties that
//! must hold whatever they are. Not part of the public interface.

use http::HeaderValue;

use crate::config::Config;
use crate::http::{Authority, PathFault};
use crate::target::{Token, token_file_names};
use crate::websocket::{Event, FrameReader};

/// A configuration is taken or refused with a text; it never panics.
///
/// # Panics
/// If an error has no text.
pub fn config(text: &str) {
    if let Err(error) = Config::parse(text, "fuzz.toml") {
        assert!(!error.to_string().is_empty());
    }
}

/// A path that passes has one reading only: decoding it once more finds nothing to climb with.
///
/// # Panics
/// If one passes that does.
pub fn path(path: &str) {
    if PathFault::check(path).is_ok() && PathFault::check_slashes(path).is_ok() {
        let decoded = path.replace("%2e", ".").replace("%2E", ".");
        assert!(decoded.starts_with('/') && !decoded.contains('\\'));
        assert!(
            !decoded
                .split('/')
                .any(|segment| segment == "." || segment == "..")
        );
        assert!(!path.contains("%00") && !path.to_ascii_lowercase().contains("%5c"));
    }
}

/// An authority that passes is a host and perhaps a port, and nothing that could break out of a header.
///
/// # Panics
/// If anything else passes.
pub fn authority(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    if let Ok(authority) = Authority::parse(&value) {
        let text = authority.as_str();
        assert!(text.starts_with(authority.host()) && !authority.host().is_empty());
        assert!(!text.contains(['@', '/', '?', '#', ' ', ',', '\\', '%']));
    }
}

/// Frames cut anywhere are read as the same frames read at once.
///
/// # Panics
/// If they are not.
pub fn frames(bytes: &[u8]) {
    let step = usize::from(bytes.first().copied().unwrap_or_default()) + 1;
    let bytes = bytes.get(1..).unwrap_or_default();
    assert_eq!(
        read_frames(bytes, bytes.len().max(1)),
        read_frames(bytes, step)
    );
}

/// All payload, the other events, and the code of a violation.
fn read_frames(bytes: &[u8], step: usize) -> (Vec<u8>, Vec<Event>, Option<u16>) {
    let mut reader = FrameReader::new();
    let (mut data, mut others) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        let (mut piece, mut at) = (piece.to_vec(), 0);
        loop {
            match reader.next(&mut piece, &mut at) {
                Ok(Some(Event::Data { piece: range, .. })) => {
                    data.extend_from_slice(piece.get(range).unwrap_or_default());
                }
                Ok(Some(other)) => others.push(other),
                Ok(None) => break,
                Err(violation) => return (data, others, Some(violation.code)),
            }
        }
    }
    (data, others, None)
}

/// A token file and a query, divided by the first NUL: found, not found or malformed, never a panic, and a
/// token without a line of its own is not found.
///
/// # Panics
/// If something is found in an empty file.
pub fn tokens(bytes: &[u8]) {
    let cut = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    let (query, file) = bytes.split_at(cut);
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    if let Ok(token) = Token::from_query(Some(query)) {
        let file = file.get(1..).unwrap_or_default();
        let found = token_file_names(file, &token);
        assert!(!found || !file.is_empty());
    }
}
