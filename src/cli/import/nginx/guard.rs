//! The access rules of a location: passwords and methods, for which Noren has keys, and all other restrictions, which
//! close the location. Does not decide which location serves a request.

use super::directives::{Meaning, is_harmless_file, is_place_of_servers, meaning};
use super::facts::Facts;
use super::headers::Rule;
use super::scope::Scope;
use super::syntax::Directive;

/// Headers that say nothing about the identity of a client, so that clients may send them.
const PLAIN_HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-type",
    "cookie",
    "dnt",
    "early-data",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "keep-alive",
    "origin",
    "pragma",
    "range",
    "referer",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "user-agent",
    "x-nginx-proxy",
    "x-queue-start",
    "x-real-port",
    "x-request-id",
    "x-request-start",
    "x-requested-with",
];

/// A password file, and the realm that browsers show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Login<'a> {
    pub(super) users: &'a Directive,
    pub(super) realm: &'a Directive,
}

/// Returns the directive that restricts access in a way for which Noren has no key, if there is one.
pub(super) fn obstacle<'a>(scope: &Scope<'a>) -> Option<&'a Directive> {
    let on = |name: &str| scope.nearest(name).filter(|one| one.argument(0) != "off");
    let turned_off = |name: &str| scope.nearest(name).filter(|one| one.argument(0) == "off");
    foreign(scope)
        .or_else(|| addresses(scope))
        .or_else(|| on("auth_request"))
        .or_else(|| on("auth_jwt"))
        .or_else(|| scope.nearest("access_by_lua"))
        .or_else(|| scope.nearest("internal"))
        .or_else(|| scope.nearest("proxy_method"))
        .or_else(|| scope.nearest("proxy_set_body"))
        .or_else(|| turned_off("proxy_pass_request_body"))
        .or_else(|| turned_off("proxy_pass_request_headers"))
}

/// Returns a directive of an unknown module, or a file that was not read: each may restrict access.
fn foreign<'a>(scope: &Scope<'a>) -> Option<&'a Directive> {
    scope.blocks().find_map(|block| {
        let holds_servers = block
            .iter()
            .any(|one| matches!(one.name(), "server" | "http"));
        block.iter().find(|one| match one.name() {
            "include" => {
                let file = one.argument(0);
                !(is_harmless_file(file) || holds_servers && is_place_of_servers(file))
            }
            name => meaning(name) == Meaning::Unknown,
        })
    })
}

/// Returns the first `allow` or `deny` of the nearest block that has any, unless they admit all clients.
fn addresses<'a>(scope: &Scope<'a>) -> Option<&'a Directive> {
    let rule = |block: &'a [Directive]| {
        block
            .iter()
            .find(|one| matches!(one.name(), "allow" | "deny"))
    };
    let first = scope.blocks().find_map(rule)?;
    (first.words != ["allow", "all"]).then_some(first)
}

/// Returns the password file of a location. The error is a directive that requires a password without naming a file.
pub(super) fn login<'a>(scope: &Scope<'a>) -> Result<Option<Login<'a>>, &'a Directive> {
    let realm = scope.nearest("auth_basic");
    let Some(realm) = realm.filter(|realm| realm.argument(0) != "off") else {
        return Ok(None);
    };
    let users = scope.nearest("auth_basic_user_file").ok_or(realm)?;
    if users.argument(0).contains('$') {
        return Err(users);
    }
    Ok(Some(Login { users, realm }))
}

/// Returns the only methods that `limit_except` permits.
pub(super) fn methods<'a>(scope: &Scope<'a>) -> Option<(&'a Directive, Vec<String>)> {
    let admits_all = |one: &&Directive| one.block.iter().all(|rule| rule.words == ["allow", "all"]);
    let limit = scope
        .nearest("limit_except")
        .filter(|one| !admits_all(one))?;
    Some((limit, limit.arguments().to_vec()))
}

/// The headers that nginx sets for an app.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Headers<'a> {
    /// The header with the name of the user whose password was verified.
    pub(super) user: Option<&'a Directive>,
    /// Fixed values, and headers of clients to remove.
    pub(super) rules: Vec<Rule<'a>>,
    /// Headers that clients may send themselves, or that Noren sets.
    pub(super) carried: Vec<&'a Directive>,
    /// Headers that the app does not get, or gets in another way.
    pub(super) notes: Vec<(&'a Directive, &'static str)>,
}

/// Converts the headers for an app. The error is a header that a client could forge with Noren, and that the app may
/// trust.
pub(super) fn headers<'a>(
    scope: &Scope<'a>,
    facts: &Facts,
    has_login: bool,
) -> Result<Headers<'a>, &'a Directive> {
    let mut found = Headers::default();
    for one in scope.nearest_all("proxy_set_header") {
        let name = one.argument(0).to_lowercase();
        let value = one.argument(1);
        let own = format!("$http_{}", name.replace('-', "_"));
        match name.as_str() {
            "host" if value.contains("host") && value.contains('$') => found.carried.push(one),
            "host" if value.contains("$server_name") => found.carried.push(one),
            // An app may have several sites, of which nginx shows one.
            "host" if facts.server_name.is_empty() => return Err(one),
            "host" => found
                .notes
                .push((one, "the app gets the name that the visitor asked for")),
            "connection" | "upgrade" | "x-forwarded-for" | "x-forwarded-host"
            | "x-forwarded-proto" | "x-real-ip" => found.carried.push(one),
            _ if value == own => found.carried.push(one),
            _ if value == "$remote_user" && has_login && found.user.is_none() => {
                found.user = Some(one);
            }
            "content-length" | "transfer-encoding" | "te" | "expect" => found
                .notes
                .push((one, "the length of a body is Noren's to say")),
            "authorization" => found.notes.push((
                one,
                "the app gets the visitor's own, unless `users` has asked for it",
            )),
            _ if noren::is_reserved_header(&name)
                && Rule::of(one, facts).is_none_or(|rule| rule.value.is_none()) =>
            {
                found.notes.push((
                    one,
                    "no client can send this header, and the app does not get it",
                ));
            }
            name if PLAIN_HEADERS.contains(&name) => found
                .notes
                .push((one, "the app gets what the visitor sends")),
            _ => {
                let rule = Rule::of(one, facts).ok_or(one)?;
                if rule.value.is_none() && !value.is_empty() {
                    found.notes.push((
                        one,
                        "it depends on the request, so that the app does not get this header at all",
                    ));
                }
                found.carried.push(one);
                found.rules.push(rule);
            }
        }
    }
    Ok(found)
}
