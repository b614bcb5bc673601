//! The limit on wrong tokens, and the refusal of a client that has reached a limit. Does not know what a token opens.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::access::limits::{Limits, Place, TooMany};
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

    /// Counts an unknown token.
    pub(super) fn count(&self, context: &Context) {
        self.0.tokens().count(context.peer);
    }
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
