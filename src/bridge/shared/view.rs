//! An open console, as a page of it sees it: the viewers, and requests for the keyboard. Does not check permissions.

use std::sync::Arc;

use http::StatusCode;
use tokio::sync::watch;

use super::console::Console;
use super::keyboard::Busy;
use super::presence::Presence;
use crate::http::Refusal;

/// An open console, as a page of it sees it.
#[derive(Clone, Debug)]
pub(crate) struct ConsoleView(pub(super) Arc<Console>);

impl ConsoleView {
    /// The viewers, as the viewer whose page has chosen this name sees them.
    #[must_use]
    pub(crate) fn presence(&self, you: Option<&str>) -> Presence {
        let you = you.and_then(|name| self.0.named(name));
        self.0.presence(you)
    }

    /// True if there is a viewer of this name.
    #[must_use]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.named(name).is_some()
    }

    /// Reports each change of the presence.
    #[must_use]
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes()
    }

    /// True once the console has ended.
    #[must_use]
    pub(crate) fn has_ended(&self) -> bool {
        self.0.ended().is_some()
    }

    /// Gives the keyboard to the viewer of this name.
    ///
    /// # Errors
    /// A refusal, if another keeps it, or there is no such viewer.
    pub(crate) fn take_keyboard(&self, name: &str) -> Result<(), Refusal> {
        let taken = self.0.take_keyboard(self.viewer(name)?);
        taken.map_err(|busy| match busy {
            Busy::Rule => Refusal::new(
                StatusCode::FORBIDDEN,
                "you may only view this console, or no viewer has the keyboard for itself",
            ),
            Busy::First => Refusal::new(
                StatusCode::CONFLICT,
                "the viewer who came first types here, until it leaves or gives the keyboard away",
            ),
            Busy::Typing(left) => {
                let reason = "another viewer types at this moment";
                Refusal::new(StatusCode::CONFLICT, reason).retry_after(left)
            }
        })
    }

    /// Takes the keyboard from the viewer of this name, if it has it.
    ///
    /// # Errors
    /// A refusal, if there is no such viewer.
    pub(crate) fn give_keyboard(&self, name: &str) -> Result<(), Refusal> {
        self.0.give_keyboard(self.viewer(name)?);
        Ok(())
    }

    fn viewer(&self, name: &str) -> Result<u64, Refusal> {
        let found = self.0.named(name);
        found.ok_or_else(|| Refusal::not_found("this console has no viewer of this name"))
    }
}
