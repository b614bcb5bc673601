//! Histories on disk: what outlives a restart, and what is told of what does not.

use super::{Hub, channel, hub};
use crate::harness::within;

const DISK: &str = "[channel.history]\nstore = 'disk'\nmessages = 3";

pub(super) async fn restarted(hub: Hub, settings: &str, tables: &str) -> Hub {
    let stopped = hub.door.stop();
    assert_eq!(within("the stop", stopped).await.unwrap().left, 0);
    super::hub(settings, tables).await
}

#[tokio::test]
async fn a_browser_comes_back_after_a_restart_and_misses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let settings = format!("store = '{}'", directory.path().display());
    let tables = channel("a", DISK);
    let first = hub(&settings, &tables).await;
    let mut cursor = String::new();
    for text in ["1", "2"] {
        cursor = first.say("a", text).await;
    }
    first.say("a", "3").await;
    let second = restarted(first, &settings, &tables).await;
    let resume = format!("/events/a?last-event-id={cursor}");
    assert_eq!(second.stream(&resume, "").await.data().await, "3");
    second
        .publish("/events/a?event=e&key=k", "application/json", "[4]")
        .await;
    let third = restarted(second, &settings, &tables).await;
    let mut events = third.stream(&resume, "").await;
    assert_eq!(events.data().await, "3");
    let block = events.block().await;
    assert!(block.ends_with("\nevent: e\ndata: [4]"), "{block}");
    // Ids go on where they were.
    let (before, _) = third.stream(&resume, "").await.event().await;
    let next = third.say("a", "5").await;
    let offset = |id: &str| id.split_once(':').unwrap().1.parse::<u64>().unwrap();
    assert_eq!(offset(&next), offset(&before) + 2);
}

#[tokio::test]
async fn what_was_trimmed_before_a_restart_is_a_gap_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let settings = format!("store = '{}'", directory.path().display());
    let tables = channel("a", DISK);
    let first = hub(&settings, &tables).await;
    let cursor = first.say("a", "1").await;
    for text in ["2", "3", "4", "5"] {
        first.say("a", text).await;
    }
    let second = restarted(first, &settings, &tables).await;
    let mut events = second
        .stream(&format!("/events/a?last-event-id={cursor}"), "")
        .await;
    let block = events.block().await;
    assert!(
        block.contains("event: reset") && block.contains("expired"),
        "{block}"
    );
    assert_eq!(events.data().await, "3");
}

#[tokio::test]
async fn a_channel_in_memory_tells_of_a_restart_even_beside_one_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let settings = format!("store = '{}'", directory.path().display());
    let tables = channel("a", DISK) + &channel("b", "");
    let first = hub(&settings, &tables).await;
    let cursor = first.say("a", "1").await;
    first.say("b", "lost").await;
    let second = restarted(first, &settings, &tables).await;
    second.say("b", "2").await;
    let mut events = second
        .stream(&format!("/events/b?last-event-id={cursor}"), "")
        .await;
    let block = events.block().await;
    assert!(
        block.contains("event: reset") && block.contains("restarted"),
        "{block}"
    );
    assert_eq!(events.data().await, "2");
}

#[tokio::test]
async fn histories_on_disk_outlive_a_limit_on_channels_that_is_lower_than_their_number() {
    let directory = tempfile::tempdir().unwrap();
    let settings = format!("store = '{}'", directory.path().display());
    let tables = channel("job.*", DISK);
    let first = hub(&settings, &tables).await;
    let mut links = Vec::new();
    for name in ["job.1", "job.2", "job.3"] {
        let cursor = first.say(name, "before").await;
        first.say(name, name).await;
        links.push((name, format!("/events/{name}?last-event-id={cursor}")));
    }
    let lower = format!("{settings}\nchannels = 1");
    let second = restarted(first, &lower, &tables).await;
    for (name, link) in &links {
        assert_eq!(second.stream(link, "").await.data().await, *name);
    }
    // And no new one has room.
    let refused = second
        .poll("/events/job.4", "Accept: text/event-stream\r\n")
        .await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    let third = restarted(second, &settings, &tables).await;
    for (name, link) in &links {
        assert_eq!(third.stream(link, "").await.data().await, *name);
    }
}
