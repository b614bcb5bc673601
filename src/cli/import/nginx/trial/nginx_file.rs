//! Writes the file for nginx: the same servers and locations, with sockets, certificates and files of the comparison.
//!
//! Leaves out everything that could have effects beyond the comparison: directives that write files or run programs,
//! addresses of other servers, and every unknown directive. Must not know the responses of Noren.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use super::super::directives::{Meaning, meaning};
use super::super::server::Listen;
use super::super::syntax::Directive;
use super::process::Running;
use super::{Listener, TrialDirectory, address, program};

/// Limit on the directives that nginx may refuse, one after the other.
const MOST_REFUSED: usize = 50;

/// Directives whose blocks contain no directives.
const VERBATIM: &[&str] = &["map", "geo", "split_clients", "types", "charset_map"];

/// Directives that are replaced or left out: they write files, listen, reach other servers, run programs, or limit
/// requests that a comparison would use up.
const LEFT_OUT: &[&str] = &[
    "access_log",
    "aio",
    "auth_http",
    "client_body_in_file_only",
    "create_full_put_path",
    "daemon",
    "dav_access",
    "dav_methods",
    "debug_connection",
    "env",
    "error_log",
    "events",
    "include",
    "keepalive",
    "limit_conn",
    "limit_conn_zone",
    "limit_req",
    "limit_req_zone",
    "limit_zone",
    "listen",
    "load_module",
    "lock_file",
    "log_format",
    "mail",
    "master_process",
    "open_log_file_cache",
    "perl",
    "pid",
    "random_index",
    "real_ip_header",
    "real_ip_recursive",
    "resolver",
    "resolver_timeout",
    "rtmp",
    "set_real_ip_from",
    "ssl",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_ciphers",
    "ssl_conf_command",
    "ssl_dhparam",
    "ssl_engine",
    "ssl_password_file",
    "ssl_protocols",
    "state",
    "stream",
    "thread_pool",
    "timer_resolution",
    "use",
    "user",
    "working_directory",
    "zone",
];

/// Prefixes of the names of such directives.
const LEFT_OUT_BEGINNINGS: &[&str] = &[
    "accept_mutex",
    "google_perftools",
    "init_",
    "js_",
    "lua_",
    "perl_",
    "proxy_bind",
    "proxy_cache",
    "proxy_ssl_",
    "proxy_store",
    "proxy_temp_",
    "scgi_cache",
    "fastcgi_cache",
    "fastcgi_store",
    "fastcgi_temp",
    "scgi_store",
    "scgi_temp",
    "uwsgi_cache",
    "uwsgi_store",
    "uwsgi_temp",
    "client_body_temp",
    "grpc_ssl",
    "uwsgi_ssl",
    "ssl_crl",
    "ssl_ocsp",
    "ssl_session_",
    "ssl_stapling",
    "worker_",
    "acme_",
    "otel_",
];

/// Directives with files of certificates that are replaced.
const AUTHORITIES: &[&str] = &["ssl_client_certificate", "ssl_trusted_certificate"];

/// The file for nginx, line by line, and its listeners, names and notes.
#[derive(Debug, Default)]
pub(super) struct NginxFile {
    /// The lines, each with the directive that it comes from.
    lines: Vec<(String, Option<String>)>,
    pub(super) listeners: Vec<Listener>,
    /// The names of all servers; for a pattern with a star, a name that matches it.
    pub(super) hosts: Vec<String>,
    /// Sentences about directives that the comparison leaves out.
    pub(super) notes: BTreeSet<String>,
}

/// The context in which a directive is converted.
struct BlockContext<'a, 'b> {
    trial: &'b mut TrialDirectory,
    upstreams: &'b BTreeSet<&'a str>,
    /// Constants of the server and its locations so far.
    constants: BTreeMap<&'a str, &'a str>,
    certificate: String,
    users: String,
    nowhere: String,
}

