use super::*;
use http::HeaderValue;

fn written(spelling: &Spelling, names: &[&'static str]) -> String {
    let (mut cursor, mut out) = (spelling.cursor(), Vec::new());
    for name in names {
        cursor.write(&HeaderName::from_static(name), &mut out);
        out.push(b' ');
    }
    String::from_utf8(out).expect("text")
}

#[test]
fn only_names_that_are_not_spelled_as_the_standards_do_are_kept() {
    let usual = [
        "Host",
        "ETag",
        "X-Real-IP",
        "X-Forwarded-For",
        "X-1a",
        "TE",
        "A--B",
    ];
    assert!(Spelling::of(usual).is_standard());
    for unusual in [
        "host",
        "Etag",
        "ETAG",
        "X-Real-Ip",
        "x-forwarded-for",
        "SOAPAction",
    ] {
        assert!(!Spelling::of([unusual]).is_standard(), "{unusual}");
    }
}

#[test]
fn names_are_written_as_they_came_in_any_order() {
    let spelling = Spelling::of(["hOST", "Accept", "x-low", "ETAG", "Etag"]);
    let names = ["x-low", "host", "etag", "accept", "x-real-ip", "x-low"];
    assert_eq!(
        written(&spelling, &names),
        "x-low hOST ETAG Accept X-Real-IP x-low "
    );
    assert_eq!(
        written(&Spelling::default(), &["dnt", "www-authenticate", "a--b-"]),
        "DNT WWW-Authenticate A--B- "
    );
}

#[test]
fn hyper_is_told_only_of_what_it_would_not_do_itself() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("a"));
    assert!(Spelling::default().for_hyper(&headers).is_none());
    assert!(Spelling::of(["x-other"]).for_hyper(&headers).is_none());
    assert!(Spelling::of(["content-type"]).for_hyper(&headers).is_some());
    headers.insert("etag", HeaderValue::from_static("a"));
    assert!(
        Spelling::default()
            .for_hyper(&headers)
            .is_some_and(|some| !some.is_empty())
    );
}
