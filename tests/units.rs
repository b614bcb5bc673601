//! What the package brings beside the program: its units stay up and heal, and its documents lead somewhere.

use std::fs;
use std::path::Path;

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The values of one key, in their order; comments are no keys.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn the_service_starts_its_socket_unit_again_and_follows_it() {
    let service = shipped("systemd/noren.service");
    assert_eq!(values(&service, "Sockets"), ["noren.socket"]);
    assert_eq!(values(&service, "PartOf"), ["noren.socket"]);
    // A port that is taken would end the start for good, and own-ports.conf could not undo it.
    assert!(values(&service, "Requires").is_empty() && values(&service, "BindsTo").is_empty());
}

#[test]
fn neither_unit_gives_up_while_the_port_is_taken() {
    for unit in ["systemd/noren.service", "systemd/noren.socket"] {
        assert_eq!(
            values(&shipped(unit), "StartLimitIntervalSec"),
            ["0"],
            "{unit}"
        );
    }
    // A bad configuration is not tried again for each visitor, all the same.
    let socket = shipped("systemd/noren.socket");
    assert!(!values(&socket, "TriggerLimitBurst").is_empty());
}

#[test]
fn a_reload_of_the_service_waits_for_the_verdict() {
    let service = shipped("systemd/noren.service");
    assert_eq!(
        values(&service, "ExecReload"),
        ["/usr/bin/noren reload --config /etc/noren/noren.toml"]
    );
    // It needs the admin socket, which the package's own file has.
    assert!(shipped("config/package.toml").contains("\n[admin]\nsocket = "));
}

#[test]
fn a_service_with_own_ports_does_not_start_the_socket_unit() {
    assert!(
        shipped("systemd/drop-ins/own-ports.conf").contains("systemctl mask --now noren.socket")
    );
}
