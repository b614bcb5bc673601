//! Writes the imported servers as a noren.toml. Does not decide about access.

use std::collections::{HashMap, HashSet};

use noren::text::percent::visible;

use super::super::draft::{list, quoted};
use super::addresses::{Address, Site, addresses};
use super::compression;
use super::headers::{of_requests, of_responses};
use super::limits::Zones;
use super::location::{App, Closed, Files, Outcome};
use super::paths::Route;
use super::server::Server;
use super::syntax::Directive;
use super::upstream::Upstream;
use super::writer::{CLOSED, ONLY_BCRYPT, Writer, add_route};
use super::{settings, wok};

/// Writes the whole result.
pub(super) fn write<'a>(
    directives: &'a [Directive],
    servers: &[Server<'a>],
    upstreams: &HashMap<String, Upstream>,
) -> Writer<'a> {
    let mut writer = Writer {
        zones: Zones::of(directives),
        ..Writer::default()
    };
    let (mut addresses, base) = addresses(servers, upstreams);
    if let Some(base) = base.and_then(|base| addresses.get_mut(base)) {
        writer.agree_on_certificates(base);
        close_for_odd_names(base, servers);
    }
    settings::listeners(&mut writer, &addresses, servers, base);
    settings::certificates(&mut writer, &addresses, servers);
    let sites = base
        .and_then(|base| addresses.get(base))
        .map_or(&[][..], |door| &door.sites);
    let wok = sites.iter().find_map(wok::Wok::of);
    if let Some(wok) = &wok {
        wok.write(&mut writer);
    }
    for site in sites {
        let others = sites.len() > 1;
        writer.site(site, others, wok.as_ref());
    }
    writer.others(&addresses, servers, base);
    if !servers.is_empty() && writer.taken.is_empty() && writer.console.is_none() {
        // Nothing is open, and a person decides.
        writer.close("/", &[]);
    }
    writer.body_size();
    writer.zones.finish(&mut writer.report);
    settings::general(&mut writer, directives);
    writer.report.report_rest(directives);
    writer
}

/// Closes servers for any name if another server has names that Noren has no pattern for: otherwise they would serve
/// those names too.
fn close_for_odd_names<'a>(door: &mut Address<'a>, servers: &[Server<'a>]) {
    let listens: Vec<_> = door.listens.iter().map(|(number, _)| *number).collect();
    let odd = |but: usize| {
        let others = listens.iter().filter(|number| **number != but);
        let mut names = others.filter_map(|number| servers.get(*number)?.odd_names.first());
        names.next().copied()
    };
    for site in door.sites.iter_mut().filter(|site| site.hosts.is_empty()) {
        let at = servers.get(site.server).map(|server| server.at);
        if let (Some(at), Some(odd)) = (at, odd(site.server)) {
            let why = format!(
                "a server has names that no pattern here stands for (line {}), and this one would answer them: it \
                 is closed here; write `hosts`, or its url in the place of {CLOSED}",
                odd.line
            );
            site.view.close(at, &why);
        }
    }
}

impl<'a> Writer<'a> {
    /// Makes the servers of a listener agree on client certificates: it requests them from all clients or from none. If
    /// only some servers require one, the tables of their apps say so.
    fn agree_on_certificates(&mut self, base: &mut Address<'a>) {
        let open: Vec<_> = base
            .sites
            .iter()
            .filter(|site| site.view.is_open())
            .collect();
        let asks = open
            .iter()
            .filter_map(|site| Some((site.server, site.view.verify?)));
        let asks: Vec<_> = asks.collect();
        let authorities: HashSet<_> = asks
            .iter()
            .map(|(_, verify)| verify.authority.argument(0))
            .collect();
        let all = asks.len() == open.len() && asks.iter().all(|(_, verify)| verify.is_required());
        if authorities.len() < 2 {
            if !all {
                let required = asks.iter().filter(|(_, verify)| verify.is_required());
                self.needs_certificate = required.map(|(server, _)| *server).collect();
            }
            return;
        }
        for site in &mut base.sites {
            if let Some(verify) = site.view.verify.take() {
                site.view.close(
                    verify.authority,
                    "a listener has one authority for the certificates of clients, and other servers have another: \
                     the apps of this server are closed",
                );
            }
        }
    }

