use super::*;
use crate::config::ChannelName;
use crate::tokens::{Console, ConsoleKind};
use http::HeaderName;

fn told(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
        );
    }
    headers
}

#[test]
fn every_difference_in_what_the_app_is_told_is_one() {
    let secret = Secret::new();
    let of = |lines: &[_]| secret.hashes(&told(lines), &["wok".to_owned()]).whole;
    let console = |guest: &str, kind| {
        QueryObject::Console(Console {
            name: "vm-console".into(),
            guest: guest.into(),
            kind,
        })
    };
    let cookie = of(&[("cookie", "a=1")]);
    let different = [
        of(&[]),
        cookie,
        of(&[("cookie", "a =1")]),
        of(&[("cookie", "a=1; b=2")]),
        of(&[("cookie", "a=1;b=2")]),
        of(&[("cookie", "b=2; a=1")]),
        of(&[("cookie", "a=1b=2")]),
        of(&[("authorization", "a=1")]),
        of(&[("cookie", "a=1"), ("authorization", "Basic YTox")]),
        of(&[("cookie", "a=1"), ("x-real-ip", "192.0.2.1")]),
        of(&[("cookie", "a=1"), ("host", "a.example")]),
        of(&[("cookie", "a=1"), ("x-forwarded-proto", "https")]),
        Secret::new().hashes(&told(&[("cookie", "a=1")]), &[]).whole,
        secret.with_object(cookie, &console("vm", ConsoleKind::Serial)),
        secret.with_object(cookie, &console("vm", ConsoleKind::Graphical)),
        secret.with_object(cookie, &console("vm-console", ConsoleKind::Graphical)),
        secret.with_object(
            cookie,
            &QueryObject::Channel(ChannelName::parse("vm").expect("a name")),
        ),
    ];
    for (at, one) in different.iter().enumerate() {
        assert!(
            !different.iter().skip(at + 1).any(|other| one == other),
            "{at}"
        );
    }
}

/// True if a logout with the one head ends what the other has opened.
fn ends(
    names: &[&str],
    logout: &[(&'static str, &'static str)],
    open: &[(&'static str, &'static str)],
) -> bool {
    let secret = Secret::shared(b"key");
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let of = |lines: &[_]| secret.hashes(&told(lines), &names).sessions;
    let open = of(open);
    of(logout).iter().any(|session| open.contains(session))
}

#[test]
fn a_session_is_found_by_its_cookies_in_every_reading() {
    let cookie = |value| [("cookie", value)];
    for (logout, open) in [
        ("wok=1", "wok=1"),
        ("wok=1; lang=en", "last=x; wok=1"),
        ("wok =1", "wok=1"),
        ("wok\t=\t1", "wok=1"),
        ("wok=1", "a=b wok=1"),
        ("wok=1", "a=b, wok=1"),
        ("wok=1", "wok=\"1\""),
        ("wok=1", "wok=\"\\061\""),
        ("wok=1", "wok=2; wok=1"),
        ("wok=1", "wok=1; wok=2"),
        ("wok=1", "w%6fk=1"),
        ("wok=1", "wok=%31"),
        ("wok=1", "WOK=1"),
        ("wok=1", "wok=1,x"),
        ("wok=1", "$Version=1; wok=1; $Path=/"),
        ("wok=1", "\u{2000}wok=1"),
        ("wok=1", "wok\u{a0}=1"),
        ("wok=1", "wok=\u{3000}1"),
        ("wok=1", "a=b; wok=1\u{85}\u{2028}"),
        ("wok=1", "wok=\u{feff}\"1\""),
    ] {
        assert!(
            ends(&["wok"], &cookie(logout), &cookie(open)),
            "{logout} {open}"
        );
        assert!(
            ends(&["wok"], &cookie(open), &cookie(logout)),
            "{open} {logout}"
        );
    }
    for (logout, open) in [
        ("wok=1", "wok=2"),
        ("wok=1", "wok2=1"),
        ("lang=en", "wok=1; lang=en"),
    ] {
        assert!(
            !ends(&["wok"], &cookie(logout), &cookie(open)),
            "{logout} {open}"
        );
    }
    let (a, b) = ([("x-real-ip", "192.0.2.1")], [("x-real-ip", "192.0.2.2")]);
    assert!(ends(&["wok"], &a, &a) && !ends(&["wok"], &a, &b));
    assert!(!ends(
        &["wok"],
        &a,
        &[("x-real-ip", "192.0.2.1"), ("cookie", "wok=1")]
    ));
    assert!(!ends(
        &["wok"],
        &a,
        &[("x-real-ip", "192.0.2.1"), ("cookie", "lang=en")]
    ));
}

