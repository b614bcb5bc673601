//! Housekeeping of the hub, about once a second: reports presence, trims histories, and closes unused channels.
//!
//! Returns the presence hooks that are due; must not know apps.

use std::sync::Arc;
use std::time::Instant;

use crate::config::ChannelName;
use crate::hub::Hub;
use crate::hub::channel::{Change, Channel, Presence};
use crate::hub::event_name::PRESENCE;
use crate::hub::message::{Data, Draft};
use crate::sync::lock;

/// A presence hook that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// The channel whose presence has changed.
    pub channel: ChannelName,
    /// Name of the app to call; `None` is the first.
    pub app: Option<String>,
    /// Path at the app.
    pub path: String,
    /// Presence of the channel now.
    pub presence: Presence,
}

impl Hub {
    /// Runs the housekeeping; to be called about once a second. Returns the presence hooks that are due.
    #[must_use]
    pub(crate) fn do_housekeeping(&self) -> Vec<Hook> {
        let now = Instant::now();
        let mut hooks = Vec::new();
        for (name, channel) in self.channels_now() {
            let rules = channel.rules();
            if let Some(change) =
                channel.presence_change(self.0.sequencer.presence_elsewhere(&name))
            {
                if rules.presence {
                    self.tell_presence(&name, &change);
                }
                let path = match (change.first, change.last) {
                    (true, _) => rules.on_first_join.as_ref(),
                    (_, true) => rules.on_last_leave.as_ref(),
                    _ => None,
                };
                hooks.extend(path.map(|path| Hook {
                    channel: name.clone(),
                    app: rules.app.clone(),
                    path: path.as_str().to_owned(),
                    presence: change.now,
                }));
            }
            let listening = channel.is_listened_to();
            let lost = channel.history().trim(now, listening);
            self.forget(&channel, None, lost);
            let forgotten = channel.trim_ids(now);
            self.forget_ids(&channel, forgotten);
        }
        self.close_unused();
        hooks
    }

    fn tell_presence(&self, name: &ChannelName, change: &Change) {
        let data = serde_json::json!({
            "count": change.now.count,
            "joined": change.joined,
            "left": change.left,
        });
        let draft = Draft {
            event: Some(PRESENCE.into()),
            key: Some(PRESENCE.into()),
            id: None,
            data: Data::value(&data),
        };
        let _ = self.publish_own(name, draft);
    }

    /// Closes channels that a pattern created and that have neither subscribers nor messages. Their floors stay, so
    /// that a cursor from before the last message has a gap.
    fn close_unused(&self) {
        let settings = self.0.settings.load();
        let unused = |name: &ChannelName, channel: &Channel| {
            let is_empty = || channel.history().is_empty() && channel.ids().is_empty();
            !settings.names(name) && !channel.is_listened_to() && is_empty()
        };
        let mut channels = self.change_channels();
        // A subscriber that is about to join holds a second reference.
        channels.retain(|name, channel| {
            let stays = Arc::strong_count(channel) > 1 || !unused(name, channel);
            if !stays {
                lock(&self.0.closed).insert(name.clone(), channel.history().floor());
            }
            stays
        });
    }
}
