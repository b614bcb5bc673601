//! Converts `nova.conf`: one Noren replaces the proxies of OpenStack's consoles (nova-novncproxy, nova-serialproxy,
//! nova-spicehtml5proxy). Passwords are not copied; a point of the checklist says how to create the file of each.

mod ini;
mod login;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::draft::{Draft, list, quoted};
use ini::Ini;

/// Port range of displays: libvirt begins with 5900 and counts upwards.
const DISPLAYS: &str = "5900-6899";
/// Default of `port_range` in `[serial_console]`.
const SERIAL_LINES: &str = "10000:20000";
/// Interval between two checks of a token, if Nova closes consoles whose token has expired.
const RECHECK: &str = "30s";

/// One of Nova's proxies.
struct Proxy {
    section: &'static str,
    program: &'static str,
    host: &'static str,
    port: &'static str,
    base_url: &'static str,
    default_port: &'static str,
    /// The directory of its page; `None` for a proxy without a page.
    pages: Option<&'static str>,
}

const VNC: Proxy = Proxy {
    section: "vnc",
    program: "nova-novncproxy",
    host: "novncproxy_host",
    port: "novncproxy_port",
    base_url: "novncproxy_base_url",
    default_port: "6080",
    pages: Some("/usr/share/novnc"),
};
const SERIAL: Proxy = Proxy {
    section: "serial_console",
    program: "nova-serialproxy",
    host: "serialproxy_host",
    port: "serialproxy_port",
    base_url: "base_url",
    default_port: "6083",
    pages: None,
};
const SPICE: Proxy = Proxy {
    section: "spice",
    program: "nova-spicehtml5proxy",
    host: "html5proxy_host",
    port: "html5proxy_port",
    base_url: "html5proxy_base_url",
    default_port: "6082",
    pages: Some("/usr/share/spice-html5"),
};

/// Converts these files to a noren.toml; values of later files replace those of earlier ones.
pub(super) fn import(files: &[PathBuf]) -> anyhow::Result<String> {
    let mut conf = Ini::default();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        conf.read(&text);
    }
    let names: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    Ok(translate(&conf, &names.join(" and ")))
}

fn translate(conf: &Ini, origin: &str) -> String {
    let mut import = Importer {
        conf,
        draft: Draft::default(),
    };
    let proxies: Vec<_> = [VNC, SERIAL, SPICE]
        .into_iter()
        .filter(|proxy| import.is_used(proxy))
        .collect();
    import.listeners(&proxies);
    import.bridge(&proxies);
    import.source(&proxies);
    import.pages(&proxies);
    import.rest();
    import.checklist(&proxies);
    import.draft.finish(origin)
}

struct Importer<'a> {
    conf: &'a Ini,
    draft: Draft,
}

