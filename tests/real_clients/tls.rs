//! TLS as openssl sees it: versions, protocols, names, sessions, and how a connection ends.

use std::process::Command;

use super::echo;
use crate::support::{Door, Ran, ask, path, run};

/// Asks for a page and for the end of the connection.
const ASK: &str = "GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n";

/// Runs `openssl s_client`, which verifies; with a request it stays until the door closes. Later options win.
fn s_client(door: &Door, request: &str, options: &str) -> Ran {
    let (port, ca) = (door.port, door.file("ca.pem"));
    let stay = if request.is_empty() { "" } else { "-ign_eof" };
    run(Command::new("sh").arg("-c").arg(format!(
        "printf '{request}' | openssl s_client -connect 127.0.0.1:{port} -CAfile {ca} -verify_return_error \
         -verify_hostname localhost -servername localhost {stay} {options} 2>&1"
    )))
}

/// The output has this in it.
#[track_caller]
fn says(ran: &Ran, text: &str) {
    assert!(ran.stdout.contains(text), "no {text:?} in:\n{}", ran.stdout);
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_1_1_is_not() {
    let (_directory, _echo, door) = echo();
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let ran = s_client(&door, "", option).well();
        says(&ran, &format!("New, {version}, Cipher is "));
        says(&ran, "Verification: OK");
    }
    // Debian's openssl would itself refuse 1.1 at its usual level; the alert shows that the door did.
    let ran = s_client(&door, "", "-tls1_1 -cipher DEFAULT@SECLEVEL=0");
    assert!(!ran.status.success());
    assert!(
        ["protocol version", "handshake failure"]
            .iter()
            .any(|alert| ran.stdout.contains(&format!("alert {alert}"))),
        "{}",
        ran.stdout
    );
}

#[test]
fn the_protocol_is_chosen_by_alpn() {
    let (_directory, _echo, door) = echo();
    for (offer, chosen) in [
        ("h2,http/1.1", "h2"),
        ("http/1.1,h2", "h2"),
        ("http/1.1", "http/1.1"),
    ] {
        let ran = s_client(&door, "", &format!("-alpn {offer}")).well();
        says(&ran, &format!("ALPN protocol: {chosen}\n"));
    }
    let ran = s_client(&door, ASK, "").well();
    says(&ran, "No ALPN negotiated");
    says(&ran, "HTTP/1.1 404");
}

#[test]
fn the_name_asked_for_selects_the_certificate() {
    let door = Door::with_names(
        &[
            ("first", &["localhost", "first.test"]),
            ("second", &["second.test"]),
            ("wild", &["*.wild.test"]),
        ],
        "[[bridge.target]]\ntoken = \"vm1\"\naddress = \"unix:/nobody\"\n",
    );
    let names = [
        ("first.test", "first"),
        ("second.test", "second"),
        ("a.wild.test", "wild"),
        ("other.test", "first"),
    ];
    for (name, certificate) in names {
        let verify = if name == "other.test" {
            "first.test"
        } else {
            name
        };
        let ran = s_client(
            &door,
            "",
            &format!("-servername {name} -verify_hostname {verify}"),
        )
        .well();
        says(&ran, &format!("subject=CN = {certificate}\n"));
        says(&ran, "Verification: OK");
    }
}

#[test]
fn sessions_are_resumed() {
    let (directory, _echo, door) = echo();
    let session = path(&directory, "session");
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        s_client(&door, ASK, &format!("{option} -sess_out {session}")).well();
        let ran = s_client(&door, ASK, &format!("{option} -sess_in {session}")).well();
        says(&ran, &format!("Reused, {version}, Cipher is "));
        says(&ran, "HTTP/1.1 404");
    }
}

#[test]
fn every_close_is_announced_by_close_notify() {
    let (_directory, _echo, door) = echo();
    for version in ["-tls1_2", "-tls1_3"] {
        for request in [ASK, "junk\\r\\n\\r\\n"] {
            let ran = s_client(&door, request, &format!("{version} -state"));
            says(&ran, "SSL3 alert read:warning:close notify");
            assert!(
                !ran.stdout.contains("unexpected eof"),
                "{request}: {}",
                ran.stdout
            );
        }
    }
}

#[test]
fn plain_http_on_the_tls_port_gets_a_readable_answer() {
    let (_directory, _echo, door) = echo();
    let text = ask(&door, &format!("http://localhost:{}/", door.port))
        .gets(400)
        .text();
    assert!(text.to_lowercase().contains("https"), "{text}");
    assert!(text.is_ascii(), "{text}");
}
