//! Decides when a map drops the entries that nobody uses any more.
//!
//! A map that grows with every new client cannot check all its entries each time. It does so once it has twice as many
//! as were left the last time, so that the check costs each insertion a few steps, even if every entry is in use.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// The sweeps of one map.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// Number of entries at which the next sweep is due: twice as many as were left after the last one.
    at: usize,
}

impl Sweep {
    /// True if a map with this number of entries is to be swept. A map with fewer than `least` never is.
    pub(crate) fn is_due(&self, entries: usize, least: usize) -> bool {
        entries >= self.at.max(least)
    }

    /// Records a sweep that has left this number of entries.
    pub(crate) fn done(&mut self, left: usize) {
        self.at = left.saturating_mul(2);
    }

    /// Drops the unused entries of the map, if a sweep is due.
    pub(crate) fn run<K: Eq + Hash, V, S: BuildHasher>(
        &mut self,
        map: &mut HashMap<K, V, S>,
        least: usize,
        mut is_used: impl FnMut(&mut V) -> bool,
    ) {
        if self.is_due(map.len(), least) {
            map.retain(|_, value| is_used(value));
            self.done(map.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_in_use_is_swept_at_twice_its_size_and_an_unused_one_stays_small() {
        let mut sweep = Sweep::default();
        let (mut map, mut sweeps) = (HashMap::new(), 0);
        for number in 0..1024 {
            if sweep.is_due(map.len(), 4) {
                sweeps += 1;
            }
            sweep.run(&mut map, 4, |_| true);
            map.insert(number, number);
        }
        assert_eq!((map.len(), sweeps), (1024, 8), "at 4, 8, 16, … and 512");

        for number in 1024..4096 {
            sweep.run(&mut map, 4, |_| false);
            map.insert(number, number);
            assert!(map.len() <= 1024, "{}", map.len());
        }
        assert!(map.len() <= 4, "{}", map.len());
    }
}
