//! Requirements for subscribing to a channel. Independent of the channels.

use super::reader::Table;
use super::value;

/// The requirement for subscribing to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// `nothing`: it is open to everybody.
    Nothing,
    /// `session`: the app must know the visitor.
    Session,
    /// `token`: a token of `[hub.tokens]` must name it.
    Token,
    /// `either`: one of the two.
    Either,
}

impl Needs {
    const NAMES: [(&'static str, Self); 4] = [
        ("nothing", Self::Nothing),
        ("session", Self::Session),
        ("token", Self::Token),
        ("either", Self::Either),
    ];

    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        table.text("needs", None, |text| {
            value::choice(text, &Self::NAMES).map(Some)
        })
    }

    /// True if a session may open it.
    #[must_use]
    pub fn takes_session(self) -> bool {
        matches!(self, Self::Session | Self::Either)
    }

    /// True if a token may open it.
    #[must_use]
    pub fn takes_token(self) -> bool {
        matches!(self, Self::Token | Self::Either)
    }
}
