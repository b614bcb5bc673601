//! The offsets up to which closed channels have lost messages. A channel that is opened again begins with its own, so
//! that a subscriber from before it was closed gets a gap, and no subscriber of another channel does.

use std::collections::HashMap;

use crate::config::ChannelName;

/// Limit on remembered channels, about a megabyte. Beyond it all are forgotten, and the highest offset counts for each.
const MOST: usize = 10_000;

/// The floors by channel.
#[derive(Debug, Default)]
pub(super) struct ClosedFloors {
    floors: HashMap<ChannelName, u64>,
    /// Highest offset that a forgotten channel has lost.
    base: u64,
}

impl ClosedFloors {
    /// Remembers that a channel has lost its messages up to this offset.
    pub(super) fn insert(&mut self, name: ChannelName, floor: u64) {
        if floor <= self.base {
            return;
        }
        if self.floors.len() >= MOST && !self.floors.contains_key(&name) {
            self.base = self.highest();
            self.floors.clear();
        }
        let known = self.floors.entry(name).or_default();
        *known = floor.max(*known);
    }

    /// Forgets a channel that is opened; the offset up to which it has lost messages.
    pub(super) fn take(&mut self, name: &ChannelName) -> u64 {
        self.floors.remove(name).unwrap_or_default().max(self.base)
    }

    /// Makes this offset the least that any channel has lost.
    pub(super) fn raise(&mut self, base: u64) {
        self.base = base.max(self.base);
    }

    /// The highest offset that a closed channel has lost.
    pub(super) fn highest(&self) -> u64 {
        let floors = self.floors.values().copied();
        floors.max().unwrap_or_default().max(self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own_until_there_are_too_many() {
        let name = |number: usize| ChannelName::parse(&format!("c.{number}")).expect("a name");
        let mut closed = ClosedFloors::default();
        closed.insert(name(1), 7);
        closed.insert(name(2), 9);
        closed.insert(name(1), 5);
        assert_eq!((closed.take(&name(1)), closed.take(&name(1))), (7, 0));
        for number in 0..MOST {
            closed.insert(name(10 + number), 20);
        }
        assert_eq!((closed.take(&name(2)), closed.take(&name(3))), (20, 20));
        assert_eq!(closed.highest(), 20);
    }
}
