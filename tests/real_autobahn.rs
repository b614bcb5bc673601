//! The cases of the Autobahn test suite, against an echo made of the same handshake, reader and compression as a
//! channel's WebSocket. A channel itself sends nothing back as it came.

#![allow(
    clippy::disallowed_methods,
    reason = "the tasks of these tests end with their runtime, and their sockets are on this machine"
)]

use tokio::net::TcpListener;

use crate::support::{alone, python_in_venv, run};

/// Runs these groups of cases, with so many messages in each case of compression.
async fn cases(messages: &str, groups: &[&str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let mut command = python_in_venv("autobahn.py");
    command.args([url.as_str(), messages]).args(groups);
    let suite = tokio::task::spawn_blocking(move || run(&mut command).well().stdout);
    let serving = tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // How it ends is judged by the suite.
            tokio::spawn(noren::fuzzing::echo(client));
        }
    });
    let printed = suite.await.expect("the suite");
    serving.abort();
    printed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_fragments_pings_text_and_closes_are_as_autobahn_wants_them() {
    let printed = cases("1", &["1", "2", "3", "4", "5", "6", "7", "10"]).await;
    assert!(printed.starts_with("cases=2"), "{printed}");
}

/// Messages of 16 to 131,072 bytes of five samples, whole and in fragments, by every set of parameters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::await_holding_lock,
    reason = "the other tests that have the machine alone run on threads of their own"
)]
async fn compressed_messages_of_autobahns_groups_12_and_13_come_back_as_they_were() {
    let _alone = alone();
    assert_eq!(cases("3", &["12", "13"]).await, "cases=216 OK=216\n");
}
