//! Writes the token source: the address of Keystone and Noren's login there, the targets that Nova may name, and the
//! login at displays.

use super::super::draft::{list, quoted};
use super::{DISPLAYS, Importer, Proxy, SERIAL, SERIAL_LINES, SPICE, VNC};

/// The sections that may contain a login of Nova; the first one that does is used.
const LOGINS: [&str; 2] = ["keystone_authtoken", "service_user"];
/// Files of secrets; the checklist says how to create them.
const PASSWORD: &str = "/etc/noren/nova-password";
const SECRET: &str = "/etc/noren/nova-secret";

impl Importer<'_> {
    /// Writes the token source.
    pub(super) fn source(&mut self, proxies: &[Proxy]) {
        let mut keys = vec![("source", quoted("nova"))];
        self.identity(&mut keys);
        keys.push(("allow", self.allow(proxies)));
        if self.conf.get(SERIAL.section, "port_range").is_some() {
            keys.push(("serial-ports", list([self.serial_ports().as_str()])));
        }
        if let Some(rfb) = self.rfb(proxies) {
            keys.push(("rfb", rfb));
        }
        self.draft.add("bridge.tokens", &keys);
        self.draft.add_step(
            "narrow allow to the networks of the compute hosts; a console of this machine needs a rule of its own, \
             such as \"127.0.0.1:5900-6899\"",
        );
    }

    fn identity(&mut self, keys: &mut Vec<(&'static str, String)>) {
        let section = self.login_section();
        let get = |key: &str| self.conf.get(&section, key);
        let url = get("auth_url")
            .or_else(|| self.conf.get("keystone_authtoken", "www_authenticate_uri"))
            .or_else(|| self.conf.get("keystone_authtoken", "auth_uri"));
        // Without a URL the result is not valid, and says so.
        keys.extend(url.map(|url| ("auth-url", quoted(&url))));
        let domain = |name: &str, id: &str| {
            let by_id = get(id).map(|id| format!("id:{id}"));
            get(name).or(by_id)
        };
        if let Some(id) = get("application_credential_id") {
            keys.push(("application-credential", quoted(&id)));
            keys.push(("secret", quoted(SECRET)));
            self.draft.add_step(&format!(
                "write application_credential_secret of [{section}] into {SECRET}: \
                 install -g noren -m 640 /dev/stdin {SECRET}"
            ));
        } else {
            keys.extend(get("username").map(|user| ("user", quoted(&user))));
            let of_user = domain("user_domain_name", "user_domain_id");
            keys.extend(of_user.map(|domain| ("user-domain", quoted(&domain))));
            let project = get("project_name").or_else(|| get("tenant_name"));
            keys.extend(project.map(|project| ("project", quoted(&project))));
            let of_project = domain("project_domain_name", "project_domain_id");
            keys.extend(of_project.map(|domain| ("project-domain", quoted(&domain))));
            keys.push(("password", quoted(PASSWORD)));
            self.draft.add_step(&format!(
                "write password of [{section}] into {PASSWORD}: install -g noren -m 640 /dev/stdin {PASSWORD}; better \
                 is a user of its own, with the role admin in a project and no other"
            ));
        }
        let region = get("region_name").or_else(|| self.conf.get("DEFAULT", "os_region_name"));
        keys.extend(region.map(|region| ("region", quoted(&region))));
        let interface = get("interface").map(|name| name.trim_end_matches("URL").to_owned());
        let interface = interface.unwrap_or_else(|| "internal".to_owned());
        keys.push(("interface", quoted(&interface)));
        let authority = get("cafile").map(|file| ("ca", quoted(&file)));
        keys.extend(authority);
        if self.conf.flag(&section, "insecure").unwrap_or_default() {
            self.draft.leave_out(
                &format!("insecure in [{section}]"),
                "certificates of Keystone and Nova are verified; write the file of their authority as ca",
            );
        }
    }

    /// Returns the section that contains the login; a section may refer to another one with `auth_section`.
    fn login_section(&self) -> String {
        let has_login = |section: &str| self.conf.has_any(section, &["auth_url", "username"]);
        let named = LOGINS.iter().map(|section| {
            let other = self.conf.get(section, "auth_section");
            other.unwrap_or_else(|| (*section).to_owned())
        });
        let mut named = named.filter(|section| has_login(section));
        named.next().unwrap_or_else(|| LOGINS[0].to_owned())
    }

    fn allow(&self, proxies: &[Proxy]) -> String {
        let uses = |one: &Proxy| proxies.iter().any(|proxy| proxy.section == one.section);
        let mut rules = Vec::new();
        if uses(&VNC) || uses(&SPICE) {
            rules.push(format!("*:{DISPLAYS}"));
        }
        if uses(&SERIAL) {
            rules.push(format!("*:{}", self.serial_ports()));
        }
        list(rules.iter().map(String::as_str))
    }

    fn serial_ports(&self) -> String {
        let range = self.conf.get(SERIAL.section, "port_range");
        let range = range.unwrap_or_else(|| SERIAL_LINES.to_owned());
        range.replace(':', "-")
    }

    /// Returns the table `rfb`: the `auth_schemes` of `[vnc]`, and its certificates.
    fn rfb(&mut self, proxies: &[Proxy]) -> Option<String> {
        let uses = |one: &Proxy| proxies.iter().any(|proxy| proxy.section == one.section);
        if !uses(&VNC) {
            return None;
        }
        let get = |key: &str| self.conf.get(VNC.section, key);
        let schemes = self.conf.list(VNC.section, "auth_schemes");
        let schemes = if schemes.is_empty() {
            vec!["none".to_owned()]
        } else {
            schemes
        };
        if uses(&SPICE) {
            self.draft.leave_out(
                "auth_schemes, beside consoles of SPICE",
                "both have the same ports, and Nova's API does not say of which kind one is, so bytes pass untouched; \
                 for VeNCrypt take a Noren of its own for [spice], and rfb = { … } here",
            );
            return None;
        }
        let mut security = Vec::new();
        for scheme in &schemes {
            match scheme.as_str() {
                "vencrypt" => security.push("x509-none"),
                "none" => security.push("none"),
                other => self.draft.leave_out(
                    &format!("the scheme {other} of auth_schemes"),
                    "Nova itself has vencrypt and none only",
                ),
            }
        }
        let mut parts = Vec::new();
        if uses(&SERIAL) {
            parts.push(format!("ports = {}", list([DISPLAYS])));
        }
        parts.push(format!("security = {}", list(security.iter().copied())));
        if security.contains(&"x509-none") {
            let ca = get("vencrypt_ca_certs");
            let client = get("vencrypt_client_cert").zip(get("vencrypt_client_key"));
            let mut tls: Vec<_> = ca.iter().map(|ca| format!("ca = {}", quoted(ca))).collect();
            if let Some((certificate, key)) = client {
                tls.push(format!("certificate = {}", quoted(&certificate)));
                tls.push(format!("key = {}", quoted(&key)));
                self.draft.add_step(&format!(
                    "let noren read the key of vencrypt_client_key: chgrp noren {key} && chmod 640 {key}"
                ));
            }
            if ca.is_some() {
                tls.push("any-name = true".to_owned());
                self.draft.add_step(
                    "any-name is how Nova does it, which looks at no name in a certificate: the authority must sign \
                     for compute hosts only; take it out if the certificates have the addresses that Nova connects to",
                );
            }
            parts.push(format!("tls = {{ {} }}", tls.join(", ")));
        }
        Some(format!("{{ {} }}", parts.join(", ")))
    }
}
