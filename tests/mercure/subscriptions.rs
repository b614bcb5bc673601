//! Active subscriptions: updates of the hub itself, and the documents.

use super::*;

#[tokio::test]
async fn who_subscribes_is_told_to_those_whose_token_permits_it() {
    let hub = Hub::open("anonymous = true\nsubscriptions = true", "").await;
    let watched = "/.well-known/mercure/subscriptions/{topic}/{subscriber}";
    let lines = bearer(&token(SUBSCRIBER, json!({"subscribe": [watched]})));
    let query = format!("topic={}", encoded(watched));
    let mut observer = hub.subscribe(&query, &lines).await;
    let mut spy = hub.subscribe(&format!("{query}&topic=public"), "").await;
    let own: Value = serde_json::from_str(&observer.data().await).unwrap();
    assert_eq!(own["topic"], watched);
    // The spy's two subscriptions.
    observer.data().await;
    observer.data().await;
    let claims = json!({"subscribe": ["x"], "payload": {"name": "ann"}});
    let subscriber = bearer(&token(SUBSCRIBER, claims));
    let stream = hub
        .subscribe(
            &format!("topic={}", encoded("https://example.com/{id}")),
            &subscriber,
        )
        .await;
    let event = observer.event().await;
    assert!(event.starts_with("id: urn:uuid:"), "{event}");
    let told: Value = serde_json::from_str(event.split_once("data: ").unwrap().1).unwrap();
    let id = told["subscriber"].as_str().unwrap().to_owned();
    let url = format!(
        "{HUB}/subscriptions/https%3A%2F%2Fexample.com%2F%7Bid%7D/{}",
        encoded(&id)
    );
    let expected = json!({
        "@context": "https://mercure.rocks/", "id": url, "type": "Subscription", "topic": "https://example.com/{id}",
        "subscriber": id, "active": true, "payload": {"name": "ann"},
    });
    assert_eq!(told, expected);
    let found = hub.ask("GET", &url, &lines, "").await;
    assert_eq!(found.status, 200, "{}", found.text());
    drop(stream);
    let gone: Value = serde_json::from_str(&observer.data().await).unwrap();
    assert_eq!((&gone["id"], &gone["active"]), (&json!(url), &json!(false)));
    assert_eq!(hub.ask("GET", &url, &lines, "").await.status, 404);
    hub.publish(&[("topic", "public"), ("data", "public")])
        .await;
    assert_eq!(spy.data().await, "public");
}

#[tokio::test]
async fn the_documents_list_the_active_subscriptions() {
    let hub = Hub::open("anonymous = true\nsubscriptions = true", "").await;
    let all = bearer(&token(SUBSCRIBER, json!({"subscribe": ["*"]})));
    let collection = format!("{HUB}/subscriptions");
    let empty = hub.ask("GET", &collection, &all, "").await;
    assert_eq!(empty.status, 200);
    let document: Value = serde_json::from_str(empty.text()).unwrap();
    let expected = json!({
        "@context": "https://mercure.rocks/", "id": collection, "type": "Subscriptions", "lastEventID": "earliest",
        "subscriptions": [],
    });
    assert_eq!(document, expected);
    let _one = hub.subscribe("topic=a&topic=b", "").await;
    let _two = hub.subscribe("topic=a", "").await;
    let last = hub.publish(&[("topic", "a")]).await;
    let found = hub.ask("GET", &collection, &all, "").await;
    assert_eq!(found.head.one("content-type"), Some("application/ld+json"));
    let tag = found.head.one("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{last}\""));
    let document: Value = serde_json::from_str(found.text()).unwrap();
    assert_eq!(document["lastEventID"], last.as_str());
    assert_eq!(document["subscriptions"].as_array().unwrap().len(), 3);
    let of_a = hub.ask("GET", &format!("{collection}/a"), &all, "").await;
    let document: Value = serde_json::from_str(of_a.text()).unwrap();
    let subscriptions = document["subscriptions"].as_array().unwrap();
    assert_eq!(subscriptions.len(), 2);
    assert!(
        subscriptions
            .iter()
            .all(|one| one["topic"] == "a" && one["active"] == true)
    );
    let same = hub
        .ask(
            "GET",
            &collection,
            &format!("{all}If-None-Match: {tag}\r\n"),
            "",
        )
        .await;
    assert_eq!(same.status, 304);
    // The address itself is the topic to be permitted.
    let one = |topic: &str| bearer(&token(SUBSCRIBER, json!({"subscribe": [topic]})));
    for (lines, expected) in [
        (one(&collection), 200),
        (one("/.well-known/mercure/subscriptions{/topic}"), 200),
        (one("a"), 403),
        (String::new(), 401),
        (bearer(&token(PUBLISHER, json!({"subscribe": ["*"]}))), 401),
    ] {
        assert_eq!(
            hub.ask("GET", &collection, &lines, "").await.status,
            expected,
            "{lines}"
        );
    }
}

#[tokio::test]
async fn without_the_key_nothing_is_told() {
    let hub = Hub::anonymous().await;
    let all = bearer(&token(SUBSCRIBER, json!({"subscribe": ["*"]})));
    let mut observer = hub.subscribe("topic=*", &all).await;
    let _other = hub.subscribe("topic=a", "").await;
    hub.publish(&[("topic", "a"), ("data", "x")]).await;
    assert_eq!(observer.data().await, "x");
    assert_eq!(
        hub.ask("GET", &format!("{HUB}/subscriptions"), &all, "")
            .await
            .status,
        404
    );
}
