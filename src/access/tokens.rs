//! Tokens for channels: the bearer may subscribe to the channels that it names, or publish on them, until it
//! expires.
//!
//! They are tokens of the Mercure protocol: a JSON Web Token with the claim `mercure`, which has lists of topics under
//! `subscribe` and `publish`. Here a topic is the name of a channel, a pattern in which `*` stands for a word, or `*`
//! alone for every channel. In URI templates (RFC 6570) a word that is one simple expression is supported: `job.{id}`
//! means `job.*`. Any other topic, such as a URL, names no channel here and is ignored.
//!
//! Independent of the existing channels, and of how a refusal is sent. A token is never logged.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::clock;
use crate::config::{self, ChannelName, ChannelPattern};
use crate::faults::Faults;
use crate::http::Lease;
use crate::jwt::{self, KeyError, Keys, Period, Unsigned, Untimely, Unverified};

/// Limit on concurrent checks; further ones wait. Each may read a file.
const CHECKED: usize = 8;
/// Time limit of a check, including its wait: a file system that hangs must not hold a request.
const LIMIT: Duration = Duration::from_secs(5);
/// Length limit of a user name from a token.
const LONGEST_NAME: usize = 256;
/// Name of the key setting in the configuration.
const SETTING: &str = "hub.tokens.keys";

/// Verifies tokens for channels.
pub(crate) struct Tokens {
    keys: Arc<Keys>,
    rules: config::ChannelTokens,
    turns: Arc<Semaphore>,
}

/// A token as the client sent it. It has no text form, so it cannot be logged.
pub(crate) struct PresentedToken(String);

impl PresentedToken {
    /// The text, to be compared or hashed.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The permissions in a token.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    subject: Option<Arc<str>>,
    subscribe: Vec<Topic>,
    publish: Vec<Topic>,
    /// Expiry on the monotonic clock: connections end on time even if the wall clock is changed meanwhile.
    until: Option<Instant>,
}

/// Reasons why a token is refused. The text is for the log, and contains nothing of the token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The signature or the content is invalid.
    #[error("the token is not valid: {0}")]
    Invalid(&'static str),
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token is not valid yet.
    #[error("the token is not valid yet")]
    Early,
    /// The keys cannot be read, so no token can be verified.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// File access did not complete in time.
    #[error("the token could not be checked in time")]
    Slow,
}

/// The properties of a token to issue.
#[derive(Debug, Clone, Default)]
pub struct ChannelOrder {
    /// Topics to subscribe to.
    pub subscribe: Vec<String>,
    /// Topics to publish on.
    pub publish: Vec<String>,
    /// User name of the bearer, for presence and the audit.
    pub subject: Option<String>,
    /// Lifetime of the token.
    pub expires: Duration,
}

/// Reasons why a token cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There are no keys to sign with.
    #[error(
        "hub.tokens.keys: {0}; make a key with: openssl genpkey -algorithm ed25519 | install -g noren -m \
         640 /dev/stdin /etc/noren/channels.pem, and write keys = [\"/etc/noren/channels.pem\"] into [hub.tokens]"
    )]
    Sign(Unsigned),
    /// A key file cannot be used.
    #[error(transparent)]
    Key(KeyError),
    /// Several key files cannot be used.
    #[error(transparent)]
    Keys(Faults<KeyError>),
    /// The lifetime exceeds the accepted maximum.
    #[error("a token may be good for {0:?} at most (hub.tokens.longest)")]
    Long(Duration),
    /// A topic names no channel.
    #[error(
        "{0:?} names no channel; write a name such as job.17, a pattern such as job.*, or * for all"
    )]
    Topic(String),
}

/// Supported claims; others are ignored.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Claims {
    #[serde(default, alias = "https://mercure.rocks/")]
    mercure: Mercure,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<serde_json::Value>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Mercure {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    subscribe: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    publish: Vec<String>,
}

/// A topic of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Topic {
    Every,
    Of(ChannelPattern),
}

impl Topic {
    /// Parses a topic; `None` for one that cannot name a channel.
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Every);
        }
        let words = text.split('.').map(|word| match word.strip_prefix('{') {
            Some(rest) if rest.strip_suffix('}').is_some_and(is_variable) => "*",
            _ => word,
        });
        let pattern = words.collect::<Vec<_>>().join(".");
        ChannelPattern::parse(&pattern).ok().map(Self::Of)
    }

    fn is(&self, name: &ChannelName) -> bool {
        match self {
            Self::Every => true,
            Self::Of(pattern) => pattern.fits(name),
        }
    }
}

