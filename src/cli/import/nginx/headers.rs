//! Rules for headers that Noren has too: fixed values, and removed names. Each rule is parsed separately, so that one
//! that Noren refuses is reported and does not make the file invalid. Must not know the route.

use noren::Config;

use super::super::draft::{list, quoted};
use super::facts::Facts;
use super::scope::Scope;
use super::syntax::Directive;

/// A rule for one header of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule<'a> {
    pub(super) at: &'a Directive,
    /// The fixed value; `None` if the header is removed.
    pub(super) value: Option<String>,
}

impl<'a> Rule<'a> {
    /// Converts `proxy_set_header`; `None` if Noren has no such rule.
    pub(super) fn of(at: &'a Directive, facts: &Facts) -> Option<Self> {
        let value = facts
            .expand(at.argument(1))
            .filter(|value| !value.is_empty());
        let rules = [
            value.map(|value| Self {
                at,
                value: Some(value),
            }),
            Some(Self { at, value: None }),
        ];
        let mut rules = rules.into_iter().flatten();
        rules.find(|rule| is_accepted("request-headers", &table(std::slice::from_ref(rule))))
    }
}

/// Returns the key for headers of requests; `None` without a rule.
pub(super) fn of_requests(rules: &[Rule<'_>]) -> Option<(&'static str, String)> {
    (!rules.is_empty()).then(|| ("request-headers", table(rules)))
}

fn table(rules: &[Rule<'_>]) -> String {
    let texts = rules.iter().filter_map(|rule| {
        let value = rule.value.as_ref()?;
        Some((rule.at.argument(0).to_owned(), value.clone()))
    });
    let removed = rules.iter().filter(|rule| rule.value.is_none());
    let removed = removed.map(|rule| rule.at.argument(0).to_owned());
    inline(
        "set",
        &texts.collect::<Vec<_>>(),
        &removed.collect::<Vec<_>>(),
    )
}

/// Converts headers of responses: returns the directives that are carried over, and the key for them.
pub(super) fn of_responses<'a>(
    scope: &Scope<'a>,
) -> (Vec<&'a Directive>, Option<(&'static str, String)>) {
    let mut carried = Vec::new();
    let mut added: Vec<(String, String)> = Vec::new();
    for one in scope.nearest_all("add_header") {
        let (name, value) = (one.argument(0), one.argument(1));
        let is_known = added
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name));
        let pair = [(name.to_owned(), value.to_owned())];
        if GENERAL.contains(&name.to_lowercase().as_str()) || is_known || value.contains('$') {
            continue;
        }
        if is_accepted("response-headers", &inline("add", &pair, &[])) {
            carried.push(one);
            added.extend(pair);
        }
    }
    let mut removed: Vec<String> = Vec::new();
    for one in scope.nearest_all("proxy_hide_header") {
        let name = one.argument(0).to_owned();
        let same = |known: &str| known.eq_ignore_ascii_case(&name);
        let is_added = added.iter().any(|(known, _)| same(known));
        if removed.iter().any(|known| same(known)) || is_added {
            continue;
        }
        if is_accepted(
            "response-headers",
            &inline("add", &[], std::slice::from_ref(&name)),
        ) {
            carried.push(one);
            removed.push(name);
        }
    }
    let is_empty = added.is_empty() && removed.is_empty();
    let key = (!is_empty).then(|| ("response-headers", inline("add", &added, &removed)));
    (carried, key)
}

/// Headers that have their own keys in `[headers]`.
pub(super) const GENERAL: &[&str] = &[
    "strict-transport-security",
    "x-frame-options",
    "x-content-type-options",
];

/// Formats a table of TOML in one line.
fn inline(key: &str, texts: &[(String, String)], removed: &[String]) -> String {
    let pairs: Vec<_> = texts
        .iter()
        .map(|(name, value)| format!("{} = {}", key_of(name), quoted(value)))
        .collect();
    let mut parts = Vec::new();
    if !pairs.is_empty() {
        parts.push(format!("{key} = {{ {} }}", pairs.join(", ")));
    }
    if !removed.is_empty() {
        let names = list(removed.iter().map(String::as_str));
        parts.push(format!("remove = {names}"));
    }
    format!("{{ {} }}", parts.join(", "))
}

/// Formats a key of TOML, in quotes unless it is a plain word.
fn key_of(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(is_plain) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn is_accepted(key: &str, table: &str) -> bool {
    let text = format!("[[app]]\nurl = \"http://127.0.0.1:1\"\n{key} = {table}\n");
    Config::parse(&text, "rule").is_ok()
}
