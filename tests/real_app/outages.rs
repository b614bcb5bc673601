//! The app goes away, comes back, and closes connections just when they are wanted.

use std::time::Duration;

use crate::support::{Door, Peer, VERSIONS, ask, path, pause, scratch};

#[test]
fn an_app_that_is_down_gives_a_clear_page_and_is_used_again_when_it_is_back() {
    let directory = scratch();
    let address = format!("unix:{}", path(&directory, "app.sock"));
    let door = Door::in_front_of(&address);
    for _ in 0..3 {
        for (accept, kind) in [
            ("text/html,*/*;q=0.8", "text/html"),
            ("application/json", "application/json"),
        ] {
            let answer = ask(&door, "/").header(&format!("Accept: {accept}")).send();
            assert!([502, 503].contains(&answer.status), "{}", answer.head);
            assert!(
                answer.header("content-type").starts_with(kind),
                "{}",
                answer.head
            );
            assert!(
                answer.header("retry-after").parse::<u64>().is_ok(),
                "{}",
                answer.head
            );
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert!(
                !answer.text().contains("app.sock"),
                "the state inside: {}",
                answer.text()
            );
        }
        // In place of the one that was killed, whose socket file is still there.
        let app = Peer::start("app.py", &["--address", &address]);
        for version in VERSIONS {
            ask(&door, "/").over(version).gets(200);
        }
        app.crash();
    }
}

#[test]
fn an_app_that_was_restarted_is_used_at_once() {
    let directory = scratch();
    let address = format!("unix:{}", path(&directory, "app.sock"));
    let door = Door::in_front_of(&address);
    for _ in 0..3 {
        // The connection that the door kept from the round before leads to nobody.
        let app = Peer::start("app.py", &["--address", &address]);
        ask(&door, "/").gets(200);
        ask(&door, "/head").with("--data-binary", "soup").gets(200);
        app.crash();
    }
}

#[test]
fn a_connection_that_the_app_just_closed_never_costs_a_request() {
    // The app closes idle connections long before the door does, and the requests come around that moment.
    let app = Peer::start("app.py", &["--keep-alive", "0.3"]);
    let door = Door::in_front_of(&app.address);
    std::thread::scope(|scope| {
        for worker in 0..4_u64 {
            let door = &door;
            scope.spawn(move || {
                for turn in 0..15_u64 {
                    let request = ask(door, "/head");
                    let request = if turn % 2 == 0 {
                        request
                    } else {
                        request.with("--data-binary", "soup")
                    };
                    request.gets(200);
                    pause(Duration::from_millis(280 + 10 * turn + 3 * worker));
                }
            });
        }
    });
}
