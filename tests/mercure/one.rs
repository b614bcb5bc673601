//! Version 1.0: matchers, access tokens, challenges, cursors, subscriptions and metadata.

use super::*;

fn all() -> Value {
    json!([detail(&["publish", "subscribe"], &[("exact", "*")])])
}

fn access(details: Value) -> String {
    bearer(&access_token(details, json!({})))
}

#[tokio::test]
async fn matchers_select_and_authorization_details_permit() {
    let hub = Hub::anonymous().await;
    let users = json!([detail(
        &["subscribe"],
        &[("urlpattern", "https://example.com/users/42/*")]
    )]);
    let books = encoded("https://example.com/books/:id");
    let mut reader = hub
        .subscribe(&format!("match_urlpattern={books}"), &access(users))
        .await;
    let mut anonymous = hub
        .subscribe(&format!("match_urlpattern={books}&match=b"), "")
        .await;
    let mut exact = hub
        .subscribe("match_exact=https://example.com/books/1", "")
        .await;
    let mut every = hub.subscribe("match=*", "").await;
    let publisher = access(json!([detail(
        &["publish"],
        &[("urlpattern", "https://example.com/*"), ("exact", "b")]
    )]));
    for (fields, expected) in [
        (
            &[
                ("topic", "https://example.com/books/1"),
                ("topic", "https://example.com/users/42/books/1"),
                ("private", "0"),
                ("data", "private"),
            ][..],
            200,
        ),
        (
            &[("topic", "https://example.com/books/1"), ("data", "public")],
            200,
        ),
        (
            &[
                ("topic", "https://example.com/books/1/2"),
                ("data", "deeper"),
            ],
            200,
        ),
        (&[("topic", "b"), ("data", "b")], 200),
        (&[("topic", "b"), ("topic", "c")], 403),
    ] {
        let answer = hub.ask("POST", HUB, &publisher, &form(fields)).await;
        assert_eq!(answer.status, expected, "{fields:?} {}", answer.text());
        if expected == 403 {
            let challenge = answer.head.one("www-authenticate").unwrap();
            assert!(
                challenge.contains("error=\"insufficient_scope\""),
                "{challenge}"
            );
        } else {
            assert_eq!(
                answer.head.one("content-type"),
                Some("text/plain; charset=utf-8")
            );
        }
    }
    assert_eq!(reader.data().await, "private");
    assert_eq!(reader.data().await, "public");
    assert_eq!(exact.data().await, "public");
    for data in ["public", "b"] {
        assert_eq!(anonymous.data().await, data);
    }
    for data in ["public", "deeper", "b"] {
        assert_eq!(every.data().await, data);
    }
}

#[tokio::test]
async fn an_access_token_that_is_not_valid_is_refused_whatever_else_it_is() {
    let hub = Hub::open("anonymous = true\nversions = ['1.0']", "").await;
    let claims = |changes: Value| access_token(all(), changes);
    let sound =
        json!({"iss": ISSUER, "aud": URL, "exp": now() + 60, "authorization_details": all()});
    for good in [
        claims(json!({"aud": ["https://other.example.com", URL]})),
        claims(json!({"sub": null, "iat": null, "jti": null, "client_id": null})),
        typed("application/at+jwt", &sound),
        typed("AT+JWT", &sound),
    ] {
        let answer = hub
            .ask("HEAD", &format!("{HUB}?match=a"), &bearer(&good), "")
            .await;
        assert_eq!(answer.status, 200, "{good}");
    }
    let header = Header {
        typ: Some("at+jwt".to_owned()),
        ..Header::default()
    };
    let other_key = encode(
        &header,
        &sound,
        &EncodingKey::from_secret(SUBSCRIBER.as_bytes()),
    )
    .unwrap();
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJhIn0.".to_owned();
    for bad in [
        claims(json!({"iss": "https://other.example.com"})),
        claims(json!({"iss": null})),
        claims(json!({"aud": "https://other.example.com"})),
        claims(json!({"aud": null})),
        claims(json!({"exp": null})),
        claims(json!({"exp": now() - 1})),
        claims(json!({"nbf": now() + 60})),
        claims(json!({"authorization_details": [
            detail(&["subscribe"], &[("exact", "a")]),
            detail(&["subscribe"], &[("regexp", "a")]),
        ]})),
        // Claims of version 0.x in it permit nothing, and another type is none of an access token.
        claims(json!({"iss": null, "mercure": {"subscribe": ["*"]}})),
        typed("JWT", &sound),
        other_key,
        unsigned,
    ] {
        for (method, body) in [("POST", "topic=a"), ("HEAD", "")] {
            let answer = hub
                .ask(method, &format!("{HUB}?match=a"), &bearer(&bad), body)
                .await;
            assert_eq!(answer.status, 401, "{method} {bad}");
            let challenge = answer.head.one("www-authenticate").unwrap();
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
            assert!(
                challenge.contains(
                    "resource_metadata=\"https://hub.example.com/.well-known/oauth-protected-"
                ),
                "{challenge}"
            );
        }
    }
}