/// True for a simple expression (RFC 6570 §2.3) without dots and encodings, which could stand for several words.
fn is_variable(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Grant {
    /// User name of the bearer (`sub`), if there is one.
    #[must_use]
    pub(crate) fn subject(&self) -> Option<Arc<str>> {
        self.subject.clone()
    }

    /// True if the bearer may subscribe to this channel.
    #[must_use]
    pub(crate) fn subscribes(&self, name: &ChannelName) -> bool {
        self.subscribe.iter().any(|topic| topic.is(name))
    }

    /// True if the bearer may publish on this channel.
    #[must_use]
    pub(crate) fn publishes(&self, name: &ChannelName) -> bool {
        self.publish.iter().any(|topic| topic.is(name))
    }

    /// A lease that ends when the token expires. Removing the key of the token does not end it.
    #[must_use]
    pub(crate) fn lease(&self) -> Lease {
        Lease::until(self.until, self.subject())
    }
}

impl TokenError {
    /// True if the token may be a guess. An expired token is not, because it was valid once.
    #[must_use]
    pub(crate) fn is_guess(&self) -> bool {
        matches!(self, Self::Invalid(_))
    }
}

impl Tokens {
    /// Creates the verifier of a configuration, if there are tokens. Reads the keys.
    ///
    /// # Errors
    /// A [`KeyError`] for each file that cannot be used.
    pub(crate) fn new(rules: &config::ChannelTokens) -> Result<Option<Self>, Faults<KeyError>> {
        if !rules.is_on() {
            return Ok(None);
        }
        Ok(Some(Self {
            keys: Arc::new(Keys::open(SETTING, &rules.keys)?),
            rules: rules.clone(),
            turns: Arc::new(Semaphore::new(CHECKED)),
        }))
    }

    /// Finds the token of a request: in `Authorization`, otherwise in the query, for pages whose `EventSource` cannot
    /// set a header, otherwise in the cookie. A bearer token of another kind is ignored: it is a token of the app, or
    /// the publish token.
    #[must_use]
    pub(crate) fn find(&self, headers: &HeaderMap, query: Option<&str>) -> Option<PresentedToken> {
        let bearer = || {
            let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
            let (scheme, token) = value.split_once(' ')?;
            let token = token.trim();
            (scheme.eq_ignore_ascii_case("bearer") && jwt::is_token(token))
                .then(|| token.to_owned())
        };
        let found = bearer()
            .or_else(|| in_query(query?))
            .or_else(|| self.in_cookie(headers));
        found.map(PresentedToken)
    }

    fn in_cookie(&self, headers: &HeaderMap) -> Option<String> {
        let lines = headers.get_all(COOKIE).iter();
        let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let found = pairs.find_map(|pair| {
            let pair = std::str::from_utf8(pair.trim_ascii()).ok()?;
            let (name, value) = pair.split_once('=')?;
            (name == self.rules.cookie).then(|| value.trim_matches('"').to_owned())
        });
        // An empty one is what is left of a cookie that was taken away.
        found.filter(|value| !value.is_empty())
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// [`TokenError`] gives the reason, which is fit for the log.
    pub(crate) async fn check(
        &self,
        PresentedToken(token): PresentedToken,
    ) -> Result<Grant, TokenError> {
        let (keys, rules) = (Arc::clone(&self.keys), self.rules.clone());
        let turns = Arc::clone(&self.turns);
        let checked = async {
            let turn = turns.acquire_owned().await.ok()?;
            let check = move || {
                let grant = read(&keys, &rules, &token);
                drop(turn);
                grant
            };
            tokio::task::spawn_blocking(check).await.ok()
        };
        // The semaphore is never closed, and the task fails only when the runtime stops: both are "not in time".
        let checked = timeout(LIMIT, checked).await.ok().flatten();
        checked.unwrap_or(Err(TokenError::Slow))
    }
}

/// The token in a query: in the parameter of Mercure, or in that of RFC 6750 §2.3.
fn in_query(query: &str) -> Option<String> {
    let find = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs
            .find_map(|(name, value)| (name == wanted).then_some(value))
            .map(Cow::into_owned)
    };
    let [first, second] = QUERY;
    find(first)
        .or_else(|| find(second))
        .filter(|value| !value.is_empty())
}

/// Query parameters that may contain a token.
const QUERY: [&str; 2] = ["authorization", "access_token"];

fn read(keys: &Keys, rules: &config::ChannelTokens, token: &str) -> Result<Grant, TokenError> {
    let (_, claims) = keys.verify::<Claims>(token, rules.audience.as_deref())?;
    let period = Period {
        until: claims.exp.as_ref(),
        from: claims.nbf.as_ref(),
    };
    let now = clock::now_seconds();
    let until = period.check(rules.leeway, rules.longest, now)?;
    // As long as it would be accepted. What lies beyond the range of the clock is no end.
    let left = until.map(|until| {
        let seconds = until.saturating_sub(now);
        Duration::from_secs(seconds).saturating_add(rules.leeway)
    });
    let subject = claims.sub.as_deref().map(str::trim);
    let unfit = |name: &&str| {
        name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control)
    };
    if subject.as_ref().is_some_and(unfit) {
        return Err(TokenError::Invalid("its sub is no name"));
    }
    let topics = |list: &[String]| list.iter().filter_map(|text| Topic::parse(text)).collect();
    Ok(Grant {
        subject: subject.map(Arc::from),
        subscribe: topics(&claims.mercure.subscribe),
        publish: topics(&claims.mercure.publish),
        until: left.and_then(|left| Instant::now().checked_add(left)),
    })
}

