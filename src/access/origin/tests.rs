use http::HeaderValue;

use super::*;

const SAME: &[OriginRule] = &[OriginRule::Same];

fn headers(origins: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for origin in origins {
        let value = HeaderValue::from_str(origin).expect("a header value");
        headers.append(ORIGIN, value);
    }
    headers
}

fn judge(rules: &[OriginRule], origin: &str, authority: &str) -> Result<(), OriginDenied> {
    OriginPolicy::new("bridge", rules, true).permits(&headers(&[origin]), "https", authority)
}

fn not_listed(page: &str) -> OriginDenied {
    OriginDenied::NotListed {
        page: page.to_owned(),
        table: "bridge".into(),
    }
}

fn exact(origins: &[&str]) -> Vec<OriginRule> {
    let exact = |origin: &&str| OriginRule::Exact((*origin).to_owned());
    origins.iter().map(exact).collect()
}

#[test]
fn the_same_scheme_host_and_port_are_the_same_origin() {
    for (origin, authority) in [
        ("https://a.example", "a.example"),
        ("https://a.example", "a.example:443"),
        ("https://a.example:443", "a.example"),
        ("https://a.example", "a.example:"),
        ("https://a.example:8001", "A.Example:8001"),
        ("HTTPS://A.EXAMPLE:8001", "a.example:8001"),
        ("https://127.0.0.1:8001", "127.0.0.1:8001"),
        ("https://[::1]", "[::1]:443"),
        ("https://[::1]:8001", "[0:0::0:1]:8001"),
        ("https://[2001:DB8::a]", "[2001:db8::A]"),
    ] {
        assert_eq!(
            judge(SAME, origin, authority),
            Ok(()),
            "{origin} for {authority}"
        );
    }
}

#[test]
fn another_scheme_host_or_port_is_another_origin() {
    for (origin, authority) in [
        ("http://a.example", "a.example"),
        ("http://a.example:443", "a.example:443"),
        ("wss://a.example", "a.example"),
        ("https://b.example", "a.example"),
        ("https://a.example.evil", "a.example"),
        ("https://evila.example", "a.example"),
        ("https://sub.a.example", "a.example"),
        ("https://a.example", "a.example:8001"),
        ("https://a.example:8001", "a.example"),
        ("https://a.example:80", "a.example"),
        ("https://a.example.", "a.example"),
        ("https://[::1]", "127.0.0.1"),
        ("https://[::1]", "[::2]"),
    ] {
        let result = judge(SAME, origin, authority);
        assert!(
            matches!(result, Err(OriginDenied::NotListed { .. })),
            "{origin} for {authority}: {result:?}"
        );
    }
}

#[test]
fn the_default_port_is_that_of_the_scheme_of_the_request() {
    let policy = OriginPolicy::new("bridge", SAME, true);
    let page = headers(&["http://a.example"]);
    assert_eq!(policy.permits(&page, "http", "a.example:80"), Ok(()));
    assert!(policy.permits(&page, "http", "a.example:443").is_err());
    assert!(policy.permits(&page, "https", "a.example").is_err());
}

#[test]
fn what_is_no_origin_is_refused() {
    let long = format!("https://{}", "a".repeat(300));
    for origin in [
        "",
        "a.example",
        "https:",
        "https://",
        "://a.example",
        "//a.example",
        "https//a.example",
        "https://a.example/",
        "https://a.example/path",
        "https://a.example?x",
        "https://a.example#x",
        "https://user@a.example",
        "https://evil.example\\@a.example",
        "https://a.example https://b.example",
        "https://a.example, https://b.example",
        "https://a.example:x",
        "https://a.example:+443",
        "https://a.example:65536",
        "https://:443",
        "https://[::1",
        "https://::1]",
        "https://[::1]x",
        "https://[]",
        "https://[a.example]",
        "https://a%2eexample",
        "ht tps://a.example",
        "NULL",
        "null,null",
        &long,
    ] {
        let result = judge(SAME, origin, "a.example");
        assert_eq!(result, Err(OriginDenied::Malformed), "{origin}");
    }
    let policy = OriginPolicy::new("bridge", SAME, true);
    let mut junk = HeaderMap::new();
    junk.insert(
        ORIGIN,
        HeaderValue::from_bytes(b"https://\xff").expect("a header value"),
    );
    assert_eq!(
        policy.permits(&junk, "https", "a.example"),
        Err(OriginDenied::Malformed)
    );
}

