use super::*;
use crate::clock;
use crate::config;
use serde_json::json;

const URL: &str = "https://hub.example.com/.well-known/mercure";
const ISSUER: &str = "https://example.com";

fn rules() -> Rules {
    let settings = config::Mercure {
        url: Some(URL.to_owned()),
        topics: 5,
        ..config::Mercure::default()
    };
    Rules::new(settings).expect("rules")
}

fn draft(claims: Value) -> Result<Grant, ClaimFault> {
    Grant::draft(serde_json::from_value(claims).expect("claims"), &rules())
}

fn one(claims: Value) -> Result<Grant, ClaimFault> {
    Grant::one(
        serde_json::from_value(claims).expect("claims"),
        ISSUER,
        &rules(),
    )
}

/// Claims of version 1.0 with these members instead of sound ones.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "aud": URL, "exp": clock::now_seconds() + 60});
    let all = claims.as_object_mut().expect("an object");
    all.extend(changes.as_object().expect("an object").clone());
    all.retain(|_, value| !value.is_null());
    claims
}

fn detail(changes: &Value) -> Value {
    let mut detail = json!({"type": DETAIL, "actions": ["subscribe"], "topics": [{"match": "a"}]});
    let all = detail.as_object_mut().expect("an object");
    all.extend(changes.as_object().expect("an object").clone());
    all.retain(|_, value| !value.is_null());
    claims(&json!({"authorization_details": [detail]}))
}

#[test]
fn the_lists_of_version_0_say_what_may_be_published_and_read() {
    let topics = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    let grant = draft(json!({"mercure": {"publish": ["/a/{b}", "c"], "subscribe": ["d"]}}))
        .expect("a grant");
    assert!(grant.publishes(&topics(&["/a/1", "c"]), &rules()));
    assert!(!grant.publishes(&topics(&["/a/1", "d"]), &rules()));
    assert!(grant.reads("d", &rules()) && !grant.reads("c", &rules()));
    let namespaced =
        json!({"https://mercure.rocks/": {"publish": ["*"]}, "mercure": {"publish": ["a"]}});
    assert!(
        draft(namespaced)
            .expect("a grant")
            .publishes(&topics(&["x"]), &rules())
    );
    for nothing in [
        json!({}),
        json!({"mercure": {}}),
        json!({"mercure": {"publish": []}}),
    ] {
        assert!(
            !draft(nothing)
                .expect("a grant")
                .publishes(&topics(&["x"]), &rules())
        );
    }
    assert!(draft(json!({"mercure": {"publish": ["1", "2", "3", "4", "5", "6"]}})).is_err());
}

#[test]
fn times_and_the_audience_are_checked() {
    let now = clock::now_seconds();
    assert!(draft(json!({"exp": now + 5})).is_ok());
    assert_eq!(
        draft(json!({"exp": now - 1})).expect_err("old"),
        ClaimFault::Expired
    );
    assert!(draft(json!({"nbf": now + 60})).is_err());
    assert!(draft(json!({"aud": URL})).is_ok());
    assert!(draft(json!({"aud": ["x", URL]})).is_ok());
    assert!(draft(json!({"aud": "https://other.example.com"})).is_err());
    assert!(one(claims(&json!({}))).is_ok());
    for wrong in [
        json!({"exp": null}),
        json!({"exp": now - 1}),
        json!({"nbf": now + 60}),
        json!({"aud": null}),
        json!({"aud": "x"}),
        json!({"aud": [7]}),
        json!({"iss": null}),
        json!({"iss": "https://example.org"}),
    ] {
        assert!(one(claims(&wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn authorization_details_say_what_may_be_published_and_read() {
    let grant = one(claims(&json!({"authorization_details": [
        {"type": "other", "actions": 7},
        {"type": DETAIL, "actions": ["publish", "unknown"],
         "topics": [{"match": "a"}, {"match": "/b/:c", "match_type": "urlpattern"}]},
        {"type": DETAIL, "actions": ["unknown"], "topics": [{"match": "x"}]},
        {"type": DETAIL, "actions": ["subscribe"], "topics": [{"match": "d"}], "payload": {"n": 1}},
        {"type": DETAIL, "actions": ["subscribe"], "topics": [{"match": "*"}], "payload": {"n": 2}},
    ]})))
    .expect("a grant");
    let topics = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    assert!(grant.publishes(&topics(&["a", "/b/1"]), &rules()));
    for list in [&["a", "x"][..], &["/b/1/2"], &["d"]] {
        assert!(!grant.publishes(&topics(list), &rules()), "{list:?}");
    }
    assert!(grant.reads("anything", &rules()));
    let payload = |text: &str| {
        let selector =
            Selector::parse(SelectorKind::Exact, text, &rules().base).expect("a selector");
        grant.payloads.of(&selector, &rules())
    };
    assert_eq!(payload("d"), Some(json!({"n": 1})));
    assert_eq!(payload("e"), Some(json!({"n": 2})));
}

#[test]
fn one_bad_detail_makes_the_whole_token_invalid() {
    for bad in [
        json!({"actions": null}),
        json!({"actions": []}),
        json!({"actions": [7]}),
        json!({"actions": "subscribe"}),
        json!({"topics": null}),
        json!({"topics": []}),
        json!({"topics": ["a"]}),
        json!({"topics": [{}]}),
        json!({"topics": [{"match": 7}]}),
        json!({"topics": [{"match": "a", "match_type": "Exact"}]}),
        json!({"topics": [{"match": "a", "match_type": null}]}),
        json!({"topics": [{"match": "*", "match_type": "regexp"}]}),
        json!({"topics": [{"match": "https://a/(", "match_type": "urlpattern"}]}),
        json!({"topics": [{"match": "a\n"}]}),
        json!({"topics": [{"match": "x".repeat(5000)}]}),
        json!({"topics": (0..6).map(|one| json!({"match": one.to_string()})).collect::<Vec<_>>()}),
        json!({"payload": "x"}),
        json!({"actions": ["unknown"], "topics": ["a"]}),
    ] {
        assert!(one(detail(&bad)).is_err(), "{bad}");
    }
    assert!(one(detail(&json!({}))).is_ok());
    assert!(one(claims(&json!({"authorization_details": ["x"]}))).is_err());
    let many: Vec<Value> = (0..101).map(|_| json!({"type": "other"})).collect();
    assert!(one(claims(&json!({"authorization_details": many}))).is_err());
}
