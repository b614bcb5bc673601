//! Converts command lines of websockify (0.8 to 0.13): its listening address, and the targets of its tokens.

mod command_line;

use super::draft::{Draft, list, quoted};

/// Options with a value that have no meaning for Noren.
const WITHOUT_MEANING: &[&str] = &["--log-file", "--syslog"];

/// Advice for each option that is not carried over. The names of options with a value end in `=`.
const LEFT: &[(&str, &str)] = &[
    (
        "--ssl-ciphers=",
        "the cipher suites are chosen by the TLS library, and all are good ones",
    ),
    ("--wrap-mode=", "Noren starts no programs"),
    ("--timeout=", "Noren runs until it is stopped"),
    ("--run-once", "Noren runs until it is stopped"),
    ("--traffic", "what passes is not logged, only how much"),
    ("--prefer-ipv6", "the system's order of addresses is taken"),
    ("-6", "the system's order of addresses is taken"),
    ("--libserver", "there is only one way to serve"),
];

/// Targets that a token source in the network may name by default; websockify itself connects to any target.
const OWN_CONSOLES: &str = "127.0.0.0/8:5900-5999";

/// Options that need no counterpart.
const NEEDLESS: &[&str] = &[
    "-D",
    "--daemon",
    "--file-only",
    "--no-parent",
    "--strict-mode",
    "--legacy-syslog",
];

/// Converts a command line to a noren.toml.
pub(super) fn import(line: &[String]) -> String {
    let mut import = Importer::default();
    let line = command_line::words(line);
    let words: Vec<_> = line.iter().map(String::as_str).collect();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == "--" {
            let program: Vec<_> = words.copied().collect();
            import.draft.leave_out(
                &program.join(" "),
                "Noren starts no programs; run it by itself, on a UNIX socket",
            );
            break;
        }
        let (name, value) = word
            .split_once('=')
            .map_or((*word, None), |(name, value)| (name, Some(value)));
        import.word(name, &mut || {
            value.or_else(|| words.next().copied()).unwrap_or_default()
        });
    }
    import.finish()
}

#[derive(Default)]
struct Importer<'a> {
    draft: Draft,
    positional: Vec<&'a str>,
    certificate: Option<&'a str>,
    key: Option<&'a str>,
    plugin: Option<&'a str>,
    source: Option<&'a str>,
    listen: Option<&'a str>,
    mode: Option<&'a str>,
    verifies: bool,
    /// True if clients without TLS are refused.
    encrypted_only: bool,
    authorities: Option<&'a str>,
    web: Option<&'a str>,
    web_auth: bool,
    inetd: bool,
    auth: Option<&'a str>,
    auth_source: Option<&'a str>,
    encrypts: bool,
    target: Option<String>,
}

impl<'a> Importer<'a> {
    fn word(&mut self, name: &'a str, value: &mut dyn FnMut() -> &'a str) {
        match name {
            "--cert" => self.certificate = Some(value()),
            "--key" => self.key = Some(value()),
            "--token-plugin" => self.plugin = Some(value()),
            "--token-source" => self.source = Some(value()),
            "--target-config" => (self.plugin, self.source) = (Some("TokenFile"), Some(value())),
            "--unix-target" => self.target = Some(format!("unix:{}", value())),
            "--unix-listen" => self.listen = Some(value()),
            "--unix-listen-mode" => self.mode = Some(value()),
            "--verify-client" => self.verifies = true,
            "--ssl-only" => self.encrypted_only = true,
            "--cafile" => self.authorities = Some(value()),
            "--auth-plugin" => self.auth = Some(value()),
            "--auth-source" => self.auth_source = Some(value()),
            "--ssl-target" => self.encrypts = true,
            "--ssl-version" => match value() {
                "tlsv1_3" => self.draft.set("tls", "minimum-version", &quoted("1.3")),
                "default" | "tlsv1_2" => {}
                other => self.draft.leave_out(
                    &format!("--ssl-version {other}"),
                    "versions before TLS 1.2 are not spoken any more",
                ),
            },
            "--host-token" => self.draft.set("bridge", "host-token", "true"),
            "--record" => self.record(value()),
            "--inetd" => {
                self.inetd = true;
                self.draft
                    .leave_out(name, "systemd opens sockets: address = \"systemd:NAME\"");
            }
            "--web" => self.web = Some(value()),
            "--web-auth" => self.web_auth = true,
            "--key-password" => {
                // A secret, which no file that is passed around should hold.
                value();
                self.draft.leave_out(
                    "--key-password",
                    "nobody could type it at a restart: openssl pkey -in KEY -out PLAIN",
                );
            }
            "-v" | "--verbose" => self.draft.set("log", "level", &quoted("debug")),
            "--heartbeat" => self.seconds("heartbeat", value()),
            "--idle-timeout" => {
                let limit = value();
                self.draft.leave_out(
                    &format!("--idle-timeout {limit}"),
                    "Noren runs until it is stopped",
                );
            }
            name if WITHOUT_MEANING.contains(&name) => _ = value(),
            name if NEEDLESS.contains(&name) => {}
            // Several letters behind one dash.
            name if is_several(name) => {
                if name.contains('v') {
                    self.draft.set("log", "level", &quoted("debug"));
                }
            }
            name if name.starts_with('-') && name.len() > 1 => self.left(name, value),
            positional => self.positional.push(positional),
        }
    }

