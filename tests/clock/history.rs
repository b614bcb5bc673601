//! Tests of channel histories while the wall clock jumps between two runs.

use super::Fixture;
use crate::support::{Process, path, scratch};

fn offset(id: &str) -> u64 {
    id.split_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn a_history_on_disk_outlives_a_crash_whichever_way_the_clock_was_wrong() {
    let store = scratch();
    let tables = format!(
        "[hub]\nstore = '{}'\n[[channel]]\nname = 'news'\n[channel.history]\nstore = 'disk'\n",
        path(&store, "")
    );
    let fixture = Fixture::open(&tables);
    let begin = fixture.say("news", "begin");
    let _ = fixture.say("news", "1");
    fixture.jump(10);
    let _ = fixture.say("news", "2");
    // It was ahead, and is right again: a message of the future is new.
    let fixture = fixture.crash_and_open(0, &tables);
    let _ = fixture.say("news", "3");
    assert_eq!(fixture.missed("news", &begin), gives(&["1", "2", "3"]));
    // It is behind, as that of a machine without a battery is until NTP has answered.
    let fixture = fixture.crash_and_open(-10, &tables);
    let last = fixture.say("news", "4");
    fixture.jump(0);
    assert_eq!(fixture.missed("news", &begin), gives(&["1", "2", "3", "4"]));
    assert_eq!(offset(&last), offset(&begin) + 4, "{begin} {last}");
    // At a start there is nothing but the clock to tell how old they are.
    let fixture = fixture.crash_and_open(10, &tables);
    let next = fixture.say("news", "5");
    assert_eq!(offset(&next), offset(&last) + 1);
    let (reset, texts) = fixture.missed("news", &begin);
    assert_eq!(reset.as_deref(), Some("expired"));
    assert_eq!(texts.last().map(String::as_str), Some("5"));
}

#[test]
fn a_history_in_memory_outlives_a_jump_and_the_upgrade_after_it() {
    let fixture = Fixture::open("[[channel]]\nname = 'news'\n");
    let begin = fixture.say("news", "begin");
    let _ = fixture.say("news", "1");
    fixture.jump(10);
    let ran = fixture.noren("upgrade");
    let next = ran.stdout.split_whitespace().nth(1).unwrap();
    let _end = Process(next.parse().unwrap());
    fixture.jump(10);
    let _ = fixture.say("news", "2");
    assert_eq!(fixture.missed("news", &begin), gives(&["1", "2"]));
    fixture.jump(-10);
    assert_eq!(fixture.missed("news", &begin), gives(&["1", "2"]));
}

fn gives(texts: &[&str]) -> (Option<String>, Vec<String>) {
    (None, texts.iter().map(ToString::to_string).collect())
}