#[test]
fn a_page_cannot_be_the_same_as_a_request_without_a_readable_authority() {
    for authority in ["", ":443", "a.example:x", "user@a.example"] {
        assert!(
            judge(SAME, "https://a.example", authority).is_err(),
            "{authority}"
        );
    }
}

#[test]
fn listed_origins_are_compared_as_origins() {
    let rules = exact(&[
        "https://A.example:443",
        "http://b.example:8080",
        "moz-extension://0a-1b",
        "capacitor://localhost",
        "file://",
        "nonsense",
    ]);
    for origin in [
        "https://a.example",
        "https://a.example:443",
        "http://b.example:8080",
        "moz-extension://0A-1b",
        "capacitor://localhost",
        "file://",
    ] {
        assert_eq!(judge(&rules, origin, "other.example"), Ok(()), "{origin}");
    }
    for origin in [
        "http://a.example",
        "https://b.example:8080",
        "https://other.example",
        "ionic://localhost",
        "http://localhost",
        "capacitor://localhost:80",
        "moz-extension://",
    ] {
        let denied = not_listed(origin);
        assert_eq!(judge(&rules, origin, "other.example"), Err(denied));
    }
    assert_eq!(
        judge(&rules, "nonsense", "other.example"),
        Err(OriginDenied::Malformed)
    );
}

#[test]
fn the_same_origin_and_listed_ones_may_be_permitted_together() {
    let mut rules = exact(&["https://portal.example"]);
    rules.push(OriginRule::Same);
    assert_eq!(judge(&rules, "https://portal.example", "a.example"), Ok(()));
    assert_eq!(judge(&rules, "https://a.example", "a.example"), Ok(()));
    assert!(judge(&rules, "https://b.example", "a.example").is_err());
    assert!(judge(&[], "https://a.example", "a.example").is_err());
}

#[test]
fn null_is_permitted_only_by_any() {
    let mut rules = exact(&["null"]);
    rules.push(OriginRule::Same);
    assert_eq!(
        judge(&rules, "null", "null"),
        Err(OriginDenied::Opaque("bridge".into()))
    );
    assert_eq!(judge(&[OriginRule::Any], "null", "a.example"), Ok(()));
    assert_eq!(
        judge(&[OriginRule::Any], "https://evil.example", "a.example"),
        Ok(())
    );
}

#[test]
fn a_missing_origin_is_a_choice_of_its_own() {
    let none = HeaderMap::new();
    for rules in [SAME, &[OriginRule::Any], &[]] {
        assert_eq!(
            OriginPolicy::new("bridge", rules, true).permits(&none, "https", "a.example"),
            Ok(())
        );
        let denied = OriginPolicy::new("bridge", rules, false).permits(&none, "https", "a.example");
        assert_eq!(denied, Err(OriginDenied::Missing("bridge".into())));
    }
}

#[test]
fn several_origin_headers_are_refused_even_when_they_agree() {
    for rules in [SAME, &[OriginRule::Any]] {
        let policy = OriginPolicy::new("bridge", rules, true);
        let twice = headers(&["https://a.example", "https://a.example"]);
        assert_eq!(
            policy.permits(&twice, "https", "a.example"),
            Err(OriginDenied::Several)
        );
    }
}

#[test]
fn a_refusal_says_where_the_page_comes_from() {
    let denied = judge(SAME, "https://Evil.example:443", "a.example").expect_err("not listed");
    assert_eq!(
        denied.to_string(),
        "the page comes from https://evil.example, which bridge.origins does not list"
    );
    assert_eq!(
        judge(SAME, "https://[::0001]:8", "a.example").expect_err("not listed"),
        not_listed("https://[::1]:8")
    );
}
