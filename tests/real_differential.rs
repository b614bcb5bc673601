//! One corpus of requests through the door to real servers: the app never acts on something that the door did not
//! decide about.
//!
//! The requests are the files of `tests/differential`, whose README says how to add one; the apps are those of
//! `tests/peers/differential`, each on another server and with the readers that are usual there. No case has an
//! expectation of its own: what must hold is a property of its file, for every server (`properties`).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod corpus;
mod exchange;
mod properties;
mod subject;

use std::process::Command;

use crate::support::Peer;
use subject::Subject;

/// The path of a peer's file.
fn file(name: &str) -> String {
    format!(
        "{}/tests/peers/differential/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// Runs the whole corpus against one server.
async fn compare(peer: Peer, settings: &str) {
    let subject = Subject::open(peer, settings).await;
    let mut failures = properties::check(&subject).await;
    failures.sort();
    assert!(
        failures.is_empty(),
        "{} cases:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn python(script: &str, arguments: &[&str]) -> Peer {
    Peer::start(&format!("differential/{script}"), arguments)
}

fn program(name: &str, arguments: &[&str]) -> Peer {
    let mut command = Command::new(name);
    command.args(arguments);
    Peer::speak(name, command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cherrypy_acts_on_nothing_that_the_door_did_not_decide_about() {
    compare(python("cherry.py", &[]), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cheroot_acts_on_nothing_that_the_door_did_not_decide_about() {
    compare(python("wsgi.py", &["cheroot"]), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wsgiref_acts_on_nothing_that_the_door_did_not_decide_about() {
    compare(python("wsgi.py", &["wsgiref"]), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waitress_acts_on_nothing_that_the_door_did_not_decide_about() {
    compare(python("wsgi.py", &["waitress"]), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gunicorn_with_django_acts_on_nothing_that_the_door_did_not_decide_about() {
    compare(python("gunicorn_django.py", &[]), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puma_acts_on_nothing_that_the_door_did_not_decide_about() {
    compare(program("ruby", &[&file("rack.rb"), "puma"]), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webrick_acts_on_nothing_that_the_door_did_not_decide_about() {
    compare(program("ruby", &[&file("rack.rb"), "webrick"]), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn php_acts_on_nothing_that_the_door_did_not_decide_about() {
    compare(python("php.py", &[]), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_acts_on_nothing_that_the_door_did_not_decide_about() {
    compare(program("node", &[&file("node.mjs")]), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tomcat_acts_on_nothing_that_the_door_did_not_decide_about() {
    compare(python("tomcat.py", &[]), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_line_or_header_reaches_an_app_that_a_gateway_could_read_otherwise() {
    compare(python("raw.py", &[]), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_folds_letters_acts_on_nothing_that_the_door_did_not_decide_about() {
    compare(python("wsgi.py", &["folding"]), "case-insensitive = true\n").await;
}