#[tokio::test]
async fn requests_that_are_malformed_or_too_large_are_refused() {
    let hub = Hub::open("anonymous = true\ntopics = 2", "").await;
    for query in [
        "match_regexp=a",
        "Match=a",
        "matches=1&match=a",
        "match_urlpattern=https://a/(",
        "topic=a&match=a",
    ] {
        let answer = hub.ask("GET", &format!("{HUB}?{query}"), "", "").await;
        assert_eq!(answer.status, 400, "{query}");
    }
    let publisher = access(all());
    let long = "x".repeat(5000);
    for (fields, expected) in [
        (&[("topic", "*")][..], 400),
        (&[("topic", "a"), ("type", "mercure")], 400),
        (&[("topic", "a"), ("id", "#x")], 400),
        (&[("topic", "a"), ("id", "earliest")], 400),
        (&[("topic", "a"), ("id", "a\u{200b}")], 400),
        (&[("topic", "a\u{85}")], 400),
        (&[("topic", "a"), ("retry", "1.5")], 400),
        (
            &[("topic", "https://x/.well-known/%6Dercure/subscriptions/x")],
            400,
        ),
        (&[("topic", "a"), ("topic", "mercure/x")], 400),
        (&[("topic", "1"), ("topic", "2"), ("topic", "3")], 413),
        (&[("topic", &long)], 413),
    ] {
        let answer = hub.ask("POST", HUB, &publisher, &form(fields)).await;
        assert_eq!(answer.status, expected, "{fields:?}");
    }
}

#[tokio::test]
async fn the_cookie_of_this_version_is_taken_and_its_header_comes_first() {
    let hub = Hub::open("origins = ['https://app.example.com']", "").await;
    let good = access_token(all(), json!({}));
    let target = format!("{HUB}?match=a");
    let cookie = format!("Cookie: __Secure-mercure_access_token={good}\r\n");
    assert_eq!(hub.ask("HEAD", &target, &cookie, "").await.status, 200);
    let lines = format!("{cookie}Authorization: Bearer x\r\n");
    assert_eq!(hub.ask("HEAD", &target, &lines, "").await.status, 401);
    let lines = format!("{cookie}Origin: https://app.example.com\r\n");
    assert_eq!(hub.ask("POST", HUB, &lines, "topic=a").await.status, 200);
    assert_eq!(hub.ask("POST", HUB, &cookie, "topic=a").await.status, 401);
    // An address is no place for an access token.
    let in_query = format!("{HUB}?match=a&access_token={good}");
    assert_eq!(hub.ask("HEAD", &in_query, "", "").await.status, 401);
}

#[tokio::test]
async fn the_cursor_is_told_in_the_header_of_this_version() {
    let hub = Hub::anonymous().await;
    let first = hub.publish(&[("topic", "a"), ("data", "1")]).await;
    hub.publish(&[("topic", "a"), ("data", "2")]).await;
    let mut stream = hub
        .subscribe(&format!("match=a&last_event_id={}", encoded(&first)), "")
        .await;
    assert_eq!(
        stream.head.one("mercure-last-event-id"),
        Some(first.as_str())
    );
    assert_eq!(stream.data().await, "2");
    let mut stream = hub
        .subscribe("match=a&last_event_id=x", "Last-Event-ID: earliest\r\n")
        .await;
    assert_eq!(stream.head.one("mercure-last-event-id"), Some("earliest"));
    assert_eq!(stream.data().await, "1");
    let live = hub.subscribe("match=a", "").await;
    assert_eq!(live.head.one("mercure-last-event-id"), None);
}

