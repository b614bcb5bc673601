//! The plugin in `contrib/horizon` in the real Horizon, with the real Keystone and Nova's own API and notifier, in real
//! Chromium: servers, volumes, images and networks that are changed out of band change their tables.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::support::{Door, Peer, Rabbit, alone, chromium, until};

use super::{recorded, shipped};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The small cloud of `tests/peers/openstack.py`.
#[track_caller]
fn cloud(rabbit: &Rabbit, settings: &[&str]) -> Peer {
    let mut command = Command::new(format!("{ROOT}/tests/.cache/openstack/bin/python"));
    command
        .arg("-B")
        .arg(format!("{ROOT}/tests/peers/openstack.py"))
        .arg(rabbit.port.to_string())
        .args(settings);
    Peer::speak("openstack.py", command)
}

/// Runs a script of a page that asks by lines `do COMMAND` for what happens in the cloud, and gives its last line.
#[track_caller]
fn visit(mut command: Command, cloud: &mut Peer) -> String {
    let mut page = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node; tests/run installs what the tests need");
    let mut answers = page.stdin.take().expect("standard input is piped");
    let lines = BufReader::new(page.stdout.take().expect("standard output is piped")).lines();
    let mut last = String::new();
    for line in lines.map_while(Result::ok) {
        if let Some(asked) = line.strip_prefix("do ") {
            writeln!(answers, "{}", cloud.ask(asked)).expect("it reads");
        }
        last = line;
    }
    assert!(page.wait().expect("a child").success());
    last
}

#[test]
fn the_tables_of_the_real_dashboard_change_by_themselves_in_the_right_project_only() {
    let _alone = alone();
    let rabbit = Rabbit::start();
    let mut publisher = Peer::start_in_venv("rabbit.py", &[&rabbit.port.to_string()]);
    for exchange in ["nova", "openstack", "neutron"] {
        publisher.ask(&format!("exchange {exchange} topic no"));
    }
    let mut cloud = cloud(&rabbit, &[]);
    let library = format!("{ROOT}/tests/browser/node_modules/sockjs-client/dist");
    let tables = shipped("horizon.toml", &rabbit, &cloud.address);
    let door = Door::open(&format!(
        "{tables}\n[[files]]\npath = \"/lib\"\ndirectory = {library:?}\n"
    ));
    until("the sources", || {
        (door.log().matches("connected to a source").count() >= 3).then_some(())
    });
    assert_eq!(cloud.ask("answers"), recorded());
    let mut page = chromium("openstack_page.mjs", &door);
    page.args(["--sockjs", "/lib/sockjs.min.js"]);
    if let Ok(pictures) = std::env::var("NOREN_PICTURES") {
        page.args(["--pictures", &pictures]);
    }
    assert_eq!(
        visit(page, &mut cloud),
        "openstack=ok over websocket, sse, sockjs"
    );
    assert!(!door.log().contains("secret-token"));
}
