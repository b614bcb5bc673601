//! `rfb` of the bridge, a source of tokens or a target: consoles whose protocol (RFC 6143) Noren speaks itself. Loads
//! nothing.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::clipboard::Clipboard;
use super::reader::Table;
use super::secret_file::SecretFile;
use super::target_rule::parse_port_range;
use super::target_tls::TargetTls;
use super::value;
use super::view_rules::ViewRules;

/// The table `rfb`; `rfb = {}` of a target or a source is all defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rfb {
    /// `enabled`: speaks RFB, instead of passing bytes on unchanged. Default: yes where a target or a source has the
    /// table, no in `[bridge.rfb]`.
    pub enabled: bool,
    /// `ports`: the ports of the targets that RFB is spoken with, for a source that has other consoles too. Default
    /// `None`: all.
    pub ports: Option<Vec<RangeInclusive<u16>>>,
    /// `security`: the methods that Noren accepts of a host, the best first. Default `None`: those with X.509
    /// certificates and, on a protected way (loopback, a UNIX socket, `tls`), `vnc` and `none` as well.
    pub security: Option<Vec<RfbSecurity>>,
    /// `user`: for `x509-plain`. Default `None`.
    pub user: Option<String>,
    /// `password`: the file with the password. Default `None`: the password from the token source, if there is one.
    pub password: Option<SecretFile>,
    /// `timeout`: for the handshake with the host, and then for that with the browser. Default 10 s.
    pub timeout: Duration,
    /// `tls`: authority, name and client certificate for the X.509 methods. Default `None`: the authorities of this
    /// system, and the host's name.
    pub tls: Option<TargetTls>,
    /// `view-only`, `operators`, `viewers` and `clipboard`: the rights of a visitor at a console.
    pub access: RfbAccess,
}

/// The keys of `rfb` that restrict a visitor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RfbAccess {
    /// `view-only`, `operators` and `viewers`: the rule for view-only visitors.
    pub view: ViewRules,
    /// `clipboard`: the ways that a clipboard may take. Default `both`.
    pub clipboard: Clipboard,
}

impl RfbAccess {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            view: ViewRules::read(table),
            clipboard: table.text("clipboard", Clipboard::Both, Clipboard::parse),
        }
    }
}

/// A security method of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RfbSecurity {
    /// `x509-plain`: VeNCrypt with a certificate; then user and password.
    X509Plain,
    /// `x509-vnc`: VeNCrypt with a certificate; then a password.
    X509Vnc,
    /// `x509-none`: VeNCrypt with a certificate.
    X509None,
    /// `vnc`: a password of eight bytes, and nothing encrypted.
    Vnc,
    /// `none`: nothing.
    None,
}

/// Default of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);

impl RfbSecurity {
    /// All of them, the best first.
    pub const ALL: [Self; 5] = [
        Self::X509Plain,
        Self::X509Vnc,
        Self::X509None,
        Self::Vnc,
        Self::None,
    ];

    const NAMES: [(&'static str, Self); 5] = [
        ("x509-plain", Self::X509Plain),
        ("x509-vnc", Self::X509Vnc),
        ("x509-none", Self::X509None),
        ("vnc", Self::Vnc),
        ("none", Self::None),
    ];

    /// The word for it in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        value::name_of(self, &Self::NAMES)
    }

    /// True if the connection is encrypted, and the host has a certificate.
    #[must_use]
    pub fn has_certificate(self) -> bool {
        matches!(self, Self::X509Plain | Self::X509Vnc | Self::X509None)
    }

    /// True if the host asks for a password.
    #[must_use]
    pub fn has_password(self) -> bool {
        matches!(self, Self::X509Plain | Self::X509Vnc | Self::Vnc)
    }

    fn parse(text: &str) -> Result<Self, String> {
        if matches!(text, "tls-none" | "tls-vnc" | "tls-plain") {
            return Err(format!(
                "{text:?} is TLS without a certificate, which whoever is on the way can answer; give the host a \
                 certificate, and write \"x509-{}\"",
                text.trim_start_matches("tls-")
            ));
        }
        value::choice(text, &Self::NAMES)
    }
}

impl fmt::Display for RfbSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Default for Rfb {
    fn default() -> Self {
        Self {
            enabled: false,
            ports: None,
            security: None,
            user: None,
            password: None,
            timeout: TIMEOUT,
            tls: None,
            access: RfbAccess::default(),
        }
    }
}

impl Rfb {
    /// Reads the table of the bridge, which is for all targets and sources without one of their own.
    pub(super) fn read_for_bridge(bridge: &mut Table<'_>) -> Self {
        bridge.table("rfb", |table| Self::read_with(table, false))
    }

    /// Reads the table of a target or a source.
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let has = table.has("rfb");
        let rfb = table.table("rfb", |table| Self::read_with(table, true));
        has.then_some(rfb)
    }

    fn read_with(table: &mut Table<'_>, enabled: bool) -> Self {
        let has_ports = table.has("ports");
        let ports = table.list("ports", Vec::new(), parse_port_range);
        let (has_enabled, has_security) = (table.has("enabled"), table.has("security"));
        let security = table.list("security", Vec::new(), RfbSecurity::parse);
        let rfb = Self {
            enabled: table.flag("enabled", enabled),
            ports: has_ports.then_some(ports),
            security: has_security.then_some(security),
            user: table.text("user", None, |text| value::not_empty(text).map(Some)),
            password: table.text("password", None, |text| SecretFile::parse(text).map(Some)),
            timeout: table.time_limit("timeout", TIMEOUT),
            tls: TargetTls::read_for_rfb(table),
            access: RfbAccess::read(table),
        };
        if table.is_sound() {
            rfb.check(table);
            // The other settings suggest that it is on.
            if !rfb.enabled && !has_enabled && rfb != Self::default() {
                let text =
                    "is missing, and without it bytes pass untouched here; write enabled = true";
                table.problem("enabled", text);
            }
        }
        rfb
    }

    fn check(&self, table: &mut Table<'_>) {
        let accepts = |wanted: fn(RfbSecurity) -> bool| match &self.security {
            Some(list) => list.iter().any(|method| wanted(*method)),
            None => true,
        };
        if self.ports.as_ref().is_some_and(Vec::is_empty) {
            let text = "has none, so RFB is spoken with nothing; write for example [\"5900-5999\"], or remove it";
            table.problem("ports", text);
        }
        if self.security.as_ref().is_some_and(Vec::is_empty) {
            let text = "accepts nothing, so no console can be opened; write a method such as \"x509-none\", or \
                        remove it";
            table.problem("security", text);
        } else if self.tls.is_some() && !accepts(RfbSecurity::has_certificate) {
            let text = "is for the methods with a certificate, and security has none of them; remove one of the two";
            table.problem("tls", text);
        } else if self.user.is_some() && !accepts(|method| method == RfbSecurity::X509Plain) {
            table.problem(
                "user",
                "is for x509-plain, which is not in security; remove one of the two",
            );
        } else if self.password.is_some() && !accepts(RfbSecurity::has_password) {
            let text = "is never asked for by the methods in security; remove one of the two";
            table.problem("password", text);
        }
    }
}
