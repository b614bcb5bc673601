//! `channel`, `event`, `key` and `data` of a source: the templates that say what a message of it becomes, and in which
//! channel. Knows no message.

use super::channel_name::{ChannelName, ChannelPattern};
use super::reader::Table;
use super::template::{Template, Templates};

/// The templates of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    /// `channel`: the channel of each message; always within the name of the source's channel. Default: that name.
    pub channel: Templates,
    /// `event`: the name of the event, if the message has what it needs. Default none, or what the format says.
    pub event: Templates,
    /// `key`: the subject of a message, if the message can fill it. Default none.
    pub key: Templates,
    /// `data`: the published data. Default the message.
    pub data: Templates,
}

impl Mapping {
    /// Reads the four keys; `names` are the places of the format beside JSON pointers.
    pub(super) fn read(table: &mut Table<'_>, names: &[&'static str], event: Templates) -> Self {
        let mut templates =
            |key, default| table.alternatives(key, default, |text| Template::parse(text, names));
        Self {
            channel: templates("channel", Vec::new()),
            event: templates("event", event),
            key: templates("key", Vec::new()),
            data: templates("data", Vec::new()),
        }
    }

    /// Reports each key whose templates contain JSON pointers although the format is not JSON.
    pub(super) fn refuse_pointers(&self, table: &Table<'_>) {
        let all = [
            ("channel", &self.channel),
            ("event", &self.event),
            ("key", &self.key),
            ("data", &self.data),
        ];
        for (key, templates) in all {
            if templates.iter().any(Template::has_pointers) {
                table.problem(key, r#"points into JSON; write format = "json""#);
            }
        }
    }

    /// Describes why the messages cannot go to the right channel, if the source belongs to a channel of this name.
    pub(super) fn misplaced(&self, pattern: &ChannelPattern) -> Option<String> {
        if self.channel.is_empty() {
            let text = "a pattern is many channels; the source must say which, such as channel = \"nova.{tenant}\"";
            return pattern.name().is_none().then(|| text.to_owned());
        }
        let outside = self
            .channel
            .iter()
            .find(|template| !fits(template, pattern))?;
        Some(format!(
            r#"channel = "{outside}" is never within "{pattern}", the name of its [[channel]]"#
        ))
    }
}

/// True if a template can give a channel within this name. A word that a message fills can be anything, so it is
/// tried with the word in the same place of the name.
fn fits(template: &Template, pattern: &ChannelPattern) -> bool {
    let (sample, words) = (template.filled_with("x"), template.filled_with("*"));
    ChannelName::parse(&sample).is_ok()
        && words.split('.').count() == pattern.to_string().split('.').count()
        && words
            .split('.')
            .zip(pattern.to_string().split('.'))
            .all(|(word, own)| word == own || own == "*" || word.contains('*'))
}
