//! Errors of listeners, and of the certificates that an authority issues for them.

use super::{said_of, says, with_app};

#[test]
fn a_key_that_would_do_nothing_is_refused() {
    let said = r#"noren.toml:5: listener[0].redirect-port: has a meaning only with protocol = "redirect"; remove it"#;
    says(
        "[[listener]]\nprotocol = \"http\"\nredirect-port = 8001",
        said,
    );
    let said = r#"noren.toml:5: listener[0].mode: has a meaning only with address = "unix:/path"; remove it"#;
    says("[[listener]]\naddress = \"[::]:1\"\nmode = \"0600\"", said);
}

#[test]
fn acme_is_told_what_an_authority_needs() {
    let agreed = "terms-of-service-agreed = true";
    says(
        &format!("[acme]\n{agreed}"),
        "noren.toml:3: acme.names: is missing; write names = [\"www.example.org\"], the names that lead to \
         this machine",
    );
    says(
        "[acme]\nnames = [\"a.example\"]",
        "noren.toml:3: acme.terms-of-service-agreed: no authority gives certificates to those who do not \
         agree to its terms; read them (Let's Encrypt: https://letsencrypt.org/repository/) and write \
         terms-of-service-agreed = true",
    );
    for (name, said) in [
        (
            "*.a.example",
            "certificates for all names of a domain need a proof in its DNS, which Noren cannot give; write \
             each name, or have a program such as lego or certbot renew a [[tls.certificate]]",
        ),
        (
            "192.0.2.1",
            "is an address; write the name that leads to it",
        ),
    ] {
        let found = said_of(&with_app(&format!(
            "[acme]\n{agreed}\nnames = [\"{name}\"]"
        )));
        assert!(
            found.starts_with("noren.toml:5: acme.names[0]: "),
            "{found}"
        );
        assert!(found.contains(said), "{found}");
    }
    let acme = format!("[acme]\n{agreed}\nnames = [\"a.example\"]");
    says(
        &format!("{acme}\nchallenge = \"http-01\""),
        "noren.toml:3: acme: the authority connects to port 80 for challenge = \"http-01\", and no listener \
         is there; write [[listener]] with address = \"[::]:80\" and protocol = \"redirect\"",
    );
    says(
        &format!("{acme}\n[[listener]]\nprotocol = \"http\""),
        r#"noren.toml:3: acme: no listener needs a certificate; write [[listener]] with protocol = "https""#,
    );
    says(
        &format!("{acme}\ncontact = [\"admin\"]"),
        r#"noren.toml:6: acme.contact[0]: "admin" is no address of e-mail; write for example "admin@example.org""#,
    );
    says(
        &format!("{acme}\ndirectory = \"http://a.example/d\""),
        "noren.toml:6: acme.directory: \"http://a.example/d\" is not an https URL; write for example \
         \"https://acme-v02.api.letsencrypt.org/directory\"",
    );
    says(
        &format!("{acme}\nkey-id = \"x\""),
        r#"noren.toml:6: acme.key-id: needs its key; write key-file = "/etc/noren/acme-key""#,
    );
}

#[test]
fn an_address_that_is_listened_on_twice_is_told_with_both_lines() {
    let two = |one: &str, other: &str| {
        said_of(&with_app(&format!(
            "[[listener]]\naddress = \"{one}\"\nprotocol = \"http\"\n[[listener]]\naddress = \"{other}\"\n\
             protocol = \"http\""
        )))
    };
    assert_eq!(
        two("[::]:80", "[::]:80"),
        "noren.toml:7: listener[1].address: \"[::]:80\" is listened on already by listener[0].address \
         (noren.toml:4); remove one of them, or give it another address"
    );
    assert_eq!(
        two("0.0.0.0:80", "80"),
        "noren.toml:7: listener[1].address: \"[::]:80\" is listened on already by listener[0].address = \
         \"0.0.0.0:80\" (noren.toml:4); remove one of them, or give it another address"
    );
    for (one, other) in [
        ("[::]:80", "192.0.2.1:80"),
        ("door.example:80", "[::]:80"),
        ("0.0.0.0:80", "192.0.2.1:80"),
        ("localhost:80", "127.0.0.1:80"),
        ("[::1]:80", "LocalHost:80"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
        ("[0:0::1]:80", "[::1]:80"),
        ("unix:/run/d", "unix:/run//d"),
        ("systemd:d", "systemd:d"),
    ] {
        let said = two(one, other);
        assert!(
            said.contains("noren.toml:7: listener[1].address") && said.contains("(noren.toml:4)"),
            "{one} {other}: {said}"
        );
    }
    for (one, other) in [
        ("[::]:0", "[::]:0"),
        ("[::]:80", "[::]:81"),
        ("0.0.0.0:80", "[::1]:80"),
        ("127.0.0.1:80", "127.0.0.2:80"),
        ("unix:/run/d", "unix:/run/e"),
        ("unix:/run/d", "systemd:d"),
    ] {
        assert_eq!(two(one, other), "", "{one} {other}");
    }
    says(
        "[admin]\naddress = \"127.0.0.1:8001\"",
        "noren.toml:4: admin.address: \"127.0.0.1:8001\" is listened on already by listener[0].address = \
         \"[::]:8001\" (the default); remove one of them, or give it another address",
    );
    let source = "[[channel]]\nname = \"a\"\n[[channel.source]]\nsource = \"listen\"\naddress = \"unix:/run/d\"";
    says(
        &format!("[admin]\nsocket = \"/run/d\"\n{source}"),
        "noren.toml:9: channel[0].source[0].address: \"unix:/run/d\" is listened on already by admin.socket \
         (noren.toml:4); remove one of them, or give it another address",
    );
}
