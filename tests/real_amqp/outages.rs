//! Brokers and exchanges that are not there, go away and come back.

use std::fs;
use std::process::{Command, Stdio};

use super::{Fixture, KEPT, kept_on_disk};
use crate::support::{Door, path, run, until};

#[test]
fn an_exchange_that_is_not_there_is_waited_for_and_told_once() {
    let mut fixture = Fixture::open("", KEPT);
    fixture.until_logged("NOT_FOUND - no exchange 'e'");
    fixture.publisher.ask("exchange e topic no");
    fixture.connected();
    fixture.publisher.ask("flood e k 3 10");
    assert_eq!(fixture.numbers(3), [0, 1, 2]);
    let told = fixture.log().matches("a source is not there").count();
    assert_eq!(told, 1);
}

#[test]
fn a_broker_that_restarts_has_kept_what_came_before_and_nothing_is_lost() {
    let mut fixture = Fixture::open("e topic yes", KEPT);
    fixture.connected();
    fixture.publisher.ask("flood e k 100 10");
    assert_eq!(fixture.numbers(100).len(), 100);
    fixture.rabbit.stop();
    fixture.until_logged("a source is not there");
    fixture.rabbit.begin();
    fixture.publisher.ask("flood e k 50 10");
    let all = fixture.numbers(150);
    let expected: Vec<u64> = (0..100).chain(0..50).collect();
    assert_eq!(all, expected);
}

#[test]
fn what_waits_beyond_the_bounds_is_skipped_and_said_and_the_broker_stays_small() {
    let mut fixture = Fixture::open("e topic yes", &bounded());
    fixture.connected();
    fixture.publisher.ask("flood e k 10 10");
    assert_eq!(fixture.numbers(10).len(), 10);
    // The door goes, its queue stays.
    fixture.kill_door();
    let before = fixture.rabbit.memory();
    // Twenty such floods are a million messages.
    let floods = std::env::var("NOREN_FLOODS").map_or(1, |count| count.parse().expect("a number"));
    for _ in 0..floods {
        fixture.publisher.ask("flood e k 50000 1000");
    }
    let grown = fixture.rabbit.memory().saturating_sub(before);
    assert!(grown < 150 << 20, "the broker has grown by {grown} bytes");
    assert_eq!(fixture.publisher.count("length noren-a"), 1000);
    fixture.open_door(&bounded());
    fixture.connected();
    fixture.until_logged("older messages were skipped");
    let caught_up = fixture.numbers(1000);
    let expected: Vec<u64> = (49_000..50_000).collect();
    assert_eq!(caught_up, expected);
}

#[test]
fn what_is_larger_than_the_queue_may_be_is_skipped_and_said_too() {
    let tables = KEPT.replace("prefetch = 10\n", "prefetch = 10\nqueue-size = \"1MiB\"\n");
    let mut fixture = Fixture::open("e topic yes", &tables);
    fixture.connected();
    fixture.publisher.ask("flood e k 10 10");
    assert_eq!(fixture.numbers(10).len(), 10);
    fixture.kill_door();
    fixture.publisher.ask("flood e k 5000 1000");
    let kept = fixture.publisher.count("length noren-a");
    assert!(
        (500..1100).contains(&kept),
        "{kept} messages of 1 KiB in 1 MiB"
    );
    fixture.open_door(&tables);
    fixture.connected();
    fixture.until_logged("older messages were skipped");
    let first = 5000 - u64::try_from(kept).expect("a count");
    let expected: Vec<u64> = (first..5000).collect();
    assert_eq!(fixture.numbers(expected.len()), expected);
}

fn bounded() -> String {
    KEPT.replace("prefetch = 10\n", "prefetch = 10\nqueue-length = 1000\n")
}

#[test]
fn a_history_on_disk_is_acknowledged_when_it_is_there_and_survives_a_kill_of_the_door() {
    let tables = kept_on_disk();
    let mut fixture = Fixture::open("e topic yes", &tables);
    fixture.connected();
    fixture.publisher.ask("flood e k 2000 100");
    // Killed while it works: what was acknowledged is on disk, and what was not comes again.
    fixture.kill_door();
    fixture.open_door(&tables);
    fixture.connected();
    until("the queue to be empty", || {
        (fixture.publisher.count("length noren-a") == 0).then_some(())
    });
    // Messages on disk that were not acknowledged come twice, so there may be more than were sent.
    let mut count = 2000;
    let all = loop {
        let mut all = fixture.numbers(count);
        all.sort_unstable();
        all.dedup();
        if all.len() == 2000 {
            break all;
        }
        count += 2000 - all.len();
    };
    assert_eq!(all, (0..2000).collect::<Vec<u64>>());
}

#[test]
fn messages_with_an_id_that_come_again_after_a_kill_are_there_once() {
    const ROUNDS: u64 = 6;
    const EACH: u64 = 500;
    // Many are on disk and not acknowledged yet when the door is killed.
    let tables = kept_on_disk()
        .replace("prefetch = 10\n", "prefetch = 500\n")
        .replace("store = \"disk\"\n", "store = \"disk\"\nids = 10000\n");
    let mut fixture = Fixture::open("e topic yes", &tables);
    for round in 0..ROUNDS {
        fixture.connected();
        let first = round * EACH;
        fixture.publisher.ask(&format!("named e k {first} {EACH}"));
        fixture.kill_door();
        fixture.open_door(&tables);
    }
    fixture.connected();
    let end = ROUNDS * EACH;
    fixture.publisher.ask(&format!("named e k {end} 1"));
    // One that was doubled would have pushed the last one out of so many.
    let count = usize::try_from(end + 1).expect("a count");
    let mut all = fixture.numbers(count);
    all.sort_unstable();
    assert_eq!(all, (0..=end).collect::<Vec<u64>>());
}