    fn seconds(&mut self, key: &str, text: &str) {
        match text.parse::<u64>() {
            Ok(0) => self.draft.set("bridge", key, &quoted("off")),
            Ok(seconds) => self
                .draft
                .set("bridge", key, &quoted(&format!("{seconds}s"))),
            Err(_) => self.draft.leave_out(text, "this is no number of seconds"),
        }
    }

    fn left(&mut self, name: &str, value: &mut dyn FnMut() -> &'a str) {
        let known = LEFT
            .iter()
            .find(|(known, _)| known.trim_end_matches('=') == name);
        match known {
            Some((known, why)) if known.ends_with('=') => {
                let what = format!("{name} {}", value());
                self.draft.leave_out(&what, why);
            }
            Some((_, why)) => self.draft.leave_out(name, why),
            None => self.draft.leave_out(name, "this option is not known"),
        }
    }

    /// Converts `--record`. websockify adds a number to the name of a file; Noren writes a file for each console into a
    /// directory.
    fn record(&mut self, file: &str) {
        let directory = match file.rsplit_once('/') {
            Some(("", _)) => "/",
            Some((directory, _)) => directory,
            None => ".",
        };
        self.draft
            .set("bridge.recording", "directory", &quoted(directory));
    }

    fn finish(mut self) -> String {
        self.listener();
        self.pages();
        self.logins();
        self.tokens();
        let ports = usize::from(self.listen.is_none() && !self.inetd);
        let has_tokens = self.plugin.is_some() || self.target.is_some();
        if let Some(target) = self.positional.get(ports).filter(|_| !has_tokens) {
            self.target = Some((*target).to_owned());
        }
        if let Some(target) = self.target.take() {
            self.draft.leave_out(
                "a console without a token",
                "it has the URL /websockify?token=console here",
            );
            let mut keys = vec![("token", quoted("console")), ("address", quoted(&target))];
            keys.extend(self.tls());
            self.draft.add("bridge.target", &keys);
        }
        self.draft.finish("a command line of websockify")
    }

