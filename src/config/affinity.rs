//! `affinity` of an app: for sessions that live in one of its processes. Chooses nothing.

/// The rule by which the requests of one visitor find one of several addresses of an app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Affinity {
    /// No affinity: each request goes to the least busy address.
    #[default]
    None,
    /// A cookie of Noren keeps each visitor at one address; the app does not see it.
    Cookie,
    /// The address of the client determines the address of the app.
    Address,
}

impl Affinity {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "cookie" => Ok(Self::Cookie),
            "address" => Ok(Self::Address),
            _ => Err(format!(
                r#""{text}" is not an affinity; write "none", "cookie" or "address""#
            )),
        }
    }

    /// The word of the configuration file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cookie => "cookie",
            Self::Address => "address",
        }
    }
}
