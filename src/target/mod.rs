//! Token -> [`Target`]: which socket a browser's `/websockify?token=…` means.
//!
//! The static targets of the configuration are asked first, then its sources in the order written: all those of
//! websockify, with its formats. They are asked at each request, because Wok adds and removes consoles while we
//! run and tells nobody. A source in the network may only name what its `allow` permits.
//!
//! Must not know who is asking, or what is relayed to a target. No token reaches an error or a log: an error
//! names the file, the directory or the server, a target is shown as its endpoint.

mod allow;
mod console;
mod file_name;
mod named_file;
mod place;
mod resolver;
mod search;
mod signed;
mod sockets;
mod source;
#[cfg(test)]
mod test_directory;
mod token;
mod token_api;
mod token_file;
mod token_files;
mod token_index;
mod token_redis;
mod written;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use console::Console;
#[cfg(test)]
pub use console::ConsoleKind;
pub use resolver::{Asked, Resolver, TargetError};
pub use signed::{LinkError, LinkOrder, LinksError, SignError, sign_link};
pub use token::{Token, encode, same_bytes};
pub use token_file::token_file_names;

use crate::config::Endpoint;
use crate::tls::{DialError, Outgoing, dial};

use source::Terms;

/// What a token leads to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whose it is: the name by which the token was found. For questions about it, not for a log.
    pub name: String,
    /// Where to connect.
    pub endpoint: Endpoint,
    /// The marker on which each frame to the client has to end, from `bridge.boundaries`; `None` for a byte
    /// stream, which may be cut anywhere.
    pub boundary: Option<Arc<[u8]>>,
    terms: Terms,
}

impl Target {
    /// Connects once, within `limit`, to what its source may name, and with TLS where that is asked for.
    ///
    /// # Errors
    /// [`DialError`] names the endpoint and the reason.
    pub async fn connect(&self, limit: Duration) -> Result<Outgoing, DialError> {
        let permits = |address| self.terms.permits(&self.endpoint, address);
        dial(&self.endpoint, permits, self.terms.tls.as_ref(), limit).await
    }
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
    /// A server that knows tokens could not be asked, or its answer makes no sense.
    #[error("{asked}: {reason}")]
    Failed {
        /// What it is, and where; the place of a token is written `{token}`.
        asked: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A source names a target that its `allow` does not permit.
    #[error(
        "{asked}: it names {target}, which its `allow` does not permit (this machine, its link, metadata services and translated addresses need a rule of their own)"
    )]
    Forbidden {
        /// What it is, and where.
        asked: String,
        /// What it names.
        target: Endpoint,
    },
    /// The sources could not be read in time: a file system that hangs, or too many look-ups at once.
    #[error("the token sources could not be read in time")]
    Slow,
}