impl Importer<'_> {
    /// True if this cloud has such consoles. `[vnc]` is enabled by default.
    fn is_used(&self, proxy: &Proxy) -> bool {
        let default = proxy.section == VNC.section;
        let enabled = self.conf.flag(proxy.section, "enabled");
        let is_named = || {
            self.conf
                .has_any(proxy.section, &[proxy.host, proxy.port, proxy.base_url])
        };
        enabled.unwrap_or_else(|| default || is_named())
    }

    fn default_of(&self, key: &str) -> Option<String> {
        self.conf.get("DEFAULT", key)
    }

    fn listeners(&mut self, proxies: &[Proxy]) {
        let certificate = self.default_of("cert");
        let is_only = self.conf.flag("DEFAULT", "ssl_only").unwrap_or_default();
        let has_https = |proxy: &Proxy| {
            let url = self.conf.get(proxy.section, proxy.base_url);
            url.is_some_and(|url| url.starts_with("https:") || url.starts_with("wss:"))
        };
        let encrypts = is_only || (certificate.is_some() && proxies.iter().any(has_https));
        let has_front = !encrypts && proxies.iter().any(has_https);
        for proxy in proxies {
            let get = |key| self.conf.get(proxy.section, key);
            let host = get(proxy.host).unwrap_or_else(|| "0.0.0.0".to_owned());
            let port = get(proxy.port).unwrap_or_else(|| proxy.default_port.to_owned());
            let host = bracketed(&host);
            let protocol = if encrypts { "https" } else { "http" };
            let address = quoted(&format!("{host}:{port}"));
            self.draft.add(
                "listener",
                &[("address", address), ("protocol", quoted(protocol))],
            );
        }
        match certificate {
            Some(certificate) if encrypts => {
                let key = self.default_of("key").unwrap_or_else(|| certificate.clone());
                let keys = [("certificate", quoted(&certificate)), ("key", quoted(&key))];
                self.draft.add("tls.certificate", &keys);
                if !is_only {
                    self.draft.note(
                        "done otherwise: without ssl_only Nova's proxies serve clients without TLS at the same port\n\
                         #   write another [[listener]] with protocol = \"http\" if there are any",
                    );
                }
            }
            None if encrypts => self.draft.leave_out(
                "the certificate in self.pem",
                "it is in the directory where the proxies were started: write a [[tls.certificate]] with its path; \
                 until then a self-signed one is made",
            ),
            _ => {}
        }
        if has_front {
            self.draft.add_step(
                "the base URLs have https and Nova's proxies none: name the proxy before them as trusted-proxies in \
                 each [[listener]], or let Noren have the certificate (protocol = \"https\", [[tls.certificate]])",
            );
        }
    }

    fn bridge(&mut self, proxies: &[Proxy]) {
        let mut paths = vec!["/".to_owned(), "/websockify".to_owned()];
        for proxy in proxies {
            let url = self.conf.get(proxy.section, proxy.base_url);
            let path = url.as_deref().and_then(|url| socket_path(proxy, url));
            paths.extend(path.filter(|path| !paths.contains(path)));
        }
        let paths = list(paths.iter().map(String::as_str));
        self.draft.set("bridge", "paths", &paths);
        self.draft.set("bridge", "token-cookie", &quoted("token"));
        let origins = self.origins();
        if origins.len() > 1 {
            let origins = list(origins.iter().map(String::as_str));
            self.draft.set("bridge", "origins", &origins);
            self.draft.add_step(
                "origins have scheme, host and port here, and a host alone in allowed_origins: take the http:// ones \
                 out if all pages have https, and add the port where it is not 443 or 80",
            );
        }
        let enforces = self.conf.flag("consoleauth", "enforce_session_timeout");
        if enforces.unwrap_or_default() {
            self.draft.set("bridge", "recheck-tokens", &quoted(RECHECK));
        }
    }

    /// Returns `same`, and the pages of `allowed_origins` with both schemes: Nova compares hosts only.
    fn origins(&self) -> Vec<String> {
        let hosts = self.conf.list("console", "allowed_origins");
        let both = hosts.iter().flat_map(|host| {
            let host = bracketed(host);
            [format!("https://{host}"), format!("http://{host}")]
        });
        std::iter::once("same".to_owned()).chain(both).collect()
    }

    fn pages(&mut self, proxies: &[Proxy]) {
        let with_pages: Vec<_> = proxies
            .iter()
            .filter(|proxy| proxy.pages.is_some())
            .collect();
        let web = self.default_of("web");
        for (index, proxy) in with_pages.iter().enumerate() {
            let Some(default) = proxy.pages else { continue };
            let own = web.as_deref().filter(|_| with_pages.len() == 1);
            let path = if index == 0 { "/" } else { "/spice" };
            let directory = own.unwrap_or(default);
            let keys = [
                ("path", quoted(path)),
                ("directory", quoted(directory)),
                ("response-headers", self.framing()),
            ];
            self.draft.add("files", &keys);
            if index > 0 {
                self.draft.add_step(
                    "noVNC and SPICE's page are served by one door: write html5proxy_base_url = \
                     https://HOST/spice/spice_auto.html into [spice] of the compute hosts' nova.conf",
                );
            }
        }
        if let (Some(web), true) = (web, with_pages.len() > 1) {
            self.draft.leave_out(
                &format!("web = {web}"),
                "it is one directory for each proxy; the [[files]] say where Debian has the pages",
            );
        }
    }

    /// Returns the rules for pages that may show consoles in a frame, as the dashboard does. Nova's proxies permit it
    /// to all pages.
    fn framing(&mut self) -> String {
        let pages: Vec<_> = self.origins().into_iter().skip(1).collect();
        if pages.is_empty() {
            self.draft.add_step(
                "name the dashboard, which shows consoles in a frame, behind frame-ancestors: https://HORIZON",
            );
        }
        let ancestors = format!("frame-ancestors 'self' {}", pages.join(" "));
        format!(
            "{{ remove = [\"X-Frame-Options\"], set = {{ Content-Security-Policy = {} }} }}",
            quoted(ancestors.trim_end())
        )
    }

    fn rest(&mut self) {
        if let Some(record) = self.default_of("record") {
            let directory = record
                .rsplit_once('/')
                .map_or(".", |(directory, _)| directory);
            let table = "bridge.recording";
            self.draft.set(table, "directory", &quoted(directory));
            self.draft.leave_out(
                &format!("record = {record}"),
                "recordings have a format of their own, and `noren replay` shows them",
            );
        }
        if self.conf.flag("DEFAULT", "debug").unwrap_or_default() {
            self.draft.set("log", "level", &quoted("debug"));
        }
        match self.conf.get("console", "ssl_minimum_version").as_deref() {
            Some("tlsv1_3") => self.draft.set("tls", "minimum-version", &quoted("1.3")),
            Some(old @ ("tlsv1" | "tlsv1_1")) => self.draft.leave_out(
                &format!("ssl_minimum_version = {old}"),
                "versions before TLS 1.2 are not spoken any more",
            ),
            _ => {}
        }
        if self.conf.get("console", "ssl_ciphers").is_some() {
            self.draft.leave_out(
                "ssl_ciphers",
                "the cipher suites are chosen by the TLS library, and all are good ones",
            );
        }
        for key in ["source_is_ipv6", "daemon", "log_file", "use_syslog"] {
            if self.conf.flag("DEFAULT", key) == Some(true)
                || (key == "log_file" && self.default_of(key).is_some())
            {
                self.draft
                    .leave_out(key, "the systemd unit and its journal do that");
            }
        }
        if self.conf.has_any("api_database", &["connection"])
            || self.default_of("transport_url").is_some()
        {
            self.draft.note(
                "not needed: the databases and the message queue; Noren asks Nova's API, which serves all cells",
            );
        }
    }

    fn checklist(&mut self, proxies: &[Proxy]) {
        let programs: Vec<_> = proxies.iter().map(|proxy| proxy.program).collect();
        self.draft.add_step(&format!(
            "stop {} on this machine, which listen on the same ports; the page \"From nova-novncproxy\" of the guide \
             has the steps there and back",
            programs.join(", ")
        ));
    }
}

/// Formats a host for use before a port.
fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// Returns the path at which the page of a proxy opens its WebSocket, unless it is the root.
fn socket_path(proxy: &Proxy, url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = if proxy.section == SERIAL.section {
        place.split_once('/').map(|(_, path)| path.to_owned())?
    } else {
        // noVNC's page has it in its query, and the token behind it.
        let mut parameters = query.split('&');
        parameters
            .find_map(|one| one.strip_prefix("path="))?
            .to_owned()
    };
    let path = path
        .split(['?', '%'])
        .next()
        .unwrap_or_default()
        .trim_matches('/');
    (!path.is_empty()).then(|| format!("/{path}"))
}

#[cfg(test)]
mod tests;
