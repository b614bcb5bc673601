//! The table of channels that are in use. Those with a name are from the start, those of a pattern from the first
//! use on.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard};

use crate::config::ChannelName;
use crate::hub::Hub;
use crate::hub::channel::Channel;

type Table = HashMap<ChannelName, Arc<Channel>>;

/// Why there is no channel.
pub(super) enum Missing {
    Unknown,
    TooMany(usize),
}

impl Hub {
    /// Channels with a name exist from the start, so that their history does not depend on who came first.
    pub(super) fn open_named(&self) {
        let settings = self.0.settings.load();
        let names = settings.rules.iter().filter_map(|rules| rules.name.name());
        for name in names {
            let _ = self.channel(&name);
        }
    }

    pub(super) fn channels_now(&self) -> Vec<(ChannelName, Arc<Channel>)> {
        let channels = self.channel_table();
        let each = channels.iter();
        each.map(|(name, channel)| (name.clone(), Arc::clone(channel)))
            .collect()
    }

    /// The channel of this name, opened if need be.
    pub(super) fn channel(&self, name: &ChannelName) -> Result<Arc<Channel>, Missing> {
        let channels = self.channel_table();
        if let Some(channel) = channels.get(name) {
            return Ok(Arc::clone(channel));
        }
        let count = channels.len();
        drop(channels);
        let settings = self.0.settings.load();
        let rules = settings.rules_of(name).ok_or(Missing::Unknown)?;
        if rules.name.name().is_none() && count >= settings.hub.channels {
            return Err(Missing::TooMany(settings.hub.channels));
        }
        let fresh = || {
            Arc::new(Channel::new(
                name.clone(),
                rules.clone(),
                settings.hub.budget,
                self.0.metrics.of(&rules.name.to_string()),
            ))
        };
        let mut channels = self.change_channels();
        Ok(Arc::clone(
            channels.entry(name.clone()).or_insert_with(fresh),
        ))
    }

    /// The channel of this name, if it is in use.
    pub(super) fn open_channel(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.channel_table().get(name).cloned()
    }

    fn channel_table(&self) -> RwLockReadGuard<'_, Table> {
        let channels = self.0.channels.read();
        channels.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change_channels(&self) -> RwLockWriteGuard<'_, Table> {
        let channels = self.0.channels.write();
        channels.unwrap_or_else(PoisonError::into_inner)
    }
}
