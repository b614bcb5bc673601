//! Several routes to one app: finds what each `[[app]]` has to know of the others. Opens nothing.

use http::HeaderName;

use super::app::App;
use super::siblings::Siblings;

impl App {
    /// True if a request to this app may be one to the other.
    #[must_use]
    pub fn shares_an_address(&self, other: &Self) -> bool {
        let mut urls = self.urls.iter();
        urls.any(|url| {
            let mut others = other.urls.iter();
            others.any(|other| other.endpoint.is_the_same(&url.endpoint))
        })
    }
}

/// Tells each app of the others.
pub(super) fn introduced(mut apps: Vec<App>) -> Vec<App> {
    let told = apps
        .iter()
        .flat_map(|app| [&app.user_header, &app.certificate_header]);
    let mut names: Vec<HeaderName> = told
        .flatten()
        .filter_map(|name| name.parse().ok())
        .collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    let of = |app: &App| {
        let siblings = || apps.iter().filter(|other| other.shares_an_address(app));
        let mut roots: Vec<_> = siblings()
            .filter_map(|one| one.server_root.clone())
            .collect();
        roots.sort_unstable();
        roots.dedup();
        Siblings {
            names: names.clone(),
            roots,
            fold_case: siblings().any(|one| one.case_insensitive),
            speak_grip: siblings().any(|one| one.grip.is_some()),
        }
    };
    let all: Vec<_> = apps.iter().map(of).collect();
    for (app, siblings) in apps.iter_mut().zip(all) {
        app.siblings = siblings;
    }
    apps
}
