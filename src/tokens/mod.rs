//! Resolves a token to a [`Target`]: the socket for a browser's `/websockify?token=…`.
//!
//! The static targets of the configuration come first, then its sources in their order; they have all formats of
//! websockify. They are read for each request, because Wok adds and removes consoles at any time without notice. A
//! source in the network may only name targets that its `allow` permits.
//!
//! Independent of clients and of the relayed protocol. No token reaches an error or a log: an error names the file, the
//! directory or the server, and a target is shown as its endpoint.

mod address;
mod allow;
mod connect_path;
mod console;
mod file_access;
mod file_name;
mod lookup;
mod named_file;
mod names;
mod nova;
mod resolver;
mod service_client;
mod signed;
mod sockets;
mod source;
mod sources;
mod special_address;
#[cfg(test)]
mod test_directory;
mod token;
mod token_api;
mod token_file;
mod token_files;
mod token_index;
mod token_redis;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use console::{Console, ConsoleKind};
pub(crate) use nova::CloudServer;
pub(crate) use resolver::{Resolver, TargetError, TargetRequest};
pub(crate) use signed::{LinkError, LinksError};
pub use signed::{LinkOrder, SignError, sign_link};
pub use token::encode;
pub(crate) use token::{Token, TokenError};
pub(crate) use token_file::token_file_names;

use crate::config::{ConsoleSharing, Endpoint, RfbAccess, SharedConsoles};
use crate::text::Secret;
use crate::tls::{DialError, Outgoing, dial, keep_alive};

use connect_path::connect_through;
use source::{ConnectPolicy, Rfb};

/// Silence after which the host of a console is probed. One that has crashed says nothing of its end, and nobody may
/// type for hours; by then its port may be another guest's.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// The target of a token.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The name by which the token was found, which identifies the console in questions to the app. Not for logs.
    pub name: String,
    /// Address to connect to.
    pub endpoint: Endpoint,
    /// The marker at which frames to the client have to end, from `bridge.boundaries`; `None` for a byte stream,
    /// which may be cut anywhere.
    pub boundary: Option<Arc<[u8]>>,
    /// The password of the console, if its source tells it.
    pub password: Option<Secret>,
    /// True if the token, or the link, is view-only.
    pub view_only: bool,
    /// End of the token in Unix seconds, if its source tells it.
    pub expires: Option<u64>,
    /// The server of a cloud that the console belongs to, if its source tells it. Its id is then the name.
    pub server: Option<CloudServer>,
    /// True if the configuration itself has its address.
    is_fixed: bool,
    /// The path that the host is asked to connect to before the console begins.
    path: Option<String>,
    terms: ConnectPolicy,
}

impl Target {
    /// The subprotocols that it speaks beside `binary` and `base64`. A console that RFB is spoken with has none: bytes
    /// that pass as they are would pass its login and its rules. Neither has a shared one, whose clients have no
    /// connection of their own.
    #[must_use]
    pub(crate) fn subprotocols(&self) -> &[String] {
        if self.rfb().is_some() || self.shared().is_some() {
            return &[];
        }
        &self.terms.subprotocols
    }

    /// Connects once, within `limit`, to an address that the source may name, with TLS if it is configured.
    ///
    /// # Errors
    /// [`DialError`] names the endpoint and the reason.
    pub(crate) async fn connect(&self, limit: Duration) -> Result<Outgoing, DialError> {
        let permits = |address| self.terms.permits(&self.endpoint, address);
        let connected = dial(&self.endpoint, permits, self.terms.tls.as_ref(), limit).await?;
        keep_alive(&connected, KEEP_ALIVE);
        match &self.path {
            Some(path) => connect_through(connected, &self.endpoint, path, limit).await,
            None => Ok(connected),
        }
    }

    /// The settings of RFB, if it is to be spoken with the target.
    #[must_use]
    pub(crate) fn rfb(&self) -> Option<&Rfb> {
        let rfb = self.terms.rfb.as_deref();
        rfb.filter(|rfb| self.shared().is_none() && rfb.is_spoken_at(&self.endpoint))
    }

