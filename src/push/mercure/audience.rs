//! An audience: subscribers with the same selectors and the same permissions, for which each update is matched once.
//!
//! Each subscriber walks the one history of all updates. Without this, every subscriber of the same page would match
//! every update anew.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use aws_lc_rs::digest::{Context, SHA256};

use crate::sweep::Sweep;
use crate::sync::lock;

use super::rules::Rules;
use super::selector::{Selector, Selectors};
use super::update::Item;

/// Number of verdicts that an audience remembers: its subscribers are at most a few updates apart.
const REMEMBERED: usize = 64;
/// Number of audiences from which unused ones are removed.
const FEWEST: usize = 64;

/// The subscribers with the same selectors and permissions.
pub(super) struct Audience {
    rules: Arc<Rules>,
    /// Selectors of the topics that its members subscribe to.
    subscribed: Selectors,
    /// Selectors of the private updates that their tokens permit.
    permitted: Selectors,
    /// Number of an update and the verdict about it, in one number; 0 is none.
    verdicts: [AtomicU64; REMEMBERED],
}

impl Audience {
    fn new(rules: &Arc<Rules>, subscribed: Vec<Selector>, permitted: Vec<Selector>) -> Self {
        Self {
            rules: Arc::clone(rules),
            subscribed: Selectors::new(subscribed),
            permitted: Selectors::new(permitted),
            verdicts: [const { AtomicU64::new(0) }; REMEMBERED],
        }
    }

    /// True if these subscribers get the update.
    pub(super) fn gets(&self, item: &Item) -> bool {
        let number = item.number.get();
        let slot = usize::try_from(number).unwrap_or_default() % REMEMBERED;
        let Some(slot) = self.verdicts.get(slot) else {
            return self.matches(item);
        };
        let known = slot.load(Ordering::Relaxed);
        if known >> 1 == number {
            return known & 1 == 1;
        }
        let verdict = self.matches(item);
        slot.store(number << 1 | u64::from(verdict), Ordering::Relaxed);
        verdict
    }

    /// True if an update goes to this audience: it subscribes to one of the topics, and for a private update its
    /// token permits one of them, not necessarily the same.
    fn matches(&self, item: &Item) -> bool {
        let any = |selectors: &Selectors| {
            let mut topics = item.topics.iter();
            topics.any(|topic| selectors.matches(topic, &self.rules.base))
        };
        // Most updates are not for most subscribers.
        any(&self.subscribed) && (!item.private || any(&self.permitted))
    }
}

/// The audiences of a hub.
#[derive(Default)]
pub(super) struct Audiences(Mutex<Shared>);

#[derive(Default)]
struct Shared {
    audiences: HashMap<[u8; 32], Weak<Audience>>,
    sweep: Sweep,
}

impl Audiences {
    /// The audience with these selectors and permissions, which all of its subscribers share.
    pub(super) fn of(
        &self,
        rules: &Arc<Rules>,
        subscribed: Vec<Selector>,
        permitted: Vec<Selector>,
    ) -> Arc<Audience> {
        let key = key(rules, &subscribed, &permitted);
        let mut shared = lock(&self.0);
        let Shared { audiences, sweep } = &mut *shared;
        if let Some(known) = audiences.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        sweep.run(audiences, FEWEST, |audience| audience.strong_count() > 0);
        let audience = Arc::new(Audience::new(rules, subscribed, permitted));
        audiences.insert(key, Arc::downgrade(&audience));
        audience
    }
}

