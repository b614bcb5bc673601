//! Errors of apps and of directories of files.

use super::{said_of, says};
use crate::config::Config;

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

#[test]
fn more_rules_for_headers_than_a_message_may_have_are_refused() {
    let names: Vec<_> = (0..101).map(|number| format!("'X-{number}'")).collect();
    let names = names.join(", ");
    for (rule, key) in [
        (format!("remove = [{names}]"), "remove"),
        (format!("set = {{ X-A = [{names}] }}"), "set"),
        (format!("add = {{ X-A = [{names}] }}"), "add"),
    ] {
        for table in ["request-headers", "response-headers"] {
            says(
                &format!("[app.{table}]\n{rule}"),
                &format!("noren.toml:4: app[0].{table}.{key}: has 101 headers; 100 is the most"),
            );
        }
    }
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
            "url = 'http://a'\nhealth-silence = '3s'",
            "noren.toml:3: app[0].health-silence: is about one address among several, and there is one; write them as \
             urls = [\"…\", \"…\"], or take it out",
        ),
        (
            "url = 'http://a'\nretry-elsewhere = true",
            "noren.toml:3: app[0].retry-elsewhere: is about one address among several, and there is one; write them as \
             urls = [\"…\", \"…\"], or take it out",
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
fn a_relative_directory_of_files_is_told_an_absolute_one() {
    let said = "noren.toml:5: files[0].directory: \"./static\" is a relative path; write a whole one, such \
                as \"/srv/static\"";
    says("[[files]]\npath = \"/s\"\ndirectory = \"./static\"", said);
}

#[test]
fn a_header_with_a_line_break_is_refused() {
    let said = "noren.toml:4: headers.x-frame-options: \"DENY\\r\\nX: 1\" cannot stand in a \
                header; write visible ASCII without spaces around it, or \"\" to leave the header out";
    says("[headers]\nx-frame-options = \"DENY\\r\\nX: 1\"", said);
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
