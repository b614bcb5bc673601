//! Summary of the hub for `noren status`, and for errors that list the configured channels.

use crate::hub::Hub;

/// The hub at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overview {
    /// Number of subscribers of all channels together; a subscriber to several counts once.
    pub subscribers: usize,
    /// The id of the newest message.
    pub newest: String,
    /// The open channels, by name.
    pub channels: Vec<ChannelOverview>,
}

/// A channel as the status lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelOverview {
    /// Name of the channel.
    pub name: String,
    /// The name or pattern in the configuration that it comes from.
    pub rule: String,
    /// Number of messages that a new subscriber can still get.
    pub messages: usize,
    /// Number of subscribers.
    pub subscribers: usize,
    /// Current disk error that prevents publishing, if there is one.
    pub trouble: Option<String>,
}

impl Hub {
    /// Summarises the hub. Channels are read one after another, so the numbers are not of one instant.
    #[must_use]
    pub(crate) fn overview(&self) -> Overview {
        let channels = self.channels_now().into_iter();
        let mut channels: Vec<_> = channels
            .map(|(name, channel)| ChannelOverview {
                name: name.to_string(),
                rule: channel.rules().name.to_string(),
                messages: channel.history().count(),
                subscribers: channel.presence().count,
                trouble: self.trouble_of(&channel),
            })
            .collect();
        channels.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Overview {
            subscribers: self.subscribers(),
            newest: self.newest().to_string(),
            channels,
        }
    }

    /// Names and patterns of the configuration, in its order.
    #[must_use]
    pub(crate) fn configured(&self) -> Vec<String> {
        let settings = self.0.settings.load();
        let rules = settings.rules.iter();
        rules.map(|rules| rules.name.to_string()).collect()
    }
}
