//! `[hub.tokens]`: tokens that say which channels their bearer may listen to, as Mercure has them. Reads no key.

use std::time::Duration;

use super::header_text::parse_header_name;
use super::reader::Table;
use super::secret_file::SecretFile;
use super::value;

/// The `[hub.tokens]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelTokens {
    /// `keys`: files with the keys that tokens are checked with, and signed with. Empty, the default:
    /// no channel is opened by a token.
    pub keys: Vec<SecretFile>,
    /// `audience`: the required value of the claim `aud`. Default `None`: a token that has one is for somebody else.
    pub audience: Option<String>,
    /// `longest`: the longest time to the expiry of a token. Default 24 h. `None`, `"off"`: as far as it likes, and it
    /// need not have one.
    pub longest: Option<Duration>,
    /// `leeway`: the permitted difference of the signer's clock. Default 5 s.
    pub leeway: Duration,
    /// `cookie`: the cookie that a token may be in. Default `mercureAuthorization`.
    pub cookie: String,
}

impl Default for ChannelTokens {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            audience: None,
            longest: Some(Duration::from_secs(24 * 60 * 60)),
            leeway: Duration::from_secs(5),
            cookie: "mercureAuthorization".to_owned(),
        }
    }
}

impl ChannelTokens {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        let tokens = Self {
            keys: table.list("keys", default.keys, SecretFile::parse),
            audience: table.text("audience", None, |text| value::not_empty(text).map(Some)),
            longest: table.time_limit_or_off("longest", default.longest),
            leeway: table.duration("leeway", default.leeway),
            cookie: table.text("cookie", default.cookie, parse_header_name),
        };
        // Without keys no token is checked, although the other settings suggest it.
        if table.is_sound() && tokens.keys.is_empty() && tokens != Self::default() {
            table.problem(
                "keys",
                "is missing, and without a key no token is good; write for example keys = \
                    [\"/etc/noren/channels.jwks\"]",
            );
        }
        tokens
    }

    /// True if tokens are configured.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.keys.is_empty()
    }
}
