//! Publishers that do not wait for a broker that is away: what they have published appears when it is back, and once,
//! whether they have tried again or not.

use std::process::{Child, Command, Stdio};

use super::Node;
use super::permissions::told;
use crate::support::{Rabbit, alone, path, until};

impl Node {
    /// A publisher of one text with an id, which waits for its place in the stream.
    fn saying(&self, own_id: &str, text: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_noren"))
            .args(["publish", "--socket", &path(&self.directory, "admin.sock")])
            .args(["--id", own_id, "c", text])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary that cargo built for this test")
    }

    /// Waits until so many messages of this node have not come back from the stream.
    #[track_caller]
    fn until_waiting(&self, count: usize) {
        until(&format!("{count} messages to wait"), || {
            (self.waiting() == count).then_some(())
        });
    }

    /// The number of messages of this node that have not come back from the stream.
    #[track_caller]
    fn waiting(&self) -> usize {
        let told = told(self);
        let mut lines = told.lines();
        let count = lines.find_map(|line| {
            line.strip_prefix("noren_cluster_waiting{")?
                .split(' ')
                .nth(1)
        });
        count.expect("a metric").parse().expect("a number")
    }
}

#[test]
fn what_a_publisher_gave_up_appears_once_whether_it_is_tried_again_or_not() {
    let _alone = alone();
    let mut rabbit = Rabbit::start();
    let one = Node::start(rabbit.port).caught_up();
    let two = Node::start(rabbit.port).caught_up();
    rabbit.stop();
    // Who is present at a node is the first that waits, and is not said again before it has come back.
    one.until_waiting(1);
    two.until_waiting(1);
    for (waiting, own_id) in [(2, "left"), (3, "again")] {
        let mut publisher = one.saying(own_id, own_id);
        one.until_waiting(waiting);
        publisher.kill().expect("it waits");
        publisher.wait().expect("a child");
    }
    let mut again = two.saying("again", "again");
    two.until_waiting(2);
    rabbit.begin();
    assert!(again.wait().expect("a child").success(), "{}", two.log());
    one.until_waiting(0);
    one.publish(7..8);
    for node in [&one, &two] {
        let mut data: Vec<_> = node.history(3).into_iter().map(|(_, data)| data).collect();
        // The nodes have written in either order; the last one came when all was there.
        assert_eq!(data.pop().as_deref(), Some("7"));
        data.sort_unstable();
        assert_eq!(data, ["again", "left"]);
    }
}

#[test]
fn a_broker_whose_disk_is_full_is_told_and_what_waits_for_it_appears_once() {
    let _alone = alone();
    let rabbit = Rabbit::start();
    let one = Node::start(rabbit.port).caught_up();
    let two = Node::start(rabbit.port).caught_up();
    rabbit.fill_disk(true);
    // The broker may still take the first message of a connection, and takes no second one.
    let texts = [["a", "b", "c"], ["d", "e", "f"]];
    let mut publishers = Vec::new();
    for (node, texts) in [&one, &two].into_iter().zip(texts) {
        for (before, text) in texts.into_iter().enumerate() {
            publishers.push(node.saying(text, text));
            until("the message to wait", || {
                (node.waiting() >= before).then_some(())
            });
        }
    }
    let late = Node::start(rabbit.port);
    for node in [&one, &two, &late] {
        until("the reason to be told", || {
            told(node)
                .contains("the broker takes no messages")
                .then_some(())
        });
    }
    for node in [&one, &two] {
        let told = told(node);
        assert!(
            told.contains("200 OK") && told.contains("noren_cluster_up"),
            "{told}"
        );
    }
    assert!(publishers[2].try_wait().expect("a child").is_none());
    rabbit.fill_disk(false);
    for publisher in &mut publishers {
        let ended = publisher.wait().expect("a child");
        assert!(ended.success(), "{}{}", one.log(), two.log());
    }
    let late = late.caught_up();
    for node in [&one, &two, &late] {
        until("the node to say that it works", || {
            (!told(node).contains("the broker takes no messages")).then_some(())
        });
    }
    one.publish(7..8);
    for node in [&one, &two, &late] {
        let mut data: Vec<_> = node.history(7).into_iter().map(|(_, data)| data).collect();
        // The nodes have written in either order; the last one came when all was there.
        assert_eq!(data.pop().as_deref(), Some("7"));
        data.sort_unstable();
        assert_eq!(data, texts.as_flattened());
    }
}
