//! Errors of the bridge: its subprotocols, its targets and their tokens, and RFB.

use super::{said_of, says, with_app};

#[test]
fn a_subprotocol_is_a_token_that_is_not_known_anyway() {
    for (list, expected) in [
        (
            "['mqtt', 'mqtt']",
            r#"noren.toml:4: bridge.subprotocols: has "mqtt" twice; take one out"#,
        ),
        (
            "['binary']",
            "noren.toml:4: bridge.subprotocols[0]: \"binary\" is spoken by every target; the list is for others, \
             such as \"mqtt\", and may be empty",
        ),
        (
            "['mqtt, xmpp']",
            "noren.toml:4: bridge.subprotocols[0]: \"mqtt, xmpp\" is not the name of a subprotocol; write for \
             example \"mqtt\" or \"v12.stomp\"",
        ),
    ] {
        says(&format!("[bridge]\nsubprotocols = {list}"), expected);
    }
}

#[test]
fn rfb_that_could_open_nothing_is_told_what_to_write() {
    for (keys, said) in [
        (
            "security = ['x509-none', 'tls-none']",
            "security[1]: \"tls-none\" is TLS without a certificate, which whoever is on the way can answer; give the \
             host a certificate, and write \"x509-none\"",
        ),
        (
            "security = ['ra2']",
            "security[0]: \"ra2\" is not known here; write \"x509-plain\", \"x509-vnc\", \"x509-none\", \"vnc\" or \
             \"none\"",
        ),
        (
            "security = []",
            "security: accepts nothing, so no console can be opened; write a method such as \"x509-none\", or remove \
             it",
        ),
        (
            "security = ['none']\ntls = {}",
            "tls: is for the methods with a certificate, and security has none of them; remove one of the two",
        ),
        (
            "security = ['vnc']\nuser = 'a'",
            "user: is for x509-plain, which is not in security; remove one of the two",
        ),
        (
            "security = ['none']\npassword = '/p'",
            "password: is never asked for by the methods in security; remove one of the two",
        ),
        (
            "password = 'so up'",
            "password: is no place of a secret; write a file such as \"/etc/noren/secret\" or \"./secret\", or \
             \"credential:NAME\"",
        ),
        (
            "tls.any-name = true",
            "tls.any-name: would believe every certificate that any authority of this system has signed; name the \
             authority of your consoles as ca",
        ),
        (
            "tls.any-name = true\ntls.ca = '/c'\ntls.name = 'n'",
            "tls.name: is never looked at where any-name says that every name will do; remove one of the two",
        ),
    ] {
        let text = with_app(&format!("[bridge.rfb]\nenabled = true\n{keys}"));
        let found = said_of(&text);
        let place = found.split_once("bridge.rfb.").map(|(_, place)| place);
        assert_eq!(place, Some(said), "{found}");
    }
    let said = "noren.toml:3: bridge.rfb.enabled: is missing, and without it bytes pass untouched here; write enabled \
                = true";
    says("[bridge.rfb]\npassword = '/p'", said);
}

#[test]
fn a_shared_console_that_cannot_be_one_is_told_what_to_write() {
    let target = |bridge: &str, keys: &str| {
        format!("[bridge]\n{bridge}\n[[bridge.target]]\ntoken = 'vm'\naddress = 'unix:/vm'\n{keys}")
    };
    let needs = "each viewer of RFB needs a connection of its own;";
    for (text, said) in [
        (
            target("", "shared = {}\nrfb = {}"),
            format!("target[0].shared: and rfb cannot both be for one console: {needs} remove one of the two"),
        ),
        (
            target("rfb = { enabled = true }", "shared = {}"),
            "target[0].shared: is for a console that [bridge.rfb] is for as well, and each viewer of RFB needs a \
             connection of its own; write rfb = { enabled = false } beside it"
                .to_owned(),
        ),
        (
            target("shared = { enabled = true }", "rfb = {}"),
            "target[0].rfb: is for a console that [bridge.shared] is for as well, and each viewer of RFB needs a \
             connection of its own; write shared = { enabled = false } beside it"
                .to_owned(),
        ),
        (
            target("shared = { enabled = true }\nrfb = { enabled = true }", ""),
            format!(
                "shared: and [bridge.rfb] are both for all consoles, and {needs} disable one of the two, and write a \
                 table into the targets and sources it is for"
            ),
        ),
        (
            target("", "shared = {}\nsubprotocols = ['mqtt']"),
            "target[0].subprotocols: are for protocols whose clients each need a connection of their own; remove \
             them, or shared"
                .to_owned(),
        ),
        (
            target("boundaries = { vm = '//EOM//' }", "shared = {}"),
            "target[0].shared: is for a terminal, and [bridge.boundaries] has a marker for this token; remove one of \
             the two"
                .to_owned(),
        ),
        (
            target("", "shared = { typing = 'some' }"),
            r#"target[0].shared.typing: "some" is not known here; write "first", "one", "all" or "none""#.to_owned(),
        ),
        (
            target("", "shared = { hold = '1s' }"),
            "target[0].shared.hold: is for typing = \"one\", where the keyboard passes from one to another; remove one \
             of the two"
                .to_owned(),
        ),
        (
            target("", "shared = { typing = 'none', view-only = true }"),
            "target[0].shared.typing: \"none\" lets nobody type, whoever it is; remove it, or view-only, operators and \
             viewers"
                .to_owned(),
        ),
        (
            target("", "shared = { directory = '/d', scrollback = '0B' }"),
            "target[0].shared.directory: keeps the scrollback, of which there is none; write a size for scrollback, or \
             remove it"
                .to_owned(),
        ),
        (
            target("", "shared = { lag = '1KiB' }"),
            "target[0].shared.lag: \"1KiB\" is out of range; write a size from \"4KiB\" to \"16MiB\"".to_owned(),
        ),
        (
            target("shared = { typing = 'all' }", ""),
            "shared.enabled: is missing, and without it each viewer has a connection of its own; write enabled = true"
                .to_owned(),
        ),
    ] {
        let found = said_of(&with_app(&text));
        let place = found.split_once(": bridge.").map(|(_, place)| place);
        assert_eq!(place, Some(said.as_str()), "{found}\n{text}");
    }
    // What is for different consoles may be together.
    for text in [
        target(
            "rfb = { enabled = true }",
            "shared = {}\nrfb = { enabled = false }",
        ),
        target(
            "shared = { enabled = true }",
            "shared = { enabled = false }\nrfb = {}",
        ),
        target("", "shared = { consoles = 'serial' }\nrfb = {}"),
        target("subprotocols = ['mqtt']", "shared = {}"),
    ] {
        assert_eq!(said_of(&with_app(&text)), "", "{text}");
    }
    let said = "bridge: lists users of consoles in shared, and visitors are not asked who they are; write [session] \
                with path = \"/tasks\", or users in [bridge]";
    let found = said_of(&with_app(&target("", "shared = { viewers = ['ann'] }")));
    assert!(found.ends_with(said), "{found}");
}

