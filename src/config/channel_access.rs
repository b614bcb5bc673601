//! The requirement of each channel, and whether it can be met. Checks no client.

use super::Config;
use super::channel::{Channel, Publisher};
use super::member::Member;
use super::needs::Needs;
use super::reader::Table;

impl Config {
    /// The requirement of a channel. If it has none of its own, like a channel that is not in the file, it is a
    /// session where the hub requires one, a token where there are keys, either where there are both; and nothing
    /// only if the file requires neither.
    #[must_use]
    pub fn needs(&self, channel: Option<&Channel>) -> Needs {
        if let Some(needs) = channel.and_then(|channel| channel.needs) {
            return needs;
        }
        let session = self.session.is_required(self.hub.session);
        match (session, self.hub.tokens.is_on()) {
            (true, true) => Needs::Either,
            (true, false) => Needs::Session,
            (false, true) => Needs::Token,
            (false, false) => Needs::Nothing,
        }
    }

    /// Checks that each requirement can be met, and that each list of users can be enforced.
    pub(super) fn check_needs(&self, root: &Table<'_>) {
        if !root.has_no_problem() {
            return;
        }
        for channel in &self.channels {
            if let Some(text) = self.impossible(channel) {
                root.problem(
                    "channel",
                    format!(r#"the channel "{}" {text}"#, channel.name),
                );
            }
        }
    }

    fn impossible(&self, channel: &Channel) -> Option<&'static str> {
        let needs = self.needs(Some(channel));
        if needs.takes_token() && !self.hub.tokens.is_on() {
            return Some(
                "needs a token, and there are no keys for any; write [hub.tokens] with keys = \
                    [\"/etc/noren/channels.jwks\"]",
            );
        }
        if needs.takes_session() && self.session.path.is_none() {
            return Some(
                r#"needs a session, and there is no question for it; write [session] with path = "/tasks""#,
            );
        }
        let listed = || channel.subscribers.iter().chain(&channel.publishers);
        if needs == Needs::Nothing && listed().next().is_some() {
            return Some(
                r#"is for users, and visitors are not asked who they are; write needs = "session", or remove the list"#,
            );
        }
        let named = |member: &Member| matches!(member, Member::User(_));
        if needs == Needs::Session && listed().any(named) && self.session.name_header.is_none() {
            return Some(
                r#"is for users by name, and no answer names one; write [session] with name-header = "Remote-User""#,
            );
        }
        if listed().any(|member| !named(member))
            && (self.session.groups_header.is_none() || !needs.takes_session())
        {
            return Some(
                "is for a group, and only the answer to a session question tells groups; write [session] with \
                    groups-header = \"Remote-Groups\"",
            );
        }
        let by_users = channel.publish.contains(&Publisher::App)
            || (channel.publish.contains(&Publisher::Token) && self.hub.tokens.is_on());
        if !channel.publishers.is_empty() && !by_users {
            return Some(
                "lists publishers, and no user can publish there; write publish = [\"app\"] or, with \
                    [hub.tokens], publish = [\"token\"]",
            );
        }
        None
    }
}
