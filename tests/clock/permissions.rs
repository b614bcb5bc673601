//! Tests of the permissions and lifetimes of tokens and links while the wall clock jumps.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use noren::config::{SecretFile, Signed};
use noren::{LinkOrder, sign_link};
use serde_json::json;
use tempfile::TempDir;

use super::{Events, Fixture, HANDSHAKE};
use crate::support::{path, scratch, until};

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

fn key(directory: &TempDir) -> String {
    let file = path(directory, "key");
    let key = noren::encode_token(std::str::from_utf8(SECRET).unwrap());
    fs::write(&file, key).unwrap();
    file
}

/// As an app makes it, by the true time.
fn token(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({"mercure": {"subscribe": ["news"]}, "exp": now.as_secs() + seconds});
    let key = EncodingKey::from_secret(SECRET);
    let token = encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn what_a_token_has_opened_ends_on_time_whatever_the_clock_says() {
    let directory = scratch();
    let fixture = Fixture::open(&format!(
        "[hub.tokens]\nkeys = ['{}']\nleeway = '0s'\n[[channel]]\nname = 'news'\nneeds = 'token'\n",
        key(&directory)
    ));
    let target = "/events/news";
    // It may have expired by the time a busy machine looks at it.
    let short = until("a token that is looked at in time", || {
        let token = token(5);
        let good = fixture.get(&format!("{target}?wait=0"), &token).status == 200;
        good.then(|| Events::open(&fixture, target, &token))
    });
    let long = token(60 * 60);
    let mut lasting = Events::open(&fixture, target, &long);

    fixture.jump(-10);
    let rest = short.rest();
    assert!(rest.contains(": the token has expired\n"), "{rest}");

    fixture.jump(10);
    let _ = fixture.say("news", "ten days later");
    assert_eq!(lasting.data(), "ten days later");
    let refused = fixture.get(&format!("{target}?wait=0"), &long);
    assert_eq!(refused.status, 401, "{}", refused.body);
    assert!(refused.body.contains("expired"), "{}", refused.body);

    fixture.jump(0);
    assert_eq!(fixture.get(&format!("{target}?wait=0"), &long).status, 200);
}

#[test]
fn a_used_link_stays_used_when_the_clock_was_wrong_for_a_while() {
    let directory = scratch();
    let console = std::os::unix::net::UnixListener::bind(path(&directory, "vm")).unwrap();
    let key = key(&directory);
    let fixture = Fixture::open(&format!(
        "[bridge.signed]\nkeys = ['{key}']\nstore = '{}'\ngrace = '0s'\n\
         [[bridge.target]]\ntoken = 'vm'\naddress = 'unix:{}'\n",
        path(&directory, "used"),
        path(&directory, "vm"),
    ));
    let rules = Signed {
        keys: vec![SecretFile::File(key.into())],
        ..Signed::default()
    };
    let order = LinkOrder {
        name: "vm",
        expires: Duration::from_secs(60 * 60),
        single_use: true,
        view_only: false,
        address: None,
    };
    let link = sign_link(&rules, &order).unwrap();
    let mut opened = super::connect(fixture.http);
    let handshake = format!("GET /websockify?token={link} HTTP/1.1\r\nHost: x\r\n{HANDSHAKE}\r\n");
    std::io::Write::write_all(&mut opened, handshake.as_bytes()).unwrap();
    let _target = console.accept().unwrap();

    let knock = || {
        let answer = super::Answer::of(super::connect(fixture.http), &handshake);
        (answer.status, answer.body)
    };
    let used = |(status, body): (u16, String)| {
        assert_eq!(status, 403);
        assert!(body.contains("was used already"), "{body}");
    };
    used(knock());
    fixture.jump(10);
    assert!(knock().1.contains("has expired"));
    // Remembered keys are read again.
    let _ = fixture.noren("reload");
    fixture.jump(0);
    used(knock());
}
