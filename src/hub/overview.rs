//! What the hub can say of itself, for `noren status` and for errors that name what there is.

use serde::Serialize;

use crate::hub::Hub;

/// The hub at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Who listens, on all channels together; who listens to several counts once.
    pub subscribers: usize,
    /// The id of the newest message.
    pub newest: String,
    /// The channels that are open, by name.
    pub channels: Vec<Row>,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The name or pattern in the configuration that it comes from.
    #[serde(skip)]
    pub rule: String,
    /// How many messages a new subscriber can still get.
    pub messages: usize,
    /// How many listen to it.
    pub listeners: usize,
    /// Why nothing can be published on it now, if its history is on a disk that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Hub {
    /// How it is now. Channels are looked at one after another, so the numbers are not of one instant.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let channels = self.channels_now().into_iter();
        let mut channels: Vec<_> = channels
            .map(|(name, channel)| Row {
                name: name.to_string(),
                rule: channel.rules().name.to_string(),
                messages: channel.history().count(),
                listeners: channel.presence().count,
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

    /// The names and patterns of the configuration, in its order.
    #[must_use]
    pub fn configured(&self) -> Vec<String> {
        let settings = self.0.settings.load();
        let rules = settings.rules.iter();
        rules.map(|rules| rules.name.to_string()).collect()
    }
}
