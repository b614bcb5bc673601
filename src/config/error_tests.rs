//! The texts of errors, word for word: they are what an operator reads at 3 a.m.

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
fn a_duration_without_a_unit_is_told_which_units_there_are() {
    let said = r#"noren.toml:4: bridge.idle: "10" has no unit; write "10s", "5m" or "1h""#;
    says("[bridge]\nidle = \"10\"", said);
    let said = r#"noren.toml:4: bridge.idle: "never" is not a duration; write "10s", "5m" or "1h", or "off""#;
    says("[bridge]\nidle = \"never\"", said);
    let said = r#"noren.toml:4: limits.head: 10 has no unit; write "10s", "5m" or "1h""#;
    says("[limits]\nhead = 10", said);
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let said =
        r#"noren.toml:4: limits.head: a limit of nothing lets nothing pass; write at least "1ms""#;
    says("[limits]\nhead = \"0s\"", said);
    let said = r#"noren.toml:4: bridge.idle: a limit of nothing is written "off""#;
    says("[bridge]\nidle = \"0s\"", said);
}

#[test]
fn a_size_of_a_doubtful_unit_is_told_the_exact_one() {
    let said = r#"noren.toml:4: limits.body-size: "4GB" has an unknown unit; write "4GiB" (B, KiB, MiB, GiB or TiB)"#;
    says("[limits]\nbody-size = \"4GB\"", said);
}

#[test]
fn a_size_out_of_range_is_told_the_range() {
    let said = r#"noren.toml:4: bridge.frame-size: "100B" is out of range; write a size from "256B" to "16MiB""#;
    says("[bridge]\nframe-size = 100", said);
    let said = r#"noren.toml:4: limits.head-size: "4KiB" is out of range; write a size from "8KiB" to "1MiB""#;
    says("[limits]\nhead-size = \"4KiB\"", said);
}

