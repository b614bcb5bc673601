//! Nobody can starve an app of ten threads (CherryPy): under each attack of tests/peers/starve.py a well-behaved
//! visitor's page is answered while the attack is still going on. How fast is a matter for `tests/bench starve`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail where it stands"
)]

use crate::support::{Door, Peer, alone, python, run};

/// The longest a visitor of starve.py waits; a page that has not come by then counts as this.
const IN_VAIN: f64 = 30.0;

fn is_answered_under(attack: &str) {
    let _alone = alone();
    let app = Peer::start("app.py", &[]);
    // The limits for one address would turn most of the attackers away. They are out of the way here, as an attacker
    // with many addresses would get around them: what is seen is what the queue does.
    let door = Door::open(&format!(
        "[limits]\nconnections-per-address = 0\nrequest-rate = 0\n[[app]]\nurl = 'http://{}'\nworkers = 10\n",
        app.address
    ));
    let port = format!("door={}", door.port);
    let ran = run(python("starve.py").args(["--only", attack, "--visits", "3", &port])).well();
    let result: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let worst = result
        .get("worst")
        .and_then(serde_json::Value::as_f64)
        .unwrap();
    assert!(worst < IN_VAIN, "{result}");
}

#[test]
fn a_visitor_is_served_beside_uploads_of_a_byte_a_second() {
    is_answered_under("slow-posts");
}

#[test]
fn a_visitor_is_served_beside_pages_that_are_abandoned() {
    is_answered_under("abandoned");
}

#[test]
fn a_visitor_is_served_beside_a_herd_of_others() {
    is_answered_under("herd");
}
