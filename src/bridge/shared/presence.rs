//! The viewers of a shared console, as other viewers and the operator see them. Must not know connections.

use std::fmt::Write as _;

use serde::Serialize;

use crate::config::Typing;
use crate::text::escape;

/// Length limit of a name in a line of the terminal.
const LONGEST_NAME: usize = 40;

/// The viewers of a console, as one of them sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Presence {
    /// The rule of the keyboard: `first`, `one`, `all` or `none`.
    pub typing: &'static str,
    /// False while the guest is disconnected and viewers wait for it.
    pub connected: bool,
    /// The viewers in the order of their arrival.
    pub viewers: Vec<PresentViewer>,
}

/// One viewer of a console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PresentViewer {
    /// Number of the viewer at this console.
    pub number: u64,
    /// User name, if one is known.
    pub user: Option<Box<str>>,
    /// Arrival, in Unix milliseconds.
    pub since: u64,
    /// True if its keys reach the guest.
    pub types: bool,
    /// True if it is view-only.
    pub view_only: bool,
    /// True for the viewer that sends the request.
    pub you: bool,
}

/// A shared console, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenConsole {
    /// Number of the console, unique in this process.
    pub id: u64,
    /// Address of the guest.
    pub target: String,
    /// Number of viewers.
    pub viewers: usize,
    /// The rule of the keyboard.
    pub typing: &'static str,
    /// Number of the tunnel whose client types, if one has the keyboard.
    pub typist: Option<u64>,
    /// User name of the viewer who types, if it is known.
    pub typist_user: Option<Box<str>>,
    /// False while the guest is disconnected.
    pub connected: bool,
    /// Start, in Unix milliseconds.
    pub since: u64,
    /// Bytes received from the guest.
    pub received: u64,
    /// Bytes of output in memory.
    pub kept: usize,
}

impl Presence {
    /// The presence at a console without viewers.
    #[must_use]
    pub(crate) fn nobody(typing: Typing) -> Self {
        Self {
            typing: typing.as_str(),
            connected: false,
            viewers: Vec::new(),
        }
    }
}

/// A line of Noren in the terminal.
pub(super) fn line(text: &str) -> Vec<u8> {
    // Attributes that the guest has set are not those of this line; it sets its own again when it writes.
    format!("\r\n\x1b[0m[noren: {text}]\r\n").into_bytes()
}

/// The line in the place of output that a viewer has missed. It ends a control sequence that the output before it may
/// have begun.
pub(super) fn gap(missing: u64) -> Vec<u8> {
    let mut gap = vec![0x18];
    gap.extend(line(&format!(
        "{missing} bytes are missing here, because this connection was too slow"
    )));
    gap
}

/// The name of a viewer in a line. It contains only visible characters, so it cannot move the cursor.
pub(super) fn name(user: Option<&str>, number: u64) -> String {
    let mut name = String::new();
    for sign in user.unwrap_or_default().chars().take(LONGEST_NAME) {
        name.push(if escape::is_active(sign) { '?' } else { sign });
    }
    if name.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(name, "viewer {number}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_viewer_cannot_move_the_cursor() {
        assert_eq!(name(Some("ann\u{1b}[2J\u{202e}"), 1), "ann?[2J?");
        assert_eq!(name(Some(&"x".repeat(100)), 1).len(), LONGEST_NAME);
        assert_eq!(name(None, 7), "viewer 7");
    }
}