#[test]
fn what_a_full_disk_refuses_comes_again_though_its_id_was_seen() {
    let mut fixture = Fixture::open("e topic yes", &kept_on_disk());
    fixture.connected();
    fixture.publisher.ask("named e k 0 20");
    assert_eq!(fixture.numbers(20).len(), 20);
    let process = fixture.door().process().to_string();
    // No file can be written to.
    let limit = |bytes: &str| {
        let limit = format!("--fsize={bytes}:unlimited");
        let _ = run(Command::new("prlimit").args(["--pid", &process, &limit])).well();
    };
    limit("1");
    fixture.publisher.ask("named e k 20 30");
    fixture.until_logged("a source is not there");
    limit("unlimited");
    let mut all = fixture.numbers(50);
    all.sort_unstable();
    assert_eq!(all, (0..50).collect::<Vec<u64>>());
}

#[test]
fn a_header_with_tables_inside_each_other_without_end_does_not_end_the_door() {
    let mut fixture = Fixture::open("e topic yes", KEPT);
    fixture.connected();
    fixture.publisher.ask("nested e k 20000");
    fixture.publisher.ask("flood e k 3 10");
    assert_eq!(fixture.numbers(4), [0, 0, 1, 2]);
}

#[test]
fn a_wrong_password_and_a_missing_file_are_told_without_the_secret() {
    let fixture = Fixture::open("e topic yes", KEPT);
    let file = path(&fixture.directory, "credentials");
    let tables = KEPT.replace("queue =", &format!("credentials = \"{file}\"\nqueue ="));
    let config = path(&fixture.directory, "noren.toml");
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"http\"\n";
    let text = fixture.tables(&tables).replace("admin.sock", "two.sock");
    fs::write(&config, format!("{listener}{text}")).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
    let ran = run(command.args(["serve", "--config", &config]));
    assert!(ran.stderr.contains(&file), "{}", ran.stderr);
    fs::write(&file, "noren:swordfish\n").expect("a file");
    let door = Door::open(&text);
    until("the refusal", || {
        door.log().contains("ACCESS_REFUSED").then_some(())
    });
    assert!(!door.log().contains("swordfish"));
}

#[test]
fn a_message_whose_channel_finds_no_room_waits_and_the_others_go_on() {
    let mut fixture = Fixture::open(
        "e topic yes",
        "[hub]\nchannels = 1\n[[channel]]\nname = \"p.1\"\n[[channel]]\nname = \"p.*\"\n\
         SOURCE\nexchange = \"e\"\nqueue = \"noren-p\"\nprefetch = 100\nchannel = \"p.{/n}\"\n",
    );
    fixture.connected();
    // It stays open for as long as somebody listens.
    let listening = fixture
        .command(&["subscribe", "p.2"])
        .stdout(Stdio::null())
        .spawn();
    let mut subscriber = listening.expect("the binary that cargo built for this test");
    let status = |fixture: &Fixture| -> serde_json::Value {
        let status = run(&mut fixture.command(&["status", "--json"]))
            .well()
            .stdout;
        serde_json::from_str(&status).expect("JSON")
    };
    until("it to listen", || {
        (status(&fixture)["subscription_count"] == 1).then_some(())
    });
    for (number, text) in [(3, "first"), (1, "another"), (3, "second"), (1, "last")] {
        let body = format!(r#"{{"n": {number}, "text": "{text}"}}"#);
        fixture.publisher.ask(&format!("send e k {body}"));
    }
    let texts = |fixture: &Fixture, channel: &str| {
        let messages = fixture.first(channel, 2);
        let texts = messages.iter().map(|one| one["data"]["text"].clone());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(texts(&fixture, "p.1"), ["another", "last"]);
    let source = until("the others to wait", || {
        let source = status(&fixture)["sources"][0].clone();
        (source["waiting"] == 2).then_some(source)
    });
    let reason = source["last_error"].as_str().expect("a reason");
    assert!(reason.contains("hub.channels"), "{reason}");
    assert_eq!(
        (&source["refused"], &source["messages"]),
        (&0.into(), &2.into())
    );
    assert_eq!(fixture.rabbit.unacknowledged("noren-p"), 2);
    subscriber.kill().expect("it runs");
    subscriber.wait().expect("a child");
    until("those that waited", || {
        (status(&fixture)["sources"][0]["messages"] == 4).then_some(())
    });
    assert_eq!(texts(&fixture, "p.3"), ["first", "second"]);
    until("all to be acknowledged", || {
        (fixture.rabbit.unacknowledged("noren-p") == 0).then_some(())
    });
}

#[test]
fn a_message_that_does_not_fit_goes_to_the_dead_letter_exchange_of_the_queue() {
    let mut fixture = Fixture::open(
        "e topic yes",
        "[[channel]]\nname = \"a\"\nSOURCE\nexchange = \"e\"\nqueue = \"noren-a\"\n",
    );
    fixture.connected();
    fixture.publisher.ask("dead-letters dead");
    fixture.rabbit.dead_letter("noren-a", "dead");
    until("the policy to count", || {
        fixture.publisher.ask("send e k this is not JSON");
        (fixture.publisher.count("length dead") > 0).then_some(())
    });
    fixture.publisher.ask(r#"send e k {"n": 7}"#);
    assert_eq!(fixture.numbers(1), [7]);
    assert!(fixture.log().contains("its body is not JSON"));
}
