//! The limit on wrong tokens, and the refusal of a client that has reached a limit. Must not know the object of a
//! token.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::access::limits::{Limits, Place, TooMany};
use crate::access::proven::{Extent, Mark, Standing};
use crate::http::{Context, Refusal};

/// The name of the limit on tokens, for refusals.
const WRONG_TOKENS: &str = "tokens that are not known here";

/// Counts wrong tokens per client.
#[derive(Clone, Debug)]
pub(super) struct TokenLimit(Arc<Limits>);

impl TokenLimit {
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self(limits)
    }

    /// Checks the limit without counting.
    pub(super) fn check(&self, context: &Context) -> Result<(), Refusal> {
        let checked = self.0.tokens().check(context.peer);
        checked.map_err(|wait| too_many(WRONG_TOKENS, wait))
    }

    /// Takes a provisional place in the limit while a token is looked up, so that many concurrent look-ups do not count
    /// as one. It counts as a wrong token unless it is forgiven.
    pub(super) async fn hold(&self, context: &Context) -> Result<Option<Place>, Refusal> {
        let place = self.0.tokens().hold_briefly(context.peer).await;
        place.map_err(|wait| too_many(WRONG_TOKENS, wait))
    }

    /// Hashes a bearer token for a channel on which an app takes messages too, and checks if it has counted before.
    pub(super) fn app_token(&self, token: &str, context: &Context) -> AppToken {
        let known = self.0.app_tokens();
        let mark = known.mark(token);
        let standing = known.standing(context.peer, mark, None);
        AppToken {
            mark,
            is_counted: standing != Standing::Unknown,
        }
    }

    /// Records that a bearer token has counted as a wrong one.
    pub(super) fn keep(&self, token: &AppToken, context: &Context) {
        let known = self.0.app_tokens();
        known.keep(context.peer, token.mark, Extent::Somewhere);
    }
}

/// A bearer token that may be a guess, or a token of the app.
pub(super) struct AppToken {
    mark: Mark,
    /// True if it has counted as a wrong token before.
    pub(super) is_counted: bool,
}

/// Releases a place without counting it.
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