/// Issues a token with the first key that can sign.
///
/// # Errors
/// [`OrderError`] says what is missing.
pub fn sign_channel_token(
    rules: &config::ChannelTokens,
    order: ChannelOrder,
) -> Result<String, OrderError> {
    if let Some(longest) = rules.longest.filter(|longest| order.expires > *longest) {
        return Err(OrderError::Long(longest));
    }
    let mut topics = order.subscribe.iter().chain(&order.publish);
    if let Some(text) = topics.find(|text| Topic::parse(text).is_none()) {
        return Err(OrderError::Topic(text.clone()));
    }
    let claims = Claims {
        mercure: Mercure {
            subscribe: order.subscribe,
            publish: order.publish,
        },
        sub: order.subject,
        exp: Some((clock::now_seconds() + order.expires.as_secs()).into()),
        aud: rules.audience.clone().map(Into::into),
        nbf: None,
    };
    let keys = Keys::open(SETTING, &rules.keys).map_err(OrderError::Keys)?;
    keys.sign(&claims).map_err(|error| match error {
        Unsigned::Key(error) => OrderError::Key(error),
        error => OrderError::Sign(error),
    })
}

impl From<Unverified> for TokenError {
    fn from(error: Unverified) -> Self {
        match error {
            Unverified::Invalid(reason) => Self::Invalid(reason),
            Unverified::Keys(error) => Self::Keys(error),
        }
    }
}

impl From<Untimely> for TokenError {
    fn from(error: Untimely) -> Self {
        match error {
            Untimely::Expired => Self::Expired,
            Untimely::Early => Self::Early,
            Untimely::Invalid(reason) => Self::Invalid(reason),
        }
    }
}

/// Omits the keys.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_a_name_a_pattern_a_simple_template_or_every_channel() {
        let is = |topic: &str, name: &str| {
            let name = ChannelName::parse(name).expect("a name");
            Topic::parse(topic).is_some_and(|topic| topic.is(&name))
        };
        for (topic, name) in [
            ("news", "news"),
            ("job.*", "job.17"),
            ("job.{id}", "job.17"),
            ("{a}.{b}", "job.17"),
            ("*", "news"),
            ("*", "job.17.log"),
        ] {
            assert!(is(topic, name), "{topic} {name}");
        }
        for (topic, name) in [
            ("news", "news2"),
            ("job.*", "job"),
            ("job.{id}", "job.17.log"),
            ("{a}", "job.17"),
            ("job.{+id}", "job.17"),
            ("job.x{id}", "job.x17"),
            ("job.{}", "job.17"),
            ("https://example.org/news", "news"),
            ("/events/news", "news"),
            ("", "news"),
        ] {
            assert!(!is(topic, name), "{topic} {name}");
        }
    }
}
