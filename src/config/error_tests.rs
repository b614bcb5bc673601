//! The texts of errors, word for word: they are what an operator reads at 3 a.m.

mod access;
mod apps;
mod bridge;
mod channels;
mod listeners;
mod values;

use super::Config;

/// A file that is valid but for `rest`, which begins on line 3.
fn with_app(rest: &str) -> String {
    format!("[[app]]\nurl = \"http://127.0.0.1:8010\"\n{rest}")
}

/// The error for a text, or an empty text if it is valid.
fn said_of(text: &str) -> String {
    Config::parse(text, "noren.toml").map_or_else(|error| error.to_string(), |_| String::new())
}

/// Asserts what is said of a file with an app and, from line 3, `rest`.
fn says(rest: &str, expected: &str) {
    assert_eq!(said_of(&with_app(rest)), expected, "{rest}");
}

#[test]
fn a_file_that_is_wrong_on_each_line_is_answered_in_a_hundred_lines_and_a_number() {
    let keys: Vec<_> = (0..5000)
        .map(|number| format!("key-{number} = 1"))
        .collect();
    let said = said_of(&keys.join("\n"));
    assert_eq!(said.lines().count(), 101, "{said}");
    let last = "4900 more are wrong; mend these first, then the next are shown";
    assert_eq!(said.lines().last(), Some(last));
}

#[test]
fn a_misspelt_key_is_told_the_nearest_one() {
    says(
        "[bridge]\nidel = \"10s\"",
        "noren.toml:4: bridge.idel: unknown key; did you mean `idle`?",
    );
    says(
        "[[listeners]]",
        "noren.toml:3: listeners: unknown key; did you mean `listener`?",
    );
    says(
        "\"server\\nroot\" = 1",
        "noren.toml:3: app[0].server\\nroot: unknown key; did you mean `server-root`?",
    );
    says(
        "body_size = 1",
        "noren.toml:3: app[0].body_size: unknown key; known here: name, url, urls, tls, hosts, path, refuse, \
         server-root, encoded-slash, case-insensitive, methods, origins, missing-origin, users, realm, \
         client-certificate, client-names, user-header, certificate-header, request-headers, \
         response-headers, request-rate, request-burst, request-delay-after, requests-per-address, limit-zone, \
         workers, queue, queue-wait, connect, response, response-idle, keep-alive, \
         restart-wait, health-path, health-interval, health-failures, health-successes, health-silence, \
         retry-elsewhere, affinity, request-spool, ignore-client-abort, response-spool, \
         compress, compress-private, offload, grip",
    );
    says(
        "[log]\ncolour = true",
        "noren.toml:4: log.colour: unknown key; known here: level, format, access, access-format, audit",
    );
}

#[test]
fn a_table_of_the_wrong_kind_is_told_its_brackets() {
    says(
        "[bridge.tokens]\nsource = \"file\"",
        "noren.toml:3: bridge.tokens: expected a list of tables, found a table; write [[bridge.tokens]]",
    );
    says(
        "[[log]]",
        "noren.toml:3: log: expected one table, found a list of tables; write [log]",
    );
}

#[test]
fn a_missing_key_is_told_where_it_belongs() {
    let said =
        r#"noren.toml:3: bridge.target[0].address: is missing; write address = "unix:/path""#;
    says("[[bridge.target]]\ntoken = \"a\"", said);
    let said = r#"noren.toml:2: app.wok.url: is missing; write url = "http://127.0.0.1:8010""#;
    assert_eq!(said_of("\n[[app]]\nname = \"wok\""), said);
}

#[test]
fn what_is_not_toml_is_told_in_plain_words() {
    let said = r#"noren.toml:4: the value needs straight double quotes; write idle = "10s""#;
    says("[bridge]\nidle = 10s", said);
}

#[test]
fn all_problems_are_told_in_the_order_of_their_lines() {
    let said = "noren.toml:1: tsl: unknown key; did you mean `tls`?\n\
        noren.toml:3: app[0].workers: 0 is out of range; write a number from 1 to 100000\n\
        noren.toml:4: app[0].wrkers: unknown key; did you mean `workers`?\n\
        noren.toml:6: log.access: expected true or false, found the number 1; write true or false";
    let text = "[tsl]\n[[app]]\nworkers = 0\nwrkers = 1\n[log]\naccess = 1\n[[app]]\nurl = \"unix:/run/a\"";
    let url = "\nnoren.toml:2: app[0].url: is missing; write url = \"http://127.0.0.1:8010\"\n";
    assert_eq!(said_of(text), said.replacen('\n', url, 1));
}

#[test]
fn a_problem_hides_no_other_and_makes_up_none() {
    // The second app is wrong, so nothing is said of the path it shares with the first one.
    says(
        "[[app]]\nname = \"b\"\nurl = \"http://b:1\"\npaht = \"/b\"",
        "noren.toml:6: app.b.paht: unknown key; did you mean `path`?",
    );
    // The misspelt app is not also told that there is none.
    assert_eq!(
        said_of("[[apps]]\nurl = \"http://b:1\""),
        "noren.toml:1: apps: unknown key; did you mean `app`?"
    );
}
