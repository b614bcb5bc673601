//! Tokens from real parts: Debian's Redis, links signed by another JWT library, and consoles behind OpenSSL.

use std::fs;
use std::process::Command;

use crate::support::{Certificates, Door, Peer, ask, path, python, run, scratch};

/// The client's result of a handshake with this token: the status, and then this many bytes of the console.
fn knock(door: &Door, token: &str, bytes: &str) -> String {
    let url = door.url(&format!("/websockify?token={token}"));
    let url = url.replacen("https", "wss", 1);
    let mut client = python("knock.py");
    run(client.args([url.as_str(), &door.file("ca.pem"), bytes]))
        .well()
        .stdout
}

fn status(door: &Door, token: &str) -> u16 {
    let said = knock(door, token, "0");
    said.trim().parse().unwrap_or_default()
}

#[test]
fn a_redis_server_knows_tokens_in_both_forms_with_password_database_and_namespace() {
    let directory = scratch();
    let echo = Peer::start("echo_server.py", &["tcp"]);
    let mut redis = Peer::start("redis_server.py", &["s3cret"]);
    let password = path(&directory, "password");
    fs::write(&password, "s3cret\n").expect("the password written");
    let (host, port) = echo.address.split_once(':').expect("host:port");
    for (key, value) in [
        ("ns:text", echo.address.clone()),
        ("ns:json", format!("{{\"host\": \"{host}:{port}\"}}")),
        ("ns:forbidden", "169.254.169.254:80".to_owned()),
        ("ns:bad", "nonsense".to_owned()),
        ("text", "other namespace".to_owned()),
    ] {
        let (address, redis_port) = redis.address.split_once(':').expect("host:port");
        let set = [
            "-h", address, "-p", redis_port, "-a", "s3cret", "-n", "3", "set", key,
        ];
        run(Command::new("redis-cli").args(set).arg(value)).well();
    }
    let settings = |namespace: &str| {
        format!(
            "[[bridge.tokens]]\nsource = \"redis\"\naddress = \"{}\"\ndatabase = 3\n\
             password = \"{password}\"\nnamespace = \"{namespace}\"\nallow = [\"127.0.0.1:*\"]\n",
            redis.address
        )
    };
    let door = Door::open(&settings("ns"));
    assert_eq!(status(&door, "text"), 101);
    assert_eq!(status(&door, "json"), 101);
    assert_eq!(status(&door, "missing"), 404);
    assert_eq!(status(&door, "forbidden"), 404);
    assert_eq!(status(&door, "bad"), 502);
    assert_eq!(status(&Door::open(&settings("other")), "text"), 404);
    fs::write(&password, "wrong").expect("the password written");
    assert_eq!(status(&door, "text"), 502);
    assert!(!door.log().contains("s3cret"), "the password is in the log");
    fs::write(&password, "s3cret\n").expect("the password written");
    assert_eq!(status(&door, "text"), 101);
    redis.ask("stop");
    assert_eq!(status(&door, "text"), 502);
}

#[test]
fn links_of_another_library_are_read_with_every_kind_of_key() {
    let directory = scratch();
    let echo = Peer::start("echo_server.py", &["tcp"]);
    let file = |name: &str| path(&directory, name);
    for (kind, options) in [
        ("EdDSA", &["-algorithm", "ed25519"][..]),
        (
            "ES256",
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        ),
        (
            "ES384",
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        ),
        (
            "RS256",
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        ),
    ] {
        let (key, public) = (file(&format!("{kind}.key")), file(&format!("{kind}.pem")));
        let generate = ["genpkey", "-out", &key];
        run(Command::new("openssl").args(generate).args(options)).well();
        run(Command::new("openssl").args(["pkey", "-in", &key, "-pubout", "-out", &public])).well();
        let link = |algorithm: &str, key: &str| {
            let signed = run(python("sign_link.py").args([algorithm, key, "vm"])).well();
            signed.stdout.trim().to_owned()
        };
        // The private key is as good for checking as the public one.
        for checked_with in [&public, &key] {
            let door = Door::open(&format!(
                "[bridge.signed]\nkeys = [\"{checked_with}\"]\nstore = \"{}\"\n\
                 [[bridge.target]]\ntoken = \"vm\"\naddress = \"{}\"\n",
                file("used"),
                echo.address
            ));
            assert_eq!(
                status(&door, &link(kind, &key)),
                101,
                "{kind} {checked_with}"
            );
            // The oldest trick: the public key, which everybody has, taken for a secret.
            assert_eq!(status(&door, &link("HS256", &public)), 403, "{kind}");
            assert_eq!(status(&door, &link("none", &key)), 403, "{kind}");
        }
    }
}

