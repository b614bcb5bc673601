//! `tls` of an app, a target or a source of tokens: how the connection to it is encrypted. Loads nothing.

use std::path::PathBuf;

use super::reader::Table;
use super::value;

/// The table `tls` of an `[[app]]`, a `[[bridge.tokens]]` or a `[[bridge.target]]`; `tls = {}` is all defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetTls {
    /// `ca`: a PEM file with the authorities whose certificates are believed. Default `None`: those
    /// this system trusts.
    pub ca: Option<PathBuf>,
    /// `name`: the name that must be in the certificate. Default `None`: the host of the target; a
    /// UNIX socket has none.
    pub name: Option<String>,
    /// `certificate` and `key`: the client certificate of Noren, as PEM files. Default `None`.
    pub client: Option<(PathBuf, PathBuf)>,
    /// `insecure-skip-verify`: accepts any certificate. For apps only. Default no.
    pub insecure_skip_verify: bool,
    /// `any-name`: accepts a certificate that `ca` has signed with any name in it. For `rfb` only, whose hosts are
    /// often connected to by address. Default no.
    pub any_name: bool,
}

/// The keys beyond those that every table has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Nothing,
    SkipVerify,
    AnyName,
}

impl TargetTls {
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        Self::read_with(table, More::Nothing)
    }

    /// Reads the table for an app, whose certificate may be left unverified.
    pub(super) fn read_for_app(table: &mut Table<'_>) -> Option<Self> {
        Self::read_with(table, More::SkipVerify)
    }

    /// The same inside of RFB, where the authority may be enough.
    pub(super) fn read_for_rfb(table: &mut Table<'_>) -> Option<Self> {
        Self::read_with(table, More::AnyName)
    }

    fn read_with(table: &mut Table<'_>, more: More) -> Option<Self> {
        let has = table.has("tls");
        let tls = table.table("tls", |table| {
            let ca = table.text("ca", None, |text| value::path(text).map(Some));
            let name = table.text("name", None, |text| parse_name(text).map(Some));
            let certificate = table.text("certificate", None, |text| value::path(text).map(Some));
            let key = table.text("key", None, |text| value::secret_path(text).map(Some));
            for (one, other, there) in [
                ("certificate", "key", key.is_some()),
                ("key", "certificate", certificate.is_some()),
            ] {
                if there && !table.has(one) {
                    table.problem(other, format!("needs a {one}; write both, or neither"));
                }
            }
            let insecure_skip_verify = more == More::SkipVerify && table.flag("insecure-skip-verify", false);
            if insecure_skip_verify && ca.is_some() {
                let text = "verifies nothing where insecure-skip-verify says that any certificate will do; \
                            remove one of the two";
                table.problem("ca", text);
            }
            let any_name = more == More::AnyName && table.flag("any-name", false);
            if any_name && ca.is_none() {
                let text = "would believe every certificate that any authority of this system has signed; name the \
                            authority of your consoles as ca";
                table.problem("any-name", text);
            } else if any_name && name.is_some() {
                let text = "is never looked at where any-name says that every name will do; remove one of the two";
                table.problem("name", text);
            }
            Self {
                ca,
                name,
                client: certificate.zip(key),
                insecure_skip_verify,
                any_name,
            }
        });
        has.then_some(tls)
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if !text.is_empty() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            r#"{text:?} is no name of a host; write for example "kvm1.example.org""#
        ))
    }
}