    fn listener(&mut self) {
        let port = self.positional.first().filter(|_| !self.inetd);
        let address = match (self.listen, port) {
            (Some(path), _) => format!("unix:{path}"),
            (None, Some(port)) if port.contains(':') => (*port).to_owned(),
            (None, Some(port)) => format!("[::]:{port}"),
            (None, None) => {
                return self
                    .draft
                    .leave_out("the port", "none was named; Noren listens on 8001");
            }
        };
        let address = address
            .strip_prefix(':')
            .map_or(address.clone(), |port| format!("[::]:{port}"));
        // websockify takes self.pem where nothing else is said, and without it speaks in clear.
        let encrypted = self.certificate.is_some() || self.encrypted_only || self.verifies;
        if encrypted && self.certificate.is_none() {
            self.draft.leave_out(
                "the certificate in self.pem",
                "it is in the directory where websockify was started: write a [[tls.certificate]] with its path; \
                 until then a self-signed one is made",
            );
        } else if encrypted && !self.encrypted_only {
            self.draft.note(
                "done otherwise: websockify serves clients without TLS at the same port, and a listener with https \
                 does not\n#   write another [[listener]] with protocol = \"http\" if there are any",
            );
        }
        let protocol = if encrypted { "https" } else { "http" };
        let mut keys = vec![
            ("address", quoted(&address)),
            ("protocol", quoted(protocol)),
        ];
        if address.starts_with("unix:") {
            // Its owner alone, unless it is said.
            let mode = self.mode.unwrap_or("0600");
            keys.push(("mode", quoted(&format!("{mode:0>4}"))));
        }
        match self.authorities {
            Some(file) if self.verifies => keys.push(("client-authority", quoted(file))),
            // Not valid without the authorities, so that nobody is let in by an oversight.
            None if self.verifies => keys.push(("client-certificate", quoted("required"))),
            _ => {}
        }
        self.draft.add("listener", &keys);
        if let Some(certificate) = self.certificate {
            let key = self.key.unwrap_or(certificate);
            self.draft.add(
                "tls.certificate",
                &[("certificate", quoted(certificate)), ("key", quoted(key))],
            );
        }
    }

    /// Returns the `tls` of a target.
    fn tls(&self) -> Option<(&'static str, String)> {
        self.encrypts.then(|| ("tls", "{}".to_owned()))
    }

    fn pages(&mut self) {
        let Some(directory) = self.web else { return };
        if self.web_auth {
            return self.draft.leave_out(
                &format!("--web {directory} --web-auth"),
                "[[files]] are for everybody; let an [[app]] with `users` serve what is not",
            );
        }
        let keys = [("path", quoted("/")), ("directory", quoted(directory))];
        self.draft.add("files", &keys);
    }

    fn logins(&mut self) {
        let Some(plugin) = self.auth else { return };
        let source = self.auth_source.unwrap_or_default();
        let words = || source.split_whitespace();
        match last_part(plugin) {
            "ExpectOrigin" => {
                self.draft.set("bridge", "origins", &list(words()));
                self.draft.set("bridge", "missing-origin", "false");
            }
            "ClientCertCNAuth" => {
                self.draft.set("bridge", "client-names", &list(words()));
                self.draft
                    .set("bridge", "client-certificate", &quoted("required"));
            }
            "BasicHTTPAuth" => {
                let user = source.split(':').next().unwrap_or_default();
                // Noren does not start without the file, so that nobody is let in without a password.
                self.draft
                    .set("bridge", "users", &quoted("/etc/noren/users"));
                self.draft.leave_out(
                    &format!("--auth-plugin {plugin}"),
                    &format!(
                        "passwords are kept as hashes: htpasswd -nB {user} > /etc/noren/users"
                    ),
                );
            }
            _ => {
                // Not valid without a question, for the same reason.
                self.draft.set("bridge", "session", &quoted("required"));
                self.draft.leave_out(
                    &format!("--auth-plugin {plugin}"),
                    "logins are asked of the app: write [session] with path = \"/PATH\" of a page that only \
                     visitors see who are logged in",
                );
            }
        }
    }

    fn tokens(&mut self) {
        // Old versions take a source for files of tokens.
        let Some(plugin) = self.plugin.or(self.source.map(|_| "TokenFile")) else {
            return;
        };
        let name = last_part(plugin);
        let source = self.source.unwrap_or_default();
        let kind = match name {
            "BaseTokenAPI" | "JSONTokenApi" if source.contains("%s") => return self.api(source),
            "TokenRedis" if !source.is_empty() => return self.redis(source),
            "JWTTokenApi" if !source.is_empty() => return self.signed(source),
            "TokenFileName" => "file-name",
            "TokenFile" | "ReadOnlyTokenFile" if is_directory(source) => "directory",
            "TokenFile" | "ReadOnlyTokenFile" => "file",
            "UnixDomainSocketDirectory" => "sockets",
            _ => {
                let what = format!("--token-plugin {plugin} --token-source {source}");
                return self.draft.leave_out(
                    &what,
                    "a plug-in of your own can answer over HTTP: [[bridge.tokens]] with source = \"http\" and url \
                     = \"http://HOST/{token}\"",
                );
            }
        };
        if source.is_empty() {
            return self.draft.leave_out(
                &format!("--token-plugin {plugin}"),
                "it has no --token-source",
            );
        }
        let mut keys = vec![("source", quoted(kind)), ("path", quoted(source))];
        keys.extend(self.tls().filter(|_| kind != "sockets"));
        self.draft.add("bridge.tokens", &keys);
    }

