//! Command lines of websockify (0.8 to 0.13): where it listens, and where its tokens lead.

use super::draft::{Draft, quoted};

/// Options with a value that say nothing for Noren.
const WITHOUT_MEANING: &[&str] = &["--log-file", "--auth-source"];

/// What each option that is not carried over would need. Those with a value have an `=` at their end.
const LEFT: &[(&str, &str)] = &[
    ("--web=", "Noren serves no files; let the app serve noVNC"),
    ("--web-auth", "logins are asked of the app: [session]"),
    (
        "--auth-plugin=",
        "logins are asked of the app: [session]; the Origin is checked by default",
    ),
    (
        "--ssl-version=",
        "TLS 1.2 and 1.3 are spoken; see minimum-version in [tls]",
    ),
    (
        "--ssl-ciphers=",
        "the cipher suites are chosen by the TLS library, and all are good ones",
    ),
    ("--verify-client", "see the guide for client certificates"),
    ("--cafile=", "see the guide for client certificates"),
    (
        "--key-password=",
        "nobody could type it at a restart: openssl pkey -in KEY -out PLAIN",
    ),
    ("--ssl-target", "see the guide for TLS to consoles"),
    ("--host-token", "tokens are in the URL: /websockify?token=…"),
    ("--record=", "see the guide for recordings"),
    ("--wrap-mode=", "Noren starts no programs"),
    ("--timeout=", "Noren runs until it is stopped"),
    ("--run-once", "Noren runs until it is stopped"),
    (
        "--inetd",
        "systemd opens sockets: address = \"systemd:NAME\"",
    ),
    ("--traffic", "what passes is not logged, only how much"),
    ("--prefer-ipv6", "the system's order of addresses is taken"),
    ("-6", "the system's order of addresses is taken"),
    ("--libserver", "there is only one way to serve"),
    ("--unix-listen-mode=", "see `mode` of [[listener]]"),
];

/// Options that need nothing here.
const NEEDLESS: &[&str] = &[
    "-v",
    "--verbose",
    "-D",
    "--daemon",
    "--ssl-only",
    "--file-only",
    "--no-parent",
    "--strict-mode",
    "--syslog",
];

/// Makes a noren.toml of a command line.
pub(super) fn import(line: &[String]) -> String {
    let mut import = Importer::default();
    let words: Vec<_> = line.iter().map(String::as_str).collect();
    let mut words = match words.as_slice() {
        // Whoever copies the whole line copies its first word too.
        [first, rest @ ..] if first.ends_with("websockify") => rest.iter(),
        all => all.iter(),
    };
    while let Some(word) = words.next() {
        if *word == "--" {
            let program: Vec<_> = words.copied().collect();
            import.draft.leave(
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
            "--heartbeat" => self.seconds("heartbeat", value()),
            "--idle-timeout" => {
                let limit = value();
                self.draft.leave(
                    &format!("--idle-timeout {limit}"),
                    "Noren runs until it is stopped",
                );
            }
            name if WITHOUT_MEANING.contains(&name) => _ = value(),
            name if NEEDLESS.contains(&name) => {}
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
            Err(_) => self.draft.leave(text, "this is no number of seconds"),
        }
    }

    fn left(&mut self, name: &str, value: &mut dyn FnMut() -> &'a str) {
        let known = LEFT
            .iter()
            .find(|(known, _)| known.trim_end_matches('=') == name);
        match known {
            Some((known, why)) if known.ends_with('=') => {
                let what = format!("{name} {}", value());
                self.draft.leave(&what, why);
            }
            Some((_, why)) => self.draft.leave(name, why),
            None => self.draft.leave(name, "this option is not known"),
        }
    }

    fn finish(mut self) -> String {
        self.listener();
        self.tokens();
        if let Some(target) = self.positional.get(1) {
            self.target = Some((*target).to_owned());
        }
        if let Some(target) = self.target.take() {
            self.draft.leave(
                "a console without a token",
                "it has the URL /websockify?token=console here",
            );
            let address = quoted(&target);
            self.draft.add(
                "bridge.target",
                &[("token", quoted("console")), ("address", address)],
            );
        }
        self.draft.finish("a command line of websockify")
    }

    fn listener(&mut self) {
        let address = match (self.listen, self.positional.first()) {
            (Some(path), _) => format!("unix:{path}"),
            (None, Some(port)) if port.contains(':') => (*port).to_owned(),
            (None, Some(port)) => format!("[::]:{port}"),
            (None, None) => {
                return self
                    .draft
                    .leave("the port", "none was named; Noren listens on 8001");
            }
        };
        let address = address
            .strip_prefix(':')
            .map_or(address.clone(), |port| format!("[::]:{port}"));
        let protocol = if self.certificate.is_some() {
            "https"
        } else {
            "http"
        };
        self.draft.add(
            "listener",
            &[
                ("address", quoted(&address)),
                ("protocol", quoted(protocol)),
            ],
        );
        if let Some(certificate) = self.certificate {
            let key = self.key.unwrap_or(certificate);
            self.draft.add(
                "tls.certificate",
                &[("certificate", quoted(certificate)), ("key", quoted(key))],
            );
        }
    }

    fn tokens(&mut self) {
        let Some(plugin) = self.plugin else {
            return;
        };
        let name = plugin.rsplit('.').next().unwrap_or(plugin);
        let source = self.source.unwrap_or_default();
        let kind = match name {
            "TokenFile" | "ReadOnlyTokenFile" if is_directory(source) => "directory",
            "TokenFile" | "ReadOnlyTokenFile" => "file",
            "UnixDomainSocketDirectory" => "sockets",
            _ => {
                let what = format!("--token-plugin {plugin} --token-source {source}");
                return self.draft.leave(
                    &what,
                    "see the guide for sources of tokens: `man noren.toml`, [[bridge.tokens]]",
                );
            }
        };
        if source.is_empty() {
            return self.draft.leave(
                &format!("--token-plugin {plugin}"),
                "it has no --token-source",
            );
        }
        self.draft.add(
            "bridge.tokens",
            &[("source", quoted(kind)), ("path", quoted(source))],
        );
    }
}

fn is_directory(path: &str) -> bool {
    path.ends_with('/') || std::path::Path::new(path).is_dir()
}