    /// Writes all routes of a site.
    fn site(&mut self, site: &Site<'a>, others: bool, wok: Option<&wok::Wok>) {
        for at in &site.view.carried {
            self.report.carry(at);
        }
        for (at, why) in &site.view.told {
            self.report.leave_out(at, why);
        }
        for route in &site.view.routes {
            match &route.outcome {
                Outcome::App(app) => self.app(app, route, site, wok),
                Outcome::Files(files) => self.files(files, route, &site.hosts),
                Outcome::Console(app) => self.console(app, route, wok),
                Outcome::Redirect(redirect) => {
                    self.report.leave_out(
                        redirect.at,
                        "a listener sends everybody to https or nobody: this is closed here",
                    );
                    self.close(&route.path, &site.hosts);
                }
                Outcome::Closed(Closed { told, guarded }) => {
                    if let Some((at, why)) = told {
                        self.report.leave_out(at, why);
                    }
                    // Nothing answers at the root then, or only what stands for any host.
                    if *guarded || route.path != "/" || (others && !site.hosts.is_empty()) {
                        self.close(&route.path, &site.hosts);
                    }
                }
            }
        }
        if others && !site.hosts.is_empty() && site.view.lacks_root() {
            self.close("/", &site.hosts);
        }
    }

    /// Writes a directory of files.
    fn files(&mut self, files: &Files<'a>, route: &Route<'a>, hosts: &[String]) {
        if !self.taken.insert((hosts.to_vec(), route.path.clone())) {
            return;
        }
        self.report.carry(files.directive);
        for (at, why) in &files.notes {
            self.report.leave_out(at, why);
        }
        let mut keys = vec![
            ("path", quoted(&visible(&route.path))),
            ("directory", quoted(&files.directory)),
        ];
        if !route.refuse.is_empty() {
            keys.push(("refuse", list(route.refuse.iter().map(String::as_str))));
        }
        keys.extend(self.zones.keys(&files.scope, &mut self.report));
        let (carried, responses) = of_responses(&files.scope);
        for one in carried {
            self.report.carry(one);
        }
        keys.extend(responses);
        keys.extend(compression::of_files(&files.scope, &mut self.report));
        if !hosts.is_empty() {
            keys.push(("hosts", list(hosts.iter().map(String::as_str))));
        }
        self.draft.add("files", &keys);
    }

    /// Writes the bridge in place of a websockify behind nginx.
    fn console(&mut self, app: &App<'a>, route: &Route<'a>, wok: Option<&wok::Wok>) {
        let access = format!("{:?}", Outcome::Console(Box::new(app.clone())).access());
        if self.console.get_or_insert_with(|| access.clone()) != &access {
            return self.report.leave_out(
                app.at,
                "there is one bridge, and another location has it with other rules: this one is not there",
            );
        }
        self.carry(app);
        for name in ["limit_req", "limit_conn"] {
            for one in app.scope.nearest_all(name) {
                self.report.leave_out(
                    one,
                    "consoles have connections-per-address and token-failures of [limits]",
                );
            }
        }
        if let Some(login) = app.login {
            self.draft
                .set("bridge", "users", &quoted(login.users.argument(0)));
            self.draft
                .set("bridge", "realm", &quoted(login.realm.argument(0)));
            self.report.carry(login.users);
            self.report.leave_out(login.users, ONLY_BCRYPT);
        }
        if app.certificate {
            self.draft
                .set("bridge", "client-certificate", &quoted("required"));
        }
        if wok.is_some() {
            return;
        }
        if route.path != "/websockify" {
            self.draft
                .set("bridge", "paths", &list([route.path.as_str()]));
        }
        if app.url.ends_with(":64667") {
            // Wok starts its websockify on this port, with this directory.
            self.draft.add("bridge.tokens", &wok::tokens());
        } else {
            let url = &app.url;
            self.report.leave_out(app.at, &format!(
                "the bridge takes the place of websockify at {url}; `noren import websockify -- …` says which \
                 [[bridge.tokens]] it needs"
            ));
        }
    }