#[test]
fn headers_and_places_of_a_token_api_are_checked() {
    for (keys, said) in [
        (
            "headers = { Host = 'a' }",
            "headers.Host: is written by Noren itself; leave it out",
        ),
        (
            "headers = { 'a b' = 'a' }",
            "headers.a b: \"a b\" is not a name; write letters, digits and \"-\", such as \"Remote-User\"",
        ),
        (
            "headers = { A = \"a\\nb\" }",
            "headers.A: \"a\\nb\" cannot stand in a header; write visible ASCII without spaces around it",
        ),
        (
            "headers = { A = 'a' }\nsecret-headers = { a = '/a' }",
            "secret-headers: has a as well as headers; remove one of the two",
        ),
        (
            "secret-headers = { X-Key = 'so up' }",
            "secret-headers.X-Key: is no place of a secret; write a file such as \"/etc/noren/secret\" or \
             \"./secret\", or \"credential:NAME\"",
        ),
        (
            "answer = { host = 'host' }",
            "answer.host: \"host\" is no JSON pointer; write for example \"/console/host\"",
        ),
        (
            "answer = { path = '/a~2' }",
            "answer.path: \"/a~2\" is no JSON pointer; write for example \"/console/host\"",
        ),
    ] {
        let found = said_of(&with_app(&format!(
            "[[bridge.tokens]]\nsource = 'http'\nurl = 'http://a/{{token}}'\nallow = ['a:1']\n{keys}"
        )));
        let place = found
            .split_once("bridge.tokens[0].")
            .map(|(_, place)| place);
        assert_eq!(place, Some(said), "{found}");
    }
}

#[test]
fn users_of_consoles_that_nobody_is_asked_for_are_told_what_to_write() {
    let anonymous = "bridge: lists users of consoles in rfb, and visitors are not asked who they are; write [session] \
                     with path = \"/tasks\", or users in [bridge]";
    let nameless = "bridge: lists users by name in rfb, and no answer names one; write [session] with name-header = \
                    \"Remote-User\"";
    let groupless = "bridge: lists a group in rfb, and only the answer to a session question tells groups; write \
                     [session] with groups-header = \"Remote-Groups\"";
    let asked = "[session]\npath = '/me'\n";
    for (tables, list, said) in [
        ("", "viewers = ['ann']", anonymous),
        (
            "[session]\npath = '/me'\n[bridge]\nsession = 'none'\n",
            "operators = ['ann']",
            anonymous,
        ),
        (asked, "operators = ['ann']", nameless),
        (asked, "viewers = ['group:guests']", groupless),
        (
            "[bridge]\nusers = '/u'\n",
            "viewers = ['group:guests']",
            groupless,
        ),
    ] {
        let found = said_of(&with_app(&format!(
            "{tables}[bridge.rfb]\nenabled = true\n{list}"
        )));
        let (_, place) = found.split_once(": ").unwrap_or_default();
        assert_eq!(place, said, "{tables} {list}");
    }
    says(
        "[bridge]\nusers = '/u'\n[bridge.rfb]\nenabled = true\nviewers = ['ann']",
        "",
    );
}

#[test]
fn two_targets_with_one_token_are_refused() {
    let target = "[[bridge.target]]\ntoken = \"a\"\naddress = \"unix:/run/a\"\n";
    let said =
        "noren.toml:7: bridge.target[1].token: another target has this token; remove one of them";
    says(&format!("{target}{target}"), said);
}

#[test]
fn a_source_of_no_known_kind_is_told_once_and_one_in_the_network_needs_a_list() {
    let said = "noren.toml:4: bridge.tokens[0].source: \"redi\" is not known here; write \"directory\", \
                \"file\", \"file-name\", \"sockets\", \"http\", \"nova\" or \"redis\"";
    says(
        "[[bridge.tokens]]\nsource = \"redi\"\naddress = \"a:1\"",
        said,
    );
    let said = "noren.toml:3: bridge.tokens[0].allow: is missing: a source in the network may name only \
                what is allowed; write for example allow = [\"10.0.0.0/8:5900-5999\"]";
    says(
        "[[bridge.tokens]]\nsource = \"redis\"\naddress = \"a:1\"",
        said,
    );
    let said = "noren.toml:4: bridge.signed.keys: is missing, and without a key nothing is signed; write \
                for example keys = [\"/etc/noren/links.jwks\"]";
    says(
        "[bridge.signed]\ngrace = \"1s\"",
        said.replace(":4:", ":3:").as_str(),
    );
}
