//! `[bridge.signed]`: links that an app, or `noren token --sign`, has signed. Reads no key.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Table;
use super::secret_file::SecretFile;
use super::target_rule::TargetRule;
use super::target_tls::TargetTls;
use super::value;

/// The `[bridge.signed]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// `keys`: files with the keys that links are checked with, and signed with. Empty, the default: no token is
    /// treated as a signed link.
    pub keys: Vec<SecretFile>,
    /// `required`: refuses tokens that are not signed. Default `true`.
    pub required: bool,
    /// `audience`: the required value of the claim `aud`. Default `None`: links with this claim are refused.
    pub audience: Option<String>,
    /// `longest`: the longest time to the expiry of a link. Default 24 h. `None`, `"off"`: no limit, and a link need
    /// not expire.
    pub longest: Option<Duration>,
    /// `leeway`: the permitted difference of the signer's clock. Default 5 s.
    pub leeway: Duration,
    /// `grace`: the time after its first use in which a single-use link can be used again from the same address.
    /// Default 30 s; 0 permits no second use.
    pub grace: Duration,
    /// `store`: the file that records used single-use links. Default `/var/lib/noren/used-links`.
    pub store: PathBuf,
    /// `allow`: the targets that a link may name by `host` and `port`. Empty, the default: none, and links can only
    /// name a token.
    pub allow: Vec<TargetRule>,
    /// `tls`: the TLS settings of connections to targets that links name by `host` and `port`. Default `None`: these
    /// connections are not encrypted.
    pub tls: Option<TargetTls>,
}

impl Default for Signed {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            required: true,
            audience: None,
            longest: Some(Duration::from_secs(24 * 60 * 60)),
            leeway: Duration::from_secs(5),
            grace: Duration::from_secs(30),
            store: PathBuf::from("/var/lib/noren/used-links"),
            allow: Vec::new(),
            tls: None,
        }
    }
}

impl Signed {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        let signed = Self {
            keys: table.list("keys", default.keys, SecretFile::parse),
            required: table.flag("required", default.required),
            audience: table.text("audience", None, |text| value::not_empty(text).map(Some)),
            longest: table.time_limit_or_off("longest", default.longest),
            leeway: table.duration("leeway", default.leeway),
            grace: table.duration("grace", default.grace),
            store: table.text("store", default.store, value::path),
            allow: table.list("allow", default.allow, TargetRule::parse),
            tls: TargetTls::read(table),
        };
        // Without keys no link is checked, although the other settings suggest it.
        if table.is_sound() && signed.keys.is_empty() && signed != Self::default() {
            table.problem(
                "keys",
                "is missing, and without a key nothing is signed; write for example keys = \
                    [\"/etc/noren/links.jwks\"]",
            );
        }
        signed
    }

    /// True if tokens are checked for being signed links.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.keys.is_empty()
    }
}
