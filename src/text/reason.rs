//! The reason why a file cannot be used, and whether it is only that this user may not. Must not know what it is for.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::permission::{Use, remedy};

/// A reason in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    text: String,
    denied: Option<PathBuf>,
}

impl Reason {
    /// Converts an error of the system. A missing permission comes with the command that grants it.
    #[must_use]
    pub fn new(path: &Path, wanted: Use, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::with_text(&remedy(path, wanted), Some(path)),
            io::ErrorKind::NotFound if is_of_service(path) => Self::with_text(
                &"systemd hands it over (LoadCredential=) to the service alone",
                Some(path),
            ),
            io::ErrorKind::NotFound => missing(path).into(),
            io::ErrorKind::IsADirectory => {
                "it is a directory, and a file is wanted; write the path of a file in it".into()
            }
            _ => error.to_string().into(),
        }
    }

    /// A reason with any text; `denied` is the file that this user may not use, if that is the reason.
    #[must_use]
    pub fn with_text(text: &impl fmt::Display, denied: Option<&Path>) -> Self {
        Self {
            text: text.to_string(),
            denied: denied.map(Path::to_owned),
        }
    }

    /// The same with the name of the file in front.
    #[must_use]
    pub fn at(mut self, path: &Path) -> Self {
        self.text = format!("{}: {}", path.display(), self.text);
        self
    }

    /// The file that this user may not use, if that is the reason.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        self.denied.as_deref()
    }
}

/// The words for a file that is not there: whether it is its directory that is missing.
fn missing(path: &Path) -> String {
    let mut above = path.ancestors().skip(1);
    let is_there = |directory: &&Path| directory.as_os_str().is_empty() || directory.exists();
    let nearest = above.find(is_there);
    let parent = path.parent().filter(|parent| Some(*parent) != nearest);
    match parent {
        Some(parent) => format!(
            "No such file or directory: {} is missing too; make both, or write another path",
            parent.display()
        ),
        None => "No such file or directory; make it, or write another path".to_owned(),
    }
}

/// True for a credential of a service, if this process is none.
fn is_of_service(path: &Path) -> bool {
    path.starts_with("/run/credentials") && std::env::var_os("CREDENTIALS_DIRECTORY").is_none()
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, denied: None }
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_and_a_directory_come_with_what_to_do() {
        let directory = tempfile::tempdir().expect("a directory");
        let reason = |path: &Path| {
            let error = std::fs::read(path).expect_err("no file");
            Reason::new(path, Use::Read, &error).to_string()
        };
        let file = reason(&directory.path().join("secret"));
        assert_eq!(
            file,
            "No such file or directory; make it, or write another path"
        );
        let below = directory.path().join("none");
        let both = reason(&below.join("secret"));
        assert!(
            both.contains(&format!("{} is missing too", below.display())),
            "{both}"
        );
        let directory = reason(directory.path());
        assert!(directory.starts_with("it is a directory"), "{directory}");
    }
}
