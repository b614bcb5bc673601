//! Reads small text files that people write: up to a size limit, and without the byte order mark of Windows
//! editors, which would become a part of the first word.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Size limit of a file with one secret: a password, a token or a key.
pub const LARGEST_SECRET: u64 = 64 * 1024;

/// The byte order mark of UTF-8.
pub const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a file up to a size limit, without its byte order mark. The error quotes nothing of it.
///
/// # Errors
/// The error of the system; the file is too large; it is UTF-16.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!(
            "it is larger than {}",
            size(most)
        )));
    }
    let start = bytes.len() - without_mark(&bytes)?.len();
    bytes.drain(..start);
    Ok(bytes)
}

/// Reads a file as [`read`] does, as text.
///
/// # Errors
/// As for [`read`]; the file is not UTF-8 (with the line).
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = line_at(error.as_bytes(), valid);
        io::Error::other(format!(
            "line {line}: this is not UTF-8 text; save the file as UTF-8"
        ))
    })
}

/// Removes a byte order mark of UTF-8, if there is one.
///
/// # Errors
/// The mark is that of UTF-16, which Notepad calls "Unicode".
fn without_mark(bytes: &[u8]) -> io::Result<&[u8]> {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(io::Error::other(
            "it is UTF-16 text; save the file as UTF-8",
        ));
    }
    Ok(bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes))
}

/// Number of the line, from 1, that contains the byte at `offset`.
#[must_use]
pub fn line_at(bytes: &[u8], offset: usize) -> usize {
    let before = bytes.iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}

fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(content: &[u8]) -> io::Result<String> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("file");
        std::fs::write(&path, content)?;
        read_text(&path, 1024)
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(reading(b"\xEF\xBB\xBFann: tea").expect("text"), "ann: tea");
        assert_eq!(reading(b"").expect("text"), "");
        assert_eq!(reading(b"\xEF\xBB\xBF").expect("text"), "");
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_words() {
        for (content, reason) in [
            (&b"\xFF\xFEs\0e\0c\0"[..], "it is UTF-16 text"),
            (b"\xFE\xFF\0s\0e\0c", "it is UTF-16 text"),
            (b"ok\nsecret\xFF", "line 2: this is not UTF-8 text"),
            (&[b's'; 1025], "it is larger than 1 KiB"),
        ] {
            let said = reading(content).expect_err(reason).to_string();
            assert!(
                said.starts_with(reason) && !said.contains("secret"),
                "{said}"
            );
        }
    }
}
