//! Token -> [`Target`]: which socket a browser's `/websockify?token=…` means.
//!
//! The static targets of the configuration are asked first, then its sources in the order written: directories
//! and files as websockify's `TokenFile` reads them, and directories of UNIX sockets. The sources are read at
//! each request, because Wok adds and removes consoles while we run and tells nobody.
//!
//! Must not know HTTP, who is asking, or how a target is connected to. No token reaches an error or a log: an
//! error names the file or the directory, a target is shown as its endpoint.

mod file_name;
mod resolver;
mod search;
mod sockets;
#[cfg(test)]
mod test_directory;
mod token;
mod token_directory;
mod token_file;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use resolver::Resolver;
pub use token::{Token, encode, same_bytes};
pub use token_file::token_file_names;

use crate::config::Endpoint;

/// What a token leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Where to connect.
    pub endpoint: Endpoint,
    /// The marker on which each frame to the client has to end, from `bridge.boundaries`; `None` for a byte
    /// stream, which may be cut anywhere.
    pub boundary: Option<Arc<[u8]>>,
}

/// The endpoint, for logs.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// Why a token leads nowhere. The text is for the log. It names the file or the directory to look at and never
/// the token; a client should learn no more than that the token is not known.
///
/// When several sources could not be used the first is told, and only after no other source knew the token.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Every source was read and none knows the token.
    #[error("no source knows this token")]
    Unknown,
    /// A source is missing, not permitted, too large or otherwise not to be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file or the directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line that is not `token: host:port` or `token: unix_socket:/path`.
    #[error("{}:{line}: {reason}", path.display())]
    Malformed {
        /// The token file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it, without its words.
        reason: &'static str,
    },
    /// A directory of sockets has the name, but it must not be connected to.
    #[error("{}: {reason}", directory.display())]
    Refused {
        /// The directory of sockets.
        directory: PathBuf,
        /// What the name turned out to be.
        reason: &'static str,
    },
    /// The sources could not be read in time: a file system that hangs, or too many look-ups at once.
    #[error("the token sources could not be read in time")]
    Slow,
}
