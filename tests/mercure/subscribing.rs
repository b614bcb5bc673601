//! Subscribing: tokens, private updates, parameters, headers and the life of a stream.

use super::*;

#[tokio::test]
async fn a_private_update_goes_only_to_those_whose_token_permits_one_of_its_topics() {
    let hub = Hub::anonymous().await;
    let subscriber = |topics: &[&str]| bearer(&token(SUBSCRIBER, json!({"subscribe": topics})));
    let mut anonymous = hub.subscribe("topic=a", "").await;
    let mut exact = hub.subscribe("topic=a", &subscriber(&["a"])).await;
    let mut template = hub
        .subscribe("topic=a", &subscriber(&["/users/{id}/a"]))
        .await;
    let mut elsewhere = hub.subscribe("topic=a", &subscriber(&["b"])).await;
    let mut nothing = hub.subscribe("topic=a", &subscriber(&[])).await;
    for fields in [
        &[
            ("topic", "a"),
            ("topic", "/users/1/a"),
            ("private", ""),
            ("data", "private"),
        ][..],
        &[("topic", "a"), ("data", "public")],
    ] {
        hub.publish(fields).await;
    }
    for stream in [&mut exact, &mut template] {
        assert_eq!(stream.data().await, "private");
    }
    for stream in [
        &mut anonymous,
        &mut exact,
        &mut template,
        &mut elsewhere,
        &mut nothing,
    ] {
        assert_eq!(stream.data().await, "public");
    }
}

#[tokio::test]
async fn the_history_is_filtered_by_the_token_of_who_comes_back() {
    let hub = Hub::anonymous().await;
    for (data, private) in [("1", false), ("2", true), ("3", false)] {
        let mut fields = vec![("topic", "a"), ("data", data)];
        if private {
            fields.push(("private", "on"));
        }
        hub.publish(&fields).await;
    }
    let mut anonymous = hub.subscribe("topic=a&lastEventID=earliest", "").await;
    assert_eq!(anonymous.data().await, "1");
    assert_eq!(anonymous.data().await, "3");
    let lines = bearer(&token(SUBSCRIBER, json!({"subscribe": ["a"]})));
    let mut reader = hub.subscribe("topic=a&lastEventID=earliest", &lines).await;
    for data in ["1", "2", "3"] {
        assert_eq!(reader.data().await, data);
    }
}

#[tokio::test]
async fn a_token_is_taken_from_the_header_the_query_or_the_cookie_in_this_order() {
    let hub = Hub::open("", "").await;
    let good = token(SUBSCRIBER, json!({"subscribe": ["*"]}));
    let bad = token(PUBLISHER, json!({"subscribe": ["*"]}));
    let header = |token: &str| bearer(token);
    let query = |token: &str| format!("{HUB}?topic=a&authorization={token}");
    let cookie = |token: &str| format!("Cookie: a=b; mercureAuthorization={token}\r\n");
    let plain = format!("{HUB}?topic=a");
    for (target, lines, expected) in [
        (plain.clone(), header(&good), 200),
        (query(&good), String::new(), 200),
        (plain.clone(), cookie(&good), 200),
        (query(&bad), header(&good), 200),
        (query(&good), header(&bad), 401),
        (query(&good), cookie(&bad), 200),
        (query(&bad), cookie(&good), 401),
        (
            plain.clone(),
            format!("{}{}", header(&good), cookie(&bad)),
            200,
        ),
        (
            plain.clone(),
            "Authorization: Basic YTpi\r\n".to_owned(),
            401,
        ),
        (plain.clone(), String::new(), 401),
    ] {
        let answer = hub.ask("HEAD", &target, &lines, "").await;
        assert_eq!(answer.status, expected, "{target} {lines}");
    }
    let without = Hub::open("query-token = false\ncookie = 'other'", "").await;
    for (target, lines, expected) in [
        (query(&good), String::new(), 401),
        (plain.clone(), cookie(&good), 401),
        (plain.clone(), format!("Cookie: other={good}\r\n"), 200),
    ] {
        assert_eq!(
            without.ask("HEAD", &target, &lines, "").await.status,
            expected,
            "{target}"
        );
    }
}

#[tokio::test]
async fn parameters_that_are_malformed_or_too_many_are_refused() {
    let hub = Hub::open(
        "anonymous = true\nselectors = 2\npatterns = 1\ntopic-length = 64",
        "",
    )
    .await;
    let long = format!("topic={}", "x".repeat(65));
    for query in [
        "",
        "x=y",
        "topic=1&topic=2&topic=3",
        "topic=%7Ba%7D&topic=%7Bb%7D",
        "topic=a%0Ab",
        "topic=%ff",
        "topic=a&match=a",
        &long,
    ] {
        let answer = hub.ask("GET", &format!("{HUB}?{query}"), "", "").await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.head.one("www-authenticate").is_none());
    }
    hub.subscribe("topic=1&topic=1&topic=%7Ba%7D&other=x", "")
        .await;
}