#[test]
fn a_method_that_no_app_gets_is_told_what_to_write() {
    for (written, said) in [
        (
            "Propfind",
            r#""Propfind" is refused, because methods are written in capitals; write "PROPFIND""#,
        ),
        (
            "CONNECT",
            r#""CONNECT" never reaches an app; leave it out: WebSockets over HTTP/2 come with "GET""#,
        ),
        ("TRACE", r#""TRACE" never reaches an app; leave it out"#),
        (
            "GET, POST",
            r#""GET, POST" is not a method; write one such as "GET" or "PROPFIND""#,
        ),
    ] {
        let said = format!("noren.toml:3: app[0].methods[1]: {said}");
        says(&format!("methods = [\"GET\", \"{written}\"]"), &said);
    }
}

#[test]
fn a_header_that_is_not_the_files_to_touch_is_refused_with_the_reason() {
    let table = |table: &str, rule: &str, place: &str, said: &str| {
        let said = format!("noren.toml:4: app[0].{table}.{place}: {said}");
        says(&format!("[app.{table}]\n{rule}"), &said);
    };
    let said = "Content-Length says how the bytes of the body are to be read, which stay as they are; leave it out";
    table(
        "response-headers",
        "set = { Content-Length = '1' }",
        "set.Content-Length",
        said,
    );
    let said = "Connection belongs to one connection, and Noren writes it for each; leave it out";
    table(
        "response-headers",
        "remove = ['Connection']",
        "remove[0]",
        said,
    );
    let said = "Set-Cookie would take the place of the cookies of the app, its session too; write it into add";
    table(
        "response-headers",
        "set = { Set-Cookie = 'a=b' }",
        "set.Set-Cookie",
        said,
    );
    let said = "Host is written by Noren for each request; leave it out";
    table("request-headers", "set = { Host = 'a' }", "set.Host", said);
    let said = r#"is empty; to take the header away, write remove = ["server"]"#;
    table(
        "response-headers",
        "set = { Server = '' }",
        "set.Server",
        said,
    );
    let said = "\"$scheme\" has a variable of another program ($scheme…), and would be sent as it stands; \
                write a fixed text; X-Forwarded-For, -Host and -Proto, X-Real-IP and X-Request-Id are there \
                without it, and user-header names the visitor";
    table(
        "request-headers",
        "set = { X-Scheme = '$scheme' }",
        "set.X-Scheme",
        said,
    );
    let said = r#""a\nb" cannot stand in a header; write visible ASCII without spaces around it"#;
    table(
        "response-headers",
        "add = { X-A = \"a\\nb\" }",
        "add.X-A",
        said,
    );
    says(
        "[app.response-headers]\nremove = ['X-A']\nset = { x-a = '1' }",
        "noren.toml:5: app[0].response-headers.set.x-a: x-a stands in remove as well; write it into one of \
         the two (set takes the place of what is there, add stands beside it, default is for where there is none)",
    );
    says(
        "user-header = 'X-User'\n[app.request-headers]\nset = { X-User = 'all' }",
        "noren.toml:3: app[0].user-header: is in request-headers too, and then anybody would be the same to \
         the app; take it out there",
    );
    says(
        "[app.response-headers]\nsett = { X-A = '1' }",
        "noren.toml:4: app[0].response-headers.sett: unknown key; did you mean `set`?",
    );
    says(
        "[app.response-headers]\nset = { X-A = [] }",
        "noren.toml:4: app[0].response-headers.set.X-A: is a list of nothing; write at least one text, such \
         as [\"text\"]",
    );
}

/// Asserts what is said about an app with these lines and no `url`.
fn says_of_app(lines: &str, expected: &str) {
    let text = format!("[[app]]\n{lines}\n");
    let error = Config::parse(&text, "noren.toml").expect_err(lines);
    assert_eq!(error.to_string(), expected, "{lines}");
}

#[test]
fn addresses_of_an_app_are_each_one_and_each_once() {
    for (lines, expected) in [
        (
            "urls = []",
            "noren.toml:2: app[0].urls: is empty, and an app without an address answers nothing; write urls = \
             [\"http://127.0.0.1:8010\"]",
        ),
        (
            "urls = ['http://a', 'http://b:80', 'http://a:80/']",
            "noren.toml:2: app[0].urls: has \"a:80\" twice; a second time means nothing, so take it out (for \
             more requests at once, raise workers)",
        ),
        (
            "urls = ['http://a', 'https://b', 'unix:/c']",
            "noren.toml:2: app[0].urls: mixes \"a:80\" without TLS and \"https://b:443\" with it; a visitor \
             could not know which, so write all with \"https://\" or none",
        ),
        (
            "urls = ['http://a', 'b:80']",
            "noren.toml:2: app[0].urls[1]: \"b:80\" is not the URL of an app; write \"http://host:port\", \
             \"https://host:port\" or \"unix:/path\"",
        ),
        (
            "url = 'http://a'\nurls = ['http://b']",
            "noren.toml:2: app[0].url: says the same as urls; put all addresses into urls = [\"…\", \"…\"], and \
             take url out",
        ),
        (
            "url = 'http://a'\naffinity = 'cookie'",
            "noren.toml:3: app[0].affinity: chooses between addresses, and there is one; write them as urls = \
             [\"…\", \"…\"], or take it out",
        ),
        (
            "urls = ['http://a', 'http://b']\naffinity = 'ip'",
            r#"noren.toml:3: app[0].affinity: "ip" is not an affinity; write "none", "cookie" or "address""#,
        ),
        (
            "url = 'http://a'\nhealth-failures = 3",
            "noren.toml:3: app[0].health-failures: counts the answers of health-path, which is missing; write one, or \
             take this out",
        ),
        (
            "urls = ['http://a', 'http://b']\naffinity = 'cookie'\nresponse-headers = { remove = ['Set-Cookie'] }",
            "noren.toml:4: app[0].response-headers: removes Set-Cookie, by which affinity = \"cookie\" finds the \
             address of a visitor; take it out, or write affinity = \"address\"",
        ),
    ] {
        says_of_app(lines, expected);
    }
}

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
fn a_number_out_of_range_is_told_the_range() {
    says(
        "workers = 0",
        "noren.toml:3: app[0].workers: 0 is out of range; write a number from 1 to 100000",
    );
    says(
        "[limits]\nstreams = -1",
        "noren.toml:4: limits.streams: -1 is out of range; write a number from 1 to 10000",
    );
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
         restart-wait, health-path, health-interval, health-failures, health-successes, affinity, \
         request-spool, ignore-client-abort, response-spool, compress, compress-private, offload, \
         grip",
    );
    says(
        "[log]\ncolour = true",
        "noren.toml:4: log.colour: unknown key; known here: level, format, access, access-format, audit",
    );
}

