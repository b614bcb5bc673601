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
            io::ErrorKind::PermissionDenied => Self::told(&remedy(path, wanted), Some(path)),
            io::ErrorKind::NotFound if is_of_service(path) => Self::told(
                &"systemd hands it over (LoadCredential=) to the service alone",
                Some(path),
            ),
            _ => error.to_string().into(),
        }
    }

    /// A reason with any text; `denied` is the file that this user may not use, if that is the reason.
    #[must_use]
    pub fn told(text: &impl fmt::Display, denied: Option<&Path>) -> Self {
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