    fn api(&mut self, url: &str) {
        let url = url.replacen("%s", "{token}", 1);
        self.network(&[("source", quoted("http")), ("url", quoted(&url))]);
    }

    /// Converts `HOST:PORT:DATABASE:PASSWORD:NAMESPACE`, of which the last three parts may be missing or empty.
    fn redis(&mut self, source: &str) {
        let parts = parts(source);
        let part = |index: usize| {
            parts
                .get(index)
                .map(String::as_str)
                .filter(|part| !part.is_empty())
        };
        let address = format!(
            "{}:{}",
            part(0).unwrap_or("localhost"),
            part(1).unwrap_or("6379")
        );
        let mut keys = vec![("source", quoted("redis")), ("address", quoted(&address))];
        match part(2).map(str::parse::<u32>) {
            Some(Ok(number)) => keys.push(("database", number.to_string())),
            Some(Err(_)) => self
                .draft
                .leave_out("the database of Redis", "it is no number"),
            None => {}
        }
        if let Some(namespace) = part(4) {
            keys.push(("namespace", quoted(namespace)));
        }
        if part(3).is_some() {
            self.draft.leave_out(
                "the password of Redis",
                "no secret stands in this file: write it into one that only noren reads, and password = \
                 \"/etc/noren/redis\" into the [[bridge.tokens]]",
            );
        }
        self.network(&keys);
    }

    /// Adds a token source in the network, whose targets are limited by `allow`.
    fn network(&mut self, keys: &[(&str, String)]) {
        let allow = [("allow", list([OWN_CONSOLES]))];
        let all: Vec<_> = keys
            .iter()
            .chain(&allow)
            .cloned()
            .chain(self.tls())
            .collect();
        self.draft.add("bridge.tokens", &all);
        self.allowed();
    }

    fn signed(&mut self, key: &str) {
        let table = "bridge.signed";
        self.draft.set(table, "keys", &list([key]));
        self.draft.set(table, "allow", &list([OWN_CONSOLES]));
        self.draft.set(table, "longest", &quoted("off"));
        self.draft.leave_out(
            "tokens that are encrypted (JWE)",
            "links are signed here, and an encrypted one is refused: sign them, and do not encrypt them",
        );
        if let Some((name, value)) = self.tls() {
            self.draft.set(table, name, &value);
        }
        self.allowed();
    }

    fn allowed(&mut self) {
        self.draft.leave_out(
            "targets anywhere",
            &format!(
                "only what `allow` lists is connected to; it says the consoles of this machine, \
                 \"{OWN_CONSOLES}\": add yours"
            ),
        );
    }
}

/// True for several short options behind one dash, such as `-vD`.
fn is_several(name: &str) -> bool {
    let letters = name.strip_prefix('-').unwrap_or_default();
    letters.len() > 1 && letters.chars().all(|letter| "vD6".contains(letter))
}

/// Splits a source at its colons. A part that contains a colon is in quotes.
fn parts(source: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for sign in source.chars() {
        match sign {
            '"' => quoted = !quoted,
            ':' if !quoted => parts.push(String::new()),
            sign => parts
                .last_mut()
                .into_iter()
                .for_each(|part| part.push(sign)),
        }
    }
    parts
}

/// Returns the last part of a plugin's name: `TokenFile` of `websockify.token_plugins.TokenFile`.
fn last_part(plugin: &str) -> &str {
    plugin.rsplit('.').next().unwrap_or(plugin)
}

fn is_directory(path: &str) -> bool {
    path.ends_with('/') || std::path::Path::new(path).is_dir()
}
