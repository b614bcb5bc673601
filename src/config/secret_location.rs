//! Location of a secret of a service: a file, a credential from systemd, or a variable of the environment. Reads
//! nothing.

use std::fmt;
use std::path::PathBuf;

use super::secret_file::SecretFile;

/// Prefix of a secret that is in a variable of the environment.
const ENVIRONMENT: &str = "environment:";

/// The location of a secret, which is no secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretLocation {
    /// `/path` or `credential:NAME`.
    File(SecretFile),
    /// `environment:NAME`: a variable of the process, as container platforms hand over secrets.
    Environment(String),
}

impl SecretLocation {
    /// Reads a place; the error text says what to write instead, and does not quote what may be the secret itself.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(name) = text.strip_prefix(ENVIRONMENT) else {
            let file = SecretFile::parse(text).map(Self::File);
            return file.map_err(|said| format!("{said}, or \"{ENVIRONMENT}NAME\""));
        };
        let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let is_name = !name.is_empty()
            && name.chars().all(fits)
            && !name.starts_with(|first: char| first.is_ascii_digit());
        if is_name {
            Ok(Self::Environment(name.to_owned()))
        } else {
            Err(format!(
                "names no variable of the environment; write for example \"{ENVIRONMENT}OS_PASSWORD\""
            ))
        }
    }

    /// The file, if it is in one.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(file) => Some(file.path()),
            Self::Environment(_) => None,
        }
    }
}

impl fmt::Display for SecretLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.fmt(f),
            Self::Environment(name) => write!(f, "{ENVIRONMENT}{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_in_a_file_a_credential_or_a_variable() {
        for text in [
            "/etc/noren/nova",
            "credential:nova",
            "environment:OS_PASSWORD",
        ] {
            assert_eq!(SecretLocation::parse(text).expect(text).to_string(), text);
        }
        for text in [
            "",
            "environment:",
            "environment:1A",
            "environment:A-B",
            "s3cr3t!pass word",
        ] {
            let said = SecretLocation::parse(text).expect_err(text);
            assert!(said.contains("write") && !said.contains("s3cr3t"), "{said}");
        }
    }
}
