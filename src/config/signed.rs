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
    /// `keys`: files with the keys that links are checked with, and signed with. Empty, the default:
    /// no token is looked at as a signed link.
    pub keys: Vec<SecretFile>,
    /// `required`: whether tokens that are not signed are refused. Default `true`.
    pub required: bool,
    /// `audience`: what must be in the claim `aud`. Default `None`: a link that has one is for
    /// somebody else.
    pub audience: Option<String>,
    /// `longest`: how far in the future the end of a link may lie. Default 24 h. `None`, `"off"`: as
    /// far as it likes, and it need not have one.
    pub longest: Option<Duration>,
    /// `leeway`: how far the clock of the signer may be off. Default 5 s.
    pub leeway: Duration,
    /// `grace`: how long a single-use link can be used again, after its first use, from the same
    /// address. Default 30 s; with 0 not at all.
    pub grace: Duration,
    /// `store`: the file of the single-use links that were used. Default
    /// `/var/lib/noren/used-links`.
    pub store: PathBuf,
    /// `allow`: the targets a link may name itself, by `host` and `port`. Empty, the default: none;
    /// it names a token.
    pub allow: Vec<TargetRule>,
    /// `tls`: how the targets that links name themselves are encrypted. Default `None`: they are
    /// not.
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
        // Whoever sets the rest means to have links checked, and must not believe that they are.
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
