//! Messages whose channel finds no room in the hub (`hub.channels`). They stay unacknowledged, and are tried again
//! after a pause, which grows; each channel keeps its order, and the others go on. Bounded by the prefetch: once all of
//! it is postponed, the broker sends no more, and the queue holds the rest.

use std::collections::{HashMap, VecDeque};

use tokio::time::{Instant, sleep_until};

use crate::config::ChannelName;
use crate::hub::Draft;
use crate::net::Backoff;

/// A message that waits for room.
pub(super) struct PostponedMessage {
    pub(super) tag: u64,
    pub(super) draft: Draft,
    pub(super) id: Option<String>,
}

/// The postponed messages of one connection, by channel.
#[derive(Default)]
pub(super) struct Postponed {
    channels: HashMap<ChannelName, VecDeque<PostponedMessage>>,
    backoff: Backoff,
    /// Time of the next attempt; `None` if there is nothing to try.
    until: Option<Instant>,
}

impl Postponed {
    /// True if a message of this channel waits, so that the next one waits as well.
    pub(super) fn contains(&self, channel: &ChannelName) -> bool {
        !self.channels.is_empty() && self.channels.contains_key(channel)
    }

    /// Adds a message behind those of its channel. The pause begins with the first.
    pub(super) fn add(&mut self, channel: ChannelName, late: PostponedMessage) {
        if self.until.is_none() {
            self.pause();
        }
        self.channels.entry(channel).or_default().push_back(late);
    }

    /// Number of messages.
    pub(super) fn count(&self) -> usize {
        self.channels.values().map(VecDeque::len).sum()
    }

    /// Waits for the next attempt; for ever if there is nothing to try.
    pub(super) async fn next_attempt(&self) {
        match self.until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    /// Tries each channel in order until `publish` returns false for one of its messages, and begins the next pause if
    /// any are left.
    ///
    /// # Errors
    /// The error of `publish`, at the first message that has one.
    pub(super) fn attempt<E>(
        &mut self,
        mut publish: impl FnMut(&ChannelName, &mut PostponedMessage) -> Result<bool, E>,
    ) -> Result<(), E> {
        for (channel, waiting) in &mut self.channels {
            while let Some(first) = waiting.front_mut() {
                if !publish(channel, first)? {
                    break;
                }
                waiting.pop_front();
            }
        }
        self.channels.retain(|_, waiting| !waiting.is_empty());
        if self.channels.is_empty() {
            *self = Self::default();
        } else {
            self.pause();
        }
        Ok(())
    }

    fn pause(&mut self) {
        self.until = Some(Instant::now() + self.backoff.pause());
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::hub::Data;

    fn late(tag: u64) -> PostponedMessage {
        let draft = Draft::new(Data::text("x"));
        PostponedMessage {
            tag,
            draft,
            id: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_channel_keeps_its_order_and_holds_up_no_other() {
        let name = |text: &str| ChannelName::parse(text).expect("a name");
        let mut postponed = Postponed::default();
        for (channel, tag) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
            postponed.add(name(channel), late(tag));
        }
        assert!(postponed.contains(&name("a")) && !postponed.contains(&name("c")));
        let mut attempt = |refused: &[u64]| {
            let mut published = Vec::new();
            let tried: Result<(), Infallible> = postponed.attempt(|_, late| {
                let has_room = !refused.contains(&late.tag);
                published.extend(has_room.then_some(late.tag));
                Ok(has_room)
            });
            tried.expect("no error");
            published.sort_unstable();
            (published, postponed.count())
        };
        assert_eq!(attempt(&[1, 4]), (vec![2], 3));
        assert_eq!(attempt(&[1]), (vec![4], 2));
        assert_eq!(attempt(&[]), (vec![1, 3], 0));
        assert!(postponed.until.is_none());
    }
}
