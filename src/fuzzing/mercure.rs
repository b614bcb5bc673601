//! Bytes of strangers for a Mercure hub: selectors, forms and, signed or not, claims.

use http::HeaderMap;

use crate::config::{Mercure, MercureVersion};
use crate::push::mercure::{Claims, Grant, Order, Publication, Rules};

/// Checks that a query, a form and claims, each on a line of its own, are accepted or refused without a panic, that a
/// selector which is a text matches itself, and that no accepted update is of the hub's own topics.
///
/// # Panics
///
/// If one of these does not hold.
pub fn mercure(text: &str) {
    let Some(rules) = Rules::new(Mercure::default()) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (query, form, claims) = (next(), next(), next());
    let order = Order::read(Some(query), b"", &HeaderMap::new(), &rules);
    let publication = Publication::read(form.as_bytes(), MercureVersion::One, &rules).ok();
    let _ = Publication::read(form.as_bytes(), MercureVersion::Draft, &rules);
    let topics = publication.map(|publication| publication.update.topics);
    let topics = topics.unwrap_or_default();
    for topic in &topics {
        assert!(!rules.is_reserved(topic) && topic != "*", "{topic:?}");
    }
    for selector in order.map(|order| order.selectors).unwrap_or_default() {
        for topic in &topics {
            let _ = selector.matches(topic, &rules.base);
        }
        assert!(selector.is_pattern() || selector.matches(&selector.text, &rules.base));
    }
    if let Ok(claims) = serde_json::from_str::<Claims>(claims) {
        let _ = Grant::draft(claims, &rules).map(|grant| grant.publishes(&topics, &rules));
    }
    if let Ok(claims) = serde_json::from_str::<Claims>(claims) {
        let _ =
            Grant::one(claims, "https://a", &rules).map(|grant| grant.publishes(&topics, &rules));
    }
}
