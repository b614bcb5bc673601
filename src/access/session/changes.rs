//! Requests on their way to an app that change a session: a logout, or a switch after which the same session may do
//! other things.
//!
//! Such a request is known by its path, whatever its method: apps log out by GET as well, and the status of the
//! response says whether the app has done it. Must not know how the app is asked.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::access::session::Sessions;
use crate::access::session::credential::Credential;
use crate::access::session::question;
use crate::config::LogoutEnds;
use crate::http::{Context, Head};
use crate::shutdown::Shutdown;

/// The sessions that a request may change, if the app agrees.
pub struct Change {
    kind: Kind,
    sessions: Vec<Credential>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Logout,
    Switch,
}

impl Change {
    /// True if the status of the response says that the app has made the change.
    #[must_use]
    pub fn is_made(status: StatusCode) -> bool {
        // A 304 is about a page that the client has already, and nothing happened.
        status.is_success() || (status.is_redirection() && status != StatusCode::NOT_MODIFIED)
    }
}

impl Sessions {
    /// Checks whether a request to the app with index `app` may change its session. For a logout that ends
    /// everything its user has open, the app may be queried about the user before the request reaches it.
    pub async fn change(
        &self,
        app: usize,
        headers: &HeaderMap,
        head: &Head,
        context: &Context,
    ) -> Option<Change> {
        let kind = self.kind_of(app, head)?;
        let told = question::visitor(headers, context, head);
        let mut sessions = self.shown(&told).sessions.into_vec();
        if kind == Kind::Logout && self.settings.logout_ends == LogoutEnds::User {
            let visitor = self.ask(headers, context, head).await.ok();
            let name = visitor.and_then(|visitor| visitor.name());
            sessions.extend(name.map(|name| self.known.secret.user(&name)));
        }
        Some(Change { kind, sessions })
    }

    fn kind_of(&self, app: usize, head: &Head) -> Option<Kind> {
        let (path, case) = (&head.path, self.ignores_case);
        if app != self.settings.app {
            None
        } else if self.logout.iter().any(|known| path.may_be(known, case)) {
            Some(Kind::Logout)
        } else {
            let is_below = |known: &String| path.may_be(known, case) || path.may_be_below(known, case);
            self.switch.iter().any(is_below).then_some(Kind::Switch)
        }
    }

    /// Makes a change that the app has made: a logout ends all that is open, and after a switch the app is asked about
    /// it at once, and nothing is believed that was said before.
    pub fn make(self: &Arc<Self>, change: &Change, tasks: &Shutdown) {
        for session in &change.sessions {
            match change.kind {
                Kind::Logout => self.known.end(*session),
                Kind::Switch => self.known.forget(*session),
            }
        }
        if change.kind == Kind::Switch {
            let (sessions, stop) = (Arc::clone(self), tasks.clone());
            tasks.spawn(async move { sessions.ask_again(&stop).await });
        }
    }

    /// Messages about a logout for the other nodes of a cluster, one for each reading, if they share the key.
    pub fn to_tell(&self, change: &Change) -> impl Iterator<Item = Vec<u8>> {
        let is_told = self.is_shared && change.kind == Kind::Logout;
        let sessions = if is_told { &*change.sessions } else { &[] };
        sessions.iter().map(|session| session.to_bytes())
    }

    /// Ends a session that another node has reported.
    pub fn end_told(&self, told: &[u8]) {
        if let Some(credential) = Credential::of_bytes(told) {
            self.known.end(credential);
        }
    }
}
