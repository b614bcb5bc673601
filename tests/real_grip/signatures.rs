//! Grip-Sig by ES256: the door has the private key, and the libraries verify with the public one.

use rcgen::KeyPair;

use super::Fixture;
use crate::support::{ask, path, scratch};

#[test]
fn libraries_believe_a_door_that_signs_with_a_private_key_and_no_other() {
    let directory = scratch();
    let file = |name: &str| path(&directory, name);
    for name in ["own", "other"] {
        let key = KeyPair::generate().expect("a key of P-256");
        std::fs::write(file(&format!("{name}.pem")), key.serialize_pem()).expect("a key");
        std::fs::write(file(&format!("{name}.public")), key.public_key_pem()).expect("a key");
    }
    for (example, stream, say, verifies) in [
        ("django_app.py", "/stream/", "/tell/?text=hello", true),
        ("wsgi_app.py", "/stream", "/say?text=hello", true),
        // serve-grip 2.0.0 does not wait for the result of its verification, and believes everybody.
        ("node_app.mjs", "/stream", "/say?text=hello", false),
    ] {
        let believed = file("own.public");
        let fixture = Fixture::signing(example, &[&file("own.pem")], Some(&believed));
        let client = fixture.client("stream", stream, "X-Test: 1");
        client.ends_with("welcome\n");
        // The app's own messages are signed with the secret of both.
        let method = if example == "django_app.py" {
            "GET"
        } else {
            "POST"
        };
        let said = ask(&fixture.door, say).method(method);
        said.header("Content-Length: 0").gets(200);
        client.ends_with("welcome\nhello\n");
        if !verifies {
            continue;
        }
        // What is signed with another key, or with the secret, has not come through this door.
        for signers in [&[file("other.pem")][..], &[]] {
            let signers: Vec<_> = signers.iter().map(String::as_str).collect();
            let fixture = Fixture::signing(example, &signers, Some(&believed));
            ask(&fixture.door, stream).gets(501);
        }
    }
}
