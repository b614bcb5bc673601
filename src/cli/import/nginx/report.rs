//! The report of an import: every directive is carried over, reported with its line, or needs no counterpart according
//! to the table of directives. Must not know the meaning of a directive.

use std::collections::{BTreeMap, HashSet};

use super::super::draft::Draft;
use super::directives::{Meaning, is_harmless_file, meaning};
use super::syntax::Directive;

const NOWHERE: &str =
    "nothing here takes it: what it is for is not carried over, or another one takes its place";

/// The report on the directives: carried over, or left out for a reason.
#[derive(Debug, Default)]
pub(super) struct Report {
    carried: HashSet<usize>,
    /// Directives to report, by their number: their text, and the reasons.
    told: BTreeMap<usize, (String, Vec<String>)>,
    otherwise: Vec<(String, String)>,
}

impl Report {
    pub(super) fn carry(&mut self, directive: &Directive) {
        self.carried.insert(directive.id);
    }

    pub(super) fn is_carried(&self, directive: &Directive) -> bool {
        self.carried.contains(&directive.id)
    }

    /// Reports a directive as not carried over, with all directives in it.
    pub(super) fn leave_out(&mut self, directive: &Directive, why: &str) {
        let (_, reasons) = self
            .told
            .entry(directive.id)
            .or_insert_with(|| (directive.display(), Vec::new()));
        if !reasons.iter().any(|known| known == why) {
            reasons.push(why.to_owned());
        }
    }

    /// Reports a directive that Noren replaces in another way.
    pub(super) fn replace(&mut self, directive: &Directive, why: &str) {
        self.carry(directive);
        self.otherwise.push((directive.display(), why.to_owned()));
    }

    /// Reports the directives that no other part has considered.
    pub(super) fn report_rest(&mut self, directives: &[Directive]) {
        for one in directives {
            if self.told.contains_key(&one.id)
                || self.carried.contains(&one.id) && one.name() != "server"
            {
                continue;
            }
            match meaning(one.name()) {
                Meaning::Structure => self.report_rest(&one.block),
                Meaning::Needless | Meaning::Decides => {}
                Meaning::Carried if one.name() == "proxy_set_header" => {
                    self.leave_out(
                        one,
                        "the app gets the headers that Noren sets, and those of the visitor",
                    );
                }
                Meaning::Carried => self.leave_out(one, NOWHERE),
                Meaning::Left(_) if is_for_upgrades(one) => {}
                // It comes with nginx, and has nothing that is not known here.
                Meaning::Left(_)
                    if one.name() == "include" && is_harmless_file(one.argument(0)) => {}
                Meaning::Left(why) if one.name() == "proxy_redirect" => {
                    if !matches!(one.argument(0), "off" | "default") {
                        self.replace(one, why);
                    }
                }
                Meaning::Left(why) => self.leave_out(one, why),
                Meaning::Unknown => self.leave_out(one, "there is nothing for this here"),
            }
        }
    }

    /// Writes the report into the draft.
    pub(super) fn write(self, draft: &mut Draft) {
        // A file that is included twice is reported once.
        let mut known = HashSet::new();
        for (what, reasons) in self.told.into_values() {
            if known.insert((what.clone(), reasons.clone())) {
                draft.leave_out(&what, &reasons.join("\n#   "));
            }
        }
        for (what, why) in self.otherwise {
            if !known.insert((what.clone(), vec![why.clone()])) {
                continue;
            }
            draft.note(&format!("done otherwise: {what}\n#   {why}"));
        }
    }
}

/// True for the map from `Upgrade` to `Connection` that every file with WebSockets has.
fn is_for_upgrades(one: &Directive) -> bool {
    one.name() == "map" && one.argument(0) == "$http_upgrade"
}
