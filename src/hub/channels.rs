//! The table of open channels. Channels with a fixed name are opened at the start, those of a pattern at first
//! use.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard};

use crate::config::{self, ChannelName};
use crate::hub::channel::Channel;
use crate::hub::settings::Settings;
use crate::hub::{Hub, PublishError};
use crate::shares::{Client, Denied, Share};
use crate::sync::lock;

type Table = HashMap<ChannelName, Arc<Channel>>;

/// Reasons why a channel is not available.
pub(super) enum Missing {
    Unknown,
    TooMany(usize),
    /// The client has caused as many channels as one client may.
    Share,
}

impl Missing {
    /// Converts to the error that a publisher gets.
    pub(super) fn for_publisher(self, name: &ChannelName) -> PublishError {
        match self {
            Self::Unknown => PublishError::Unknown(name.clone()),
            Self::TooMany(limit) => PublishError::TooManyChannels(limit),
            Self::Share => PublishError::ChannelShare,
        }
    }
}

impl Hub {
    /// Opens all channels with a fixed name, so that their history begins at the start and not with the first
    /// subscriber.
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

    /// Returns the channel of this name, and opens it if necessary.
    pub(super) fn channel(&self, name: &ChannelName) -> Result<Arc<Channel>, Missing> {
        self.channel_for(Client::default(), name)
    }

    /// Returns the channel for a client; if a pattern creates it, it counts towards the client's share.
    pub(super) fn channel_for(
        &self,
        client: Client,
        name: &ChannelName,
    ) -> Result<Arc<Channel>, Missing> {
        if let Some(channel) = self.open_channel(name) {
            return Ok(channel);
        }
        let settings = self.0.settings.load();
        let rules = settings.rules_of(name).ok_or(Missing::Unknown)?;
        let mut share = self.0.made.of(client);
        if rules.name.name().is_none() {
            share.take(1).map_err(|denied| match denied {
                Denied::All => Missing::TooMany(settings.hub.channels),
                Denied::Client => Missing::Share,
            })?;
        }
        Ok(self.open(name, rules, &settings, share))
    }

    /// Returns the channel of this name and opens it, even beyond the limit on channels created by patterns: its
    /// messages are on the disk and would be lost otherwise. New channels are refused until the number is below the
    /// limit.
    pub(super) fn stored_channel(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        if let Some(channel) = self.open_channel(name) {
            return Some(channel);
        }
        let settings = self.0.settings.load();
        let rules = settings.rules_of(name)?;
        let mut share = self.0.made.of(Client::default());
        if rules.name.name().is_none() {
            // It counts where there is room; where there is none, all of it is taken already.
            let _ = share.take(1);
        }
        Some(self.open(name, rules, &settings, share))
    }

    fn open(
        &self,
        name: &ChannelName,
        rules: &config::Channel,
        settings: &Settings,
        share: Share,
    ) -> Arc<Channel> {
        let fresh = || {
            let channel = Channel::new(
                name.clone(),
                rules.clone(),
                settings.hub.budget,
                self.0.metrics.of(&rules.name.to_string()),
                share,
            );
            let floor = lock(&self.0.closed).take(name);
            channel.history().forget_before(floor);
            Arc::new(channel)
        };
        let mut channels = self.change_channels();
        Arc::clone(channels.entry(name.clone()).or_insert_with(fresh))
    }

    /// Returns the channel of this name if it is open.
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
