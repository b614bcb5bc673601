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

/// The lines of a file before its first table.
fn head(text: &str) -> &str {
    text.split("\n[").next().unwrap_or_default()
}

#[test]
fn each_example_works_with_the_package_or_names_its_drop_in_in_its_first_lines() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("config/{}", path.file_name().unwrap().display());
        // The reference is read, and not installed.
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension == "toml");
        if !is_toml || name.ends_with("/noren.toml") {
            continue;
        }
        seen += 1;
        let (text, config) = (shipped(&name), noren::Config::load(&path).unwrap());
        let says = |word: &str| head(&text).contains(word);
        // A file without a listener is a part of one.
        let own = text.contains("\n[[listener]]\n");
        let opens = |one: &noren::config::Listener| one.address.to_string().contains(':');
        for listener in config.listeners.iter().filter(|one| own && opens(one)) {
            let address = listener.address.to_string();
            assert!(
                address.starts_with("systemd:")
                    || says("own-ports.conf")
                    || text.contains(
                        "with the package, whose socket unit opens the port: \"systemd:https\""
                    ),
                "{name}: {address} is not the package's"
            );
        }
        if text.contains("\nurl = \"amqp") || config.acme.is_some() {
            assert!(says("other-hosts.conf"), "{name} reaches other machines");
        }
        if text.contains("443") {
            assert!(says("port-443.conf"), "{name}: who opens port 443?");
        }
        if own {
            assert!(
                config.admin.socket.is_some(),
                "{name} cannot be reloaded by systemd"
            );
        }
    }
    assert!(seen > 5, "only {seen} examples were found");
    for drop_in in ["other-hosts.conf", "port-443.conf"] {
        assert!(!shipped(&format!("systemd/drop-ins/{drop_in}")).is_empty());
    }
}

#[test]
fn each_command_that_makes_a_secret_gives_it_to_the_service() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![
        root.join("README.md"),
        root.join("src/access/tokens.rs"),
        root.join("src/tokens/signed/issue.rs"),
    ];
    for directory in ["config", "src/guide"] {
        let entries = fs::read_dir(root.join(directory)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    let mut found = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().filter(|line| line.contains("/etc/noren/")) {
            let makes = ["openssl genpkey", "openssl rand", "echo '", "printf '"];
            if makes.iter().any(|make| line.contains(make)) {
                found += 1;
                assert!(
                    line.contains("install -g noren -m 640 "),
                    "{}: {line}",
                    file.display()
                );
            }
        }
    }
    assert!(found >= 4, "only {found} commands were found");
}

#[test]
fn what_is_handed_out_is_optimised_whatever_the_other_profiles_say() {
    let manifest: toml::Table = toml::from_str(&shipped("Cargo.toml")).unwrap();
    let dist = manifest["profile"]["dist"].as_table().unwrap();
    let wanted: toml::Table = toml::from_str(
        "inherits = 'dev'\nopt-level = 3\ndebug = false\ndebug-assertions = false\noverflow-checks = false\n\
         incremental = false\nlto = 'fat'\ncodegen-units = 1\nstrip = 'debuginfo'\n",
    )
    .unwrap();
    assert_eq!(*dist, wanted);
    // Levels of single packages are inherited, so the profile it inherits from has none.
    let dev = manifest["profile"]["dev"].as_table().unwrap();
    assert!(!dev.contains_key("package") && !dev.contains_key("build-override"));
    for program in ["tests/package", "tests/bench", "Containerfile"] {
        let text = shipped(program);
        let builds = text
            .lines()
            .filter(|line| line.contains("cargo build") && line.contains("dist"));
        for line in builds {
            assert!(line.contains("--features jemalloc"), "{program}: {line}");
        }
    }
}
