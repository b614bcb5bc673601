//! Deduplication by message id: a service that misses the broker's confirmation sends again, and a broker whose
//! connection was lost delivers again. Bounded: the oldest id is forgotten.

use std::collections::{HashSet, VecDeque};

/// Number of ids remembered: minutes of a busy cloud, in about a megabyte.
const REMEMBERED: usize = 10_000;

/// The ids of the newest messages.
#[derive(Debug, Default)]
pub(super) struct Dedup {
    order: VecDeque<Box<str>>,
    ids: HashSet<Box<str>>,
}

impl Dedup {
    pub(super) fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn insert(&mut self, id: &str) {
        if !self.ids.insert(id.into()) {
            return;
        }
        self.order.push_back(id.into());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered_and_no_more() {
        let mut seen = Dedup::default();
        for number in 0..REMEMBERED + 5 {
            seen.insert(&number.to_string());
            seen.insert(&number.to_string());
        }
        assert!(!seen.contains("4") && seen.contains("5"));
        assert_eq!((seen.ids.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
    }
}
