//! The history: cursors by header and parameter, after a restart too.

use super::*;

async fn three() -> (Hub, Vec<String>) {
    let hub = Hub::anonymous().await;
    let mut ids = Vec::new();
    for data in ["1", "2", "3"] {
        ids.push(hub.publish(&[("topic", "a"), ("data", data)]).await);
        hub.publish(&[("topic", "other"), ("data", "x")]).await;
    }
    (hub, ids)
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_has_missed() {
    let (hub, ids) = three().await;
    let id = encoded(&ids[0]);
    let mut stream = hub
        .subscribe(&format!("topic=a&lastEventID={id}"), "")
        .await;
    assert_eq!(stream.head.one("last-event-id"), Some(ids[0].as_str()));
    assert_eq!(stream.data().await, "2");
    assert_eq!(stream.data().await, "3");
    // The header is that of an EventSource that comes back, and newer than its address.
    let lines = format!("Last-Event-ID: {}\r\n", ids[1]);
    let mut stream = hub
        .subscribe(&format!("topic=a&lastEventID={id}"), &lines)
        .await;
    assert_eq!(stream.head.one("last-event-id"), Some(ids[1].as_str()));
    assert_eq!(stream.data().await, "3");
    let mut live = hub.subscribe("topic=a", "").await;
    assert_eq!(live.head.one("last-event-id"), None);
    hub.publish(&[("topic", "a"), ("data", "4")]).await;
    assert_eq!(live.data().await, "4");
    assert_eq!(stream.data().await, "4");
}

#[tokio::test]
async fn earliest_and_a_cursor_that_is_unknown_begin_at_the_oldest_update() {
    let (hub, _) = three().await;
    for cursor in ["earliest", "urn:uuid:unknown"] {
        let mut stream = hub
            .subscribe(&format!("topic=a&lastEventID={cursor}"), "")
            .await;
        assert_eq!(stream.head.one("last-event-id"), Some("earliest"));
        for data in ["1", "2", "3"] {
            assert_eq!(stream.data().await, data);
        }
    }
}

#[tokio::test]
async fn of_several_updates_with_one_id_a_cursor_means_the_first() {
    let hub = Hub::anonymous().await;
    for data in ["1", "2", "3"] {
        hub.publish(&[("topic", "a"), ("id", "urn:x:same"), ("data", data)])
            .await;
    }
    let mut stream = hub.subscribe("topic=a&lastEventID=urn:x:same", "").await;
    assert_eq!(stream.data().await, "2");
    assert_eq!(stream.data().await, "3");
}

#[tokio::test]
async fn what_the_history_has_lost_shows_in_the_header() {
    let hub = Hub::open("anonymous = true\nhistory = { messages = 2 }", "").await;
    let first = hub.publish(&[("topic", "a"), ("data", "1")]).await;
    for data in ["2", "3", "4"] {
        hub.publish(&[("topic", "a"), ("data", data)]).await;
    }
    let query = format!("topic=a&lastEventID={}", encoded(&first));
    let mut stream = hub.subscribe(&query, "").await;
    assert_eq!(stream.head.one("last-event-id"), Some("earliest"));
    assert_eq!(stream.data().await, "3");
    assert_eq!(stream.data().await, "4");
}

#[tokio::test]
async fn a_history_on_disk_goes_on_after_a_restart() {
    let store = tempfile::tempdir().unwrap();
    let tables = format!("[hub]\nstore = '{}'", store.path().display());
    let keys = "anonymous = true\nhistory = { store = 'disk' }";
    let hub = Hub::open(keys, &tables).await;
    let first = hub.publish(&[("topic", "a"), ("data", "1")]).await;
    let private = [("topic", "a"), ("data", "2"), ("private", "on")];
    hub.publish(&private).await;
    let same = [("topic", "a"), ("data", "3"), ("id", "urn:x:3")];
    hub.publish(&same).await;
    let _ = within("the drain", hub.door.stop()).await.unwrap();
    let hub = Hub::open(keys, &tables).await;
    // Its publisher does not know that it has arrived.
    hub.publish(&same).await;
    hub.publish(&[("topic", "a"), ("data", "4")]).await;
    let query = format!("topic=a&lastEventID={}", encoded(&first));
    let mut stream = hub.subscribe(&query, "").await;
    assert_eq!(stream.head.one("last-event-id"), Some(first.as_str()));
    assert_eq!(stream.data().await, "3");
    assert_eq!(stream.data().await, "4");
    let lines = bearer(&token(SUBSCRIBER, json!({"subscribe": ["a"]})));
    let mut reader = hub.subscribe(&query, &lines).await;
    for data in ["2", "3", "4"] {
        assert_eq!(reader.data().await, data);
    }
}