/// The hash of everything that a verdict depends on. The order of selectors is none of it.
fn key(rules: &Rules, subscribed: &[Selector], permitted: &[Selector]) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    digest.update(rules.base.as_str().as_bytes());
    for selectors in [subscribed, permitted] {
        let mut selectors: Vec<_> = selectors
            .iter()
            .map(|one| (one.kind.as_str(), one.text.as_ref()))
            .collect();
        selectors.sort_unstable();
        selectors.dedup();
        digest.update(&selectors.len().to_be_bytes());
        for part in selectors.iter().flat_map(|(kind, text)| [kind, text]) {
            digest.update(&part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
    }
    let mut key = [0; 32];
    for (place, byte) in key.iter_mut().zip(digest.finish().as_ref()) {
        *place = *byte;
    }
    key
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audience").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mercure;
    use crate::push::mercure::selector::SelectorKind;
    use crate::push::mercure::update::ItemNumber;
    use bytes::Bytes;

    fn item(topics: &[&str], private: bool) -> Item {
        Item {
            number: ItemNumber::next(),
            topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
            private,
            id: "1".to_owned(),
            event: Bytes::new(),
        }
    }

    fn selectors(rules: &Rules, texts: &[&str]) -> Vec<Selector> {
        let parse = |text: &&str| Selector::parse(SelectorKind::Topic, text, &rules.base);
        texts.iter().filter_map(parse).collect()
    }

    #[test]
    fn a_private_update_goes_to_those_whose_token_permits_one_of_its_topics() {
        let rules = Arc::new(Rules::new(Mercure::default()).expect("rules"));
        let audiences = Audiences::default();
        let gets = |subscribed: &[&str], permitted: &[&str], topics: &[&str], private| {
            let subscribed = selectors(&rules, subscribed);
            let permitted = selectors(&rules, permitted);
            let audience = audiences.of(&rules, subscribed, permitted);
            let item = item(topics, private);
            // The second verdict is the remembered one.
            let first = audience.matches(&item);
            assert_eq!(first, audience.matches(&item));
            first
        };
        assert!(gets(&["a"], &[], &["a", "b"], false));
        assert!(gets(&["b"], &[], &["a", "b"], false));
        assert!(!gets(&["c"], &["*"], &["a", "b"], false));
        assert!(!gets(&["a"], &[], &["a"], true));
        assert!(!gets(&["a"], &["b"], &["a"], true));
        assert!(gets(&["a"], &["b"], &["a", "b"], true));
        assert!(gets(
            &["*"],
            &["/users/42/{+rest}"],
            &["/books/1", "/users/42/books/1"],
            true
        ));
        assert!(!gets(
            &["*"],
            &["/users/43/{+rest}"],
            &["/books/1", "/users/42/books/1"],
            true
        ));
    }

    #[test]
    fn a_verdict_is_remembered_for_its_update_alone() {
        let rules = Arc::new(Rules::new(Mercure::default()).expect("rules"));
        let audience = Audience::new(&rules, selectors(&rules, &["a"]), Vec::new());
        let items: Vec<_> = (0..3 * REMEMBERED)
            .map(|place| item(&[if place % 7 == 0 { "a" } else { "b" }], false))
            .collect();
        for (place, item) in items.iter().enumerate().chain(items.iter().enumerate()) {
            assert_eq!(audience.gets(item), place % 7 == 0, "{place}");
            assert_eq!(audience.gets(item), place % 7 == 0, "{place}");
        }
    }

    #[test]
    fn equal_subscribers_share_an_audience_and_others_do_not() {
        let rules = Arc::new(Rules::new(Mercure::default()).expect("rules"));
        let audiences = Audiences::default();
        let of = |subscribed: &[&str], permitted: &[&str]| {
            audiences.of(
                &rules,
                selectors(&rules, subscribed),
                selectors(&rules, permitted),
            )
        };
        let one = of(&["a", "b"], &["c"]);
        assert!(Arc::ptr_eq(&one, &of(&["b", "a"], &["c"])));
        for other in [
            of(&["a"], &["b", "c"]),
            of(&["a", "b"], &[]),
            of(&["a", "b", "c"], &[]),
        ] {
            assert!(!Arc::ptr_eq(&one, &other));
        }
        // Those that nobody holds are removed.
        for number in 0..1000 {
            drop(of(&[&number.to_string()], &[]));
            assert!(lock(&audiences.0).audiences.len() <= FEWEST);
        }
    }
}
