//! Requests to an app that change a session, or may do so: a logout, or a switch after which the same session has other
//! rights.
//!
//! A `POST` to a logout path that the app accepts ends the session at once. Apps also log out by other methods and
//! below the path, and such a request may also be for a page that only asks the visitor. So after it the app is queried
//! again, at once, about everything that is open. Independent of how the app is queried.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};

use crate::access::session::Sessions;
use crate::access::session::credential::Credential;
use crate::access::session::query;
use crate::config::LogoutEnds;
use crate::http::{Context, Head};
use crate::shutdown::Shutdown;

/// The sessions that a request changes, or may change.
pub(crate) struct Change {
    kind: Kind,
    sessions: Vec<Credential>,
    /// Parts of the credentials of the request: the session may have been opened with more or fewer credentials than
    /// these.
    parts: Box<[Credential]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A logout, if the app accepts it.
    Logout,
    /// A request after which the app has to be queried again.
    Possible,
}

impl Sessions {
    /// Returns the change, if a request to the app with index `app` may change its session. If a logout ends all
    /// sessions of its user, the app may be queried for the name of the user, before it gets the request.
    pub(crate) async fn change(
        &self,
        app: usize,
        (method, headers): (&Method, &HeaderMap),
        head: &Head,
        context: &Context,
    ) -> Option<Change> {
        let kind = self.kind_of(app, method, head)?;
        let told = query::visitor(headers, context, head);
        let shown = self.hashes(&told);
        let mut sessions = shown.sessions.into_vec();
        if kind == Kind::Logout && self.settings.logout_ends == LogoutEnds::User {
            let visitor = self.query(headers, context, head).await.ok();
            let name = visitor.and_then(|visitor| visitor.name());
            sessions.extend(name.map(|name| self.known.secret.user(&name)));
        }
        Some(Change {
            kind,
            sessions,
            parts: shown.parts,
        })
    }

    fn kind_of(&self, app: usize, method: &Method, head: &Head) -> Option<Kind> {
        if self.routes.get(app) != Some(&true) {
            return None;
        }
        let is = |known: &String| head.path.may_be(known, self.ignores_case);
        let is_below = |known: &String| {
            head.path.may_be_below(known, self.ignores_case)
                || head.path.may_be_in_a_format(known, self.ignores_case)
        };
        if self.logout.iter().any(is) {
            // If the old cookie remains valid, a query would not show the logout.
            let is_certain =
                method == Method::POST || self.settings.logout_ends == LogoutEnds::User;
            return Some(if is_certain {
                Kind::Logout
            } else {
                Kind::Possible
            });
        }
        let is_possible = self.logout.iter().any(is_below)
            || self.switch.iter().any(|known| is(known) || is_below(known));
        is_possible.then_some(Kind::Possible)
    }

    /// Handles the response to a request that may change its session. A logout that the app has accepted ends the
    /// session, with all open connections, and the result is true. After any other such request, the app is queried
    /// again about the session. After both it is queried about everything that was opened with a part of the same
    /// credentials.
    pub(crate) fn make(
        self: &Arc<Self>,
        change: &Change,
        status: StatusCode,
        tasks: &Shutdown,
    ) -> bool {
        // A 304 is about a page that the client has already, and nothing happened.
        let is_accepted =
            status.is_success() || (status.is_redirection() && status != StatusCode::NOT_MODIFIED);
        let ends = change.kind == Kind::Logout && is_accepted;
        if ends {
            for session in &change.sessions {
                self.known.end(*session);
            }
        } else {
            self.known.invalidate(&change.sessions);
        }
        let others = self.known.invalidate_parts(&change.parts, &change.sessions);
        if !ends || others {
            let (sessions, stop) = (Arc::clone(self), tasks.clone());
            tasks.spawn(async move { sessions.repeat_queries(&stop).await });
        }
        ends
    }

    /// Messages about a logout to the other nodes of a cluster, one for each reading; none if the nodes share no key.
    pub(crate) fn logout_announcements(&self, change: &Change) -> impl Iterator<Item = Vec<u8>> {
        let sessions = if self.is_shared {
            &*change.sessions
        } else {
            &[]
        };
        sessions.iter().map(|session| session.to_bytes())
    }

    /// Ends a session that another node has reported.
    pub(crate) fn end_reported(&self, told: &[u8]) {
        if let Some(credential) = Credential::of_bytes(told) {
            self.known.end(credential);
        }
    }
}
