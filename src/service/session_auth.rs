//! The session as a step of a request: identifies the visitor, gets a lease, and converts refusals. Does not know what
//! is opened for the session.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::access::session::{Denied, Sessions, Visitor};
use crate::config::ChannelName;
use crate::http::{Context, Head, Lease, Refusal};
use crate::tokens::Target;

/// `Retry-After` if the app could not be queried.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Queries the app about visitors, if a session is configured.
#[derive(Clone, Debug)]
pub(super) struct SessionAuth(Option<Arc<Sessions>>);

impl SessionAuth {
    pub(super) fn new(sessions: Option<Arc<Sessions>>) -> Self {
        Self(sessions)
    }

    /// The sessions, if there are any.
    pub(super) fn sessions(&self) -> Option<&Arc<Sessions>> {
        self.0.as_ref()
    }

    /// Queries the app about the visitor.
    pub(super) async fn visitor(
        &self,
        headers: &HeaderMap,
        head: &Head,
        context: &Context,
    ) -> Result<Visitor, Refusal> {
        let Some(sessions) = &self.0 else {
            // The configuration prevents this; if it happened, nobody would be let in.
            return Err(Refusal::new(
                StatusCode::BAD_GATEWAY,
                "a login is required here, and no app is configured to check it",
            ));
        };
        let asked = sessions.query(headers, context, head).await;
        asked.map_err(|denied| refused(&denied))
    }

    /// True if the app has recently confirmed this visitor, or is queried repeatedly about it because of an open
    /// connection. Sends no query.
    pub(super) fn is_known_visitor(&self, headers: &HeaderMap) -> bool {
        let sessions = self.0.as_ref();
        sessions.is_some_and(|sessions| sessions.is_known_visitor(headers))
    }

    /// Queries the app for permission to subscribe to these channels, and returns the lease.
    pub(super) async fn lease_for(
        &self,
        visitor: Visitor,
        names: &[ChannelName],
    ) -> Result<Lease, Refusal> {
        let Some(sessions) = &self.0 else {
            return Err(refused(&Denied::NotLoggedIn));
        };
        let asked = sessions.query_channels(visitor, names).await;
        asked.map_err(|denied| refused(&denied))
    }

    /// Queries the app for permission to open this console, and returns the lease.
    pub(super) async fn lease(&self, visitor: Visitor, target: &Target) -> Result<Lease, Refusal> {
        let Some(sessions) = &self.0 else {
            return Err(refused(&Denied::NotLoggedIn));
        };
        let asked = sessions.query_console(visitor, &target.name, target.console());
        asked
            .await
            .map(|visitor| visitor.watch())
            .map_err(|denied| refused(&denied))
    }
}

/// The refusal for a visitor who is not permitted.
fn refused(denied: &Denied) -> Refusal {
    let (status, reason) = match denied {
        Denied::NotLoggedIn => (StatusCode::UNAUTHORIZED, "log in to see this"),
        Denied::Illegible => (
            StatusCode::UNAUTHORIZED,
            "your cookies could be read in too many ways; log in again, and try again",
        ),
        Denied::Ambiguous => (
            StatusCode::FORBIDDEN,
            "two guests may claim a console of this name, so it is not opened",
        ),
        Denied::Forbidden => (
            StatusCode::FORBIDDEN,
            "the application does not permit you to do this",
        ),
        Denied::Busy(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many logins are being checked at the moment; please try again",
        ),
        Denied::Slow(_) => (
            StatusCode::GATEWAY_TIMEOUT,
            "the application did not confirm your login in time",
        ),
        Denied::Broken(_) => (
            StatusCode::BAD_GATEWAY,
            "the application could not be reached to check your login",
        ),
    };
    let refusal = Refusal::new(status, reason).because(denied);
    if status.is_server_error() {
        refusal.retry_after(ASK_AGAIN)
    } else {
        refusal
    }
}
