//! Applies the rules of a configuration to the header fields of a message.

use http::header::{HeaderMap, HeaderName};

use crate::config::{Field, HeaderRules, Scope};

/// Applies rules to the header fields of a request to an app.
pub(crate) fn apply_to_request(rules: &HeaderRules, headers: &mut HeaderMap) {
    apply(rules, headers, |_| true);
}

/// Applies rules to the header fields of a response, with or without TLS.
pub(crate) fn apply_to_response(
    rules: &HeaderRules,
    headers: &mut HeaderMap,
    over_tls: bool,
    is_error: bool,
) {
    apply(rules, headers, |scope| match scope {
        Scope::Every => true,
        Scope::Tls => over_tls,
        Scope::Success => !is_error,
    });
}

/// The fields whose value from an app never reaches a client.
#[must_use]
pub(crate) fn replaced_fields(rules: &HeaderRules) -> Vec<HeaderName> {
    let set = rules.set.iter().map(|field| &field.name);
    rules.remove.iter().chain(set).cloned().collect()
}

fn apply(rules: &HeaderRules, headers: &mut HeaderMap, is_for: impl Fn(Scope) -> bool) {
    for name in &rules.remove {
        headers.remove(name);
    }
    for field in rules.set.iter().filter(|field| is_for(field.scope)) {
        headers.remove(&field.name);
        append(field, headers);
    }
    for field in rules.add.iter().filter(|field| is_for(field.scope)) {
        append(field, headers);
    }
    for field in rules.default.iter().filter(|field| is_for(field.scope)) {
        if !headers.contains_key(&field.name) {
            append(field, headers);
        }
    }
}

fn append(field: &Field, headers: &mut HeaderMap) {
    for value in &field.values {
        headers.append(field.name.clone(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use http::HeaderValue;

    /// The values of `x-a: app` and `x-b: app` after the rules of an app.
    fn left(rules: &str, over_tls: bool, is_error: bool) -> Vec<String> {
        let text = format!("[[app]]\nurl = 'http://127.0.0.1:1'\n[app.response-headers]\n{rules}");
        let config = Config::parse(&text, "test").expect("a valid configuration");
        let app = config.apps.first().expect("an app");
        let mut headers = HeaderMap::new();
        for name in ["x-a", "x-b"] {
            headers.insert(name, HeaderValue::from_static("app"));
        }
        apply_to_response(&app.response_headers, &mut headers, over_tls, is_error);
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().expect("ASCII"))
        };
        let mut lines: Vec<_> = headers.iter().map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn each_rule_does_what_its_name_says() {
        for (rules, expected) in [
            ("remove = ['X-A', 'X-C']", &["x-b: app"][..]),
            (
                "set = { X-A = 'door', X-C = ['1', '2'] }",
                &["x-a: door", "x-b: app", "x-c: 1", "x-c: 2"],
            ),
            (
                "add = { X-A = 'door', X-C = '1' }",
                &["x-a: app", "x-a: door", "x-b: app", "x-c: 1"],
            ),
            (
                "default = { X-A = 'door', X-C = '1' }",
                &["x-a: app", "x-b: app", "x-c: 1"],
            ),
        ] {
            assert_eq!(left(rules, true, false), expected, "{rules}");
        }
    }

    #[test]
    fn a_rule_that_lets_responses_be_kept_leaves_errors_alone_and_hsts_what_has_no_tls() {
        let rules = "set = { Cache-Control = 'max-age=60', Strict-Transport-Security = 'max-age=1' }\n\
                     remove = ['X-A', 'X-B']";
        let (kept, strict) = (
            "cache-control: max-age=60",
            "strict-transport-security: max-age=1",
        );
        assert_eq!(left(rules, true, false), [kept, strict]);
        assert_eq!(left(rules, false, false), [kept]);
        assert_eq!(left(rules, true, true), [strict]);
        let rules = "set = { Cache-Control = 'no-store' }\nremove = ['X-A', 'X-B']";
        assert_eq!(left(rules, true, true), ["cache-control: no-store"]);
    }
}
