//! `rfb.clipboard`: the ways that a clipboard may take between a browser and a console.

use super::value;

/// The ways of a clipboard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clipboard {
    /// `both`: text may be copied in both directions. The default.
    #[default]
    Both,
    /// `to-host`: only from the browser to the host.
    ToHost,
    /// `to-browser`: only from the host to the browser.
    ToBrowser,
    /// `none`: no text is passed on.
    None,
}

impl Clipboard {
    const NAMES: [(&'static str, Self); 4] = [
        ("both", Self::Both),
        ("to-host", Self::ToHost),
        ("to-browser", Self::ToBrowser),
        ("none", Self::None),
    ];

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        value::choice(text, &Self::NAMES)
    }

    /// True if text copied in the browser reaches the host.
    #[must_use]
    pub fn reaches_host(self) -> bool {
        matches!(self, Self::Both | Self::ToHost)
    }

    /// True if text copied at the host reaches the browser.
    #[must_use]
    pub fn reaches_browser(self) -> bool {
        matches!(self, Self::Both | Self::ToBrowser)
    }
}
