//! The keys of GRIP apps, which sign the requests to an app and verify the tokens of its publishers. Must not know the
//! requests.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::clock;
use crate::config::{self, Config};
use crate::faults::Faults;
use crate::jwt::{KeyError, Keys, Period};
use crate::push::grip;

/// Name of the key setting in the configuration.
const SETTING: &str = "app.grip.keys";
/// Lifetime of a signature.
const LIFETIME: Duration = Duration::from_secs(3600);
/// Age up to which a signature is reused.
const USED_AGAIN: Duration = Duration::from_secs(60);
/// Longest lifetime of a publisher's token.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Leeway for clocks that differ.
const LEEWAY: Duration = Duration::from_secs(60);
/// Limit on concurrent uses of key files.
const CHECKED: usize = 8;
/// Time limit of one use of the key files.
const LIMIT: Duration = Duration::from_secs(5);
/// Value of the claim that marks a signature of Noren. Such a signature is not accepted as a publisher's token, because
/// the app might show its headers to somebody.
const FOR_APP: &str = "app";

/// The keys of one GRIP app.
pub(super) struct GripKeys {
    keys: Arc<Keys>,
    issuer: String,
    signed: ArcSwapOption<Signed>,
    turns: Arc<Semaphore>,
}

/// A signature, and the time when it was made.
struct Signed {
    value: HeaderValue,
    at: Instant,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<serde_json::Number>,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
}

impl GripKeys {
    /// Reads the keys of all GRIP apps, in the order of the apps.
    ///
    /// # Errors
    /// A [`KeyError`] for each file that cannot be used.
    pub(super) fn all(config: &Config) -> Result<Vec<Option<Arc<Self>>>, Faults<KeyError>> {
        let mut faults = Faults::default();
        let keys = config.apps.iter().map(|app| {
            let grip = app.grip.as_ref()?;
            faults.keep_all(Self::open(grip)).map(Arc::new)
        });
        let keys = keys.collect();
        if faults.is_empty() {
            Ok(keys)
        } else {
            Err(faults)
        }
    }

    fn open(grip: &config::Grip) -> Result<Self, Faults<KeyError>> {
        Ok(Self {
            keys: Arc::new(Keys::open(SETTING, &grip.keys)?),
            issuer: grip.issuer.clone(),
            signed: ArcSwapOption::empty(),
            turns: Arc::new(Semaphore::new(CHECKED)),
        })
    }

    /// Returns the headers that show the app that a request has come through Noren.
    ///
    /// # Errors
    /// The reason why nothing can be signed.
    pub(super) async fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("grip-sig"), self.signature().await?);
        let features = HeaderValue::try_from(grip::features());
        let features = features.map_err(|error| error.to_string())?;
        headers.insert(HeaderName::from_static("grip-feature"), features);
        Ok(headers)
    }

    async fn signature(&self) -> Result<HeaderValue, String> {
        if let Some(signed) = self.signed.load().as_ref()
            && signed.at.elapsed() < USED_AGAIN
        {
            return Ok(signed.value.clone());
        }
        let claims = Claims {
            iss: Some(self.issuer.clone()),
            exp: Some((clock::now_seconds() + LIFETIME.as_secs()).into()),
            purpose: Some(FOR_APP.to_owned()),
        };
        let token = self
            .with_keys(move |keys| keys.sign(&claims).map_err(|error| error.to_string()))
            .await?;
        let value = HeaderValue::try_from(token).map_err(|error| error.to_string())?;
        let signed = Signed {
            value: value.clone(),
            at: Instant::now(),
        };
        self.signed.store(Some(Arc::new(signed)));
        Ok(value)
    }

    /// Verifies the token of a publisher.
    ///
    /// # Errors
    /// The reason for the log, which contains nothing of the token.
    pub(super) async fn verify(&self, token: String) -> Result<(), String> {
        self.with_keys(move |keys| {
            let verified = keys.verify::<Claims>(&token, None);
            let (_, claims) = verified.map_err(|error| error.to_string())?;
            if claims.purpose.is_some() {
                return Err("it is a signature for the app, and not a publisher's token".to_owned());
            }
            let period = Period {
                until: claims.exp.as_ref(),
                from: None,
            };
            let valid = period.check(LEEWAY, Some(LONGEST), clock::now_seconds());
            valid
                .map(drop)
                .map_err(|_| "its time (exp) is over, missing or too far away".to_owned())
        })
        .await
    }

    /// Calls a function with the keys, whose files may have changed, on a blocking thread.
    async fn with_keys<T: Send + 'static>(
        &self,
        used: impl FnOnce(&Keys) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let (keys, turns) = (Arc::clone(&self.keys), Arc::clone(&self.turns));
        let result = async {
            let turn = turns.acquire_owned().await.ok()?;
            let work = move || {
                let result = used(&keys);
                drop(turn);
                result
            };
            tokio::task::spawn_blocking(work).await.ok()
        };
        let result = timeout(LIMIT, result).await.ok().flatten();
        result.unwrap_or_else(|| Err("the keys could not be read in time".to_owned()))
    }
}

impl fmt::Debug for GripKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GripKeys").finish_non_exhaustive()
    }
}
