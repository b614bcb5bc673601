//! `view-only`, `operators` and `viewers` of a console: the visitors that may only look. Does not know what looking
//! means for a console.

use super::member::Member;
use super::reader::Table;

/// Visitors of a console that may do more than look, and those that may not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewRules {
    /// `view-only`: makes everybody view-only. Default `false`.
    pub view_only: bool,
    /// `operators`: the users and groups with all rights. Empty, the default: every visitor who may open the console.
    pub operators: Vec<Member>,
    /// `viewers`: the users and groups that may only look. Default none.
    pub viewers: Vec<Member>,
}

impl ViewRules {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            view_only: table.flag("view-only", false),
            operators: table.list("operators", Vec::new(), Member::parse),
            viewers: table.list("viewers", Vec::new(), Member::parse),
        }
    }

    /// True if a visitor with one of these names, and in these groups, is view-only.
    #[must_use]
    pub fn is_viewer(&self, names: &[&str], groups: &[Box<str>]) -> bool {
        let is_one_of = |members: &[Member]| {
            let is = |member: &Member| {
                member.is(None, groups) || names.iter().any(|name| member.is(Some(name), groups))
            };
            members.iter().any(is)
        };
        let is_operator = self.operators.is_empty() || is_one_of(&self.operators);
        self.view_only || !is_operator || is_one_of(&self.viewers)
    }

    /// All users and groups that the rules name.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.operators.iter().chain(&self.viewers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_may_touch_and_viewers_may_not_even_if_they_are_both() {
        let list = |texts: &[&str]| -> Vec<Member> {
            texts
                .iter()
                .filter_map(|text| Member::parse(text).ok())
                .collect()
        };
        let groups: &[Box<str>] = &["kitchen".into()];
        let rules = |operators: &[&str], viewers: &[&str]| ViewRules {
            operators: list(operators),
            viewers: list(viewers),
            ..ViewRules::default()
        };
        for (rules, names, is_viewer) in [
            (rules(&[], &[]), &[][..], false),
            (rules(&["ann"], &[]), &["ann"], false),
            (rules(&["ann"], &[]), &["app-name", "ann"], false),
            (rules(&["ann"], &[]), &["bob"], true),
            (rules(&["ann"], &[]), &[], true),
            (rules(&["group:kitchen"], &[]), &[], false),
            (rules(&["group:office"], &[]), &["ann"], true),
            (rules(&[], &["ann"]), &["ann"], true),
            (rules(&[], &["ann"]), &["bob"], false),
            (rules(&["ann"], &["group:kitchen"]), &["ann"], true),
        ] {
            assert_eq!(
                rules.is_viewer(names, groups),
                is_viewer,
                "{rules:?} {names:?}"
            );
        }
    }
}