    /// The permissions of visitors at those consoles of the same source that have RFB. A visitor who is view-only there
    /// must not open this target, where view-only cannot be enforced.
    #[must_use]
    pub(crate) fn access_elsewhere(&self) -> Option<&RfbAccess> {
        let rfb = self.terms.rfb.as_deref();
        let other = rfb.filter(|rfb| !rfb.is_spoken_at(&self.endpoint));
        other.map(|rfb| &rfb.access)
    }

    /// The settings of a serial console with several viewers, if it is one. Messages with a boundary are no terminal's.
    #[must_use]
    pub(crate) fn shared(&self) -> Option<&Arc<ConsoleSharing>> {
        let is_serial = || {
            let console = self.console();
            console.is_some_and(|console| console.kind == ConsoleKind::Serial)
        };
        let shared = self.terms.shared.as_ref()?;
        let is_meant = shared.consoles == SharedConsoles::All || is_serial();
        (is_meant && self.boundary.is_none()).then_some(shared)
    }

    /// The address that identifies the console, whatever tokens lead to it. Where a source tells the server as well,
    /// that is part of it: a cloud gives the port of one server to the next.
    #[must_use]
    pub(crate) fn key(&self) -> Arc<str> {
        let mut key = self.endpoint.to_string();
        let server = self.server.as_ref().map(|_| self.name.as_str());
        for (sign, part) in [("path", self.path.as_deref()), ("server", server)] {
            if let Some(part) = part {
                // No part has a control character, so no two keys are the same by chance.
                key = format!("{key}\t{sign} {part}");
            }
        }
        key.into()
    }

    /// True if the same address is the same console later. A port that a source has named may be another's by then.
    #[must_use]
    pub(crate) fn stays(&self) -> bool {
        self.is_fixed || matches!(self.endpoint, Endpoint::Unix(_))
    }

    /// True if its [key](Self::key) is that of no other console later, so that what it has shown may be kept for who
    /// comes then.
    #[must_use]
    pub(crate) fn is_identified(&self) -> bool {
        self.stays() || self.server.is_some()
    }
}

/// The endpoint, for logs.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// Reasons why a token cannot be resolved. The text is for the log. It names the file or the directory and never
/// the token; a client should only learn that the token is not known.
///
/// If several sources cannot be read, the first is reported, and only after no other source knows the token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// All sources were read and none knows the token.
    #[error("no source knows this token")]
    Unknown,
    /// A source is missing, not permitted, too large or not readable for another reason.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Path of the file or the directory.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A line is neither `token: host:port` nor `token: unix_socket:/path`.
    #[error("{}:{line}: {reason}", path.display())]
    Malformed {
        /// Path of the token file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// Description of the fault, without quoting the line.
        reason: &'static str,
    },
    /// The name exists in a directory of sockets, but may not be connected.
    #[error("{}: {reason}", directory.display())]
    Refused {
        /// Path of the directory of sockets.
        directory: PathBuf,
        /// Description of the file that has the name.
        reason: &'static str,
    },
    /// A server that knows tokens cannot be reached, or sent an invalid response.
    #[error("{asked}: {reason}")]
    Failed {
        /// Kind and address of the server, with `{token}` in place of the token.
        asked: String,
        /// Description of the failure.
        reason: String,
    },
    /// A source names a target that its `allow` does not permit.
    #[error(
        "{asked}: it names {target}, which its `allow` does not permit (this machine, its link, metadata \
         services and translated addresses need a rule of their own)"
    )]
    Forbidden {
        /// Kind and address of the source.
        asked: String,
        /// The target that it names.
        target: Endpoint,
    },
    /// The sources could not be read in time: a file system hangs, or there are too many look-ups at once.
    #[error("the token sources could not be read in time")]
    Slow,
}
