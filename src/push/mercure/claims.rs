//! The claims of tokens: the topics that their bearer may publish and read. The signature is verified before.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Number, Value};
use tokio::time::Instant;

use crate::clock;
use crate::config::MercureVersion;
use crate::http::Lease;
use crate::jwt::{Period, Untimely};

use super::characters::are_visible;
use super::rules::Rules;
use super::selector::{Selector, SelectorKind, Selectors};

/// The type of an authorization detail of Mercure (1.0).
pub(crate) const DETAIL: &str = "https://mercure.rocks/authorization-detail";
/// Limit on authorization details of a token.
const MOST_DETAILS: usize = 100;
/// Length limit of a user name from a token.
const LONGEST_NAME: usize = 256;

/// The claims of both versions; others are ignored.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Claims {
    mercure: Option<Mercure>,
    #[serde(rename = "https://mercure.rocks/")]
    namespaced: Option<Mercure>,
    authorization_details: Option<Vec<Value>>,
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Value>,
    exp: Option<Number>,
    nbf: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
struct Mercure {
    publish: Option<Vec<String>>,
    subscribe: Option<Vec<String>>,
    payload: Option<Value>,
}

/// The permissions of a token.
#[derive(Debug)]
pub(crate) struct Grant {
    /// Version of the protocol that the token belongs to.
    pub version: MercureVersion,
    /// Topics to publish; `None` if the token says nothing about it.
    pub publish: Option<Selectors>,
    /// Topics whose private updates may be read.
    pub subscribe: Vec<Selector>,
    /// Data that events about the subscriptions of its bearer contain.
    pub payloads: Payloads,
    /// The bearer (`sub`), if the token names one.
    pub subject: Option<Arc<str>>,
    until: Option<Instant>,
}

/// The data that events about subscriptions contain.
#[derive(Debug, Default)]
pub(crate) enum Payloads {
    /// The token has none.
    #[default]
    None,
    /// The same for all subscriptions (0.x).
    One(Value),
    /// Selectors of authorization details; a subscription is reported with the first that matches it (1.0).
    OfDetails(Vec<(Selectors, Option<Value>)>),
}

impl Payloads {
    /// The payload of the subscription with this selector.
    #[must_use]
    pub(crate) fn of(&self, selector: &Selector, rules: &Rules) -> Option<Value> {
        match self {
            Self::None => None,
            Self::One(payload) => Some(payload.clone()),
            Self::OfDetails(details) => {
                let found = details
                    .iter()
                    .find(|(topics, _)| topics.matches(&selector.text, &rules.base));
                found?.1.clone()
            }
        }
    }
}

/// Reasons why claims are refused, in a form for the log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimFault {
    /// The token has expired; it was valid once.
    #[error("it has expired")]
    Expired,
    /// The claims are malformed, too many, or for another audience.
    #[error("{0}")]
    Invalid(&'static str),
}

impl Grant {
    /// Reads the claims of version 0.x.
    ///
    /// # Errors
    /// A [`ClaimFault`].
    pub(crate) fn draft(claims: Claims, rules: &Rules) -> Result<Self, ClaimFault> {
        let until = claims.check_times(rules)?;
        // A token for another recipient is not for this hub; most have no audience at all.
        if claims.aud.is_some() && !claims.is_for(rules.settings.url.as_deref()) {
            return Err(ClaimFault::Invalid("it is for another audience"));
        }
        let subject = claims.subject()?;
        let mercure = claims.namespaced.or(claims.mercure).unwrap_or_default();
        let lists = [&mercure.publish, &mercure.subscribe];
        if lists.iter().any(|list| {
            list.as_ref()
                .is_some_and(|list| list.len() > rules.settings.topics)
        }) {
            return Err(ClaimFault::Invalid(
                "it has too many topics (mercure.topics)",
            ));
        }
        let selectors = |list: Vec<String>| -> Vec<Selector> {
            let parse = |text: String| Selector::parse(SelectorKind::Topic, &text, &rules.base);
            list.into_iter().filter_map(parse).collect()
        };
        Ok(Self {
            version: MercureVersion::Draft,
            publish: mercure.publish.map(|list| Selectors::new(selectors(list))),
            subscribe: selectors(mercure.subscribe.unwrap_or_default()),
            payloads: mercure.payload.map_or(Payloads::None, Payloads::One),
            subject,
            until,
        })
    }

