//! What a reload replaces: the rules of channels, and the limits they share.

use std::path::Path;

use crate::config::{self, ChannelName, Config, StoreKind};
use crate::hub::error::HubError;

/// What a reload replaces.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) hub: config::Hub,
    pub(super) rules: Vec<config::Channel>,
    pub(super) publish_token: Option<String>,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Result<Self, HubError> {
        let publish_token = config.hub.publish_token.as_deref();
        Ok(Self {
            hub: config.hub.clone(),
            rules: config.channels.clone(),
            publish_token: publish_token.map(read_token).transpose()?,
        })
    }

    /// Whether any channel is kept on disk.
    pub(super) fn keeps(&self) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rules| rules.history.store == StoreKind::Disk)
    }

    /// A name before a pattern, and then the first in the file.
    pub(super) fn rules_of(&self, name: &ChannelName) -> Option<&config::Channel> {
        let exact = |rules: &&config::Channel| rules.name.name().as_ref() == Some(name);
        let fitting = |rules: &&config::Channel| rules.name.fits(name);
        let rules = || self.rules.iter();
        rules().find(exact).or_else(|| rules().find(fitting))
    }
}

/// The publish token is what is in its file, without the line break an editor leaves.
fn read_token(path: &Path) -> Result<String, HubError> {
    let fault = |reason: String| HubError::PublishToken {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    let token = text.trim();
    if token.len() < 16 {
        return Err(fault(
            "the publish token has fewer than 16 characters; make one with: openssl rand -hex 32"
                .to_owned(),
        ));
    }
    Ok(token.to_owned())
}
