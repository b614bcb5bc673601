//! Settings of the hub that a reload replaces: the rules of channels, and the limits they share.

use std::collections::HashMap;
use std::path::Path;

use crate::config::{self, ChannelName, ChannelPattern, Config, StoreKind};
use crate::hub::error::HubError;
use crate::shares::Parts;
use crate::text::Reason;
use crate::text::file::{LARGEST_SECRET, read_text};
use crate::text::permission::Use;

/// The settings that a reload replaces.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) hub: config::Hub,
    pub(super) rules: Vec<config::Channel>,
    pub(super) publish_token: Option<String>,
    index: Index,
}

/// Index of the rules by name: a file may have tens of thousands, and a reload looks up each open channel.
#[derive(Debug, Default)]
struct Index {
    names: HashMap<ChannelName, usize>,
    /// Patterns grouped by shape. Patterns of one shape have their stars in the same words, so at most one of them
    /// matches a name: the one equal to the name with those words replaced.
    shapes: Vec<Shape>,
}

/// The patterns of one shape.
#[derive(Debug)]
struct Shape {
    /// For each word, true if it is a star.
    stars: Box<[bool]>,
    patterns: HashMap<String, usize>,
}

/// A checked configuration of the hub that is not in force yet.
#[derive(Debug)]
pub(crate) struct HubPlan {
    pub(super) settings: Settings,
    pub(super) parts: Parts,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Result<Self, HubError> {
        let publish_token = config.hub.publish_token.as_deref();
        Ok(Self {
            hub: config.hub.clone(),
            index: Index::of(&config.channels),
            rules: config.channels.clone(),
            publish_token: publish_token.map(read_token).transpose()?,
        })
    }

    /// True if any channel keeps its history on disk.
    pub(super) fn keeps(&self) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rules| rules.history.store == StoreKind::Disk)
    }

    /// True if the configuration lists a channel by this name, and not only by a pattern.
    pub(super) fn names(&self, name: &ChannelName) -> bool {
        self.index.names.contains_key(name)
    }

    /// Finds the rules for a name: exact names come before patterns, patterns in the order of the file.
    pub(super) fn rules_of(&self, name: &ChannelName) -> Option<&config::Channel> {
        self.rules.get(self.index.find(name)?)
    }
}

impl Index {
    fn of(channels: &[config::Channel]) -> Self {
        let mut index = Self::default();
        for (position, channel) in channels.iter().enumerate() {
            match channel.name.name() {
                Some(name) => {
                    index.names.entry(name).or_insert(position);
                }
                None => index.add_pattern(&channel.name, position),
            }
        }
        index
    }

    fn add_pattern(&mut self, pattern: &ChannelPattern, position: usize) {
        let text = pattern.to_string();
        let stars: Box<[bool]> = text.split('.').map(|word| word == "*").collect();
        let known = self.shapes.iter().position(|shape| shape.stars == stars);
        let known = known.unwrap_or_else(|| {
            self.shapes.push(Shape {
                stars,
                patterns: HashMap::new(),
            });
            self.shapes.len() - 1
        });
        if let Some(shape) = self.shapes.get_mut(known) {
            shape.patterns.entry(text).or_insert(position);
        }
    }

    fn find(&self, name: &ChannelName) -> Option<usize> {
        let exact = self.names.get(name).copied();
        exact.or_else(|| {
            let fitting = self.shapes.iter().filter_map(|shape| shape.find(name));
            fitting.min()
        })
    }
}

impl Shape {
    fn find(&self, name: &ChannelName) -> Option<usize> {
        let words: Vec<_> = name.as_str().split('.').collect();
        if words.len() != self.stars.len() {
            return None;
        }
        let words = words.into_iter().zip(&self.stars);
        let pattern: Vec<_> = words
            .map(|(word, star)| if *star { "*" } else { word })
            .collect();
        self.patterns.get(&pattern.join(".")).copied()
    }
}

/// Reads the publish token from its file, without the final line break that editors add.
fn read_token(path: &Path) -> Result<String, HubError> {
    let fault = |reason: Reason| HubError::PublishToken {
        path: path.to_owned(),
        reason,
    };
    let text = read_text(path, LARGEST_SECRET)
        .map_err(|error| fault(Reason::new(path, Use::Read, &error)))?;
    let token = text.trim();
    if token.len() < 16 {
        return Err(fault(
            "the publish token has fewer than 16 characters; make one with: openssl rand -hex 32"
                .into(),
        ));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_a_name_are_its_own_or_those_of_the_first_pattern_that_fits() {
        let text = |name| format!("[[channel]]\nname = '{name}'\n");
        let names = ["*.*", "job.*", "*.17", "job.17", "a.*.c", "a.b.*", "wok"];
        let text: String = names.iter().map(text).collect();
        let config = Config::parse(&text, "test").expect("a configuration");
        let settings = Settings::of(&config).expect("settings");
        for (name, rules) in [
            ("job.17", Some("job.17")),
            ("job.18", Some("*.*")),
            ("wok", Some("wok")),
            ("tea", None),
            ("a.b.c", Some("a.*.c")),
            ("a.b.d", Some("a.b.*")),
            ("a.x.d", None),
            ("a.b.c.d", None),
        ] {
            let name = ChannelName::parse(name).expect("a name");
            let found = settings.rules_of(&name).map(|rules| rules.name.to_string());
            assert_eq!(found.as_deref(), rules, "{name}");
            // As the pattern itself says it.
            let fits = config.channels.iter().any(|rules| rules.name.fits(&name));
            assert_eq!(fits, rules.is_some(), "{name}");
        }
    }
}
