//! A stream that is deleted while nodes are connected, and a node that still writes what belongs to the old one.

use std::process::Command;

use super::Node;
use crate::support::{Peer, Rabbit, alone, run, until};

/// The arguments that each node declares the stream with, for `[cluster]` without keys.
const ARGUMENTS: &str = concat!(
    r#"{"x-queue-type": "stream", "x-max-length-bytes": 268435456, "#,
    r#""x-max-age": "86400s", "x-stream-max-segment-size-bytes": 33554432}"#
);

impl Node {
    fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        let _ = run(Command::new("kill").args(["-s", name, &process])).well();
    }

    /// The number of lines of the log with this text.
    fn told(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }
}

#[test]
fn what_a_node_writes_of_the_old_stream_does_not_hold_up_the_new_one() {
    const CAUGHT_UP: &str = "caught up with the cluster";
    let _alone = alone();
    let rabbit = Rabbit::start();
    let mut broker = Peer::start_in_venv("rabbit.py", &[&rabbit.port.to_string()]);
    let nodes = [Node::start(rabbit.port), Node::start(rabbit.port)].map(Node::caught_up);
    let [one, two] = &nodes;
    one.publish(0..20);
    let (old, _) = two.history(20).pop().expect("twenty messages");
    // Neither is faster than the record that is written in their place.
    for node in &nodes {
        node.signal("STOP");
    }
    broker.ask(&format!("stale noren {ARGUMENTS}"));
    for node in &nodes {
        node.signal("CONT");
    }
    until("both nodes to read the new stream", || {
        let reads = |node: &Node| node.told(CAUGHT_UP) == 2;
        nodes.iter().all(reads).then_some(())
    });
    one.publish(100..101);
    two.publish(101..102);
    let history = one.history(2);
    let data: Vec<_> = history.iter().map(|(_, data)| data.as_str()).collect();
    assert_eq!(data, ["100", "101"]);
    assert_eq!(two.history(2), history);
    for node in &nodes {
        let page = node.get(&format!("/events/c?last-event-id={old}&wait=0"));
        assert!(page.contains(r#""reset":{"reason":"restarted"}"#), "{page}");
    }
    // The stream is recognized by nodes that come back to it, though it does not begin with a greeting.
    rabbit.disconnect("guest");
    two.publish(102..103);
    one.publish(103..104);
    assert_eq!(one.history(4), two.history(4));
    for node in &nodes {
        assert_eq!(node.told("made anew"), 1);
    }
}
