//! Apps that speak TLS only: cheroot and Python's `websockets` over OpenSSL, with certificates that are right and
//! wrong; and Cockpit.

use std::fmt::Write as _;
use std::process::Command;

use crate::support::{Certificates, Door, Peer, ask, path, python, run, scratch};

/// The tables of an app at a path of its own name.
fn app(name: &str, address: &str, tls: &str) -> String {
    format!(
        "[[app]]\nname = \"{name}\"\npath = \"/{name}\"\nurl = \"https://{address}\"\n\
         workers = 8\nrestart-wait = \"0s\"\n\
         tls = {{ {tls} }}\n"
    )
}

#[test]
fn an_app_with_tls_is_reached_where_its_certificate_is_right_and_each_fault_names_its_remedy() {
    let directory = scratch();
    let file = |name: &str| path(&directory, name);
    let certificates = Certificates::new(directory.path());
    certificates.sign(directory.path(), "app", &["app.example"]);
    certificates.sign_until(directory.path(), "old", &["app.example"], 2021);
    certificates.sign_client(directory.path(), "noren");
    let (ca, app_pem, app_key) = (file("ca.pem"), file("app.pem"), file("app.key"));
    let start = |files: &[&str]| Peer::start_in_venv("https_app.py", files);
    let good = start(&[&app_pem, &app_key]);
    let strict = start(&[&app_pem, &app_key, &ca]);
    let old = start(&[&file("old.pem"), &file("old.key")]);
    let files = file("shared");
    std::fs::create_dir(&files).expect("a directory for the app");
    let plain = Peer::start_in_venv("webdav.py", &[&files]);

    let right = format!("ca = \"{ca}\", name = \"app.example\"");
    let ours = format!(
        "{right}, certificate = \"{}\", key = \"{}\"",
        file("noren.pem"),
        file("noren.key")
    );
    let mut tables = String::new();
    for (name, address, tls) in [
        ("good", &good.address, right.as_str()),
        ("strict", &strict.address, &ours),
        ("unverified", &old.address, "insecure-skip-verify = true"),
        ("stranger", &good.address, "name = \"app.example\""),
        (
            "other",
            &good.address,
            &format!("ca = \"{ca}\", name = \"b.example\""),
        ),
        ("old", &old.address, &right),
        ("nobody", &strict.address, &right),
        ("plain", &plain.address, &right),
    ] {
        write!(tables, "{}", app(name, address, tls)).expect("a String takes everything");
    }
    let door = Door::open(&tables);

    // Twice, so that the second goes over the connection of the first.
    for _ in 0..2 {
        let answer = ask(&door, "/good/x").gets(200);
        assert_eq!(answer.text(), "GET /good/x 0 -");
    }
    let upload = file("upload");
    std::fs::write(&upload, vec![b'x'; 2_000_000]).expect("a file to send");
    let answer = ask(&door, "/good/up")
        .with("--data-binary", &format!("@{upload}"))
        .gets(200);
    assert_eq!(answer.text(), "POST /good/up 2000000 -");
    assert_eq!(ask(&door, "/good/large").gets(200).body.len(), 3_000_000);
    assert_eq!(
        ask(&door, "/strict/x").gets(200).text(),
        "GET /strict/x 0 noren"
    );
    ask(&door, "/unverified/x").gets(200);

    for (name, said) in [
        (
            "stranger",
            "not signed by an authority in this system's list; name the file with the right one as tls.ca",
        ),
        (
            "other",
            "not for the name b.example, but for app.example; write one of its names as tls.name",
        ),
        ("old", "its certificate has expired; renew it there"),
        ("plain", "it does not speak TLS"),
        ("nobody", "client certificate"),
    ] {
        ask(&door, &format!("/{name}/x")).gets(502);
        let log = door.log();
        let line = log
            .lines()
            .find(|line| line.contains(&format!("app {name}: ")))
            .unwrap_or_else(|| panic!("{name}: {log}"));
        assert!(line.contains(said), "{line}");
    }
}

#[test]
fn a_websocket_of_an_app_with_tls_is_passed_through() {
    let directory = scratch();
    let file = |name: &str| path(&directory, name);
    Certificates::new(directory.path()).sign(directory.path(), "app", &["app.example"]);
    let app_files = [file("app.pem"), file("app.key")];
    let peer = Peer::start(
        "websocket_app.py",
        &app_files.each_ref().map(String::as_str),
    );
    let door = Door::open(&format!(
        "[[app]]\nurl = \"https://{}\"\nencoded-slash = true\ntls = {{ ca = \"{}\", name = \"app.example\" }}\n",
        peer.address,
        file("ca.pem")
    ));
    let url = door.url("/ws/a%2Fb?x=1").replace("https:", "wss:");
    let mut client = python("websocket_client.py");
    run(client.args([&url, &door.file("ca.pem"), "app"])).well();
}

/// The table of the guide, with nothing in Cockpit's own configuration about a proxy.
#[test]
fn cockpit_is_used_through_the_door_with_its_login_and_its_websocket() {
    let directory = scratch();
    let file = |name: &str| path(&directory, name);
    Certificates::new(directory.path()).sign(directory.path(), "own", &["cockpit.example"]);
    let settings = file("settings");
    let files = [settings, file("own.pem"), file("own.key")];
    let cockpit = Peer::start("cockpit.py", &files.each_ref().map(String::as_str));
    let door = Door::open(&format!(
        "[[app]]\nname = \"cockpit\"\nurl = \"https://{}\"\n\
         tls = {{ ca = \"{}\", name = \"cockpit.example\" }}\n",
        cockpit.address,
        file("ca.pem")
    ));
    let mut client = python("cockpit_client.py");
    run(client.args([&door.url("/"), &door.file("ca.pem")])).well();
}

#[test]
fn check_says_which_files_of_an_app_cannot_be_used() {
    let directory = scratch();
    let (missing, wrong) = (
        path(&directory, "missing.pem"),
        path(&directory, "wrong.pem"),
    );
    std::fs::write(&wrong, "words").expect("a file that holds no certificate");
    let config = path(&directory, "noren.toml");
    let tables = format!(
        "{}{}",
        app("a", "app.example", &format!("ca = \"{missing}\"")),
        app("b", "app.example", &format!("ca = \"{wrong}\""))
    );
    std::fs::write(&config, tables).expect("the configuration written");
    let mut check = Command::new(env!("CARGO_BIN_EXE_noren"));
    check.args(["check", "--explain", &config]);
    let ran = run(&mut check);
    assert_eq!(ran.status.code(), Some(78), "{}", ran.stdout);
    let said = ran.stderr;
    assert!(said.contains(&missing) && said.contains(&wrong), "{said}");
}
