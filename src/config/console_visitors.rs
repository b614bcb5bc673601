//! The check that lists of users of consoles, in `rfb` and in `shared`, can be enforced. Knows nothing else of either.

use super::Config;
use super::member::Member;
use super::reader::Table;
use super::view_rules::ViewRules;

impl Config {
    /// Checks that each list of users of a console can be enforced.
    pub(super) fn check_viewers(&self, root: &Table<'_>) {
        if !root.has_no_problem() {
            return;
        }
        let bridge = &self.bridge;
        let rfb = bridge.tokens.iter().map(|source| &source.rfb);
        let rfb = rfb.chain(bridge.targets.iter().map(|target| &target.rfb));
        let rfb = rfb.flatten().chain([&bridge.rfb]);
        let shared = bridge.tokens.iter().map(|source| &source.shared);
        let shared = shared.chain(bridge.targets.iter().map(|target| &target.shared));
        let shared = shared.flatten().chain([&bridge.shared]);
        let rfb: Vec<_> = rfb.map(|rfb| &rfb.access.view).collect();
        let shared: Vec<_> = shared.map(|shared| &shared.view).collect();
        self.check_lists("rfb", &rfb, root);
        self.check_lists("shared", &shared, root);
    }

    /// Checks the lists that stand in tables of this name.
    fn check_lists(&self, name: &str, rules: &[&ViewRules], root: &Table<'_>) {
        let members: Vec<_> = rules.iter().flat_map(|rules| rules.members()).collect();
        let is_group = |member: &&&Member| matches!(member, Member::Group(_));
        let bridge = &self.bridge;
        let asks = self.session.path.is_some() && self.session.is_required(bridge.session);
        let has_passwords = bridge.entrance.users.is_some();
        let text = if members.is_empty() {
            return;
        } else if !asks && !has_passwords {
            format!(
                "lists users of consoles in {name}, and visitors are not asked who they are; write [session] with \
                 path = \"/tasks\", or users in [bridge]"
            )
        } else if members.iter().any(|member| is_group(&member))
            && !(asks && self.session.groups_header.is_some())
        {
            format!(
                "lists a group in {name}, and only the answer to a session question tells groups; write [session] \
                 with groups-header = \"Remote-Groups\""
            )
        } else if members.iter().any(|member| !is_group(&member))
            && !has_passwords
            && self.session.name_header.is_none()
        {
            format!(
                "lists users by name in {name}, and no answer names one; write [session] with name-header = \
                 \"Remote-User\""
            )
        } else {
            return;
        };
        root.problem("bridge", text);
    }
}
