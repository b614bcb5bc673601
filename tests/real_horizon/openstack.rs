//! The plugin in `contrib/horizon` in the real Horizon, with the real Keystone and Nova's own API and notifier, in real
//! Chromium: servers, volumes, images and networks that are changed out of band change their tables.

use std::process::Command;

use crate::support::{Door, Peer, Rabbit, alone, chromium, converse, until};

use super::{horizon, recorded, shipped};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The small cloud of `tests/peers/openstack.py`.
#[track_caller]
fn cloud(rabbit: &Rabbit, settings: &[&str]) -> Peer {
    let (port, horizon) = (rabbit.port.to_string(), horizon());
    let arguments = [&[&*port, "--horizon", &horizon], settings].concat();
    Peer::start_cloud("openstack.py", &arguments)
}

/// Runs a script of a page that asks by lines `do COMMAND` for what happens in the cloud, and gives its last line.
#[track_caller]
fn visit(page: Command, cloud: &mut Peer) -> String {
    converse(page, "do ", |asked| cloud.ask(asked))
}

/// A broker with the exchanges of the services, and Noren in front of a cloud.
struct Fixture {
    cloud: Peer,
    door: Door,
    _rabbit: Rabbit,
}

impl Fixture {
    /// `settings` are those of the cloud; `change` changes the shipped configuration.
    #[track_caller]
    fn open(settings: &[&str], change: impl FnOnce(&str) -> String) -> Self {
        let rabbit = Rabbit::start();
        let mut publisher = Peer::start_in_venv("rabbit.py", &[&rabbit.port.to_string()]);
        for exchange in ["nova", "openstack", "neutron"] {
            publisher.ask(&format!("exchange {exchange} topic no"));
        }
        let cloud = cloud(&rabbit, settings);
        let door = Door::open(&change(&shipped("horizon.toml", &rabbit, &cloud.address)));
        until("the sources", || {
            (door.log().matches("connected to a source").count() >= 3).then_some(())
        });
        Self {
            cloud,
            door,
            _rabbit: rabbit,
        }
    }

    #[track_caller]
    fn ends(&mut self, by: &str) {
        let mut page = chromium("openstack_sessions.mjs", &self.door);
        page.args(["--ends", by, "--sockjs", "/lib/sockjs.min.js"]);
        assert_eq!(
            visit(page, &mut self.cloud),
            format!("openstack=ok, the {by} was told")
        );
    }
}

/// The tables, and a directory that has the library of `SockJS` at `/lib`.
fn with_sockjs(tables: &str) -> String {
    let library = format!("{ROOT}/tests/browser/node_modules/sockjs-client/dist");
    format!("{tables}\n[[files]]\npath = \"/lib\"\ndirectory = {library:?}\n")
}

#[test]
fn the_tables_of_the_real_dashboard_change_by_themselves_in_the_right_project_only() {
    let _alone = alone();
    let mut fixture = Fixture::open(&[], with_sockjs);
    assert_eq!(fixture.cloud.ask("answers"), recorded());
    let mut page = chromium("openstack_page.mjs", &fixture.door);
    page.args(["--sockjs", "/lib/sockjs.min.js"]);
    if let Ok(pictures) = std::env::var("NOREN_PICTURES") {
        page.args(["--pictures", &pictures]);
    }
    assert_eq!(
        visit(page, &mut fixture.cloud),
        "openstack=ok over websocket, sse, sockjs"
    );
    assert!(!fixture.door.log().contains("secret-token"));
}

#[test]
fn a_logout_is_told_at_once_also_under_mod_wsgi_with_sessions_in_signed_cookies() {
    let _alone = alone();
    let settings = ["--server", "mod_wsgi", "TEST_SESSIONS=signed_cookies"];
    let mut fixture = Fixture::open(&settings, |tables| {
        let named = tables
            .replace("# name-header =", "name-header =")
            .replace("# logout-ends =", "logout-ends =");
        // Apache has the files by itself; and no question is due within this test.
        let (begin, rest) = named.split_once("[[files]]").expect("static files");
        let (_, end) = rest.split_once("\n\n").expect("what follows");
        let changed =
            format!("{begin}{end}").replace("\n[session]\n", "\n[session]\ninterval = \"1h\"\n");
        assert_ne!(changed, tables);
        changed
    });
    fixture.ends("logout");
}

#[test]
fn another_project_is_told_at_once_to_the_page_of_the_one_before() {
    let _alone = alone();
    let mut fixture = Fixture::open(&[], |tables| {
        // No question is due within this test.
        let changed = tables.replace("\n[session]\n", "\n[session]\ninterval = \"1h\"\n");
        assert_ne!(changed, tables);
        with_sockjs(&changed)
    });
    fixture.ends("switch");
}

#[test]
fn an_open_page_does_not_keep_the_login_alive() {
    let _alone = alone();
    let mut fixture = Fixture::open(&["TEST_TIMEOUT=45"], |tables| {
        tables
            .replace("\n[session]\n", "\n[session]\ninterval = \"1s\"\n")
            .replace("repeat-rate = \"2/s\"\n", "")
    });
    fixture.ends("idle");
}
