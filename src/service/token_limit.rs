//! The limit on wrong tokens, and the refusal of a client that has reached a limit. Does not know what a token opens.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::access::limits::{Limits, Place, TooMany};
use crate::access::proven::{Extent, Mark, Standing};
use crate::http::{Context, Refusal};

/// The object of the limit on tokens, for the client.
const WRONG_TOKENS: &str = "tokens that are not known here";

/// Counts wrong tokens per client.
#[derive(Clone, Debug)]
pub(super) struct TokenLimit(Arc<Limits>);

impl TokenLimit {
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self(limits)
    }

    /// Checks the limit.
    pub(super) fn check(&self, context: &Context) -> Result<(), Refusal> {
        let checked = self.0.tokens().check(context.peer);
        checked.map_err(|wait| too_many(WRONG_TOKENS, wait))
    }

    /// Takes a place while a token is looked up, so that many at once do not count as one. It counts unless it is
    /// forgiven.
    pub(super) async fn hold(&self, context: &Context) -> Result<Option<Place>, Refusal> {
        let place = self.0.tokens().hold_briefly(context.peer).await;
        place.map_err(|wait| too_many(WRONG_TOKENS, wait))
    }

    /// Looks up a bearer token on a channel where an app takes messages, too.
    pub(super) fn app_token(&self, token: &str, context: &Context) -> AppToken {
        let known = self.0.app_tokens();
        let mark = known.mark(token);
        let standing = known.standing(context.peer, mark, None);
        AppToken {
            mark,
            is_counted: standing != Standing::Unknown,
        }
    }

    /// Remembers that a bearer token has counted as a wrong one.
    pub(super) fn keep(&self, token: &AppToken, context: &Context) {
        let known = self.0.app_tokens();
        known.keep(context.peer, token.mark, Extent::Somewhere);
    }
}

/// A bearer token that may be a guess, or one of the app's.
pub(super) struct AppToken {
    mark: Mark,
    /// True if it has counted as a wrong one before.
    pub(super) is_counted: bool,
}

/// Takes back what a place would count.
pub(super) fn forgive(place: Option<Place>) {
    if let Some(place) = place {
        place.forgive();
    }
}

/// The refusal of a client that has reached a limit.
pub(super) fn too_many(what: &str, TooMany(wait): TooMany) -> Refusal {
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        format!("too many {what} came from your address; please wait a moment"),
    )
    // Rounded up, or a client that comes back at the second would come too early.
    .retry_after(wait + Duration::from_secs(1))
}
