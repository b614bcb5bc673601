//! Tests of the store's process being killed at any moment, or refused by its disk. Both need a process of their
//! own, so this test binary starts itself again with one test that is empty otherwise.
//!
//! The child writes to standard error, because the test harness writes to standard output.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use super::tests::{record, start};
use super::{Acknowledgement, Recovered, StoreError, Unique};

/// Environment variable with the child's directory.
const DIRECTORY: &str = "NOREN_TEST_STORE";
/// Number of messages that the child has in flight.
const IN_FLIGHT: usize = 8;
/// Number of messages that the channel `short` keeps.
const SHORT: u64 = 10;
/// Time limit for the child until the disk accepts messages again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Assigns an offset to one of three channels that share the sequence; the third is trimmed, and every other
/// message of the second is superseded at once.
fn channel(offset: u64) -> &'static str {
    ["whole", "conflated", "short"]
        .into_iter()
        .nth(usize::try_from(offset % 3).expect("a small number"))
        .expect("one of three")
}

fn superseded(offset: u64) -> bool {
    channel(offset) == "conflated" && offset.is_multiple_of(2)
}

fn child(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test binary"));
    command
        .args(["--exact", &format!("hub::store::kill_tests::{test}")])
        .args(["--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn say(line: &str) {
    // Without a parent there is nothing left to do; a panic ends this process too.
    writeln!(std::io::stderr(), "{line}").expect("a parent that listens");
}

/// The child of the kill test: publishes until it is killed, and reports what was acknowledged.
#[tokio::test]
async fn publishes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let (store, found) = start(Path::new(&directory), "epoch").expect("a store");
    say("open");
    let mut waiting = std::collections::VecDeque::<(u64, Acknowledgement)>::new();
    for offset in found.last + 1.. {
        let name = channel(offset);
        let acknowledgement = store
            .append(name, record(offset), Unique::Never, Instant::now())
            .expect("room");
        if superseded(offset) {
            store.remove(name, offset);
        }
        if name == "short" {
            store.forget(name, offset.saturating_sub(3 * SHORT));
        }
        waiting.push_back((offset, acknowledgement));
        if waiting.len() == IN_FLIGHT {
            let (offset, acknowledgement) = waiting.pop_front().expect("one that waits");
            acknowledgement.await.expect("a commit");
            say(&format!("kept {offset}"));
        }
    }
}

/// Kills the child and returns the offsets it reported as stored.
fn killed(mut child: Child, mut output: BufReader<ChildStderr>) -> Vec<u64> {
    child.kill().expect("a child");
    child.wait().expect("its end");
    let mut said = String::new();
    output.read_to_string(&mut said).expect("what it said");
    // The last line may have been cut by the signal, and `7` of `78` is another offset.
    let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .filter_map(|line| match line.strip_prefix("kept ") {
            Some(offset) => Some(offset.parse().expect("an offset")),
            None if line == "open" => None,
            None => panic!("the child said: {said}"),
        })
        .collect()
}

/// Checks that every acknowledged message is there once, in order and unchanged, unless it was to be removed.
fn check(found: &Recovered, kept: &[u64]) {
    let highest = kept.iter().copied().max().unwrap_or(0);
    assert!(found.last >= highest, "{} < {highest}", found.last);
    let mut left: BTreeMap<u64, bool> = kept.iter().map(|offset| (*offset, false)).collect();
    for (name, records) in &found.channels {
        assert!(
            records.is_sorted_by(|before, after| before.offset < after.offset),
            "{name} is out of order, or has a message twice"
        );
        for found in records {
            assert_eq!(found, &record(found.offset));
            assert_eq!(name, channel(found.offset));
            left.insert(found.offset, true);
        }
    }
    let trimmed = found.forgotten.get("short").copied().unwrap_or(0);
    for (offset, present) in left {
        let gone = superseded(offset) || (channel(offset) == "short" && offset <= trimmed);
        assert!(present || gone, "message {offset} is lost");
        assert!(
            !(present && channel(offset) == "short" && offset <= trimmed),
            "message {offset} was trimmed"
        );
    }
}

#[tokio::test]
async fn killed_a_hundred_times_it_has_every_acknowledged_message_once_and_in_order() {
    let random = RandomState::new();
    let micros = |round: u32, below: u64| Duration::from_micros(random.hash_one(round) % below);
    let mut kills_with_messages = 0;
    // Ten histories, so that a new one is killed in its first moments as well.
    for history in 0..10_u32 {
        let directory = tempfile::tempdir().expect("a directory");
        let mut kept = Vec::new();
        for round in history * 10..history * 10 + 10 {
            let mut child = child("publishes_until_it_is_killed", directory.path())
                .spawn()
                .expect("a child");
            let mut output = BufReader::new(child.stderr.take().expect("its output"));
            // The moment is what is tested, so this sleep synchronises nothing. One in four falls anywhere in
            // the start, which repairs what the round before left.
            if round % 4 == 0 {
                tokio::time::sleep(micros(round, 25_000)).await;
            } else {
                let mut line = String::new();
                output.read_line(&mut line).expect("a line");
                if line != "open\n" {
                    let rest = std::io::read_to_string(output);
                    panic!("the child did not open its history: {rest:?}");
                }
                tokio::time::sleep(micros(round, 40_000)).await;
            }
            let now = killed(child, output);
            kills_with_messages += usize::from(!now.is_empty());
            kept.extend(now);
            // Every other time, so that a child too opens what a kill left.
            if round % 2 == 1 {
                let (_store, found) = start(directory.path(), "check").expect("a store");
                check(&found, &kept);
            }
        }
    }
    assert!(
        kills_with_messages > 25,
        "only {kills_with_messages} of 100 were killed while they published"
    );
}

/// The child of the full-disk test: publishes until it is refused, and on until it is accepted again.
#[tokio::test]
async fn publishes_until_it_is_refused_and_taken_again() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let (store, found) = start(Path::new(&directory), "epoch").expect("a store");
    let (mut refused, started_at) = (false, Instant::now());
    for offset in found.last + 1.. {
        let answer = store
            .append("whole", record(offset), Unique::Never, Instant::now())
            .expect("room")
            .await;
        match answer {
            Ok(_) if refused => return say(&format!("again {offset}")),
            Ok(_) => say(&format!("kept {offset}")),
            Err(StoreError::Write { .. } | StoreError::Open { .. }) if refused => {
                assert!(started_at.elapsed() < PATIENCE, "still refused");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error @ (StoreError::Write { .. } | StoreError::Open { .. })) => {
                say(&format!("refused: {error}"));
                refused = true;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_disk_that_is_full_refuses_by_name_and_once_there_is_room_messages_are_kept_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let child = child(
        "publishes_until_it_is_refused_and_taken_again",
        directory.path(),
    );
    // A limit on the size of files is a full disk that needs no rights; it is a soft one, so it can be lifted.
    // SIGXFSZ would end the process where a full disk only returns an error.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; ulimit -S -f 256; exec \"$@\"", "sh"])
        .arg(child.get_program())
        .args(child.get_args())
        .env(DIRECTORY, directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = shell.spawn().expect("a shell");
    let output = BufReader::new(child.stderr.take().expect("its output"));
    let (mut kept, mut refusal, mut again) = (Vec::new(), None, None);
    for line in output.lines().map(|line| line.expect("a line")) {
        if let Some(offset) = line.strip_prefix("kept ") {
            kept.push(offset.parse().expect("an offset"));
        } else if let Some(offset) = line.strip_prefix("again ") {
            again = Some(offset.parse().expect("an offset"));
        } else if line.starts_with("refused: ") {
            refusal = Some(line);
            let lifted = Command::new("prlimit")
                .args([
                    "--fsize=unlimited:unlimited",
                    "--pid",
                    &child.id().to_string(),
                ])
                .status();
            assert!(lifted.expect("prlimit").success());
        } else {
            panic!("the child said: {line}");
        }
    }
    assert!(child.wait().expect("its end").success());
    let refusal = refusal.expect("a refusal");
    assert!(refusal.contains("history.redb: "), "{refusal}");
    kept.push(again.expect("a message that was kept again"));
    let (_store, found) = start(directory.path(), "check").expect("a store");
    let offsets: Vec<u64> = found
        .channels
        .get("whole")
        .expect("the channel")
        .iter()
        .map(|record| record.offset)
        .collect();
    assert!(offsets.is_sorted_by(|before, after| before < after));
    for offset in kept {
        assert!(offsets.contains(&offset), "message {offset} is lost");
    }
}