#[tokio::test]
async fn query_carries_matchers_in_its_body() {
    let hub = Hub::anonymous().await;
    hub.publish(&[("topic", "b"), ("data", "1")]).await;
    let mut wire = hub.door.plain().await;
    let body = "match=b&match=c&last_event_id=x";
    let request = format!(
        "QUERY {HUB}?match=a&last_event_id=earliest HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    );
    wire.send(request).await;
    let head = wire.head().await;
    assert_eq!(head.status(), 200);
    assert_eq!(head.one("mercure-last-event-id"), Some("earliest"));
    let mut stream = Stream {
        wire,
        head,
        read: String::new(),
    };
    stream.block().await;
    assert_eq!(stream.data().await, "1");
    for topic in ["a", "c"] {
        hub.publish(&[("topic", topic), ("data", topic)]).await;
        assert_eq!(stream.data().await, topic);
    }
    assert_eq!(hub.ask("QUERY", HUB, "", "match_x=a").await.status, 400);
    assert_eq!(
        hub.ask("QUERY", &format!("{HUB}?match=a"), "", "")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_stream_ends_with_its_access_token() {
    let hub = Hub::open("lifetime = 'off'", "[hub]\nkeep-alive = '1h'").await;
    let token = access_token(all(), json!({"exp": now() + 2}));
    let mut stream = hub.subscribe("match=a", &bearer(&token)).await;
    assert!(stream.try_block().await.unwrap().contains("expired"));
    assert_eq!(stream.try_block().await, None);
}

#[tokio::test]
async fn subscriptions_are_told_with_their_payload_and_their_cursor() {
    let hub = Hub::open("anonymous = true\nsubscriptions = true", "").await;
    let watcher = access(all());
    let pattern = encoded("/.well-known/mercure/subscriptions/*");
    let mut stream = hub
        .subscribe(&format!("match_urlpattern={pattern}"), &watcher)
        .await;
    stream.data().await;
    let mut with_payload = detail(&["subscribe"], &[("urlpattern", "https://example.com/:id")]);
    with_payload["payload"] = json!({"tenant": 1});
    let subscriber = access(json!([with_payload]));
    let selected = encoded("https://example.com/:id");
    let other = hub
        .subscribe(&format!("match_urlpattern={selected}&match=b"), &subscriber)
        .await;
    let event = stream.event().await;
    assert!(
        event.starts_with("event: mercure\nid: urn:uuid:"),
        "{event}"
    );
    let told: Value = serde_json::from_str(event.split_once("data: ").unwrap().1).unwrap();
    let id = told["subscriber"].as_str().unwrap().to_owned();
    let url = format!(
        "{HUB}/subscriptions/urlpattern/https%3A%2F%2Fexample.com%2F%3Aid/{}",
        encoded(&id)
    );
    let expected = json!({
        "id": url, "type": "subscription", "match_type": "urlpattern", "match": "https://example.com/:id",
        "subscriber": id, "active": true, "payload": {"tenant": 1},
    });
    assert_eq!(told, expected);
    let second: Value = serde_json::from_str(&stream.data().await).unwrap();
    assert_eq!(
        (&second["match"], &second["subscriber"]),
        (&json!("b"), &json!(id))
    );
    assert!(second.get("payload").is_none());
    let found = hub.ask("GET", &url, &watcher, "").await;
    assert_eq!(found.head.one("content-type"), Some("application/json"));
    assert_eq!(
        serde_json::from_str::<Value>(found.text()).unwrap(),
        expected
    );
    let link = found.head.one("link").unwrap();
    assert!(
        link.starts_with(&format!(
            "<{URL}>; rel=\"mercure\"; last-event-id=\"urn:uuid:"
        )),
        "{link}"
    );
    assert!(
        link.contains("type=\"mercure\"") && link.contains("content-type=\"application/json\""),
        "{link}"
    );
    let of_kind = format!("{HUB}/subscriptions/exact/b");
    let document: Value =
        serde_json::from_str(hub.ask("GET", &of_kind, &watcher, "").await.text()).unwrap();
    assert_eq!(
        (&document["id"], &document["type"]),
        (&json!(of_kind), &json!("subscriptions"))
    );
    assert_eq!(document["subscriptions"].as_array().unwrap().len(), 1);
    let all_of_them = format!("{HUB}/subscriptions");
    let document: Value =
        serde_json::from_str(hub.ask("GET", &all_of_them, &watcher, "").await.text()).unwrap();
    assert_eq!(document["subscriptions"].as_array().unwrap().len(), 3);
    let narrow = access(json!([detail(&["subscribe"], &[("exact", &of_kind)])]));
    assert_eq!(hub.ask("GET", &of_kind, &narrow, "").await.status, 200);
    let refused = hub.ask("GET", &all_of_them, &narrow, "").await;
    assert_eq!(refused.status, 403);
    assert!(
        refused
            .head
            .one("www-authenticate")
            .unwrap()
            .contains("insufficient_scope")
    );
    drop(other);
    let gone: Value = serde_json::from_str(&stream.data().await).unwrap();
    assert_eq!(gone["active"], false);
    stream.data().await;
    assert_eq!(hub.ask("GET", &url, &watcher, "").await.status, 404);
}

#[tokio::test]
async fn the_metadata_says_what_the_hub_takes() {
    let hub = Hub::open("subscriptions = true", "").await;
    let target = "/.well-known/oauth-protected-resource/.well-known/mercure";
    let answer = hub.ask("GET", target, "", "").await;
    assert_eq!(answer.status, 200);
    let expected = json!({
        "resource": URL,
        "authorization_details_types_supported": ["https://mercure.rocks/authorization-detail"],
        "bearer_methods_supported": ["header"],
        "mercure_cookie": "__Secure-mercure_access_token",
        "mercure_matcher_types_supported": ["exact", "urlpattern"],
        "mercure_subscriptions": true,
    });
    assert_eq!(
        serde_json::from_str::<Value>(answer.text()).unwrap(),
        expected
    );
}
