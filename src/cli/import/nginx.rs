//! Files of nginx: servers, their certificates, and the locations that lead to an app.

mod values;

use std::collections::HashMap;

use anyhow::Result;

use super::draft::{Draft, list, quoted};
use super::syntax::{Directive, read};
use values::{
    directory, duration, hosts, is_about_the_address, login, redirect_port, size, with_port,
    without_slash,
};

/// Directives that Noren follows by default, or does not need.
const BY_ITSELF: &[&str] = &[
    "access_log",
    "charset",
    "default_type",
    "error_log",
    "events",
    "gzip_vary",
    "http2",
    "index",
    "keepalive_timeout",
    "map",
    "pid",
    "proxy_cache_bypass",
    "proxy_http_version",
    "proxy_redirect",
    "proxy_send_timeout",
    "reset_timedout_connection",
    "send_timeout",
    "sendfile",
    "server_tokens",
    "ssl",
    "ssl_dhparam",
    "ssl_prefer_server_ciphers",
    "ssl_session_cache",
    "ssl_session_tickets",
    "ssl_session_timeout",
    "tcp_nodelay",
    "tcp_nopush",
    "types_hash_max_size",
    "user",
    "worker_connections",
    "worker_processes",
];

/// Headers that Noren sets itself, and better than they can be set there.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "host",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Directives that restrict the visitors of a location. Dropping one would open it to everybody.
const GUARDS: &[&str] = &[
    "allow",
    "auth_jwt",
    "auth_jwt_require",
    "auth_request",
    "deny",
    "internal",
    "limit_except",
    "satisfy",
    "secure_link",
    "valid_referers",
];

/// An address at which nothing can ever listen: what nginx kept closed stays closed until a person has decided.
const CLOSED: &str = "unix:/dev/null/closed";

const ONLY_BCRYPT: &str = "it is read as it is, but only bcrypt is taken: make lines of another kind anew \
                           with htpasswd -nB NAME";

/// Makes a noren.toml of a file.
pub(super) fn import(text: &str, file: &str) -> Result<String> {
    let directives = read(text)?;
    let mut import = Importer {
        file,
        draft: Draft::default(),
        upstreams: HashMap::new(),
        apps: 0,
        closed: false,
        wide: Vec::new(),
        offers: Vec::new(),
    };
    import.offers = offers(&directives);
    import.all(&directives, &[]);
    Ok(import.draft.finish(file))
}

struct Importer<'a> {
    file: &'a str,
    draft: Draft,
    /// Of each `upstream` its first server.
    upstreams: HashMap<String, String>,
    apps: usize,
    /// True if the apps of the server being read have to be closed.
    closed: bool,
    /// Paths of that server whose app would get what nginx refuses.
    wide: Vec<String>,
    /// The servers that offer something, each with its ports.
    offers: Vec<(usize, Vec<(String, bool)>)>,
}

/// True if a directive keeps some visitors out. A condition does if it contains a refusal.
fn guards(directive: &Directive) -> bool {
    let argument = directive.argument(0);
    match directive.name() {
        "allow" => argument != "all",
        "auth_request" | "auth_jwt" => argument != "off",
        // nginx comes to neither the app nor the directory behind a `return`, and a `rewrite` leads to another
        // location.
        "return" | "rewrite" => true,
        "if" => directive.block.iter().any(guards) && !only_redirects_to_https(directive),
        "include" => !is_harmless(argument),
        "auth_basic" | "auth_basic_user_file" | "auth_delay" => false,
        // Modules of others: auth_ldap, auth_pam, access_by_lua_block.
        name => {
            GUARDS.contains(&name) || name.starts_with("auth_") || name.starts_with("access_by")
        }
    }
}

/// True if a condition redirects to https for the host name or the scheme of a request, and does nothing else.
fn only_redirects_to_https(condition: &Directive) -> bool {
    is_about_the_address(condition) && condition.block.iter().all(leads_to_https)
}

/// True if `try_files` ends in a status or a path, so that nginx never asks the app of the location.
fn is_answered_by_files(location: &Directive) -> bool {
    let mut last = location
        .all("try_files")
        .filter_map(|files| files.arguments().last());
    last.any(|name| !name.starts_with('@'))
}

