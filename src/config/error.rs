//! Errors in a configuration file, in words an operator can act on: file, line, key, fault, remedy. Independent of
//! the individual keys.

use std::io;
use std::path::PathBuf;
use std::str::Utf8Error;

use thiserror::Error;

use super::syntax;
use crate::faults::lines;

/// Reason why there is no configuration. Both kinds are the operator's to mend; the program exits with 78.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot be read: {}", path.display(), reason(error))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The file was read but cannot be used. Displayed with one line a problem.
    #[error("{}", lines(problems))]
    Invalid {
        /// The faults, from the top of the file to its end. Never empty.
        problems: Vec<Problem>,
    },
}

/// One thing wrong in a file, displayed as `noren.toml:14: bridge.idle: "10" has no unit; write
/// "10s", "5m" or "1h"`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}{}: {}{text}", line.map(|line| format!(":{line}")).unwrap_or_default(), key_and_colon(key))]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; `None` if the file lacks something as a whole.
    pub line: Option<usize>,
    /// The dotted path of the key, such as `app.wok.url` or `listener[1].mode`; empty if the problem is not about one
    /// key.
    pub key: String,
    /// Description of the fault, and the remedy.
    pub text: String,
}

impl ConfigError {
    /// The text is not TOML.
    pub(super) fn syntax(file_name: &str, text: &str, error: &toml::de::Error) -> Self {
        let Some(span) = error.span() else {
            return Self::one(file_name, None, syntax::explain(error.message(), "", ""));
        };
        let number = line_at(text.as_bytes(), span.start);
        let line = text.lines().nth(number - 1).unwrap_or_default();
        let words = syntax::explain(error.message(), line, text.get(span).unwrap_or_default());
        Self::one(file_name, Some(number), words)
    }

    /// The file is not text.
    pub(super) fn not_utf8(file_name: &str, bytes: &[u8], error: Utf8Error) -> Self {
        let line = line_at(bytes, error.valid_up_to());
        Self::one(
            file_name,
            Some(line),
            "this is not UTF-8 text; save the file as UTF-8".to_owned(),
        )
    }

    fn one(file_name: &str, line: Option<usize>, text: String) -> Self {
        Self::Invalid {
            problems: vec![Problem {
                file: file_name.to_owned(),
                line,
                key: String::new(),
                text,
            }],
        }
    }
}

/// The line, from 1; `None` if the file lacks something as a whole.
pub(super) fn line_at(text: &[u8], offset: usize) -> usize {
    text.iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

fn key_and_colon(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

/// The commonest reasons without the system's "(os error 2)".
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}
