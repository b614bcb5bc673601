//! Channels that the app's response about a session names (`channels-header`), so that one query is enough for all of
//! them. Does not query the app.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use tokio_util::sync::CancellationToken;

use crate::config::{ChannelName, ChannelPattern};

/// The channels of one session: the names in the last positive response, and the named channels with subscribers.
#[derive(Debug, Default)]
pub(super) struct NamedChannels {
    names: Option<Arc<[ChannelPattern]>>,
    open: HashMap<ChannelName, Weak<NamedChannel>>,
}

/// A channel of a session, while it has subscribers.
#[derive(Debug)]
pub(super) struct NamedChannel {
    /// Cancelled when a response does not name the channel, and when the session ends.
    pub(super) ended: CancellationToken,
}

impl NamedChannel {
    pub(super) fn refuse(&self) {
        self.ended.cancel();
    }
}

/// The result of looking up a channel in a response.
#[derive(Debug)]
pub(super) enum Naming<T> {
    /// The response names the channel.
    Named(T),
    /// The response names channels, but not this one.
    Missing,
    /// The response does not name channels at all.
    Unsaid,
}

impl NamedChannels {
    /// Looks up a channel. `session` is the token of the session, with which the channel ends.
    pub(super) fn find(
        &mut self,
        name: &ChannelName,
        session: &CancellationToken,
    ) -> Naming<Arc<NamedChannel>> {
        match &self.names {
            None => return Naming::Unsaid,
            Some(names) if !fits(names, name) => return Naming::Missing,
            Some(_) => {}
        }
        if let Some(open) = self.open.get(name).and_then(Weak::upgrade) {
            return Naming::Named(open);
        }
        self.open.retain(|_, open| open.strong_count() > 0);
        let channel = Arc::new(NamedChannel {
            ended: session.child_token(),
        });
        self.open.insert(name.clone(), Arc::downgrade(&channel));
        Naming::Named(channel)
    }

    /// Stores the names in a new response; returns the open channels that it does not name.
    pub(super) fn replace(
        &mut self,
        names: Option<Arc<[ChannelPattern]>>,
    ) -> Vec<Arc<NamedChannel>> {
        let mut refused = Vec::new();
        self.open.retain(|name, open| {
            let stays = names.as_ref().is_some_and(|names| fits(names, name));
            if !stays {
                refused.extend(open.upgrade());
            }
            stays
        });
        self.names = names;
        refused
    }

    /// Forgets the open channels, which end with their session. The names stay.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }
}

fn fits(names: &[ChannelPattern], name: &ChannelName) -> bool {
    names.iter().any(|pattern| pattern.fits(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Arc<[ChannelPattern]> {
        let parsed = list.iter().map(|text| ChannelPattern::parse(text));
        parsed.map(|read| read.expect("a pattern")).collect()
    }

    fn channel(text: &str) -> ChannelName {
        ChannelName::parse(text).expect("a name")
    }

    #[test]
    fn a_channel_ends_with_the_answer_that_does_not_name_it_and_with_the_session() {
        let session = CancellationToken::new();
        let mut channels = NamedChannels::default();
        let find = |channels: &mut NamedChannels, name| channels.find(&channel(name), &session);
        assert!(matches!(find(&mut channels, "nova.a"), Naming::Unsaid));
        assert!(channels.replace(Some(names(&["*.a", "news"]))).is_empty());
        assert!(matches!(find(&mut channels, "nova.b"), Naming::Missing));
        let Naming::Named(nova) = find(&mut channels, "nova.a") else {
            panic!("it is named");
        };
        let Naming::Named(news) = find(&mut channels, "news") else {
            panic!("it is named");
        };
        let refused = channels.replace(Some(names(&["news", "*.b"])));
        assert_eq!(refused.len(), 1, "{refused:?}");
        for channel in refused {
            channel.refuse();
        }
        assert!(nova.ended.is_cancelled() && !news.ended.is_cancelled());
        session.cancel();
        assert!(news.ended.is_cancelled());
    }

    #[test]
    fn subscribers_of_one_channel_share_it_and_one_that_is_left_is_forgotten() {
        let session = CancellationToken::new();
        let mut channels = NamedChannels::default();
        channels.replace(Some(names(&["*.a"])));
        let first = channels.find(&channel("x.a"), &session);
        let second = channels.find(&channel("x.a"), &session);
        let (Naming::Named(first), Naming::Named(second)) = (first, second) else {
            panic!("both are named");
        };
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        channels.find(&channel("y.a"), &session);
        assert_eq!(channels.open.len(), 1);
    }
}