#[tokio::test]
async fn a_response_to_head_has_the_headers_of_a_stream_and_ends() {
    let hub = Hub::anonymous().await;
    let mut client = hub.door.plain().await;
    let target = format!("{HUB}?topic=a&lastEventID=earliest");
    client
        .send(format!(
            "HEAD {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ))
        .await;
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store, no-transform"),
        ("x-accel-buffering", "no"),
        ("last-event-id", "earliest"),
    ] {
        assert_eq!(head.one(name), Some(value));
    }
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_at_its_lifetime() {
    let hub = Hub::open(
        "anonymous = true\nlifetime = '1s'",
        "[hub]\nkeep-alive = '100ms'",
    )
    .await;
    let mut short = hub.subscribe("topic=a", "").await;
    let ended = short.try_block().await.unwrap();
    assert!(ended.contains("lifetime"), "{ended}");
    assert_eq!(short.try_block().await, None);
    let hub = Hub::open("lifetime = 'off'", "[hub]\nkeep-alive = '1h'").await;
    let claims = json!({"mercure": {"subscribe": ["*"]}, "exp": now() + 2});
    let mut stream = hub
        .subscribe("topic=a", &bearer(&signed(SUBSCRIBER, &claims)))
        .await;
    let ended = stream.try_block().await.unwrap();
    assert!(ended.contains("expired"), "{ended}");
    assert_eq!(stream.try_block().await, None);
    assert!(now() <= claims["exp"].as_u64().unwrap() + 5);
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_is_alive() {
    let hub = Hub::open("anonymous = true", "[hub]\nkeep-alive = '50ms'").await;
    let mut stream = hub.subscribe("topic=a", "").await;
    hub.publish(&[("topic", "other")]).await;
    let piece = within("a sign of life", stream.wire.input.chunk()).await;
    assert_eq!(piece, b":\n");
    // It is a comment, and no part of the event behind it.
    hub.publish(&[("topic", "a"), ("data", "x")]).await;
    assert_eq!(stream.data().await, "x");
}

#[tokio::test]
async fn pages_of_listed_origins_may_read_and_those_of_others_may_not() {
    let hub = Hub::open(
        "anonymous = true\norigins = ['same', 'https://app.example.com']",
        "",
    )
    .await;
    let target = format!("{HUB}?topic=a");
    let origin = "Origin: https://app.example.com\r\n";
    let answer = hub.ask("HEAD", &target, origin, "").await;
    assert_eq!(answer.status, 200);
    let head = &answer.head;
    assert_eq!(
        head.one("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    assert_eq!(head.one("access-control-allow-credentials"), Some("true"));
    let shown = head.one("access-control-expose-headers").unwrap();
    assert!(
        shown.contains("link") && shown.contains("mercure-last-event-id"),
        "{shown}"
    );
    let lines = format!("{origin}Access-Control-Request-Method: POST\r\n");
    let asked = hub.ask("OPTIONS", HUB, &lines, "").await;
    assert_eq!(asked.status, 204);
    let permitted = asked.head.one("access-control-allow-headers").unwrap();
    for name in ["authorization", "cache-control", "last-event-id"] {
        assert!(permitted.contains(name), "{permitted}");
    }
    assert!(
        asked
            .head
            .one("access-control-allow-methods")
            .unwrap()
            .contains("POST")
    );
    for lines in ["Origin: https://evil.example\r\n", "Origin: null\r\n"] {
        let answer = hub.ask("HEAD", &target, lines, "").await;
        assert_eq!(answer.status, 403, "{lines}");
        assert_eq!(answer.head.one("access-control-allow-origin"), None);
    }
    // Where any page may read, none is taken at its visitor's cookie.
    let any = Hub::open("anonymous = true\norigins = ['any']", "").await;
    let answer = any
        .ask("HEAD", &target, "Origin: https://evil.example\r\n", "")
        .await;
    assert_eq!(answer.head.one("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.head.one("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn one_address_has_its_share_of_the_subscribers() {
    let hub = Hub::open("anonymous = true", "[hub]\nsubscribers = 16").await;
    let mut open = Vec::new();
    for topic in 0..8 {
        open.push(hub.subscribe(&format!("topic={topic}"), "").await);
    }
    let target = format!("{HUB}?topic=a");
    let answer = hub.ask("GET", &target, "", "").await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.head.one("retry-after").is_some());
    let mut other = hub.door.plain_from("127.0.0.2").await;
    other.send(Door::get(&target, "")).await;
    assert_eq!(other.head().await.status(), 200);
}

#[tokio::test]
async fn no_client_reaches_the_updates_by_another_way() {
    let tables = "[[channel]]\nname = '*.*'\n";
    let hub = Hub::open("anonymous = true", tables).await;
    hub.publish(&[("topic", "a"), ("private", "on"), ("data", "secret")])
        .await;
    let target = "/events/mercure.updates?cursor=earliest";
    let answer = hub
        .ask("GET", target, "Accept: text/event-stream\r\n", "")
        .await;
    assert_eq!(answer.status, 404, "{}", answer.text());
}
