//! The audit log: one line when a tunnel or stream opens, one when it ends, one for each recording and each refusal.
//!
//! The lines are an interface. Their target is [`TARGET`], the message is a constant, and all else is a field:
//! names, addresses and numbers, never a token, a cookie or a body.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tracing::info;

use super::{Rfb, Viewing};

/// Log target of audit lines.
pub const TARGET: &str = "noren::audit";

/// An identified client, with all its verified names.
#[derive(Clone, Debug, Default)]
pub struct AuditClient {
    /// Address of the client.
    pub peer: String,
    /// User name that the app reports for the session.
    pub user: Option<Arc<str>>,
    /// User name of a verified password login.
    pub login: Option<Arc<str>>,
    /// Name in the client's certificate.
    pub certificate: Option<Arc<str>>,
}

/// The kind of object that a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tunnel of the bridge.
    Console,
    /// A subscription to channels, over any transport.
    Stream,
    /// A WebSocket of the app.
    WebSocket,
    /// A message for a channel.
    Message,
    /// A recording that is played or watched.
    Recording,
    /// An ordinary request to an app.
    Request,
    /// A connection without a request.
    Connection,
}

/// The object that a client opens or wants to open.
#[derive(Clone, Debug)]
pub struct AuditObject {
    /// Kind of the object.
    pub kind: Kind,
    /// Its target: a socket, an address, an app, channels. Never a token.
    pub target: Option<String>,
    /// Name of the console, if names are no secrets.
    pub console: Option<String>,
    /// Properties of a console that RFB is spoken with.
    pub rfb: Option<Rfb>,
    /// Terms of a viewer of a shared console.
    pub shared: Option<Viewing>,
}

/// An open object. Dropping it writes the closing line, so each opening line has exactly one.
#[derive(Debug)]
pub struct Opened {
    client: AuditClient,
    object: AuditObject,
    since: Instant,
    up: u64,
    down: u64,
    reason: Cow<'static, str>,
}

/// A recording that has its end.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// Path of its file.
    pub file: &'a Path,
    /// Size of the file.
    pub bytes: u64,
    /// Bytes that are missing in it, because the disk did not keep up.
    pub lost: u64,
    /// Number of its records.
    pub records: u64,
    /// The digest of all of it.
    pub digest: &'a str,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Stream => "stream",
            Self::WebSocket => "websocket",
            Self::Message => "message",
            Self::Recording => "recording",
            Self::Request => "request",
            Self::Connection => "connection",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AuditObject {
    /// Creates an object of this kind with this target.
    #[must_use]
    pub fn new(kind: Kind, target: impl Into<String>) -> Self {
        Self {
            kind,
            target: Some(target.into()),
            console: None,
            rfb: None,
            shared: None,
        }
    }
}

impl Opened {
    /// Writes the opening line.
    #[must_use]
    pub fn new(client: AuditClient, object: AuditObject) -> Self {
        let AuditClient {
            peer,
            user,
            login,
            certificate,
        } = &client;
        let (user, login, certificate) =
            (user.as_deref(), login.as_deref(), certificate.as_deref());
        let AuditObject {
            kind,
            target,
            console,
            rfb,
            shared,
        } = &object;
        let (target, console) = (target.as_deref(), console.as_deref());
        let (rfb, view_only) = Rfb::fields(*rfb, *shared);
        let shared = shared.map(|_| true);
        info!(
            target: TARGET,
            %kind, peer, user, login, certificate, target, console, rfb, shared, view_only, "opened"
        );
        Self {
            client,
            object,
            since: Instant::now(),
            up: 0,
            down: 0,
            reason: Cow::Borrowed("cut off"),
        }
    }

    /// Adds bytes, from the client (`up`) and to it (`down`).
    pub fn count(&mut self, up: u64, down: u64) {
        self.up += up;
        self.down += down;
    }

    /// Sets the close reason; the last call counts.
    pub fn because(&mut self, reason: impl Into<Cow<'static, str>>) {
        self.reason = reason.into();
    }

    /// Bytes so far, from the client and to it.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.up, self.down)
    }

    /// The client that opened it.
    #[must_use]
    pub fn client(&self) -> &AuditClient {
        &self.client
    }

    /// The open object.
    #[must_use]
    pub fn object(&self) -> &AuditObject {
        &self.object
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let AuditClient {
            peer,
            user,
            login,
            certificate,
        } = &self.client;
        let (user, login, certificate) =
            (user.as_deref(), login.as_deref(), certificate.as_deref());
        let AuditObject {
            kind,
            target,
            console,
            rfb,
            shared,
        } = &self.object;
        let (target, console) = (target.as_deref(), console.as_deref());
        let (rfb, view_only) = Rfb::fields(*rfb, *shared);
        let shared = shared.map(|_| true);
        let seconds = (self.since.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let (reason, up, down) = (&*self.reason, self.up, self.down);
        info!(
            target: TARGET,
            %kind, peer, user, login, certificate, target, console, rfb, shared, view_only, reason, seconds,
            up, down, "closed"
        );
    }
}

/// Writes the line of a recording that has its end, with the digest that `noren recordings verify` computes: a later
/// change of the file does not change the audit.
pub fn recorded(recording: &Recorded<'_>) {
    let Recorded {
        file,
        bytes,
        lost,
        records,
        digest,
    } = recording;
    let file = file.display();
    info!(target: TARGET, kind = "recording", %file, bytes, lost, records, digest, "recorded");
}

/// Writes the line of a refusal. `reason` must be fit for a log.
pub fn refused(client: &AuditClient, object: &AuditObject, status: Option<u16>, reason: &str) {
    let AuditClient {
        peer,
        user,
        login,
        certificate,
    } = client;
    let (user, login, certificate) = (user.as_deref(), login.as_deref(), certificate.as_deref());
    let AuditObject {
        kind,
        target,
        console,
        rfb: _,
        shared: _,
    } = object;
    let (target, console) = (target.as_deref(), console.as_deref());
    info!(
        target: TARGET,
        %kind, peer, user, login, certificate, target, console, status, reason, "refused"
    );
}
