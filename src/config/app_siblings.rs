//! Several routes to one app: finds what each `[[app]]` has to know of the others. Opens nothing.
//!
//! Facts are gathered by address first, so that thousands of apps cost time in proportion.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use http::HeaderName;

use super::app::App;
use super::path_prefix::PathPrefix;
use super::siblings::{CanonicalAddress, Siblings};

/// Facts about the apps of one address.
#[derive(Default)]
struct Facts<'a> {
    roots: BTreeSet<&'a PathPrefix>,
    fold_case: bool,
    speak_grip: bool,
}

impl<'a> Facts<'a> {
    fn add(&mut self, app: &'a App) {
        self.roots.extend(&app.server_root);
        self.fold_case |= app.case_insensitive;
        self.speak_grip |= app.grip.is_some();
    }

    fn join(&mut self, other: &Self) {
        self.roots.extend(&other.roots);
        self.fold_case |= other.fold_case;
        self.speak_grip |= other.speak_grip;
    }
}

impl App {
    /// True if a request to this app may be one to the other.
    #[must_use]
    pub fn shares_an_address(&self, other: &Self) -> bool {
        let mut addresses = self.urls.canonical().iter();
        addresses.any(|address| other.urls.canonical().contains(address))
    }
}

/// Adds to each app the facts about the others.
pub(super) fn introduced(mut apps: Vec<App>) -> Vec<App> {
    let names = names(&apps);
    let mut facts: HashMap<&CanonicalAddress, Facts<'_>> = HashMap::new();
    for app in &apps {
        for address in app.urls.canonical() {
            facts.entry(address).or_default().add(app);
        }
    }
    let of = |app: &App| {
        let mut all = Facts::default();
        let addresses = app.urls.canonical().iter();
        addresses
            .filter_map(|address| facts.get(address))
            .for_each(|of_address| all.join(of_address));
        Siblings {
            names: Arc::clone(&names),
            roots: all.roots.into_iter().cloned().collect(),
            fold_case: all.fold_case,
            speak_grip: all.speak_grip,
        }
    };
    let all: Vec<_> = apps.iter().map(of).collect();
    for (app, siblings) in apps.iter_mut().zip(all) {
        app.siblings = siblings;
    }
    apps
}

/// The headers that carry user names to apps.
fn names(apps: &[App]) -> Arc<[HeaderName]> {
    let told = apps
        .iter()
        .flat_map(|app| [&app.user_header, &app.certificate_header]);
    let mut names: Vec<HeaderName> = told
        .flatten()
        .filter_map(|name| name.parse().ok())
        .collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names.into()
}
