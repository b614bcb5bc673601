//! The result of an import while it is written: the draft of a noren.toml, the report, and the state on which later
//! tables depend.
//!
//! Does not read servers and locations: [`write`](super::write) and the modules beside it add them.

use std::collections::HashSet;

use noren::text::percent::visible;

use super::super::draft::{Draft, list, quoted};
use super::limits::Zones;
use super::location::App;
use super::report::Report;
use super::scope::Scope;
use super::syntax::Directive;
use super::values::{duration, size};

/// An address at which nothing can ever listen: a location that nginx restricts stays closed until a person has
/// decided.
pub(super) const CLOSED: &str = "unix:/dev/null/closed";

/// The remark on password files of nginx.
pub(super) const ONLY_BCRYPT: &str = "it is read as it is, but only bcrypt is taken: make lines of another kind anew \
                                       with htpasswd -nB NAME";

/// The result so far, and the state that later tables depend on.
#[derive(Default)]
pub(super) struct Writer<'a> {
    pub(super) draft: Draft,
    pub(super) report: Report,
    pub(super) apps: usize,
    /// The hosts and paths that already have a route.
    pub(super) taken: HashSet<(Vec<String>, String)>,
    /// The access rules of consoles.
    pub(super) console: Option<String>,
    /// The zones of limits per client address.
    pub(super) zones: Zones<'a>,
    /// Limits of request bodies in the locations that were carried over.
    pub(super) bodies: Vec<&'a Directive>,
    /// Servers whose apps need a certificate that their listener does not require.
    pub(super) needs_certificate: HashSet<usize>,
}

impl<'a> Writer<'a> {
    /// Adds a closed app for a path, which the app of a shorter path would serve otherwise.
    pub(super) fn close(&mut self, path: &str, hosts: &[String]) {
        if !self.taken.insert((hosts.to_vec(), path.to_owned())) {
            return;
        }
        self.apps += 1;
        let mut keys = vec![
            ("name", quoted(&format!("closed-{}", self.apps))),
            ("url", quoted(CLOSED)),
            ("restart-wait", quoted("0s")),
            ("refuse", list(["*"])),
        ];
        add_route(&mut keys, path, hosts);
        self.draft.add("app", &keys);
    }

    /// Marks the directives of an app as carried over, and reports those without a counterpart.
    pub(super) fn carry(&mut self, app: &App<'a>) {
        for one in app
            .carried
            .iter()
            .chain(&app.headers.carried)
            .chain(&app.headers.user)
        {
            self.report.carry(one);
        }
        for (at, why) in app.notes.iter().chain(&app.headers.notes) {
            self.report.leave_out(at, why);
        }
        self.bodies
            .extend(app.scope.nearest("client_max_body_size"));
    }

    pub(super) fn time(&mut self, scope: &Scope<'a>, name: &str) -> Option<String> {
        let found = scope.nearest(name)?;
        self.report.carry(found);
        let limit = duration(&found.arguments().join(" "));
        if limit.is_none() {
            self.report.leave_out(
                found,
                "this is no time that can be waited: from 1ms to 365d",
            );
        }
        limit
    }

    /// Sets one limit for all bodies: the largest, so that no body is refused that nginx accepted.
    pub(super) fn body_size(&mut self) {
        let bodies = std::mem::take(&mut self.bodies);
        let read = |one: &&'a Directive| size(one.argument(0));
        let all: Vec<_> = bodies.iter().filter_map(read).collect();
        for one in &bodies {
            if read(one).is_none() {
                self.report
                    .leave_out(one, "there is always a limit; the default is 4GiB");
            }
        }
        let Some(largest) = all.iter().max_by_key(|(bytes, _)| *bytes) else {
            return;
        };
        for one in &bodies {
            self.report.carry(one);
            if read(one).is_some_and(|(bytes, _)| bytes != largest.0) {
                self.report.leave_out(
                    one,
                    "body-size in [limits] is for all of Noren, and the largest is taken",
                );
            }
        }
        if all.len() == bodies.len() {
            self.draft.set("limits", "body-size", &quoted(&largest.1));
        }
    }
}

/// Adds the path and the hosts of a route.
pub(super) fn add_route(keys: &mut Vec<(&'static str, String)>, path: &str, hosts: &[String]) {
    if path != "/" {
        keys.push(("path", quoted(&visible(path))));
    }
    if !hosts.is_empty() {
        keys.push(("hosts", list(hosts.iter().map(String::as_str))));
    }
}