impl NginxFile {
    pub(super) fn of(directives: &[Directive], trial: &mut TrialDirectory) -> Result<Self> {
        let mut theirs = Self::default();
        let mut upstreams = BTreeSet::new();
        join_upstreams(directives, trial, &mut upstreams);
        let path = |name: &str| trial.path(name).display().to_string();
        let mut context = BlockContext {
            certificate: path("certificate.pem"),
            users: path("users"),
            nowhere: path("nowhere"),
            trial,
            upstreams: &upstreams,
            constants: BTreeMap::new(),
        };
        theirs.block(directives, &mut context);
        if theirs.listeners.is_empty() {
            bail!("there is no server in it, so nothing can be asked");
        }
        Ok(theirs)
    }

    fn block<'a>(&mut self, block: &'a [Directive], context: &mut BlockContext<'a, '_>) {
        for one in block {
            self.directive(one, context);
        }
    }

    fn directive<'a>(&mut self, one: &'a Directive, context: &mut BlockContext<'a, '_>) {
        let name = one.name();
        match name {
            "http" => return self.block(&one.block, context),
            "server" if one.has_block() => return self.server(one, context),
            "server" => return self.backend(one, context),
            "proxy_pass" => return self.pass(one, context),
            "set" => {
                let name = one.argument(0).trim_start_matches('$');
                context.constants.insert(name, one.argument(1));
            }
            "auth_basic_user_file" => return self.line(one, &[name, &context.users]),
            name if AUTHORITIES.contains(&name) => {
                return self.line(one, &[name, &context.certificate]);
            }
            name if VERBATIM.contains(&name) => return self.verbatim(one),
            // Another handler, whose programs are not asked.
            name if name.ends_with("_pass") => {
                let nowhere = format!("unix:{}", context.nowhere);
                return self.line(one, &[name, &nowhere]);
            }
            _ => {}
        }
        let is_left_out = LEFT_OUT.contains(&name)
            || name.contains("_by_lua")
            || LEFT_OUT_BEGINNINGS
                .iter()
                .any(|beginning| name.starts_with(beginning));
        if is_left_out {
            return;
        }
        if meaning(name) == Meaning::Unknown {
            self.notes.insert(format!(
                "left out, as it is not known here: {}",
                one.display()
            ));
            return;
        }
        let words: Vec<&str> = one.words.iter().map(String::as_str).collect();
        if one.has_block() {
            self.open(one, &words);
            self.block(&one.block, context);
            self.close();
        } else {
            self.line(one, &words);
        }
    }

    fn server<'a>(&mut self, one: &'a Directive, context: &mut BlockContext<'a, '_>) {
        context.constants.clear();
        self.open(one, &["server"]);
        self.line(one, &["set", "$noren_nothing", ""]);
        let ssl = one.all("ssl").any(|ssl| ssl.argument(0) == "on");
        let mut listens: Vec<Listen<'_>> = one
            .all("listen")
            .filter(|listen| !listen.has("quic"))
            .map(|listen| Listen::of(listen, ssl))
            .collect();
        if listens.is_empty() {
            listens.push(Listen::anywhere(one, ssl));
        }
        for listen in listens {
            let socket = self.socket(&listen, context.trial);
            let socket = format!("unix:{socket}");
            let mut words = vec!["listen", &socket];
            words.extend(listen.tls.then_some("ssl"));
            words.extend(listen.is_default.then_some("default_server"));
            self.line(listen.at, &words);
        }
        for name in one.all("server_name").flat_map(Directive::arguments) {
            let name = name.to_lowercase();
            let name = match name.strip_prefix(['*', '.']) {
                Some(domain) => format!("check.{}", domain.trim_start_matches('.')),
                None => name,
            };
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            if !name.is_empty() && name.bytes().all(is_plain) && !self.hosts.contains(&name) {
                self.hosts.push(name);
            }
        }
        self.block(&one.block, context);
        self.close();
    }

    /// Returns the socket that replaces an address.
    fn socket(&mut self, listen: &Listen<'_>, trial: &TrialDirectory) -> String {
        let known = self
            .listeners
            .iter_mut()
            .find(|known| known.address == listen.address);
        if let Some(known) = known {
            known.is_tls |= listen.tls;
            return known.socket.display().to_string();
        }
        let socket = trial.path(&format!("nginx-{}", self.listeners.len()));
        self.listeners.push(Listener {
            address: listen.address.clone(),
            is_tls: listen.tls,
            socket: socket.clone(),
        });
        socket.display().to_string()
    }

    /// Converts a `server` of an `upstream`.
    fn backend(&mut self, one: &Directive, context: &mut BlockContext<'_, '_>) {
        let socket = context.trial.app(&address(one.argument(0)));
        let socket = format!("unix:{}", socket.display());
        let mut words = vec!["server", &socket];
        words.extend(["down", "backup"].into_iter().filter(|word| one.has(word)));
        self.line(one, &words);
    }

    fn pass<'a>(&mut self, one: &'a Directive, context: &mut BlockContext<'a, '_>) {
        let written = one.argument(0);
        let mut text = written.to_owned();
        // The longest first, or `$app` would be found in `$apps`.
        let mut names: Vec<_> = context.constants.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, value) in names {
            text = text
                .replace(&format!("${{{name}}}"), value)
                .replace(&format!("${name}"), value);
        }
        let (_, rest) = text.split_once("://").unwrap_or(("", &text));
        let (authority, below) = if let Some(socket) = rest.strip_prefix("unix:") {
            let (socket, below) = socket.split_once(':').unwrap_or((socket, ""));
            (format!("unix:{socket}"), below)
        } else {
            let (host, below) = rest.split_at(rest.find(['/', '?', '$']).unwrap_or(rest.len()));
            (host.to_owned(), below)
        };
        if authority.contains('$') || authority.is_empty() {
            self.notes.insert(format!(
                "nothing is asked where the address depends on the request: {}",
                one.display()
            ));
            let nowhere = format!("http://unix:{}:", context.nowhere);
            return self.line(one, &["proxy_pass", &nowhere]);
        }
        // A path behind a variable takes the place of the whole one, and any other of the location alone.
        let depends = if written.contains('$') && !below.is_empty() {
            "$noren_nothing"
        } else {
            ""
        };
        let target = if context.upstreams.contains(authority.as_str()) {
            format!("http://{authority}{below}{depends}")
        } else {
            let scheme = if text.starts_with("https:") {
                "https://"
            } else {
                "http://"
            };
            let socket = context.trial.app(&address(&format!("{scheme}{authority}")));
            format!("http://unix:{}:{below}{depends}", socket.display())
        };
        self.line(one, &["proxy_pass", &target]);
    }

    fn verbatim(&mut self, one: &Directive) {
        let words: Vec<&str> = one.words.iter().map(String::as_str).collect();
        if !one.has_block() {
            return self.line(one, &words);
        }
        self.open(one, &words);
        for entry in one.block.iter().filter(|entry| entry.name() != "include") {
            let words: Vec<&str> = entry.words.iter().map(String::as_str).collect();
            self.line(entry, &words);
        }
        self.close();
    }

    fn open(&mut self, one: &Directive, words: &[&str]) {
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        self.lines
            .push((format!("{} {{", words.join(" ")), Some(one.display())));
    }

    fn line(&mut self, one: &Directive, words: &[&str]) {
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        self.lines
            .push((format!("{};", words.join(" ")), Some(one.display())));
    }

    fn close(&mut self) {
        self.lines.push(("}".to_owned(), None));
    }

    /// Starts nginx. A directive that nginx refuses, because it lacks a module, is left out and noted.
    pub(super) fn start(&mut self, trial: &TrialDirectory) -> Result<Running> {
        let nginx = program("nginx").ok_or_else(|| {
            anyhow!("nginx is not installed here, and its answers are what --check compares with; on Debian: \
                     apt install nginx-light")
        })?;
        let file = trial.path("nginx.conf");
        let log = trial.path("nginx.log");
        let command = || {
            let mut command = Command::new(&nginx);
            command
                .args(["-p".as_ref(), trial.directory.path().as_os_str()])
                .args(["-c".as_ref(), file.as_os_str()])
                .args(["-e".as_ref(), log.as_os_str()]);
            command
        };
        for _ in 0..=MOST_REFUSED {
            std::fs::write(&file, self.text(trial)).context("write the file for nginx")?;
            let (is_well, said) = Running::run(command().arg("-t"), &trial.path("nginx.said"))?;
            if is_well {
                let sockets: Vec<_> = self
                    .listeners
                    .iter()
                    .map(|one| one.socket.clone())
                    .collect();
                return Running::start(&mut command(), &trial.path("nginx.said"), &sockets)
                    .context("nginx");
            }
            let error = said
                .lines()
                .find(|line| line.contains("[emerg]"))
                .unwrap_or(&said);
            if !self.leave_out(error) {
                bail!("nginx itself does not take the file: {error}");
            }
        }
        bail!(
            "nginx here takes none of {MOST_REFUSED} directives of the file; is it built without its modules?"
        )
    }

    /// Removes the line that nginx complains about; false if the comparison cannot do without it.
    fn leave_out(&mut self, error: &str) -> bool {
        let number = error
            .rsplit_once(':')
            .and_then(|(_, number)| number.trim().parse::<usize>().ok());
        let Some(line) = number.and_then(|number| number.checked_sub(1 + HEAD_LINES)) else {
            return false;
        };
        let Some((text, Some(shown))) = self.lines.get_mut(line) else {
            return false;
        };
        if text.ends_with('{') || text.starts_with("listen ") || text.is_empty() {
            return false;
        }
        text.clear();
        let (_, reason) = error.split_once("[emerg]").unwrap_or(("", error));
        let reason = reason.split(" in /").next().unwrap_or(reason);
        let reason = reason.split_once(": ").map_or(reason, |(_, reason)| reason);
        self.notes.insert(format!(
            "left out, as nginx here refuses it ({}): {shown}",
            reason.trim()
        ));
        true
    }

    fn text(&self, trial: &TrialDirectory) -> String {
        let at = trial.directory.path().display();
        let mut text = String::new();
        // HEAD_LINES of them.
        let _ = writeln!(text, "daemon off; master_process off; pid {at}/pid;");
        let _ = writeln!(text, "events {{ worker_connections 512; }}");
        let _ = writeln!(
            text,
            "http {{ access_log off; server_names_hash_bucket_size 256; variables_hash_max_size 4096;"
        );
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            let _ = writeln!(text, "{kind}_temp_path {at}/{kind};");
        }
        let _ = writeln!(
            text,
            "ssl_certificate {at}/certificate.pem; ssl_certificate_key {at}/key.pem;"
        );
        for (line, _) in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        text.push_str("}\n");
        text
    }
}

/// Number of lines before those of the file.
const HEAD_LINES: usize = 9;

/// Assigns one stub to all addresses of an upstream.
fn join_upstreams<'a>(
    directives: &'a [Directive],
    trial: &mut TrialDirectory,
    names: &mut BTreeSet<&'a str>,
) {
    for one in directives {
        match one.name() {
            "http" => join_upstreams(&one.block, trial, names),
            "upstream" => {
                names.insert(one.argument(0));
                let addresses: Vec<_> = one
                    .all("server")
                    .map(|server| address(server.argument(0)))
                    .collect();
                trial.join(&addresses);
            }
            _ => {}
        }
    }
}

/// Quotes a word for nginx.
fn quoted(word: &str) -> String {
    let is_special = |sign: char| {
        sign.is_whitespace() || matches!(sign, ';' | '{' | '}' | '"' | '\'' | '\\' | '#')
    };
    if !word.is_empty() && !word.contains(is_special) {
        return word.to_owned();
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}
