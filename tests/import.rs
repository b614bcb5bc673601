//! Tests of `noren import`: the result is valid, has what was there, and opens nothing.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail where it stands"
)]

mod closed;
mod limits;
mod nginx;
mod websockify;
mod wok;

use std::fs;
use std::process::{Command, Output};

use noren::config::{HostPattern, PathPrefix};
use noren::{Config, Destination};

/// An address at which nothing listens.
const CLOSED: &str = "unix:/dev/null/closed";

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_noren"))
        .arg("import")
        .args(arguments)
        .output()
        .unwrap()
}

fn import(arguments: &[&str]) -> String {
    let ran = run(arguments);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn whatever_is_imported_can_be_reloaded_by_systemd() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let site = file(
        "site.conf",
        "server { listen 80; location / { proxy_pass http://127.0.0.1:8010; } }\n",
    );
    let cloud = file(
        "nova.conf",
        "[vnc]\nenabled = true\n[keystone_authtoken]\nauth_url = http://keystone:5000/v3\nusername = nova\n\
         project_name = service\n",
    );
    for arguments in [
        &["nginx", &site][..],
        &["nova", &cloud],
        &["websockify", "--", "6080", "127.0.0.1:5900"],
    ] {
        let made = import(arguments);
        let config = Config::parse(&made, "made").unwrap_or_else(|error| panic!("{error}\n{made}"));
        let socket = config.admin.socket.as_deref();
        let expected = std::path::Path::new("/run/noren/admin.sock");
        assert_eq!(socket, Some(expected), "{made}");
    }
}

/// The text that is made of a file of nginx.
fn made_of(text: &str) -> String {
    let file = tempfile::Builder::new().suffix(".conf").tempfile().unwrap();
    fs::write(file.path(), text).unwrap();
    import(&["nginx", file.path().to_str().unwrap()])
}

/// The same as a configuration, which must be valid.
fn from_nginx(text: &str) -> (Config, String) {
    let made = made_of(text);
    let config = Config::parse(&made, "made").unwrap_or_else(|error| panic!("{error}\n{made}"));
    (config, made)
}

/// The URL of the app, or the directory, that answers a path; none if it is closed.
fn answer(config: &Config, host: &str, path: &str) -> Option<String> {
    let route = noren::route_infos(config).into_iter().find(|route| {
        let host_fits = route
            .host
            .as_ref()
            .is_none_or(|pattern| HostPattern::parse(pattern).unwrap().matches(host));
        let prefix = PathPrefix::parse_open_ended(&route.path).unwrap();
        host_fits && prefix.matches(path)
    })?;
    let (refuse, answer) = match route.destination {
        Destination::App(index) => {
            let app = config.apps.get(index).unwrap();
            (&app.refuse, app.urls.to_string())
        }
        Destination::Files(index) => {
            let files = config.files.get(index).unwrap();
            (&files.refuse, files.directory.display().to_string())
        }
    };
    let is_open = answer != CLOSED && !refuse.iter().any(|refused| refused.matches(path));
    is_open.then_some(answer)
}

#[test]
fn a_file_that_is_not_nginx_is_told_by_its_line() {
    for (text, said) in [
        (
            "server {\n  listen 80;\n",
            "line 1: the block that begins here has no end",
        ),
        (
            "<VirtualHost *:80>\n  ProxyPass / http://h/\n</VirtualHost>\n",
            "is a file of Apache",
        ),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let ran = run(&["nginx", file.path().to_str().unwrap()]);
        assert_eq!(ran.status.code(), Some(1));
        let error = String::from_utf8_lossy(&ran.stderr);
        assert!(error.contains(said), "{error}");
    }
}