#[test]
fn the_blanks_of_latin_1_are_blanks_too() {
    let secret = Secret::shared(b"key");
    let names = ["wok".to_owned()];
    let of = |line: &[u8]| {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(line).expect("a value"));
        secret.hashes(&headers, &names)
    };
    let usual = of(b"wok=1").sessions;
    for line in [
        &b"\xa0wok=1"[..],
        b"wok\xa0=1",
        b"wok=\x851",
        b"wok=1\xa0; a=b",
    ] {
        let shown = of(line);
        let is_found = shown.sessions.iter().any(|session| usual.contains(session));
        assert!(is_found && !shown.is_usual, "{}", line.escape_ascii());
    }
}

#[test]
fn parts_of_a_credential_are_its_sessions_and_what_may_name_one() {
    let secret = Secret::shared(b"key");
    let parts = |lines: &[_], names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        secret.hashes(&told(lines), &names).parts
    };
    let share = |one: &[_], other: &[_], names: &[&str]| {
        let other = parts(other, names);
        parts(one, names).iter().any(|part| other.contains(part))
    };
    let long = ("cookie", "id=0123456789abcdef; lang=en");
    assert!(share(&[long], &[("cookie", "id=0123456789abcdef")], &[]));
    assert!(!share(
        &[long],
        &[("cookie", "lang=en; other=0123456789abcdef")],
        &[]
    ));
    assert!(share(
        &[("cookie", "a=1; b=2")],
        &[("cookie", "b =2")],
        &["a", "b"]
    ));
    assert!(!share(
        &[("cookie", "a=1; b=2")],
        &[("cookie", "a=2; b=1")],
        &["a", "b"]
    ));
    let basic = ("authorization", "Basic YTox");
    assert!(share(
        &[long, basic],
        &[("authorization", "basic  YTox")],
        &[]
    ));
    assert!(!share(&[("cookie", "a=1")], &[basic], &["a"]));
    assert_eq!(parts(&[], &["a"]).len(), 0);
}

#[test]
fn where_all_cookies_make_it_a_session_is_found_by_all_of_them() {
    let cookie = |value| [("cookie", value)];
    for (logout, open) in [
        ("a=1; b=2", "b=2; a=1"),
        ("a=1; b=2", "a =1;b=2"),
        ("a=1; b=2", "a=\"1\", b=2"),
    ] {
        assert!(ends(&[], &cookie(logout), &cookie(open)), "{logout} {open}");
    }
    assert!(!ends(&[], &cookie("a=1; b=2"), &cookie("a=1; b=3")));
    assert!(!ends(&[], &cookie("a=1"), &cookie("a=1; b=3")));
}

#[test]
fn only_what_all_parsers_read_alike_is_usual() {
    let usual = |names: &[String], line: &'static str| {
        let secret = Secret::shared(b"key");
        secret.hashes(&told(&[("cookie", line)]), names).is_usual
    };
    let named = ["wok".to_owned()];
    for line in [
        "wok=1",
        "lang=en; wok=1",
        "wok=s%3Aabc.d/e+f==; _ga=GA1.2",
        "wok=1;a.b=2",
    ] {
        assert!(usual(&named, line) && usual(&[], line), "{line}");
    }
    for line in [
        "wok =1",
        "wok= 1",
        "wok=1 ",
        "wok=\"1\"",
        "a=b wok=1",
        "a=b, wok=1",
        "wok=1,2",
        "wok",
        "wok=1; wok=1",
        "wok=1; WOK=2",
        "w%6fk=1; wok=2",
        "wok=1;; a=2",
        "wok=1;",
        "a=\"x\"; wok=1",
        "$Version=1; wok=1",
        "wok=1; path=/",
        "wok=1\\",
        "wok=1;  a=2",
        "w.k=1; w_k=2; wok=1",
        "=1; wok=1",
        "wok=1; a[b]=1",
    ] {
        assert!(!usual(&named, line), "{line}");
        assert!(!usual(&[], line), "{line}");
    }
    assert!(
        !usual(&named, "lang=en"),
        "it has no cookie that makes a session"
    );
    let basic = told(&[("cookie", "lang=en"), ("authorization", "Basic YTox")]);
    assert!(Secret::shared(b"key").hashes(&basic, &named).is_usual);
}