    /// Reads the claims of version 1.0, of a token that a key of this issuer has signed.
    ///
    /// # Errors
    /// A [`ClaimFault`].
    pub(crate) fn one(claims: Claims, issuer: &str, rules: &Rules) -> Result<Self, ClaimFault> {
        if claims.iss.as_deref() != Some(issuer) {
            return Err(ClaimFault::Invalid("its issuer (iss) has other keys"));
        }
        if claims.exp.is_none() {
            return Err(ClaimFault::Invalid("it has no end (exp)"));
        }
        let until = claims.check_times(rules)?;
        if !claims.is_for(rules.settings.url.as_deref()) {
            return Err(ClaimFault::Invalid("it is for another audience"));
        }
        let subject = claims.subject()?;
        let details = claims.authorization_details.unwrap_or_default();
        if details.len() > MOST_DETAILS {
            return Err(ClaimFault::Invalid("it has too many authorization details"));
        }
        let (mut publish, mut subscribe, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
        for detail in &details {
            let detail = detail.as_object().ok_or(MALFORMED)?;
            if detail.get("type").and_then(Value::as_str) != Some(DETAIL) {
                continue;
            }
            let actions = strings(detail.get("actions"))?;
            // Parsed for each use: a selector has one owner.
            let topics = || topics(detail, rules);
            let payload = payload(detail)?;
            // Those of a detail without an action that is known have to be sound too.
            topics()?;
            if actions.contains(&"publish") {
                publish.extend(topics()?);
            }
            if actions.contains(&"subscribe") {
                subscribe.extend(topics()?);
                payloads.push((Selectors::new(topics()?), payload));
            }
        }
        Ok(Self {
            version: MercureVersion::One,
            publish: Some(Selectors::new(publish)),
            subscribe,
            payloads: Payloads::OfDetails(payloads),
            subject,
            until,
        })
    }

    /// True if the bearer may publish an update with these topics: each of them has to be permitted.
    #[must_use]
    pub(crate) fn publishes(&self, topics: &[String], rules: &Rules) -> bool {
        let selectors = self.publish.as_ref();
        selectors.is_some_and(|selectors| {
            topics
                .iter()
                .all(|topic| selectors.matches(topic, &rules.base))
        })
    }

    /// True if the bearer may read private updates of this topic.
    #[must_use]
    pub(crate) fn reads(&self, topic: &str, rules: &Rules) -> bool {
        self.subscribe
            .iter()
            .any(|one| one.matches(topic, &rules.base))
    }

    /// A lease until the token expires.
    #[must_use]
    pub(crate) fn lease(&self) -> Lease {
        Lease::until(self.until, self.subject.clone())
    }
}

const MALFORMED: ClaimFault = ClaimFault::Invalid("an authorization detail is malformed");

impl Claims {
    /// Checks the times. A token is never accepted after its end, so only its start has a leeway.
    fn check_times(&self, rules: &Rules) -> Result<Option<Instant>, ClaimFault> {
        let now = clock::now_seconds();
        let end = Period {
            until: self.exp.as_ref(),
            from: None,
        };
        let begin = Period {
            until: None,
            from: self.nbf.as_ref(),
        };
        let end = end.check(Duration::ZERO, None, now).map_err(untimely)?;
        let leeway = rules.settings.leeway;
        begin.check(leeway, None, now).map_err(untimely)?;
        let left = end.map(|end| Duration::from_secs(end.saturating_sub(now)));
        // What lies beyond the range of the clock is no end.
        Ok(left.and_then(|left| Instant::now().checked_add(left)))
    }

    fn is_for(&self, audience: Option<&str>) -> bool {
        let Some(audience) = audience else {
            return false;
        };
        match &self.aud {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        }
    }

    fn subject(&self) -> Result<Option<Arc<str>>, ClaimFault> {
        let subject = self
            .sub
            .as_deref()
            .map(str::trim)
            .filter(|name| !name.is_empty());
        if subject.is_some_and(|name| name.len() > LONGEST_NAME || name.contains(char::is_control))
        {
            return Err(ClaimFault::Invalid("its sub is no name"));
        }
        Ok(subject.map(Arc::from))
    }
}

fn untimely(untimely: Untimely) -> ClaimFault {
    match untimely {
        Untimely::Expired => ClaimFault::Expired,
        Untimely::Early => ClaimFault::Invalid("it is not valid yet"),
        Untimely::Invalid(reason) => ClaimFault::Invalid(reason),
    }
}

/// A list of texts that has at least one.
fn strings(value: Option<&Value>) -> Result<Vec<&str>, ClaimFault> {
    let list = value
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty());
    let strings: Option<Vec<_>> = list.ok_or(MALFORMED)?.iter().map(Value::as_str).collect();
    strings.ok_or(MALFORMED)
}

fn topics(detail: &Map<String, Value>, rules: &Rules) -> Result<Vec<Selector>, ClaimFault> {
    let list = detail.get("topics").and_then(Value::as_array);
    let list = list.filter(|list| !list.is_empty()).ok_or(MALFORMED)?;
    if list.len() > rules.settings.topics {
        return Err(ClaimFault::Invalid(
            "it has too many topics (mercure.topics)",
        ));
    }
    list.iter().map(|topic| matcher(topic, rules)).collect()
}

/// A topic matcher of an authorization detail.
fn matcher(topic: &Value, rules: &Rules) -> Result<Selector, ClaimFault> {
    let topic = topic.as_object().ok_or(MALFORMED)?;
    let text = topic
        .get("match")
        .and_then(Value::as_str)
        .ok_or(MALFORMED)?;
    let kind = match topic.get("match_type") {
        None => SelectorKind::Exact,
        // The wildcard is recognised whatever the type, which nevertheless has to be one.
        Some(Value::String(name)) => SelectorKind::of_match_type(name)
            .ok_or(ClaimFault::Invalid("it has an unknown match_type"))?,
        Some(_) => return Err(MALFORMED),
    };
    if text.len() > rules.settings.topic_length {
        return Err(ClaimFault::Invalid("it has a topic that is too long"));
    }
    if !are_visible(text) {
        return Err(MALFORMED);
    }
    let malformed = ClaimFault::Invalid("it has a malformed URL pattern");
    Selector::parse(kind, text, &rules.base).ok_or(malformed)
}

fn payload(detail: &Map<String, Value>) -> Result<Option<Value>, ClaimFault> {
    match detail.get("payload") {
        None => Ok(None),
        Some(payload @ Value::Object(_)) => Ok(Some(payload.clone())),
        Some(_) => Err(MALFORMED),
    }
}

#[cfg(test)]
mod tests;