#[test]
fn a_vnc_server_behind_openssl_is_reached_over_verified_tls_with_a_certificate_of_our_own() {
    let directory = scratch();
    let file = |name: &str| path(&directory, name);
    Certificates::new(directory.path()).sign(directory.path(), "kvm", &["kvm.example"]);
    let (certificate, key) = (file("client.pem"), file("client.key"));
    let client = ["-subj", "/CN=noren", "-keyout", &key, "-out", &certificate];
    let request = [
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
    ];
    run(Command::new("openssl").args(request).args(client)).well();
    let files = [&file("kvm.pem"), &file("kvm.key"), &certificate];
    let console = Peer::start("tls_console.py", &files.map(String::as_str));
    let door = |ca: &str, keys: &str| {
        Door::open(&format!(
            "[[bridge.target]]\ntoken = \"vm\"\naddress = \"{}\"\n\
             tls = {{ ca = \"{ca}\", name = \"kvm.example\"{keys} }}\n",
            console.address,
        ))
    };
    let ours = format!(", certificate = \"{certificate}\", key = \"{key}\"");
    let open = door(&file("ca.pem"), &ours);
    assert_eq!(knock(&open, "vm", "12"), "101\nRFB 003.008\n");
    let stranger = door(&certificate, &ours);
    assert_eq!(status(&stranger, "vm"), 502);
    assert!(
        stranger.log().contains("not signed by an authority in"),
        "{}",
        stranger.log()
    );
}

#[test]
fn channels_are_opened_by_tokens_of_another_library_with_every_kind_of_key() {
    let directory = scratch();
    let file = |name: &str| path(&directory, name);
    let generate = |kind: &str, options: &[&str]| {
        let key = file(kind);
        run(Command::new("openssl")
            .args(["genpkey", "-out", &key])
            .args(options))
        .well();
        key
    };
    let secret = file("HS256");
    fs::write(
        &secret,
        noren::encode_token("0123456789abcdef0123456789abcdef"),
    )
    .expect("a secret");
    let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    for (kind, key) in [
        ("HS256", secret),
        ("EdDSA", generate("EdDSA", &["-algorithm", "ed25519"])),
        ("ES256", generate("ES256", &curve)),
        ("RS256", generate("RS256", &["-algorithm", "RSA"])),
    ] {
        let door = Door::open(&format!(
            "[hub.tokens]\nkeys = [\"{key}\"]\n[[channel]]\nname = \"job.*\"\n"
        ));
        let signed = run(python("channel_token.py").args([kind, &key, "job.17"])).well();
        let token = signed.stdout.trim();
        for (name, status) in [("job.17", 200), ("job.18", 403)] {
            let place = format!("/events/{name}?access_token={token}");
            assert_eq!(ask(&door, &place).send().status, status, "{kind} {name}");
        }
        assert_eq!(ask(&door, "/events/job.17").send().status, 401, "{kind}");
        assert!(
            !door.log().contains("eyJ"),
            "a token is in the log: {}",
            door.log()
        );
        // And those that the door makes itself.
        let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
        command.args(["token", "--subscribe", "job.17", "--subject", "cook"]);
        let made = run(command.args(["--config", &door.file("noren.toml")])).well();
        let (token, rest) = made.stdout.split_once('\n').expect("two lines");
        let place = format!("/events/job.17?access_token={token}");
        assert_eq!(rest, format!("https://localhost:8001{place}\n"));
        assert_eq!(ask(&door, &place).send().status, 200, "{kind}");
    }
}
