//! A node whose user of the broker may do less than it needs, or nothing any more.

use std::fs;
use std::process::Command;

use crate::support::{Rabbit, alone, path, run, scratch, until};

use super::Node;

/// The whole of what `GET /readyz`, the metrics and the status of this node say.
pub(super) fn told(node: &Node) -> String {
    let socket = path(&node.directory, "admin.sock");
    let get = |target: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--include", "--unix-socket", &socket]);
        run(curl.arg(format!("http://localhost{target}"))).stdout
    };
    let mut status = Command::new(env!("CARGO_BIN_EXE_noren"));
    let status = run(status.args(["status", "--socket", &socket])).well();
    format!("{}\n{}\n{}", get("/readyz"), get("/metrics"), status.stdout)
}

/// True if the metrics among this say that the node is connected; false if they say that it is not.
fn is_up(told: &str) -> bool {
    let mut lines = told.lines();
    let line = lines.find(|line| line.starts_with("noren_cluster_up{"));
    line.expect("a metric of the cluster").ends_with(" 1")
}

#[test]
fn a_node_says_which_permission_is_missing_and_works_when_it_is_given() {
    let _alone = alone();
    let rabbit = Rabbit::start();
    rabbit.permit("noren", ["^noren", "^noren", "^noren"]);
    let secrets = scratch();
    let file = path(&secrets, "amqp");
    fs::write(&file, "noren:noren").expect("a file");
    let node = Node::start_with(rabbit.port, &format!("credentials = {file:?}\n"), "");
    let refused = until("the refusal to be told", || {
        let told = told(&node);
        told.contains("`write` for amq.default").then_some(told)
    });
    assert!(refused.contains("503 Service Unavailable"), "{refused}");
    assert!(refused.contains("was not read yet"), "{refused}");
    assert!(
        refused.contains("noren_cluster_up{stream=\"noren\""),
        "{refused}"
    );
    assert!(refused.contains("Cluster\n  STREAM"), "{refused}");
    rabbit.permit_as_in(include_str!("../../src/guide/cluster.md"));
    let node = node.caught_up();
    until("the node to say that it works", || {
        let told = told(&node);
        (told.contains("200 OK") && !told.contains("amq.default")).then_some(())
    });
    node.publish(0..3);
    assert_eq!(node.history(3).len(), 3);
}

#[test]
fn permissions_that_are_taken_in_the_middle_are_told_and_what_was_published_meanwhile_appears_once()
{
    let _alone = alone();
    let rabbit = Rabbit::start();
    let guide = include_str!("../../src/guide/cluster.md");
    rabbit.permit_as_in(guide);
    let secrets = scratch();
    let file = path(&secrets, "amqp");
    fs::write(&file, "noren:noren").expect("a file");
    let keys = format!("credentials = {file:?}\n");
    let node = Node::start_with(rabbit.port, &keys, "").caught_up();
    let other = Node::start_with(rabbit.port, &keys, "").caught_up();
    node.publish(0..3);
    // The broker goes on with what it has permitted as long as they are connected.
    rabbit.permit("noren", ["^$", "^$", "^$"]);
    let mut waiting = node.publishing(3..200);
    rabbit.disconnect("noren");
    let refused = until("the refusal to be told", || {
        let told = told(&node);
        (told.contains("is not connected") && told.contains("rabbitmqctl set_permissions"))
            .then_some(told)
    });
    assert!(
        refused.contains("200 OK"),
        "it serves whom it has: {refused}"
    );
    assert!(!is_up(&refused), "{refused}");
    rabbit.permit_as_in(guide);
    assert!(waiting.wait().expect("a child").success(), "{}", node.log());
    node.publish(200..203);
    let expected: Vec<String> = (0..203).map(|number| number.to_string()).collect();
    for node in [&node, &other] {
        let data: Vec<_> = node
            .history(203)
            .into_iter()
            .map(|(_, data)| data)
            .collect();
        assert_eq!(data, expected);
    }
    until("both nodes to say that they work", || {
        let works = |node| {
            let told = told(node);
            is_up(&told) && !told.contains("is not connected")
        };
        (works(&node) && works(&other)).then_some(())
    });
}
