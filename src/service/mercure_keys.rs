//! The keys of a Mercure hub, which verify the tokens of publishers and subscribers. A key is valid only for its role
//! (0.x) or for its issuer (1.0).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::{self, MercureVersion, SecretFile};
use crate::faults::Faults;
use crate::jwt::{self, KeyError, Keys, Secret, Unverified};
use crate::push::mercure::{ClaimFault, Claims, Grant, Rules};

/// Limit on concurrent checks; further ones wait. Each may read a file.
const CHECKED: usize = 8;
/// Time limit of a check, including its wait: a file system that hangs must not hold a request.
const LIMIT: Duration = Duration::from_secs(5);
/// Type of the tokens of version 1.0 (RFC 9068 §2.1).
const ACCESS_TOKEN: &str = "at+jwt";

/// The role of a token's bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearer {
    Publisher,
    Subscriber,
}

/// Reasons why a token is refused. The text is for the log, and contains nothing of the token.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenFault {
    /// The signature or the content is invalid: it may be a guess.
    #[error("the token is not valid: {0}")]
    Invalid(String),
    /// The token was valid once, and has expired.
    #[error("the token has expired")]
    Expired,
    /// The keys cannot be read, so no token can be verified.
    #[error(transparent)]
    Keys(KeyError),
    /// File access did not complete in time.
    #[error("the token could not be checked in time")]
    Slow,
}

/// The keys of a hub.
pub(super) struct MercureKeys {
    keys: Arc<All>,
    turns: Arc<Semaphore>,
}

struct All {
    publishers: Keys,
    subscribers: Keys,
    /// Name and keys of each issuer (1.0).
    issuers: Vec<(String, Keys)>,
}

impl MercureKeys {
    /// Reads the keys of the hub, if there is one.
    ///
    /// # Errors
    /// A [`KeyError`] for each file that cannot be used.
    pub(super) fn open(
        settings: Option<&config::Mercure>,
    ) -> Result<Option<Self>, Faults<KeyError>> {
        let Some(settings) = settings else {
            return Ok(None);
        };
        let mut faults = Faults::default();
        let mut open = |setting, files: &[SecretFile]| {
            faults.keep_all(Keys::open_with(setting, files, Secret::Text))
        };
        let publishers = open("mercure.publisher-keys", &settings.publisher_keys);
        let subscribers = open("mercure.subscriber-keys", settings.keys_of_subscribers());
        let issuers: Vec<_> = settings
            .issuers
            .iter()
            .filter_map(|one| Some((one.name.clone(), open("mercure.issuer.keys", &one.keys)?)))
            .collect();
        let (Some(publishers), Some(subscribers)) = (publishers, subscribers) else {
            return Err(faults);
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Some(Self {
            keys: Arc::new(All {
                publishers,
                subscribers,
                issuers,
            }),
            turns: Arc::new(Semaphore::new(CHECKED)),
        }))
    }

    /// Verifies a token.
    pub(super) async fn check(
        &self,
        token: String,
        bearer: Bearer,
        rules: Arc<Rules>,
    ) -> Result<Grant, TokenFault> {
        let (keys, turns) = (Arc::clone(&self.keys), Arc::clone(&self.turns));
        let checked = async {
            let turn = turns.acquire_owned().await.ok()?;
            let check = move || {
                let grant = keys.check(&token, bearer, &rules);
                drop(turn);
                grant
            };
            tokio::task::spawn_blocking(check).await.ok()
        };
        // The semaphore is never closed, and the task fails only when the runtime stops: both are "not in time".
        let checked = timeout(LIMIT, checked).await.ok().flatten();
        checked.unwrap_or(Err(TokenFault::Slow))
    }
}

impl All {
    /// Verifies a token. The type of a token identifies version 1.0; such a token is checked by the rules of that
    /// version only, whatever other keys there are.
    fn check(&self, token: &str, bearer: Bearer, rules: &Rules) -> Result<Grant, TokenFault> {
        if !self.issuers.is_empty() && is_access_token(token) {
            return self.check_one(token, rules);
        }
        if !rules.speaks(MercureVersion::Draft) {
            let reason = "it is no access token (its type, typ, is not at+jwt)";
            return Err(TokenFault::Invalid(reason.to_owned()));
        }
        let keys = match bearer {
            Bearer::Publisher => &self.publishers,
            Bearer::Subscriber => &self.subscribers,
        };
        let (_, claims) = keys.verify_signature::<Claims>(token)?;
        Ok(Grant::draft(claims, rules)?)
    }

    fn check_one(&self, token: &str, rules: &Rules) -> Result<Grant, TokenFault> {
        let mut fault = TokenFault::Invalid("no issuer has signed it".to_owned());
        for (issuer, keys) in &self.issuers {
            match keys.verify_signature::<Claims>(token) {
                Ok((_, claims)) => return Ok(Grant::one(claims, issuer, rules)?),
                Err(error) => fault = error.into(),
            }
        }
        Err(fault)
    }
}

/// True if the header of a token has the type of access tokens. The signature is not verified.
fn is_access_token(token: &str) -> bool {
    let kind = jwt::type_of(token).unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    kind.strip_prefix("application/").unwrap_or(&kind) == ACCESS_TOKEN
}

impl From<Unverified> for TokenFault {
    fn from(error: Unverified) -> Self {
        match error {
            Unverified::Invalid(reason) => Self::Invalid(reason.to_owned()),
            Unverified::Keys(error) => Self::Keys(error),
        }
    }
}

impl From<ClaimFault> for TokenFault {
    fn from(fault: ClaimFault) -> Self {
        match fault {
            ClaimFault::Expired => Self::Expired,
            ClaimFault::Invalid(reason) => Self::Invalid(reason.to_owned()),
        }
    }
}

/// Omits the keys.
impl fmt::Debug for MercureKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MercureKeys").finish_non_exhaustive()
    }
}
