//! Publishing: the form, the permission and the refusals.

use super::*;

#[tokio::test]
async fn an_update_reaches_those_who_have_selected_one_of_its_topics() {
    let hub = Hub::anonymous().await;
    let mut exact = hub.subscribe("topic=b", "").await;
    let mut template = hub
        .subscribe(
            &format!("topic=x&topic={}", encoded("https://example.com/{id}")),
            "",
        )
        .await;
    let mut every = hub.subscribe("topic=*", "").await;
    let mut other = hub.subscribe("topic=c", "").await;
    let fields = [
        ("topic", "https://example.com/1"),
        ("topic", "b"),
        ("data", "one\ntwo\r\nthree"),
        ("id", "urn:uuid:5e94c686-2c0b-4f9b-958c-92ccc3bbb4eb"),
        ("type", "greeting"),
        ("retry", "1500"),
        ("unknown", "ignored"),
    ];
    assert_eq!(hub.publish(&fields).await, fields[3].1);
    let event = "event: greeting\nretry: 1500\nid: urn:uuid:5e94c686-2c0b-4f9b-958c-92ccc3bbb4eb\ndata: one\n\
                 data: two\ndata: three";
    for stream in [&mut exact, &mut template, &mut every] {
        assert_eq!(stream.event().await, event);
    }
    hub.publish(&[("topic", "c"), ("data", "own")]).await;
    assert_eq!(other.data().await, "own");
}

