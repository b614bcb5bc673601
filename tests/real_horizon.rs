//! Pages that change by themselves, in real Chromium: a dashboard's instances and Nasqueron's notifications, with
//! the configurations as they are shipped, a real RabbitMQ, and the library that OpenStack's services notify with.

use std::fs;

use crate::support::{Door, Peer, Rabbit, alone, chromium, converse, run, scratch, until};

mod openstack;

/// The answers that the real dashboard gave to the requests of `tests/peers/answers.py`.
fn recorded() -> String {
    let path = format!("{}/tests/peers/answers.txt", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).expect("the recorded answers");
    text.trim().replace("],\n[", "], [")
}

/// The environment of the dashboard: that of `tests/run`, or another version's by `tests/horizon`.
fn horizon() -> String {
    let own = || format!("{}/tests/.cache/openstack", env!("CARGO_MANIFEST_DIR"));
    std::env::var("NOREN_HORIZON").unwrap_or_else(|_| own())
}

/// The tables of a shipped configuration behind its listener and certificate, for this broker and this app.
fn shipped(name: &str, rabbit: &Rabbit, app: &str) -> String {
    let path = format!("{}/config/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).expect("a shipped configuration");
    let (_, certificate) = text
        .split_once("[[tls.certificate]]")
        .expect("its certificate");
    let (_, tables) = certificate.split_once("\n\n").expect("what follows");
    // Its socket is one for the whole machine, and nothing here asks it.
    let (tables, _) = tables.split_once("[admin]").expect("its admin socket");
    let changed = tables
        .replace(
            "/var/lib/openstack-dashboard/static",
            &format!("{}/static", horizon()),
        )
        .replace("amqp://localhost:5672/%2F", &rabbit.url())
        .replace("http://127.0.0.1:8000", &format!("http://{app}"));
    assert!(changed.contains(&rabbit.url()), "{changed}");
    changed
}

#[test]
fn a_dashboards_instances_change_by_themselves_and_each_user_hears_of_the_own_project_only() {
    let _alone = alone();
    let rabbit = Rabbit::start();
    let port = rabbit.port.to_string();
    let mut publisher = Peer::start_in_venv("rabbit.py", &[&port]);
    publisher.ask("exchange nova topic no");
    let browser = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");
    let pages = format!("/pages={browser}/pages");
    let library = format!("/lib={browser}/node_modules/sockjs-client/dist");
    let mut app = Peer::start_in_venv(
        "horizon.py",
        &[&port, "--static", &pages, "--static", &library],
    );
    assert_eq!(
        app.ask("answers"),
        recorded(),
        "the stand-in and the real one"
    );
    let door = Door::open(&shipped("horizon.toml", &rabbit, &app.address));
    until("the source", || {
        door.log().contains("connected to a source").then_some(())
    });
    let ran = run(&mut chromium("horizon_page.mjs", &door)).well();
    assert_eq!(ran.stdout, "horizon=ok over websocket, sse, sockjs\n");
    assert!(app.count("asked") > 0, "the dashboard was never asked");
    assert!(!door.log().contains("secret-token"));
}

#[test]
fn nasquerons_page_prints_notifications_as_they_come_and_goes_on_after_sleep() {
    let _alone = alone();
    let rabbit = Rabbit::start();
    let mut publisher = Peer::start_in_venv("rabbit.py", &[&rabbit.port.to_string()]);
    publisher.ask("exchange notifications topic yes");
    let store = scratch();
    let tables = shipped("nasqueron.toml", &rabbit, "");
    let tables = tables.replace("\"/var/lib/noren\"", &format!("{:?}", store.path()));
    let door = Door::open(&tables);
    until("the source", || {
        door.log().contains("connected to a source").then_some(())
    });
    let page = chromium("nasqueron_page.mjs", &door);
    let last = converse(page, "send ", |message| {
        publisher.ask(&format!("send notifications {message}"));
        "ok".to_owned()
    });
    assert_eq!(last, "nasqueron=ok");
}