/// True if clients without a certificate of a known authority are kept out, as nginx would do it.
fn asks_certificates(one: &Directive) -> bool {
    one.name() == "ssl_verify_client" && one.argument(0) != "off"
}

/// The port of each address that a server listens at, and whether the address can be reached from elsewhere.
fn ports(server: &Directive) -> Vec<(String, bool)> {
    let listens = server.all("listen").map(|listen| {
        let address = listen.argument(0);
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !address.ends_with(']') => (host, port),
            None if address.bytes().all(|byte| byte.is_ascii_digit()) => ("*", address),
            _ => (address, "80"),
        };
        let local = host.starts_with("127.")
            || host.starts_with("unix")
            || matches!(host, "localhost" | "[::1]");
        // Sockets differ in their whole path.
        let port = if host.starts_with("unix") {
            address
        } else {
            port
        };
        (port.to_owned(), !local)
    });
    listens.collect()
}

fn leads_to_https(directive: &Directive) -> bool {
    let mut words = directive.arguments().iter();
    words.any(|word| word.starts_with("https://"))
}

/// True if an included file is one of those that come with nginx and certbot. Any other may contain a guard.
fn is_harmless(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.ends_with("_params")
        || matches!(name, "mime.types" | "options-ssl-nginx.conf")
        || ["conf.d/*", "sites-enabled/*", "modules-enabled/*"]
            .iter()
            .any(|place| path.contains(place))
}

/// A location for a pattern of paths that keeps somebody out, at any depth.
fn guarded_pattern(location: &Directive) -> Option<&Directive> {
    if location.name() != "location" {
        return None;
    }
    let is_pattern = location
        .arguments()
        .first()
        .is_some_and(|sign| sign.starts_with('~'));
    let asks = |one: &Directive| one.name() == "auth_basic" && one.argument(0) != "off";
    let keeps_out = location.block.iter().any(|one| guards(one) || asks(one));
    if is_pattern && (keeps_out || is_answered_by_files(location)) {
        return Some(location);
    }
    location.block.iter().find_map(guarded_pattern)
}

/// The servers that do more than redirect to https, by their lines.
fn offers(directives: &[Directive]) -> Vec<(usize, Vec<(String, bool)>)> {
    let mut found = Vec::new();
    for one in directives {
        match one.name() {
            "http" => found.extend(offers(&one.block)),
            "server" if redirect_port(one).is_none() || is_secure(one) => {
                found.push((one.line, ports(one)));
            }
            _ => {}
        }
    }
    found
}

fn is_secure(server: &Directive) -> bool {
    server
        .all("listen")
        .any(|listen| listen.arguments().iter().any(|word| word == "ssl"))
        || server.all("ssl").any(|ssl| ssl.argument(0) == "on")
}

