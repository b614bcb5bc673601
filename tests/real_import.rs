//! `noren import nginx --check`: nginx and Noren side by side, in a directory of their own.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Ran, run, scratch};

/// Compares nginx with what is made of a file.
fn compared(text: &str) -> Ran {
    let directory = scratch();
    let file = directory.path().join("site.conf");
    fs::write(&file, text).unwrap();
    check(&file)
}

fn check(file: &Path) -> Ran {
    run(Command::new(env!("CARGO_BIN_EXE_noren"))
        .args(["import", "nginx", "--check"])
        .arg(file))
}

#[test]
fn a_file_that_is_carried_over_whole_has_no_differences() {
    let ran = compared(
        "upstream app { server 10.1.2.3:8000; server unix:/run/app.sock; }
         server { listen 80; listen [::]:80; server_name a.example;
             add_header X-Frame-Options DENY;
             location / { proxy_pass http://app; proxy_set_header X-Tenant one; proxy_set_header Host $host; }
         }",
    )
    .well();
    let said = ran.stdout;
    assert!(
        said.contains("requests to nginx and to Noren, at 0.0.0.0:80, [::]:80"),
        "{said}"
    );
    // The differences that each file has.
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("  ")).collect();
    let known = [
        "a name that no server has",
        "x-forwarded-host: nginx: none",
        "x-forwarded-proto: nginx: none",
    ];
    assert_eq!(lines.len(), known.len(), "{said}");
    for (line, known) in lines.iter().zip(known) {
        assert!(line.contains(known), "{said}");
    }
}

#[test]
fn differences_are_told_by_their_kind() {
    let ran = compared(
        "server { listen 443 ssl; ssl_certificate /nowhere.pem; ssl_certificate_key /nowhere.key;
             server_name a.example;
             location /moved/ { proxy_pass http://127.0.0.1:1/; }
             location / { proxy_pass http://127.0.0.1:1; more_clear_headers Server; }
             location /closed { deny all; proxy_pass http://127.0.0.1:2; }
         }",
    );
    assert!(ran.status.success(), "{}", ran.stderr);
    assert!(
        !ran.stdout.contains("a.example/closed"),
        "both refuse it: {}",
        ran.stdout
    );
    for said in [
        "another app is asked here, or with another request",
        "GET https://a.example/moved/x: nginx: 127.0.0.1:1 gets GET /x; Noren: 127.0.0.1:1 gets GET /moved/x",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
}

#[test]
fn nothing_of_the_machine_is_touched() {
    let directory = scratch();
    let file = directory.path().join("kept");
    fs::write(&file, "kept").unwrap();
    let at = directory.path().display();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let app = listener.local_addr().unwrap();
    let ran = compared(&format!(
        "pid {at}/pid; error_log {at}/error.log;
         events {{ }}
         http {{ access_log {at}/access.log; proxy_temp_path {at}/temporary;
           server {{ listen {app}; root {at}; dav_methods PUT DELETE; autoindex on;
             location / {{ proxy_pass http://{app}; proxy_store on; }}
             location = /kept {{ root {at}; dav_methods DELETE; }}
             location /up {{ set $u http://{app}; proxy_pass $u; }}
             location /var {{ proxy_pass http://$host:80; }} }} }}"
    ));
    assert!(
        ran.stdout
            .contains("nothing is asked where the address depends on the request"),
        "{}",
        ran.stdout
    );
    assert!(
        listener.accept().is_err(),
        "the app itself is asked for nothing"
    );
    let left: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|one| one.unwrap().file_name())
        .collect();
    assert_eq!(left, ["kept"], "{}", ran.stdout);
}

#[test]
fn what_cannot_be_compared_is_told() {
    for (text, said) in [
        (
            "server { listen 80; location / { proxy_pass http://a:1; ",
            "has no end",
        ),
        ("events { }", "not complete yet"),
    ] {
        let ran = compared(text);
        assert_eq!(ran.status.code(), Some(1));
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}
