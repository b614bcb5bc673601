//! Reads the files: their bytes as text, and the files for which an `include` stands. Must not know directives other
//! than `include`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::directives::is_harmless_file;
use super::syntax::Source;

/// Size limit of a file; no file of nginx is as large.
const LARGEST: u64 = 4 << 20;

/// Directory for relative paths that do not exist beside the file.
const HOME: &str = "/etc/nginx";

/// Reads a file.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let size = fs::metadata(path)?.len();
    if size > LARGEST {
        let text = format!("it has {size} bytes, and no more than {LARGEST} are read");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(text_of(&fs::read(path)?))
}

/// Converts the bytes of a file to text. nginx accepts any bytes, and old comments are in Latin-1, so each line is
/// decoded separately, and one in Latin-1 does not spoil the names in others.
fn text_of(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let line = |line: &[u8]| {
        let latin = || line.iter().copied().map(char::from).collect();
        str::from_utf8(line).map_or_else(|_| latin(), str::to_owned)
    };
    let lines: Vec<String> = bytes.split(|byte| *byte == b'\n').map(line).collect();
    lines.join("\n")
}

/// Returns the files for which the argument of an `include` in this file stands; `None` if one of them cannot be read,
/// or if they cannot contain anything that matters.
pub(super) fn included(pattern: &str, from: &Path) -> Option<Vec<Source>> {
    if is_harmless_file(pattern) && !pattern.ends_with("proxy_params") {
        return None;
    }
    let beside = from.parent().unwrap_or(Path::new("."));
    let above = beside.parent().unwrap_or(beside);
    let places = [beside, above, Path::new(HOME)];
    let found = places.iter().map(|place| files(&place.join(pattern)));
    let found = found.into_iter().find(|found| !found.is_empty())?;
    let read = found.iter().map(|path| {
        let text = read(path).ok()?;
        Some((path.display().to_string(), text))
    });
    read.collect()
}

/// Returns the files of a path whose last part may contain a star.
fn files(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((begin, end)) = name.split_once('*') else {
        return if path.is_file() {
            vec![path.to_owned()]
        } else {
            Vec::new()
        };
    };
    let Some(entries) = path.parent().and_then(|parent| fs::read_dir(parent).ok()) else {
        return Vec::new();
    };
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let long = name.len() >= begin.len() + end.len();
        long && name.starts_with(begin) && name.ends_with(end) && !name.starts_with('.')
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = paths.filter(fits).filter(|path| path.is_file()).collect();
    paths.sort();
    paths
}

/// True if a text is a configuration of Apache.
pub(super) fn is_of_apache(text: &str) -> bool {
    let words = [
        "<virtualhost",
        "<location",
        "<directory",
        "<ifmodule",
        "<proxy",
        "loadmodule ",
        "proxypass ",
        "rewriteengine ",
        "sslengine ",
    ];
    text.lines().any(|line| {
        let line = line.trim_start().to_ascii_lowercase();
        words.iter().any(|word| line.starts_with(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_utf_8_is_latin_1_and_the_others_are_what_they_were() {
        assert_eq!(text_of(b"a\n# caf\xe9\nb"), "a\n# caf\u{e9}\nb");
        assert_eq!(text_of("# café\n".as_bytes()), "# café\n");
    }

    #[test]
    fn a_file_of_apache_is_known_by_its_first_words() {
        assert!(is_of_apache("Listen 80\n  <VirtualHost *:80>\n"));
        assert!(is_of_apache("ProxyPass / http://h/\n"));
        assert!(!is_of_apache("server { listen 80; } # <VirtualHost>\n"));
    }
}
