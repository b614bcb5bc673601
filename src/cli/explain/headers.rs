//! Describes the rules for headers.

use noren::config::{Config, Field, HeaderRules};

use super::text::Text;

/// Adds the rules for the headers of every response. Rules of an app or of files are described with their route.
pub(super) fn response_headers(text: &mut Text, config: &Config) {
    text.heading("Headers of every response, unless its route has a rule for the same one");
    for line in rules(&config.headers.general()) {
        text.line(line);
    }
    let own = rules(&config.headers.own);
    if !own.is_empty() {
        text.heading("Headers of responses that no app and no files have");
        for line in own {
            text.line(line);
        }
    }
}

/// Adds the header rules of a route.
pub(super) fn header_rules(text: &mut Text, direction: &str, of: &HeaderRules) {
    for line in rules(of) {
        text.more(format_args!("headers {direction}: {line}"));
    }
}

/// Lists the names of headers, without their values, which may be long or secret.
fn rules(rules: &HeaderRules) -> Vec<String> {
    let named = |fields: &[Field]| fields.iter().map(|field| field.name.to_string()).collect();
    let removed = rules.remove.iter().map(ToString::to_string).collect();
    let lists: [(&str, Vec<String>); 4] = [
        ("removed", removed),
        ("set", named(&rules.set)),
        ("added", named(&rules.add)),
        ("set where there is none", named(&rules.default)),
    ];
    lists
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what}: {}", names.join(", ")))
        .collect()
}
