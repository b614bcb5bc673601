//! Upgrades while a broker sends: each message is published once, in its turn, by one process or another.

use std::thread;

use super::{Fixture, KEPT, kept_on_disk};
use crate::support::{Peer, Process, run};

const SENT: usize = 5000;

#[test]
fn upgrades_under_load_publish_every_message_once_and_in_order() {
    publish_all_once(KEPT);
}

#[test]
fn and_so_they_do_where_the_history_is_on_disk() {
    publish_all_once(&kept_on_disk());
}

#[track_caller]
fn publish_all_once(tables: &str) {
    let mut fixture = Fixture::open("e topic yes", tables);
    fixture.connected();
    let mut service = Peer::start_in_venv("rabbit.py", &[&fixture.rabbit.port.to_string()]);
    let flood = thread::Builder::new()
        .name("flood".to_owned())
        .spawn(move || service.ask(&format!("flood e k {SENT} 100")))
        .expect("a thread");
    let mut served = Vec::new();
    for round in 1..4 {
        // Most of the messages are still to come.
        assert_eq!(fixture.numbers(round * 1000).len(), round * 1000);
        let ran = run(&mut fixture.command(&["upgrade"])).well();
        served.push(Process::after_upgrade(&ran));
    }
    flood.join().expect("the flood");
    // One more behind them: what came twice would stand before it.
    fixture.publisher.ask(&format!("send e k {{\"n\":{SENT}}}"));
    let expected: Vec<u64> = (0..).take(SENT + 1).collect();
    assert_eq!(fixture.numbers(SENT + 1), expected);
}