#[tokio::test]
async fn an_update_without_an_id_gets_one_that_is_an_iri() {
    let hub = Hub::anonymous().await;
    let mut stream = hub.subscribe("topic=a", "").await;
    let token = signed(PUBLISHER, &serde_json::from_str(ALL).unwrap());
    let answer = hub.post(&token, &[("topic", "a")]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.head.one("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let id = answer.text().to_owned();
    assert!(id.starts_with("urn:uuid:") && id.len() == 45, "{id}");
    assert_eq!(stream.event().await, format!("id: {id}\ndata: "));
}

#[tokio::test]
async fn only_who_may_publish_on_all_topics_publishes() {
    let hub = Hub::anonymous().await;
    let fields = [("topic", "/a/1"), ("topic", "b"), ("data", "x")];
    let status = |token: String, fields: &'static [(&'static str, &'static str)]| {
        let hub = &hub;
        async move { hub.post(&token, fields).await.status }
    };
    let both = json!({"publish": ["/a/{id}", "b"]});
    assert_eq!(
        status(
            token(PUBLISHER, both.clone()),
            &[("topic", "/a/1"), ("topic", "b")]
        )
        .await,
        200
    );
    for (mercure, expected) in [
        (json!({"publish": ["/a/{id}"]}), 403),
        (json!({"publish": []}), 403),
        (json!({"subscribe": ["*"]}), 403),
        (json!({"publish": ["*"]}), 200),
    ] {
        let answer = hub.post(&token(PUBLISHER, mercure.clone()), &fields).await;
        assert_eq!(answer.status, expected, "{mercure}");
    }
    // The namespaced claim comes first.
    let claims = json!({"https://mercure.rocks/": both, "mercure": {"publish": []}});
    assert_eq!(
        hub.post(&signed(PUBLISHER, &claims), &fields).await.status,
        200
    );
    for wrong in [
        token(SUBSCRIBER, both.clone()),
        signed(PUBLISHER, &json!({"mercure": both, "exp": now() - 1})),
        signed(PUBLISHER, &json!({"mercure": both, "nbf": now() + 60})),
        signed(
            PUBLISHER,
            &json!({"mercure": both, "aud": "https://other.example.com"}),
        ),
        signed(PUBLISHER, &json!({"mercure": {"publish": "*"}})),
        "not-a-token".to_owned(),
    ] {
        let answer = hub.post(&wrong, &fields).await;
        assert_eq!(answer.status, 401, "{wrong}");
        let challenge = answer.head.one("www-authenticate").unwrap();
        assert!(
            challenge.starts_with("Bearer error=\"invalid_token\""),
            "{challenge}"
        );
    }
    let answer = hub.ask("POST", HUB, "", &form(&fields)).await;
    assert_eq!(answer.status, 401);
    let challenge = answer.head.one("www-authenticate").unwrap();
    assert!(
        challenge.starts_with("Bearer") && !challenge.contains("error"),
        "{challenge}"
    );
}

#[tokio::test]
async fn forms_that_are_malformed_reserved_or_too_large_are_refused() {
    let hub = Hub::open("topics = 3", "[hub]\nmessage-size = '1KiB'").await;
    let token = signed(PUBLISHER, &serde_json::from_str(ALL).unwrap());
    let large = "x".repeat(2000);
    for (fields, expected) in [
        (&[("data", "x")][..], 400),
        (&[("topic", "a"), ("retry", "soon")], 400),
        (&[("topic", "a"), ("id", "a\nb")], 400),
        (&[("topic", "a"), ("id", "#1")], 400),
        (&[("topic", "a"), ("id", "earliest")], 400),
        (&[("topic", "a"), ("type", "a\0b")], 400),
        (&[("topic", "a\rb")], 400),
        (
            &[
                ("topic", "1"),
                ("topic", "2"),
                ("topic", "3"),
                ("topic", "4"),
            ],
            400,
        ),
        (&[("topic", "/.well-known/mercure/subscriptions/a/b")], 403),
        (
            &[("topic", "a"), ("topic", "https://x/.well-known/mercure")],
            403,
        ),
        (&[("topic", "a"), ("data", &large)], 413),
    ] {
        let answer = hub.post(&token, fields).await;
        assert_eq!(answer.status, expected, "{fields:?} {}", answer.text());
    }
    let huge = form(&[("topic", "a"), ("data", &"x".repeat(10_000))]);
    assert_eq!(
        hub.ask("POST", HUB, &bearer(&token), &huge).await.status,
        413
    );
    // Whoever may not publish learns nothing about the form.
    assert_eq!(hub.ask("POST", HUB, "", "x=1").await.status, 401);
    let lines = format!("{}Content-Type: application/json\r\n", bearer(&token));
    assert_eq!(hub.ask("POST", HUB, &lines, "").await.status, 400);
    assert_eq!(hub.ask("PUT", HUB, "", "").await.status, 405);
    assert_eq!(
        hub.ask("GET", &format!("{HUB}/nothing"), "", "")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_repeated_update_is_published_once_and_another_with_its_id_is_not_lost() {
    let hub = Hub::anonymous().await;
    let mut stream = hub.subscribe("topic=a", "").await;
    for data in ["one", "one", "two"] {
        hub.publish(&[("topic", "a"), ("id", "urn:x:1"), ("data", data)])
            .await;
    }
    // Without an id of its own each is another.
    for _ in 0..2 {
        hub.publish(&[("topic", "a"), ("data", "three")]).await;
    }
    for data in ["one", "two", "three", "three"] {
        assert_eq!(stream.data().await, data);
    }
}

#[tokio::test]
async fn a_page_publishes_with_its_cookie_only_from_a_permitted_origin() {
    let hub = Hub::open("origins = ['https://app.example.com']", "").await;
    let token = token(PUBLISHER, json!({"publish": ["a"]}));
    let status = |lines: &'static str| {
        let cookie = format!("Cookie: x=1; mercureAuthorization={token}\r\n{lines}");
        let hub = &hub;
        async move { hub.ask("POST", HUB, &cookie, "topic=a").await.status }
    };
    assert_eq!(status("Origin: https://app.example.com\r\n").await, 200);
    assert_eq!(
        status("Referer: https://app.example.com/page\r\n").await,
        200
    );
    assert_eq!(status("").await, 401);
    assert_eq!(status("Origin: https://evil.example\r\n").await, 403);
    assert_eq!(status("Referer: https://evil.example/x\r\n").await, 403);
    assert_eq!(
        status("Origin: null\r\nReferer: https://app.example.com/\r\n").await,
        403
    );
}

#[tokio::test]
async fn a_key_that_is_removed_opens_nothing_any_more() {
    let hub = Hub::anonymous().await;
    let good = token(PUBLISHER, json!({"publish": ["*"]}));
    assert_eq!(hub.post(&good, &[("topic", "a")]).await.status, 200);
    let file = hub.directory.path().join("publisher");
    std::fs::write(&file, "another secret that is long enough for HS256").unwrap();
    assert_eq!(hub.post(&good, &[("topic", "a")]).await.status, 401);
}
