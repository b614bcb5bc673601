//! Location of a secret: a file, or a credential from systemd. The secret itself never stands in the
//! configuration, nor on a command line. Reads nothing.

use std::fmt;
use std::path::PathBuf;

use super::mask;

/// Environment variable with the directory of a service's credentials (systemd.exec(5), `LoadCredential=`).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Directory of the credentials of the packaged service.
const OF_SERVICE: &str = "/run/credentials/noren.service";

/// The file of a credential. Outside of the service, where `noren check` is often run, it is where the service will
/// find it.
pub(super) fn credential(name: &str) -> PathBuf {
    let directory = std::env::var_os(CREDENTIALS).unwrap_or_else(|| OF_SERVICE.into());
    PathBuf::from(directory).join(name)
}

/// The place of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFile {
    /// A file.
    File(PathBuf),
    /// `credential:NAME`: the credential of this name in the unit's `LoadCredential=`.
    Credential(String),
}

impl SecretFile {
    /// Reads `/path` or `credential:NAME`; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unfit = || {
            // Without the text, which may be the secret itself.
            "is no place of a secret; write a file such as \"/etc/noren/secret\" or \"./secret\", or \
                \"credential:NAME\"".to_owned()
        };
        match text.strip_prefix("credential:") {
            Some(name) if name.is_empty() || name.starts_with('.') || name.contains('/') => {
                Err(unfit())
            }
            Some(name) => Ok(Self::Credential(name.to_owned())),
            None if mask::is_place(text) => Ok(Self::File(PathBuf::from(text))),
            None => Err(unfit()),
        }
    }

    /// The file to read.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Credential(name) => credential(name),
        }
    }
}

impl fmt::Display for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}
