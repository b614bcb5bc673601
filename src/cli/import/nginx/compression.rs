//! Converts `gzip`, `brotli` and `zstd` to the compression that Noren has: of an app's responses by their media type,
//! and of files with a compressed copy beside them. Must not know the route.

use noren::Config;

use super::super::draft::{list, quoted};
use super::report::Report;
use super::scope::Scope;
use super::syntax::Directive;

const KINDS: [&str; 3] = ["gzip", "brotli", "zstd"];
/// Settings of each kind that Noren chooses itself.
const CHOSEN: [&str; 11] = [
    "vary",
    "proxied",
    "comp_level",
    "buffers",
    "http_version",
    "disable",
    "window",
    "hash",
    "min_length",
    "no_buffer",
    "bypass",
];
/// Media types for `gzip_types *`: those that compression makes smaller.
const ALL: [&str; 8] = [
    "text/css",
    "text/plain",
    "text/javascript",
    "application/javascript",
    "application/json",
    "application/xml",
    "application/rss+xml",
    "image/svg+xml",
];

const OTHERWISE: &str = "br, zstd or gzip, as the browser likes best, for answers of a known length from 1 KiB on; not \
                         for visitors with a cookie or a password, and not for private answers, unless \
                         compress-private = true (their length would tell of what is in them)";
const OF_FILES: &str = "files are not compressed as they are sent: with precompressed = true, style.css.gz or \
                        style.css.br beside style.css is sent";

/// Returns the key for the responses of an app; `None` if nginx does not compress them.
pub(super) fn of_app(scope: &Scope<'_>, report: &mut Report) -> Option<(&'static str, String)> {
    let mut types = Vec::new();
    for kind in KINDS {
        let Some(switch) = enabled_by(kind, scope, report) else {
            continue;
        };
        if types.is_empty() {
            types.push("text/html".to_owned());
        }
        for one in scope.nearest_all(&format!("{kind}_types")) {
            report.carry(one);
            add_types(&mut types, one, report);
        }
        report.replace(switch, OTHERWISE);
    }
    let types = types.iter().map(String::as_str);
    let types: Vec<_> = types.collect();
    (!types.is_empty()).then(|| ("compress", list(types)))
}

/// Returns the key for the files of a directory; `None` if nginx sends no compressed ones.
pub(super) fn of_files(scope: &Scope<'_>, report: &mut Report) -> Option<(&'static str, String)> {
    let mut is_prepared = false;
    for kind in KINDS {
        if let Some(prepared) = scope.nearest(&format!("{kind}_static")) {
            report.carry(prepared);
            is_prepared |= prepared.argument(0) != "off";
        }
        if let Some(switch) = enabled_by(kind, scope, report) {
            for types in scope.nearest_all(&format!("{kind}_types")) {
                report.carry(types);
            }
            if !is_prepared {
                report.replace(switch, OF_FILES);
            }
        }
    }
    is_prepared.then(|| ("precompressed", "true".to_owned()))
}

/// Returns the directive that turns a kind of compression on, if it is on. The other settings of a kind that is off
/// have no effect.
fn enabled_by<'a>(kind: &str, scope: &Scope<'a>, report: &mut Report) -> Option<&'a Directive> {
    let switch = scope.nearest(kind);
    for setting in CHOSEN {
        if let Some(one) = scope.nearest(&format!("{kind}_{setting}")) {
            report.carry(one);
        }
    }
    let switch = switch?;
    report.carry(switch);
    let is_on = switch.argument(0) == "on";
    if !is_on {
        for types in scope.nearest_all(&format!("{kind}_types")) {
            report.carry(types);
        }
    }
    is_on.then_some(switch)
}

fn add_types(types: &mut Vec<String>, directive: &Directive, report: &mut Report) {
    for name in directive.arguments() {
        let name = name.to_ascii_lowercase();
        if name == "*" {
            let why = "there is no word for all types: those that get smaller by it are taken";
            report.leave_out(directive, why);
            types.extend(ALL.iter().map(|&name| name.to_owned()));
        } else if is_accepted(&name) {
            types.push(name);
        } else {
            report.leave_out(
                directive,
                &format!("{name} is no media type that is compressed here"),
            );
        }
    }
    let mut known = std::collections::HashSet::new();
    types.retain(|name| known.insert(name.clone()));
}

fn is_accepted(name: &str) -> bool {
    let text = format!(
        "[[app]]\nurl = \"http://127.0.0.1:1\"\ncompress = [{}]\n",
        quoted(name)
    );
    Config::parse(&text, "type").is_ok()
}