    fn app(&mut self, app: &App<'a>, route: &Route<'a>, site: &Site<'a>, wok: Option<&wok::Wok>) {
        if !self.taken.insert((site.hosts.clone(), route.path.clone())) {
            return;
        }
        self.carry(app);
        self.apps += 1;
        let is_wok = wok.is_some_and(|wok| wok.is_app(app));
        let name = if is_wok {
            "wok".to_owned()
        } else {
            format!("app-{}", self.apps)
        };
        let mut keys = vec![("name", quoted(&name))];
        if app.urls.len() > 1 {
            keys.push(("urls", list(app.urls.iter().map(String::as_str))));
            keys.extend(app.affinity.map(|affinity| ("affinity", quoted(affinity))));
            keys.extend(self.retries(app));
        } else {
            keys.push(("url", quoted(&app.url)));
        }
        keys.extend(self.tls(app));
        add_route(&mut keys, &route.path, &site.hosts);
        if is_wok {
            keys.extend(wok::keys(&route.path));
        }
        if !route.refuse.is_empty() {
            keys.push(("refuse", list(route.refuse.iter().map(String::as_str))));
        }
        if !app.websockets {
            keys.push(("origins", list([])));
            keys.push(("missing-origin", "false".to_owned()));
        }
        if let Some(methods) = &app.methods {
            keys.push(("methods", list(methods.iter().map(String::as_str))));
        }
        keys.extend(self.zones.keys(&app.scope, &mut self.report));
        if let Some(limit) = self.time(&app.scope, "proxy_read_timeout") {
            keys.push(("response", quoted(&limit)));
            keys.push(("response-idle", quoted(&limit)));
        }
        if let Some(limit) = self.time(&app.scope, "proxy_connect_timeout") {
            keys.push(("connect", quoted(&limit)));
        }
        for (name, key) in [
            ("proxy_buffering", "response-spool"),
            ("proxy_request_buffering", "request-spool"),
        ] {
            if let Some(one) = app.scope.nearest(name) {
                self.report.carry(one);
                if one.argument(0) == "off" {
                    keys.push((key, "false".to_owned()));
                }
            }
        }
        if app.certificate || self.needs_certificate.contains(&site.server) {
            keys.push(("client-certificate", quoted("required")));
        }
        if let Some(login) = app.login {
            keys.push(("users", quoted(login.users.argument(0))));
            keys.push(("realm", quoted(login.realm.argument(0))));
            self.report.leave_out(login.users, ONLY_BCRYPT);
        }
        if let Some(header) = app.headers.user {
            keys.push(("user-header", quoted(header.argument(0))));
        }
        keys.extend(of_requests(&app.headers.rules));
        let (carried, responses) = of_responses(&app.scope);
        for one in carried {
            self.report.carry(one);
        }
        keys.extend(responses);
        keys.extend(compression::of_app(&app.scope, &mut self.report));
        self.draft.add("app", &keys);
    }

    /// Converts `proxy_next_upstream`, whose default is `error timeout`, and which has no effect if only one attempt is
    /// permitted.
    fn retries(&mut self, app: &App<'a>) -> Option<(&'static str, String)> {
        let found = app.scope.nearest("proxy_next_upstream");
        if let Some(one) = found {
            self.report.carry(one);
            let other = |word: &String| !matches!(word.as_str(), "error" | "timeout" | "off");
            if one.arguments().iter().any(other) {
                self.report.leave_out(
                    one,
                    "safe requests that an address never answers go to another (retry-elsewhere); those that may \
                     change something do not, and an answer of the app is one, whatever its status",
                );
            }
        }
        let tries = app.scope.nearest("proxy_next_upstream_tries");
        let is_only = tries.is_some_and(|tries| tries.argument(0) == "1");
        if let Some(tries) = tries.filter(|_| is_only) {
            self.report.carry(tries);
        }
        let is_for_faults =
            |one: &Directive| !one.has("off") && (one.has("error") || one.has("timeout"));
        let is_on = !is_only && found.is_none_or(is_for_faults);
        is_on.then(|| ("retry-elsewhere", "true".to_owned()))
    }

    /// Returns the `tls` of an app with TLS.
    fn tls(&mut self, app: &App<'a>) -> Option<(&'static str, String)> {
        if !app.url.starts_with("https://") {
            return None;
        }
        let mut parts = Vec::new();
        for (name, key) in [
            ("proxy_ssl_trusted_certificate", "ca"),
            ("proxy_ssl_name", "name"),
            ("proxy_ssl_certificate", "certificate"),
            ("proxy_ssl_certificate_key", "key"),
        ] {
            let found = app.scope.nearest(name);
            if let Some(one) = found.filter(|one| !one.argument(0).contains('$')) {
                self.report.carry(one);
                parts.push(format!("{key} = {}", quoted(one.argument(0))));
            }
        }
        for name in [
            "proxy_ssl_verify",
            "proxy_ssl_server_name",
            "proxy_ssl_session_reuse",
        ] {
            if let Some(one) = app.scope.nearest(name) {
                self.report.carry(one);
            }
        }
        let verify = app.scope.nearest("proxy_ssl_verify");
        if verify.is_none_or(|one| one.argument(0) != "on") {
            self.report.leave_out(
                app.at,
                "nginx believes any certificate of this app, and Noren verifies it: see ca, name and \
                 insecure-skip-verify of [app.tls]",
            );
        }
        (!parts.is_empty()).then(|| ("tls", format!("{{ {} }}", parts.join(", "))))
    }
}
