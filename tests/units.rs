//! Tests of the package's files beside the program: its units stay up and heal, and its documents have valid
//! links.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

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

/// Links of a document to other files of the repository, without their anchors.
fn links(text: &str) -> Vec<&str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|link| !link.is_empty() && !link.contains(':'))
        .collect()
}

#[test]
fn each_file_that_the_readme_links_to_lies_at_its_place_in_the_package() {
    let manifest: toml::Table = toml::from_str(&shipped("Cargo.toml")).unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"]
        .as_array()
        .unwrap();
    let installed = |link: &str| {
        assets.iter().any(|asset| {
            let (source, place) = (asset[0].as_str().unwrap(), asset[1].as_str().unwrap());
            let (directory, _) = link.rsplit_once('/').unwrap_or(("", link));
            let matches = match source.split_once('*') {
                Some((begin, end)) => {
                    link.starts_with(begin)
                        && link.ends_with(end)
                        && begin.trim_end_matches('/') == directory
                }
                None => source == link,
            };
            matches
                && place.trim_end_matches('/')
                    == format!("usr/share/doc/noren/{directory}").trim_end_matches('/')
        })
    };
    let readme = shipped("README.md");
    let found = links(&readme);
    assert!(found.len() > 20, "{found:?}");
    for link in found {
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(),
            "{link} is no file of the repository"
        );
        assert!(
            installed(link),
            "{link} is not in the package, at its place"
        );
    }
}