#[test]
fn a_value_of_the_wrong_type_is_told_the_right_one() {
    let said = r#"noren.toml:4: log.access: expected true or false, found the string "yes"; write true or false"#;
    says("[log]\naccess = \"yes\"", said);
    let said = r#"noren.toml:4: limits.streams: expected a whole number, found the string "100"; write 100"#;
    says("[limits]\nstreams = \"100\"", said);
    let said = r#"noren.toml:4: tls.minimum-version: expected a string, found the number 1.3; write "1.3""#;
    says("[tls]\nminimum-version = 1.3", said);
    let said = r#"noren.toml:4: bridge.paths: expected a list of strings, found the string "/x"; write ["/x"]"#;
    says("[bridge]\npaths = \"/x\"", said);
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
fn an_unknown_word_is_told_the_known_ones() {
    let said = "noren.toml:4: log.level: \"verbose\" is not known here; write \"error\", \"warn\", \
                \"info\", \"debug\" or \"trace\"";
    says("[log]\nlevel = \"verbose\"", said);
    let said =
        r#"noren.toml:4: tls.minimum-version: "1.1" is not known here; write "1.2" or "1.3""#;
    says("[tls]\nminimum-version = \"1.1\"", said);
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
fn tls_to_an_app_is_told_where_it_belongs_and_what_contradicts_itself() {
    let said = r#"noren.toml:3: app[0].tls: is for an app with TLS; write url = "https://host:port", or take it out"#;
    says("tls = { ca = '/ca.pem' }", said);
    let of = |tls: &str| {
        said_of(&format!(
            "[[app]]\nurl = \"https://a:1\"\ntls = {{ {tls} }}"
        ))
    };
    assert_eq!(
        of("certificate = '/c.pem'"),
        "noren.toml:3: app[0].tls.certificate: needs a key; write both, or neither"
    );
    assert_eq!(
        of("ca = '/ca.pem', insecure-skip-verify = true"),
        "noren.toml:3: app[0].tls.ca: verifies nothing where insecure-skip-verify says that any certificate \
         will do; remove one of the two"
    );
    assert_eq!(of("insecure-skip-verify = true"), "");
    let console =
        "[[bridge.target]]\ntoken = 'a'\naddress = 'a:1'\ntls = { insecure-skip-verify = true }";
    let said = said_of(console);
    assert!(said.contains("unknown key"), "{said}");
}

#[test]
fn an_item_of_a_list_is_told_by_its_number_and_its_own_line() {
    let said = "noren.toml:5: bridge.origins[1]: \"https://a.example/\" goes on behind the host, an origin \
                does not; write \"https://a.example\"";
    says(
        "[bridge]\norigins = [\n  \"same\",\"https://a.example/\",\n]",
        said,
    );
}

#[test]
fn a_key_that_would_do_nothing_is_refused() {
    let said = r#"noren.toml:5: listener[0].redirect-port: has a meaning only with protocol = "redirect"; remove it"#;
    says(
        "[[listener]]\nprotocol = \"http\"\nredirect-port = 8001",
        said,
    );
    let said = r#"noren.toml:5: listener[0].mode: has a meaning only with address = "unix:/path"; remove it"#;
    says("[[listener]]\naddress = \"[::]:1\"\nmode = \"0600\"", said);
}

#[test]
fn a_mode_that_is_no_permission_is_refused() {
    let said = "noren.toml:5: listener[0].mode: \"0990\" is not a mode; write octal digits from \"0000\" to \
                \"0777\", such as \"0660\"";
    says(
        "[[listener]]\naddress = \"unix:/run/n\"\nmode = \"0990\"",
        said,
    );
}

#[test]
fn two_apps_for_the_same_requests_are_refused() {
    let second = "[[app]]\nname = \"b\"\nurl = \"http://b:1\"\n";
    let said = "noren.toml:3: app.b.path: app \"app\" already answers these hosts at \"/\"; give one of \
                them another path or other hosts";
    says(second, said);
    let said = "noren.toml:6: app.b.path: app \"app\" already answers these hosts at \"/\"; give one of \
                them another path or other hosts";
    says(&format!("{second}path = \"/\""), said);
    says(&format!("{second}path = \"/b\""), "");
    says(&format!("{second}hosts = [\"b.example\"]"), "");
    let said = r#"noren.toml:5: app.app.name: two apps are called "app"; give each its own name"#;
    says(
        "[[app]]\nurl = \"http://b:1\"\nname = \"app\"\npath = \"/b\"",
        said,
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
fn advice_that_is_followed_is_taken() {
    let said = "noren.toml:5: bridge.target[0].address: expected a string, found the number 5900: \"5900\" \
                has no port; write \"host:port\", \"[::1]:port\" or \"unix:/path\"";
    says("[[bridge.target]]\ntoken = \"a\"\naddress = 5900", said);
    // A port alone is the address of a listener.
    let said = r#"noren.toml:4: listener[0].address: expected a string, found the number 8443; write "8443""#;
    says("[[listener]]\naddress = 8443", said);
    says("[[listener]]\naddress = \"8443\"", "");
    let said =
        r#"noren.toml:2: app.b.workers: expected a whole number, found the string "8"; write 8"#;
    let app = "[[app]]\nname = \"b\"\nurl = \"http://b:1\"\nworkers = \"8\"";
    assert_eq!(said_of(app), said.replace(":2:", ":4:"));
}

#[test]
fn a_source_of_an_unknown_kind_is_told_nothing_else() {
    let said = "noren.toml:6: channel.a.source[0].source: \"rabbitmq\" is not known here; write \"wok\", \
                \"listen\", \"amqp\", \"postgres\" or \"webhook\"";
    says(
        "[[channel]]\nname = \"a\"\n[[channel.source]]\nsource = \"rabbitmq\"\nurl = \"amqp://b\"",
        said,
    );
}

#[test]
fn a_relative_directory_of_files_is_told_an_absolute_one() {
    let said = "noren.toml:5: files[0].directory: \"./static\" is a relative path; write a whole one, such \
                as \"/srv/static\"";
    says("[[files]]\npath = \"/s\"\ndirectory = \"./static\"", said);
}

#[test]
fn an_empty_marker_is_refused() {
    let said = "noren.toml:4: bridge.boundaries.a: the marker is empty; write the text that ends a message, \
                such as \"//EOM//\", or remove the line";
    says("[bridge.boundaries]\na = \"\"", said);
}

#[test]
fn a_header_with_a_line_break_is_refused() {
    let said = "noren.toml:4: headers.x-frame-options: \"DENY\\r\\nX: 1\" cannot stand in a \
                header; write visible ASCII without spaces around it, or \"\" to leave the header out";
    says("[headers]\nx-frame-options = \"DENY\\r\\nX: 1\"", said);
}

#[test]
fn a_session_that_would_ask_nobody_is_refused() {
    let said = "noren.toml:3: session.path: is missing, and without it nobody is asked; write for example \
                path = \"/tasks\"";
    says("[session]\ninterval = \"10s\"", said);
    let said = r#"noren.toml:3: bridge: session = "required" needs a question; write [session] with path = "/tasks""#;
    says("[bridge]\nsession = \"required\"", said);
    let said = r#"noren.toml:4: session.app: no app is called "wok"; there is "app""#;
    says("[session]\napp = \"wok\"\npath = \"/tasks\"", said);
    let text = "[session]\npath = \"/tasks\"\n[[bridge.tokens]]\nsource = \"file\"\npath = \"/t\"";
    let said = r#"noren.toml:1: session: there is no app to ask; write [[app]] with url = "http://127.0.0.1:8010""#;
    assert_eq!(said_of(text), said);
}

#[test]
fn a_question_that_the_app_could_not_read_is_refused() {
    let said = r#"noren.toml:4: session.path: "tasks" is not a path; write for example "/tasks""#;
    says("[session]\npath = \"tasks\"", said);
    let said = "noren.toml:5: session.token-path: \"/vms/\" must have {vm} once, where the name goes; write \
                for example \"/plugins/kimchi/vms/{vm}\"";
    says("[session]\npath = \"/tasks\"\ntoken-path = \"/vms/\"", said);
    let said = "noren.toml:6: session.headers.Cookie: is set by Noren for each question; remove it";
    says(
        "[session]\npath = \"/tasks\"\n[session.headers]\nCookie = \"a=b\"",
        said,
    );
}

#[test]
fn a_file_that_serves_nothing_is_refused() {
    let said = "noren.toml: app: there is nothing to serve; write [[app]] with url = \
                \"http://127.0.0.1:8010\", a [[bridge.tokens]] or [[bridge.target]], or a [[channel]]";
    assert_eq!(said_of(""), said);
    assert_eq!(
        said_of("[[bridge.tokens]]\nsource = \"file\"\npath = \"/t\""),
        ""
    );
}

#[test]
fn a_source_that_cannot_be_is_refused() {
    let source = "[[channel.source]]\nsource = \"listen\"\naddress = \"unix:/run/s\"\n";
    let told = |more: &str| {
        said_of(&with_app(&format!(
            "[[channel]]\nname = \"a\"\n{source}{more}"
        )))
    };
    assert_eq!(told("users = [\"wok\"]"), "");
    assert_eq!(told("type = \"datagram\""), "");
    let datagram = told("type = \"datagram\"\nusers = [\"wok\"]");
    assert!(
        datagram.contains("users: cannot be told from a datagram"),
        "{datagram}"
    );
    let second = "two sources listen on \"unix:/run/s\"";
    let twice = told(source);
    assert!(twice.contains(second), "{twice}");
    let twice = told(&format!("[[channel]]\nname = \"b\"\n{source}"));
    assert!(
        twice.contains("channel.b.source") && twice.contains(second),
        "{twice}"
    );
}

#[test]
fn proxies_are_believed_only_by_name() {
    let said = said_of(&with_app("[[listener]]\nproxy-protocol = true"));
    assert!(
        said.contains("proxy-protocol: needs to know whom to believe"),
        "{said}"
    );
    let said = said_of(&with_app(
        "[[listener]]\ntrusted-proxies = [\"10.1.2.3/8\"]",
    ));
    assert!(said.contains("10.0.0.0/8"), "{said}");
    let trusted = "[[listener]]\ntrusted-proxies = [\"10.0.0.0/8\"]\nproxy-protocol = true";
    assert_eq!(said_of(&with_app(trusted)), "");
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

#[test]
fn an_entrance_that_keeps_nobody_out_or_everybody_is_refused() {
    let said = "noren.toml:3: bridge: client-certificate = \"required\" needs a listener that asks for one; \
                write client-authority = \"/path\" in a [[listener]]";
    says("[bridge]\nclient-certificate = \"required\"", said);
    let said = "noren.toml:4: hub.client-names: would not keep those out who have no certificate; write \
                client-certificate = \"required\"";
    says("[hub]\nclient-names = [\"cook\"]", said);
    let said =
        r#"noren.toml:4: bridge.realm: has a meaning only beside users = "/path"; remove it"#;
    says("[bridge]\nrealm = \"Kitchen\"", said);
    let said = "noren.toml:3: listener[0].client-authority: is missing: whose certificates are good? Write \
                client-authority = \"/etc/noren/clients.pem\"";
    says("[[listener]]\nclient-certificate = \"optional\"", said);
    let said = r#"noren.toml:5: listener[0].client-authority: has a meaning only with protocol = "https"; remove it"#;
    says(
        "[[listener]]\nprotocol = \"http\"\nclient-authority = \"/ca\"",
        said,
    );
    let said = "noren.toml:3: app[0].user-header: \"X-Forwarded-User\" cannot carry a name; write one that \
                nothing else uses, such as \"X-Remote-User\"";
    says("user-header = \"X-Forwarded-User\"", said);
}

#[test]
fn a_source_of_no_known_kind_is_told_once_and_one_in_the_network_needs_a_list() {
    let said = "noren.toml:4: bridge.tokens[0].source: \"redi\" is not known here; write \"directory\", \
                \"file\", \"file-name\", \"sockets\", \"http\" or \"redis\"";
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

#[test]
fn acme_is_told_what_an_authority_needs() {
    let agreed = "terms-of-service-agreed = true";
    says(
        &format!("[acme]\n{agreed}"),
        "noren.toml:3: acme.names: is missing; write names = [\"www.example.org\"], the names that lead to \
         this machine",
    );
    says(
        "[acme]\nnames = [\"a.example\"]",
        "noren.toml:3: acme.terms-of-service-agreed: no authority gives certificates to those who do not \
         agree to its terms; read them (Let's Encrypt: https://letsencrypt.org/repository/) and write \
         terms-of-service-agreed = true",
    );
    for (name, said) in [
        (
            "*.a.example",
            "certificates for all names of a domain need a proof in its DNS, which Noren cannot give; write \
             each name, or have a program such as lego or certbot renew a [[tls.certificate]]",
        ),
        (
            "192.0.2.1",
            "is an address; write the name that leads to it",
        ),
    ] {
        let found = said_of(&with_app(&format!(
            "[acme]\n{agreed}\nnames = [\"{name}\"]"
        )));
        assert!(
            found.starts_with("noren.toml:5: acme.names[0]: "),
            "{found}"
        );
        assert!(found.contains(said), "{found}");
    }
    let acme = format!("[acme]\n{agreed}\nnames = [\"a.example\"]");
    says(
        &format!("{acme}\nchallenge = \"http-01\""),
        "noren.toml:3: acme: the authority connects to port 80 for challenge = \"http-01\", and no listener \
         is there; write [[listener]] with address = \"[::]:80\" and protocol = \"redirect\"",
    );
    says(
        &format!("{acme}\n[[listener]]\nprotocol = \"http\""),
        r#"noren.toml:3: acme: no listener needs a certificate; write [[listener]] with protocol = "https""#,
    );
    says(
        &format!("{acme}\ncontact = [\"admin\"]"),
        r#"noren.toml:6: acme.contact[0]: "admin" is no address of e-mail; write for example "admin@example.org""#,
    );
    says(
        &format!("{acme}\ndirectory = \"http://a.example/d\""),
        "noren.toml:6: acme.directory: \"http://a.example/d\" is not an https URL; write for example \
         \"https://acme-v02.api.letsencrypt.org/directory\"",
    );
    says(
        &format!("{acme}\nkey-id = \"x\""),
        r#"noren.toml:6: acme.key-id: needs its key; write key-file = "/etc/noren/acme-key""#,
    );
}

#[test]
fn an_address_that_is_listened_on_twice_is_told_with_both_lines() {
    let two = |one: &str, other: &str| {
        said_of(&with_app(&format!(
            "[[listener]]\naddress = \"{one}\"\nprotocol = \"http\"\n[[listener]]\naddress = \"{other}\"\n\
             protocol = \"http\""
        )))
    };
    assert_eq!(
        two("[::]:80", "[::]:80"),
        "noren.toml:7: listener[1].address: \"[::]:80\" is listened on already by listener[0].address \
         (noren.toml:4); remove one of them, or give it another address"
    );
    assert_eq!(
        two("0.0.0.0:80", "80"),
        "noren.toml:7: listener[1].address: \"[::]:80\" is listened on already by listener[0].address = \
         \"0.0.0.0:80\" (noren.toml:4); remove one of them, or give it another address"
    );
    for (one, other) in [
        ("[::]:80", "192.0.2.1:80"),
        ("door.example:80", "[::]:80"),
        ("0.0.0.0:80", "192.0.2.1:80"),
        ("localhost:80", "127.0.0.1:80"),
        ("[::1]:80", "LocalHost:80"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
        ("[0:0::1]:80", "[::1]:80"),
        ("unix:/run/d", "unix:/run//d"),
        ("systemd:d", "systemd:d"),
    ] {
        let said = two(one, other);
        assert!(
            said.contains("noren.toml:7: listener[1].address") && said.contains("(noren.toml:4)"),
            "{one} {other}: {said}"
        );
    }
    for (one, other) in [
        ("[::]:0", "[::]:0"),
        ("[::]:80", "[::]:81"),
        ("0.0.0.0:80", "[::1]:80"),
        ("127.0.0.1:80", "127.0.0.2:80"),
        ("unix:/run/d", "unix:/run/e"),
        ("unix:/run/d", "systemd:d"),
    ] {
        assert_eq!(two(one, other), "", "{one} {other}");
    }
    says(
        "[admin]\naddress = \"127.0.0.1:8001\"",
        "noren.toml:4: admin.address: \"127.0.0.1:8001\" is listened on already by listener[0].address = \
         \"[::]:8001\" (the default); remove one of them, or give it another address",
    );
    let source = "[[channel]]\nname = \"a\"\n[[channel.source]]\nsource = \"listen\"\naddress = \"unix:/run/d\"";
    says(
        &format!("[admin]\nsocket = \"/run/d\"\n{source}"),
        "noren.toml:9: channel[0].source[0].address: \"unix:/run/d\" is listened on already by admin.socket \
         (noren.toml:4); remove one of them, or give it another address",
    );
}