impl Importer<'_> {
    /// The directives outside of servers. Those `around` hold inside as well.
    fn all(&mut self, directives: &[Directive], around: &[&Directive]) {
        let upstreams = directives.iter().filter(|one| one.name() == "upstream");
        for upstream in upstreams {
            self.upstream(upstream);
        }
        let settings = directives.iter().filter(|one| one.block.is_empty());
        let around: Vec<_> = around.iter().copied().chain(settings).collect();
        for directive in directives {
            match directive.name() {
                "http" => self.all(&directive.block, &around),
                "server" => self.server(directive, &around),
                "upstream" => {}
                _ => self.setting(directive),
            }
        }
    }

    fn upstream(&mut self, upstream: &Directive) {
        let mut servers = upstream.all("server");
        if let Some(first) = servers.next() {
            let address = first.argument(0).to_owned();
            self.upstreams
                .insert(upstream.argument(0).to_owned(), address);
        }
        for another in servers {
            self.leave(
                another,
                "an app has one address here; several [[app]] are told apart by host and path",
            );
        }
    }

    fn server(&mut self, server: &Directive, around: &[&Directive]) {
        let redirect = redirect_port(server);
        let secure = is_secure(server);
        let redirects = redirect.is_some() && !secure;
        let pattern = server.block.iter().find_map(guarded_pattern);
        let pattern = pattern.filter(|_| !redirects);
        self.closed = pattern.is_some();
        self.wide.clear();
        if !redirects {
            self.certificates_of_clients(server, around);
            self.other_listeners(server, around);
            self.loose_prefixes(&server.block);
        }
        if let Some(pattern) = pattern {
            self.leave(
                pattern,
                "this is closed in nginx for a pattern of paths, and there are no patterns here: the apps \
                 of this server are closed as a whole; if the app refuses these paths itself, write its url \
                 in the place of unix:/dev/null/closed",
            );
        }
        for listen in server.all("listen") {
            self.listen(listen, server, redirect.as_deref(), around);
        }
        self.certificate(server, around);
        let is_root = |one: &Directive| one.arguments().last().is_some_and(|path| path == "/");
        let guard = server.block.iter().find(|one| guards(one));
        if let Some(guard) = guard
            && !redirects
            && !server.all("location").any(is_root)
        {
            self.leave(
                guard,
                "this holds for the whole server, and another one would answer in its place: it is closed here",
            );
            self.close("/", server);
        }
        for inner in &server.block {
            match inner.name() {
                // Whatever was redirected is never served in clear.
                "location" | "if" | "return" | "rewrite" if redirects => {}
                "location" => self.location(inner, server, around),
                "listen" | "server_name" | "ssl_certificate" | "ssl_certificate_key" => {}
                _ => self.setting(inner),
            }
        }
    }

    /// Closes a server that checks the certificates of its clients in a way that no listener has here.
    fn certificates_of_clients(&mut self, server: &Directive, around: &[&Directive]) {
        let settings: Vec<_> = around.iter().copied().chain(&server.block).collect();
        let verifies = settings
            .iter()
            .rfind(|one| one.name() == "ssl_verify_client");
        let has_authority = settings
            .iter()
            .any(|one| one.name() == "ssl_client_certificate");
        let Some(verifies) = verifies.filter(|one| asks_certificates(one)) else {
            return;
        };
        if !has_authority || !matches!(verifies.argument(0), "on" | "optional") {
            self.closed = true;
            self.leave(
                verifies,
                "certificates of clients are checked against the authority of ssl_client_certificate or not \
                 at all: the apps of this server are closed",
            );
        }
    }

    /// Every listener offers every app here. A server that nginx has at some of them only would be open at the others.
    fn other_listeners(&mut self, server: &Directive, around: &[&Directive]) {
        let own = ports(server);
        let asks = around
            .iter()
            .copied()
            .chain(&server.block)
            .any(asks_certificates);
        let is_web = |port: &str| matches!(port, "80" | "443");
        let is_public = own.iter().any(|(port, public)| *public && is_web(port));
        let local = !own.is_empty() && own.iter().all(|(_, public)| !public);
        let foreign = self
            .offers
            .iter()
            .filter(|(line, _)| *line != server.line)
            .flat_map(|(_, ports)| ports)
            .find(|(port, public)| {
                let here = own.iter().any(|(mine, _)| mine == port);
                if local {
                    *public
                } else {
                    !here && (asks || *public && !(is_public && is_web(port)))
                }
            });
        let Some((port, _)) = foreign else {
            return;
        };
        let why = format!(
            "every app is offered by every listener here, and nginx has none of this server at port {port} \
             of another one: the apps of this server are closed; import them into a noren.toml of their \
             own, or write their url in the place of {CLOSED}"
        );
        self.closed = true;
        self.leave(server, &why);
    }

    /// `location /adm` holds for /admin too in nginx. Here a path ends at a slash, so what is above would be asked.
    fn loose_prefixes(&mut self, directives: &[Directive]) {
        for location in directives.iter().filter(|one| one.name() == "location") {
            self.loose_prefixes(&location.block);
            let path = match location.arguments() {
                [path] => path,
                [sign, path] if sign == "^~" => path,
                _ => continue,
            };
            let asks = |one: &Directive| one.name() == "auth_basic" && one.argument(0) != "off";
            let keeps_out = location.block.iter().any(|one| guards(one) || asks(one));
            if path.ends_with('/') || !path.starts_with('/') || !keeps_out {
                continue;
            }
            self.wide.push(path.clone());
            let why = format!(
                "nginx keeps out of all that begins with {path}, and a path ends at a slash here: what is \
                 above it is closed too; write `location {path}/` and `location = {path}` if no more is meant"
            );
            self.leave(location, &why);
        }
    }

    /// True if the app of a path would get requests that a guarded prefix below it refuses.
    fn is_wide(&self, path: &str) -> bool {
        let above = path.trim_end_matches('/');
        self.wide.iter().any(|guarded| {
            guarded
                .strip_prefix(above)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }

    fn listen(
        &mut self,
        listen: &Directive,
        server: &Directive,
        redirect: Option<&str>,
        around: &[&Directive],
    ) {
        // HTTP/3 is not spoken, and its clients come over HTTP/2 too.
        if listen.arguments().iter().any(|word| word == "quic") {
            return;
        }
        let address = match listen.argument(0) {
            address if address.contains(':') && !address.ends_with(']') => address.to_owned(),
            port if port.bytes().all(|byte| byte.is_ascii_digit()) => format!("[::]:{port}"),
            host => format!("{host}:80"),
        };
        let address = address
            .strip_prefix("*:")
            .map_or(address.clone(), |port| format!("0.0.0.0:{port}"));
        if self.draft.has_listener(&address) {
            let mut settings = around.iter().copied().chain(&server.block);
            if let Some(asks) = settings.find(|one| asks_certificates(one))
                && !self.draft.listener_asks(&address)
            {
                self.closed = true;
                self.leave(
                    asks,
                    "another server listens there without client certificates, and a listener asks all its \
                     clients or none: the apps of this server are closed",
                );
            }
            return;
        }
        let tls = listen.arguments().iter().any(|word| word == "ssl")
            || server.all("ssl").any(|ssl| ssl.argument(0) == "on");
        let protocol = match (tls, redirect) {
            (true, _) => "https",
            (false, Some(_)) => "redirect",
            (false, None) => "http",
        };
        let mut keys = vec![
            ("address", quoted(&address)),
            ("protocol", quoted(protocol)),
        ];
        if let (false, Some(port)) = (tls, redirect)
            && port != "443"
        {
            keys.push(("redirect-port", port.to_owned()));
        }
        let settings: Vec<_> = around.iter().copied().chain(&server.block).collect();
        let all = |name: &'static str| settings.iter().filter(move |one| one.name() == name);
        let proxies: Vec<_> = all("set_real_ip_from")
            .map(|one| one.argument(0).trim_end_matches(':'))
            .collect();
        if !proxies.is_empty() {
            keys.push(("trusted-proxies", list(proxies.iter().copied())));
        }
        if listen
            .arguments()
            .iter()
            .any(|word| word == "proxy_protocol")
        {
            if proxies.is_empty() {
                self.leave(
                    listen,
                    "only proxies that are named may speak the PROXY protocol: write trusted-proxies = \
                     [\"ADDRESS\"] and proxy-protocol = true into the [[listener]]",
                );
            } else {
                keys.push(("proxy-protocol", "true".to_owned()));
            }
        }
        let verifies = all("ssl_verify_client")
            .next_back()
            .map(|one| one.argument(0));
        let authority = all("ssl_client_certificate").next_back();
        if let (true, Some(file), Some(how @ ("on" | "optional"))) = (tls, authority, verifies) {
            let how = if how == "on" { "required" } else { "optional" };
            keys.push(("client-authority", quoted(file.argument(0))));
            keys.push(("client-certificate", quoted(how)));
        }
        self.draft.add("listener", &keys);
    }

    fn certificate(&mut self, server: &Directive, around: &[&Directive]) {
        let find = |name: &str| {
            let own = server.block.iter().find(|one| one.name() == name);
            own.or_else(|| around.iter().copied().find(|one| one.name() == name))
        };
        if let (Some(certificate), Some(key)) =
            (find("ssl_certificate"), find("ssl_certificate_key"))
        {
            self.draft.add(
                "tls.certificate",
                &[
                    ("certificate", quoted(certificate.argument(0))),
                    ("key", quoted(key.argument(0))),
                ],
            );
        }
    }

    fn location(&mut self, location: &Directive, server: &Directive, around: &[&Directive]) {
        let (path, exact) = match location.arguments() {
            [path] => (path.as_str(), true),
            [sign, path] if sign == "^~" => (path.as_str(), true),
            [sign, path] if sign == "=" => (path.as_str(), false),
            _ => return self.leave(location, "paths are prefixes here; there are no patterns"),
        };
        let nearest: Vec<_> = location
            .block
            .iter()
            .chain(&server.block)
            .chain(around.iter().copied())
            .collect();
        // The place of what `try_files` ends in.
        if path.starts_with('@') {
            return;
        }
        for inner in location.all("location") {
            let around: Vec<_> = location
                .block
                .iter()
                .chain(around.iter().copied())
                .collect();
            self.location(inner, server, &around);
        }
        let named = location
            .all("try_files")
            .filter_map(|files| files.arguments().last())
            .find(|name| name.starts_with('@'));
        let named = named.and_then(|name| {
            server
                .all("location")
                .find(|one| one.arguments() == std::slice::from_ref(name))
        });
        let behind: Vec<_> = named.iter().flat_map(|one| &one.block).collect();
        let nearest: Vec<_> = behind.into_iter().chain(nearest).collect();
        if let Some(guard) = nearest.iter().find(|one| guards(one)) {
            let why = format!(
                "`{}` decides there who may see this, and nothing here does, so it is closed here: see \
                 users, client-certificate and [session], then write its url in the place of unix:/dev/null/closed",
                guard.words.join(" ")
            );
            self.leave(location, &why);
            return self.close(path, server);
        }
        let login = login(&nearest);
        let asks = nearest.iter().find(|one| one.name() == "auth_basic");
        let asks = asks.is_some_and(|realm| realm.argument(0) != "off");
        let location = named.unwrap_or(location);
        let Some(pass) = location.all("proxy_pass").next() else {
            if asks {
                self.leave(
                    location,
                    "[[files]] are for everybody; let an [[app]] with `users` serve what is not; it is closed here",
                );
                return self.close(path, server);
            }
            if let Some(directory) = directory(location, path) {
                if self.closed || self.is_wide(path) {
                    return self.close(path, server);
                }
                return self.files(location, path, &directory, server);
            }
            self.leave(
                location,
                "Noren serves apps and consoles; let the app serve these files, or write [[files]]",
            );
            // The app of a shorter path would get the requests of this one.
            if path != "/" {
                self.close(path, server);
            }
            return;
        };
        if is_answered_by_files(location) {
            self.leave(
                location,
                "try_files ends in no place that is an app, so nginx never asks this one: it is closed here",
            );
            return self.close(path, server);
        }
        let (scheme, rest) = pass.argument(0).split_once("://").unwrap_or(("", ""));
        let (place, below) = if let Some(socket) = rest.strip_prefix("unix:") {
            // The path of the URL stands behind a second colon.
            let (socket, below) = socket.split_once(':').unwrap_or((socket, ""));
            (format!("unix:{socket}"), below)
        } else {
            let at = rest.find('/').unwrap_or(rest.len());
            let (host, below) = rest.split_at(at);
            let address = self.upstreams.get(host).map_or(host, String::as_str);
            (address.to_owned(), below)
        };
        if asks && login.is_none() {
            self.leave(
                location,
                "passwords without a file of them: it is closed here",
            );
            return self.close(path, server);
        }
        if scheme.is_empty() || place.contains('$') {
            self.leave(
                pass,
                "the address has to be a fixed one; until then it is closed here",
            );
            return self.close(path, server);
        }
        let upgrades = location
            .all("proxy_set_header")
            .any(|header| header.argument(0).eq_ignore_ascii_case("upgrade"));
        if self.closed || self.is_wide(path) {
            return self.close(path, server);
        }
        if upgrades && path.contains("websockify") {
            return self.console(location, path, &place, login);
        }
        if !exact {
            self.leave(
                location,
                "paths are prefixes here: what is below is served too",
            );
        }
        if !below.is_empty() && below != path {
            self.leave(
                pass,
                &format!("paths are not rewritten: the app gets {path} and what is below as it is"),
            );
            // Through a URL that ends in `/` all of the app can be asked; through any other only a part.
            if below != "/" {
                self.leave(
                    pass,
                    "the app would get more than what nginx lets through: it is closed here",
                );
                return self.close(path, server);
            }
        }
        self.app(&place, scheme, path, location, server, around);
    }

    /// Closes a path, which the app of a shorter one would answer otherwise.
    fn close(&mut self, path: &str, server: &Directive) {
        self.apps += 1;
        let mut keys = vec![
            ("name", quoted(&format!("closed-{}", self.apps))),
            ("url", quoted(CLOSED)),
            ("restart-wait", quoted("0s")),
        ];
        if path != "/" {
            keys.push(("path", quoted(path.trim_end_matches('/'))));
        }
        let hosts = hosts(server);
        if !hosts.is_empty() {
            keys.push(("hosts", list(hosts.iter().map(String::as_str))));
        }
        self.draft.add("app", &keys);
    }

    /// A directory that is served as it is.
    fn files(&mut self, location: &Directive, path: &str, directory: &str, server: &Directive) {
        let mut keys = vec![
            ("path", quoted(without_slash(path))),
            ("directory", quoted(directory)),
        ];
        let hosts = hosts(server);
        if !hosts.is_empty() {
            keys.push(("hosts", list(hosts.iter().map(String::as_str))));
        }
        self.draft.add("files", &keys);
        for inner in &location.block {
            match inner.name() {
                "root" | "alias" => {}
                _ => self.setting(inner),
            }
        }
    }

    /// websockify behind nginx: the bridge does its work.
    fn console(
        &mut self,
        location: &Directive,
        path: &str,
        place: &str,
        login: Option<(&Directive, &Directive)>,
    ) {
        if let Some((users, realm)) = login {
            self.draft
                .set("bridge", "users", &quoted(users.argument(0)));
            self.draft
                .set("bridge", "realm", &quoted(realm.argument(0)));
            self.leave(users, ONLY_BCRYPT);
        }
        if path != "/websockify" {
            self.draft.set("bridge", "paths", &list([path]));
        }
        if place.ends_with(":64667") {
            // Wok starts its websockify on this port, with this directory.
            let directory = quoted("/var/lib/wok/ws-tokens");
            self.draft.add(
                "bridge.tokens",
                &[("source", quoted("directory")), ("path", directory)],
            );
        } else {
            self.leave(location, &format!(
                "the bridge takes the place of websockify at {place}; `noren import websockify -- …` says \
                 which [[bridge.tokens]] it needs"
            ));
        }
    }

    fn app(
        &mut self,
        place: &str,
        scheme: &str,
        path: &str,
        location: &Directive,
        server: &Directive,
        around: &[&Directive],
    ) {
        self.apps += 1;
        let url = if place.starts_with("unix:") {
            place.to_owned()
        } else {
            format!("{scheme}://{}", with_port(place, scheme))
        };
        let mut keys = vec![
            ("name", quoted(&format!("app-{}", self.apps))),
            ("url", quoted(&url)),
        ];
        if path != "/" {
            keys.push(("path", quoted(path.trim_end_matches('/'))));
        }
        let hosts = hosts(server);
        if !hosts.is_empty() {
            keys.push(("hosts", list(hosts.iter().map(String::as_str))));
        }
        let inside = location.block.iter().chain(&server.block);
        let nearest: Vec<_> = inside.chain(around.iter().copied()).collect();
        let mut time = |name: &str| {
            let found = nearest.iter().find(|one| one.name() == name)?;
            let limit = duration(&found.arguments().join(" "));
            if limit.is_none() {
                self.leave(found, "this is no time that can be waited");
            }
            limit
        };
        if let Some(limit) = time("proxy_read_timeout") {
            keys.push(("response", quoted(&limit)));
            keys.push(("response-idle", quoted(&limit)));
        }
        if let Some(limit) = time("proxy_connect_timeout") {
            keys.push(("connect", quoted(&limit)));
        }
        let users = nearest
            .iter()
            .find(|one| one.name() == "auth_basic_user_file");
        let realm = nearest.iter().find(|one| one.name() == "auth_basic");
        if let (Some(users), Some(realm)) = (users, realm)
            && realm.argument(0) != "off"
        {
            keys.push(("users", quoted(users.argument(0))));
            keys.push(("realm", quoted(realm.argument(0))));
            self.leave(
                users,
                "it is read as it is, but only bcrypt is taken: make lines of another kind anew with htpasswd -nB NAME",
            );
        }
        self.draft.add("app", &keys);
        for inner in &location.block {
            match inner.name() {
                "proxy_pass" => {}
                _ => self.setting(inner),
            }
        }
    }

    fn setting(&mut self, setting: &Directive) {
        match setting.name() {
            // See `app` and `listen`.
            "auth_basic"
            | "auth_basic_user_file"
            | "set_real_ip_from"
            | "real_ip_recursive"
            | "ssl_client_certificate"
            | "ssl_verify_client"
            | "proxy_read_timeout"
            | "proxy_connect_timeout"
            | "ssl_certificate"
            | "ssl_certificate_key" => {}
            "real_ip_header" => match setting.argument(0).to_lowercase().as_str() {
                "x-forwarded-for" | "proxy_protocol" => {}
                _ => self.leave(
                    setting,
                    "clients' addresses come from X-Forwarded-For, from Forwarded (forwarded-header = \
                     \"forwarded\" in the [[listener]]) or by the PROXY protocol",
                ),
            },
            "limit_req" | "limit_req_zone" => self.leave(
                setting,
                "requests in a second from one address are limited for all of the door: request-rate in [limits]",
            ),
            "limit_conn" | "limit_conn_zone" => self.leave(
                setting,
                "connections from one address are limited for all of the door: connections-per-address in [limits]",
            ),
            "client_max_body_size" => match size(setting.argument(0)) {
                Some(size) => self.draft.set("limits", "body-size", &quoted(&size)),
                None => self.leave(setting, "there is always a limit; the default is 4GiB"),
            },
            "ssl_protocols" => {
                if setting.arguments() == ["TLSv1.3"] {
                    self.draft.set("tls", "minimum-version", &quoted("1.3"));
                } else if setting
                    .arguments()
                    .iter()
                    .any(|version| version == "TLSv1" || version == "TLSv1.1")
                {
                    self.leave(setting, "versions before TLS 1.2 are not spoken any more");
                }
            }
            "ssl_ciphers" => self.leave(
                setting,
                "the cipher suites are chosen by the TLS library, and all are good ones",
            ),
            "add_header" => self.header(setting),
            "proxy_set_header"
                if OWN_HEADERS.contains(&setting.argument(0).to_lowercase().as_str()) => {}
            "include" => self.leave(
                setting,
                "files that are included have to be imported by themselves",
            ),
            name if BY_ITSELF.contains(&name) => {}
            _ => self.leave(setting, "there is nothing for this here"),
        }
    }

    fn header(&mut self, header: &Directive) {
        let key = header.argument(0).to_lowercase();
        let known = [
            "strict-transport-security",
            "x-frame-options",
            "x-content-type-options",
        ];
        if known.contains(&key.as_str()) {
            self.draft.set("headers", &key, &quoted(header.argument(1)));
        } else {
            self.leave(
                header,
                "only the three headers of [headers] are added; let the app add others",
            );
        }
    }

    fn leave(&mut self, directive: &Directive, why: &str) {
        let end = if directive.block.is_empty() {
            ";"
        } else {
            " { … }"
        };
        let words = directive.words.join(" ").replace(['\n', '\r'], " ");
        let what = format!("{}:{}: {words}{end}", self.file, directive.line);
        self.draft.leave(&what, why);
    }
}
