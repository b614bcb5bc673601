//! Who opened what, and who was refused: one line when something opens, one when it ends, one for a refusal.
//!
//! These lines are an interface. Their target is [`TARGET`], the message is a constant, and all else is a field:
//! names, addresses and numbers, never a token, a cookie or a body.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tracing::info;

/// What these lines go by in a filter of the log.
pub const TARGET: &str = "noren::audit";

/// Somebody, by all the names that were verified.
#[derive(Clone, Debug, Default)]
pub struct Who {
    /// Where the connection comes from.
    pub peer: String,
    /// The name that the app gave with the session.
    pub user: Option<Arc<str>>,
    /// The user whose password of the door was shown.
    pub login: Option<Arc<str>>,
    /// The name in the client's certificate.
    pub certificate: Option<Arc<str>>,
}

/// What kind of thing it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tunnel of the bridge.
    Console,
    /// A subscription to channels, whatever its transport.
    Stream,
    /// A WebSocket of the app.
    WebSocket,
    /// A message for a channel.
    Message,
    /// An ordinary request to an app.
    Request,
    /// A connection, before there is a request.
    Connection,
}

/// What somebody opens, or would like to.
#[derive(Clone, Debug)]
pub struct What {
    /// The kind of it.
    pub kind: Kind,
    /// Where it leads: a socket, an address, an app, channels. Never a token.
    pub target: Option<String>,
    /// The name of the console, where names are no secrets.
    pub console: Option<String>,
}

/// Something open. Dropping it writes the closing line, so there is exactly one for each opening line.
#[derive(Debug)]
pub struct Opened {
    who: Who,
    what: What,
    since: Instant,
    up: u64,
    down: u64,
    reason: Cow<'static, str>,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Stream => "stream",
            Self::WebSocket => "websocket",
            Self::Message => "message",
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

impl What {
    /// A thing of this kind at this target.
    #[must_use]
    pub fn new(kind: Kind, target: impl Into<String>) -> Self {
        Self {
            kind,
            target: Some(target.into()),
            console: None,
        }
    }
}

impl Opened {
    /// Writes the opening line.
    #[must_use]
    pub fn new(who: Who, what: What) -> Self {
        let Who {
            peer,
            user,
            login,
            certificate,
        } = &who;
        let (user, login, certificate) =
            (user.as_deref(), login.as_deref(), certificate.as_deref());
        let What {
            kind,
            target,
            console,
        } = &what;
        let (target, console) = (target.as_deref(), console.as_deref());
        info!(target: TARGET, %kind, peer, user, login, certificate, target, console, "opened");
        Self {
            who,
            what,
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

    /// Says why it ends; the last one counts.
    pub fn because(&mut self, reason: impl Into<Cow<'static, str>>) {
        self.reason = reason.into();
    }

    /// The bytes so far, from the client and to it.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.up, self.down)
    }

    /// Who has opened it.
    #[must_use]
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// What is open.
    #[must_use]
    pub fn what(&self) -> &What {
        &self.what
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let Who {
            peer,
            user,
            login,
            certificate,
        } = &self.who;
        let (user, login, certificate) =
            (user.as_deref(), login.as_deref(), certificate.as_deref());
        let What {
            kind,
            target,
            console,
        } = &self.what;
        let (target, console) = (target.as_deref(), console.as_deref());
        let seconds = (self.since.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let (reason, up, down) = (&*self.reason, self.up, self.down);
        info!(
            target: TARGET,
            %kind, peer, user, login, certificate, target, console, reason, seconds, up, down, "closed"
        );
    }
}

/// Writes the line of a refusal. `reason` is one that may be in a log.
pub fn refused(who: &Who, what: &What, status: Option<u16>, reason: &str) {
    let Who {
        peer,
        user,
        login,
        certificate,
    } = who;
    let (user, login, certificate) = (user.as_deref(), login.as_deref(), certificate.as_deref());
    let What {
        kind,
        target,
        console,
    } = what;
    let (target, console) = (target.as_deref(), console.as_deref());
    info!(
        target: TARGET,
        %kind, peer, user, login, certificate, target, console, status, reason, "refused"
    );
}
