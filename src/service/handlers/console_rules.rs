//! The rules for a visitor of a console: view-only or full access, by the token, the link, the user and the group.
//! Opens nothing.

use std::sync::Arc;

use http::StatusCode;

use crate::access::session::Visitor;
use crate::config::{self, ViewRules};
use crate::http::{Head, Refusal};
use crate::rfb;
use crate::service::handlers::shared_console::SharedConsoles;
use crate::tokens::Target;

/// The rules for a visitor of a console.
pub(super) enum Rules {
    /// Bytes pass unchanged, so no visitor can be limited to viewing.
    None,
    /// Noren speaks RFB with the target.
    Rfb(rfb::Rules),
    /// The console is shared: its settings, and true if the visitor may only view.
    Shared(Arc<config::ConsoleSharing>, bool),
}

impl Rules {
    /// Decides by the settings of the target and the names of the visitor.
    pub(super) fn of(
        consoles: &SharedConsoles,
        target: &Target,
        visitor: Option<&Visitor>,
        head: &Head,
    ) -> Result<Self, Refusal> {
        let identity = visitor.map(Visitor::identity);
        let name = identity.and_then(|identity| identity.name.as_deref());
        let names: Vec<_> = name.into_iter().chain(head.user.as_deref()).collect();
        let groups: &[Box<str>] = identity.map_or(&[], |identity| &*identity.groups);
        let is_viewer = |view: &ViewRules| target.view_only || view.is_viewer(&names, groups);
        let elsewhere = target.access_elsewhere();
        let is_held_elsewhere = elsewhere.is_some_and(|access| is_viewer(&access.view));
        if let Some(settings) = consoles.settings(target) {
            // The rules of `shared` take the place of those of `rfb` where there are some, and where that is what the
            // target says: one that is shared only because it is open has said nothing of the kind.
            let has_own = target.shared().is_some() && settings.view != ViewRules::default();
            let view_only = is_viewer(&settings.view) || (is_held_elsewhere && !has_own);
            return Ok(Self::Shared(settings, view_only));
        }
        let Some(rfb) = target.rfb() else {
            return if target.view_only || is_held_elsewhere {
                let reason =
                    "this link or token is for looking only, which this console is not set up for";
                let cause = "the visitor may only look, and Noren neither speaks RFB with the target nor shares it; \
                             write rfb = {} for a display (see rfb.ports), or shared = {} for a serial console";
                Err(Refusal::new(StatusCode::FORBIDDEN, reason).because(&cause))
            } else {
                Ok(Self::None)
            };
        };
        Ok(Self::Rfb(rfb::Rules {
            view_only: is_viewer(&rfb.access.view),
            clipboard: rfb.access.clipboard,
        }))
    }
}
