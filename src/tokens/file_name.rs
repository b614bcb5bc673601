//! A file name from a client that is safe to look up in a directory.
//!
//! Does not access the file system.

use std::path::Path;

/// Length limit of a file name on Linux, in bytes.
const LONGEST: usize = 255;

/// One visible name within a directory. It cannot lead out of it: no `/`, no NUL, not `.` or `..`.
///
/// A name that begins with a dot is refused as a whole, because hidden files are what their owner did not mean
/// to list: half-written copies, and sockets such as a database's `.s.PGSQL.5432`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileName<'a>(&'a str);

impl<'a> FileName<'a> {
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let fits = !name.is_empty() && name.len() <= LONGEST;
        let stays = !name.starts_with('.') && !name.contains(['/', '\0']);
        (fits && stays).then_some(Self(name))
    }
}

impl AsRef<Path> for FileName<'_> {
    fn as_ref(&self) -> &Path {
        Path::new(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visible_single_component_is_a_file_name() {
        for name in [
            "vm",
            "vm-console",
            "a b",
            "café",
            "a..b",
            "vm.",
            "\\",
            "~",
            &"a".repeat(255),
        ] {
            assert!(FileName::parse(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_not() {
        let too_long = "a".repeat(256);
        for name in [
            "", ".", "..", "...", ".hidden", "/", "/etc", "a/b", "a/", "../a", "a\0", "a/../b",
            &too_long,
        ] {
            assert_eq!(FileName::parse(name), None, "{name:?}");
        }
    }
}
