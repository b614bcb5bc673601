use std::path::Path;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::config::SecretFile;
use crate::tokens::test_directory::TestDirectory;

/// Two secrets of 32 bytes, in base64url.
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
const OTHER: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA";

fn secret(text: &str) -> EncodingKey {
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
    EncodingKey::from_secret(&bytes.expect("base64url"))
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> Token {
    let link = encode(header, claims, key).expect("a link");
    Token::from_query(Some(&format!("token={link}"))).expect("a token")
}

fn hs256(claims: &Value) -> Token {
    signed(&Header::new(Algorithm::HS256), claims, &secret(SECRET))
}

/// Claims of a link for `vm` that expires in a minute, with others added.
fn claims(more: Value) -> Value {
    let mut claims = json!({"token": "vm", "exp": now_seconds() + 60});
    let (Value::Object(all), Value::Object(more)) = (&mut claims, more) else {
        unreachable!("both are objects");
    };
    all.extend(more);
    all.retain(|_, value| !value.is_null());
    claims
}

fn rules(directory: &TestDirectory, keys: &[&Path]) -> config::Signed {
    config::Signed {
        keys: keys
            .iter()
            .map(|path| SecretFile::File((*path).to_owned()))
            .collect(),
        store: directory.path().join("used"),
        ..config::Signed::default()
    }
}

fn links(directory: &TestDirectory) -> Links {
    let key = directory.write("key", SECRET);
    Links::open(&rules(directory, &[&key])).expect("a key and a store")
}

fn refused(links: &Links, token: &Token) -> String {
    let refused = links.read(token, None).expect_err("a bad link");
    refused.to_string()
}

#[test]
fn a_link_names_a_token_or_a_target_and_not_both() {
    let directory = TestDirectory::new();
    let links = links(&directory);
    let purpose = |more| {
        links
            .read(&hs256(&claims(more)), None)
            .map(|link| link.purpose)
    };
    assert!(matches!(purpose(json!({})), Ok(Purpose::Token(name)) if name == "vm"));
    for port in [json!(5900), json!("5900")] {
        let target = purpose(json!({"token": null, "host": "kvm1", "port": port}));
        assert!(matches!(target, Ok(Purpose::Target(at)) if at.to_string() == "kvm1:5900"));
    }
    for bad in [
        json!({"host": "kvm1", "port": 5900}),
        json!({"token": null}),
        json!({"token": ""}),
        json!({"token": "a\nb"}),
        json!({"token": null, "host": "kvm1"}),
        json!({"token": null, "host": "kvm1", "port": 70000}),
    ] {
        assert!(
            matches!(purpose(bad.clone()), Err(LinkError::Invalid(_))),
            "{bad}"
        );
    }
}

#[test]
fn a_link_is_good_only_in_its_time_with_a_small_leeway() {
    let directory = TestDirectory::new();
    let links = links(&directory);
    let read = |more| links.read(&hs256(&claims(more)), None).map(|_| ());
    let now = now_seconds();
    assert!(read(json!({"exp": now - 2})).is_ok());
    assert!(read(json!({"exp": now + 2, "nbf": now + 3})).is_ok());
    assert!(matches!(
        read(json!({"exp": now - 6})),
        Err(LinkError::Expired)
    ));
    assert!(matches!(read(json!({"exp": 0})), Err(LinkError::Expired)));
    assert!(matches!(
        read(json!({"nbf": now + 30})),
        Err(LinkError::Early)
    ));
    for bad in [
        json!({"exp": null}),
        json!({"exp": now + 2 * 24 * 60 * 60}),
        json!({"exp": -1}),
        json!({"exp": 1e300}),
        json!({"exp": "soon"}),
    ] {
        assert!(
            matches!(read(bad.clone()), Err(LinkError::Invalid(_))),
            "{bad}"
        );
    }
    let endless = Links {
        rules: config::Signed {
            longest: None,
            ..links.rules.clone()
        },
        ..links
    };
    assert!(
        endless
            .read(&hs256(&claims(json!({"exp": null}))), None)
            .is_ok()
    );
}

#[test]
fn a_link_for_an_address_opens_for_no_other() {
    let directory = TestDirectory::new();
    let links = links(&directory);
    for (ip, peer, opens) in [
        ("192.0.2.7", Some("192.0.2.7"), true),
        ("192.0.2.7", Some("::ffff:192.0.2.7"), true),
        ("192.0.2.0/24", Some("192.0.2.200"), true),
        ("2001:db8::/32", Some("2001:db8:1::2"), true),
        ("192.0.2.7", Some("192.0.2.8"), false),
        ("192.0.2.0/24", Some("192.0.3.1"), false),
        ("192.0.2.0/240", Some("192.0.2.1"), false),
        ("somewhere", Some("192.0.2.1"), false),
        ("192.0.2.7", None, false),
    ] {
        let peer = peer.map(|peer| peer.parse().expect("an address"));
        let read = links.read(&hs256(&claims(json!({"ip": ip}))), peer);
        assert_eq!(read.is_ok(), opens, "{ip} {peer:?}");
        assert!(opens || matches!(read, Err(LinkError::Elsewhere)), "{ip}");
    }
}

#[test]
fn only_the_key_with_its_own_algorithm_makes_a_link_good() {
    let directory = TestDirectory::new();
    let links = links(&directory);
    let good = claims(json!({}));
    assert!(links.read(&hs256(&good), None).is_ok());
    let header = Header::new(Algorithm::HS256);
    let forged = signed(&header, &good, &secret(OTHER));
    assert!(refused(&links, &forged).ends_with("its signature is wrong"));
    let longer = signed(&Header::new(Algorithm::HS512), &good, &secret(SECRET));
    assert!(refused(&links, &longer).ends_with("no key has its algorithm and key id"));
    // Nobody signs this: {"alg":"none"}, and the same in capitals.
    let payload = crate::tokens::encode(&good.to_string());
    for none in [r#"{"alg":"none"}"#, r#"{"alg":"NONE","typ":"JWT"}"#] {
        let unsigned = format!("token={}.{payload}.", crate::tokens::encode(none));
        let unsigned = Token::from_query(Some(&unsigned)).expect("a token");
        assert!(Links::is_link(&unsigned));
        assert!(refused(&links, &unsigned).contains("its algorithm unknown"));
    }
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["b64".to_owned()]);
    let critical = signed(&critical, &good, &secret(SECRET));
    assert!(refused(&links, &critical).contains("critical"));
    let encrypted = Token::from_query(Some("token=eyJh.a.b.c.d")).expect("a token");
    assert!(refused(&links, &encrypted).contains("JWE"));
}

#[test]
fn a_link_for_an_audience_is_for_no_one_else() {
    let directory = TestDirectory::new();
    let links = links(&directory);
    let to = |aud: Value| hs256(&claims(json!({"aud": aud})));
    assert!(refused(&links, &to(json!("noren"))).ends_with("another audience"));
    let named = Links {
        rules: config::Signed {
            audience: Some("noren".to_owned()),
            ..links.rules.clone()
        },
        ..links
    };
    assert!(named.read(&to(json!("noren")), None).is_ok());
    assert!(named.read(&to(json!(["app", "noren"])), None).is_ok());
    assert!(refused(&named, &to(json!("app"))).ends_with("another audience"));
    assert!(refused(&named, &hs256(&claims(json!({})))).ends_with("another audience"));
}

#[test]
fn a_single_use_link_opens_once_also_after_a_restart_but_again_for_who_used_it() {
    let directory = TestDirectory::new();
    let links = links(&directory);
    let link = hs256(&claims(json!({"single_use": true, "jti": "one"})));
    let once = |peer: &str| {
        let peer = Some(peer.parse().expect("an address"));
        links
            .read(&link, peer)
            .expect("good")
            .once
            .expect("single use")
    };
    let (first, other) = (once("192.0.2.1"), once("192.0.2.2"));
    assert!(links.mark_used(&first).is_ok());
    assert!(links.mark_used(&first).is_ok(), "it is within the grace");
    assert!(matches!(links.mark_used(&other), Err(LinkError::Used)));
    let later = now_seconds() + 31;
    assert!(matches!(
        links.used.mark_used(&first, later),
        Err(LinkError::Used)
    ));

    let mut rules = links.rules.clone();
    drop(links);
    rules.grace = Duration::ZERO;
    let again = Links::open(&rules).expect("the same store");
    assert!(matches!(again.mark_used(&first), Err(LinkError::Used)));
    assert!(matches!(again.mark_used(&other), Err(LinkError::Used)));
    for bad in [
        json!({"jti": null}),
        json!({"jti": ""}),
        json!({"exp": null}),
    ] {
        let mut all = json!({"single_use": true, "jti": "two"});
        all.as_object_mut()
            .expect("an object")
            .extend(bad.as_object().expect("an object").clone());
        let read = again.read(&hs256(&claims(all)), None);
        assert!(matches!(read, Err(LinkError::Invalid(_))), "{bad}");
    }
}

#[test]
fn two_processes_share_the_store_and_what_has_long_expired_leaves_it() {
    let directory = TestDirectory::new();
    let path = directory.path().join("used");
    let open = || Used::open(&path, Duration::ZERO, now_seconds()).expect("a store");
    let (first, second) = (open(), open());
    let once = |number: u8, until: u64| Once {
        id: [number; 32],
        until,
        peer: "unix".to_owned(),
    };
    let soon = now_seconds() + 60;
    assert!(first.mark_used(&once(1, soon), now_seconds()).is_ok());
    assert!(matches!(
        second.mark_used(&once(1, soon), now_seconds()),
        Err(LinkError::Used)
    ));
    let long_ago = now_seconds() - 31 * 86_400;
    assert!(second.mark_used(&once(2, long_ago), long_ago - 5).is_ok());
    let lines = || {
        std::fs::read_to_string(&path)
            .expect("the store")
            .lines()
            .count()
    };
    assert_eq!(lines(), 2);
    let third = open();
    assert_eq!(lines(), 2, "to open it changes nothing");
    assert!(third.mark_used(&once(3, soon), now_seconds()).is_ok());
    assert_eq!(lines(), 2, "the one of last month is gone");
    // The file is another one now, and the others find it.
    assert!(matches!(
        first.mark_used(&once(3, soon), now_seconds()),
        Err(LinkError::Used)
    ));
    assert!(matches!(
        second.mark_used(&once(3, soon), now_seconds()),
        Err(LinkError::Used)
    ));
    assert!(matches!(
        third.mark_used(&once(1, soon), now_seconds()),
        Err(LinkError::Used)
    ));
}

#[test]
fn a_store_is_made_with_the_first_link_and_not_by_a_look_at_it() {
    let directory = TestDirectory::new();
    let path = directory.path().join("used");
    let used = Used::open(&path, Duration::ZERO, now_seconds()).expect("a store");
    assert!(!path.exists());
    let once = Once {
        id: [1; 32],
        until: now_seconds() + 60,
        peer: "unix".to_owned(),
    };
    assert!(used.mark_used(&once, now_seconds()).is_ok());
    assert!(matches!(
        used.mark_used(&once, now_seconds()),
        Err(LinkError::Used)
    ));
    assert!(path.exists());
    let deep = directory.path().join("none/used");
    let said = Used::open(&deep, Duration::ZERO, now_seconds())
        .err()
        .expect("refused");
    assert!(said.to_string().contains("none is missing"), "{said}");
}

#[test]
fn a_clock_that_is_wrong_for_a_while_makes_no_used_link_good_again() {
    let directory = TestDirectory::new();
    let path = directory.path().join("used");
    let (grace, now) = (Duration::from_secs(30), now_seconds());
    let open = |now| Used::open(&path, grace, now).expect("a store");
    let once = Once {
        id: [1; 32],
        until: now + 60,
        peer: "192.0.2.1".to_owned(),
    };
    assert!(open(now).mark_used(&once, now).is_ok());
    // Ten days ahead, with a restart; and back.
    drop(open(now + 864_000));
    let used = open(now + 40);
    assert!(matches!(
        used.mark_used(&once, now + 40),
        Err(LinkError::Used)
    ));
    // Before its first use its grace is not to come, but for the little that clocks are corrected by.
    assert!(used.mark_used(&once, now - 2).is_ok());
    assert!(matches!(
        used.mark_used(&once, now - 40),
        Err(LinkError::Used)
    ));
}

#[test]
fn a_line_that_a_crash_has_cut_short_harms_no_other() {
    let directory = TestDirectory::new();
    let path = directory.write("used", "0101 cut");
    let used = Used::open(&path, Duration::ZERO, now_seconds()).expect("a store");
    let once = Once {
        id: [7; 32],
        until: now_seconds() + 60,
        peer: "unix".to_owned(),
    };
    assert!(used.mark_used(&once, now_seconds()).is_ok());
    let again = Used::open(&path, Duration::ZERO, now_seconds()).expect("a store");
    assert!(matches!(
        again.mark_used(&once, now_seconds()),
        Err(LinkError::Used)
    ));
}

#[test]
fn keys_are_read_again_when_their_file_changes_and_a_file_that_is_gone_has_none() {
    let directory = TestDirectory::new();
    let jwks = |keys: &[(&str, &str)]| {
        let keys: Vec<_> = keys
            .iter()
            .map(|(id, k)| json!({"kty": "oct", "kid": id, "k": k}))
            .collect();
        json!({"keys": keys}).to_string()
    };
    let path = directory.write("keys", jwks(&[("old", SECRET)]));
    let links = Links::open(&rules(&directory, &[&path])).expect("a key and a store");
    let by = |id: &str, key: &str| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(id.to_owned());
        signed(&header, &claims(json!({})), &secret(key))
    };
    assert!(links.read(&by("old", SECRET), None).is_ok());
    assert!(refused(&links, &by("new", OTHER)).ends_with("algorithm and key id"));
    directory.write("keys", jwks(&[("new", OTHER), ("old", SECRET)]));
    assert!(links.read(&by("old", SECRET), None).is_ok());
    assert!(links.read(&by("new", OTHER), None).is_ok());
    // The key id says which key, and another key is not tried.
    assert!(refused(&links, &by("old", OTHER)).ends_with("its signature is wrong"));
    directory.write("keys", jwks(&[("new", OTHER)]));
    assert!(refused(&links, &by("old", SECRET)).ends_with("algorithm and key id"));
    directory.write("keys", "{");
    assert!(matches!(
        links.read(&by("new", OTHER), None),
        Err(LinkError::Keys(_))
    ));
    std::fs::remove_file(&path).expect("removed");
    assert!(matches!(
        links.read(&by("new", OTHER), None),
        Err(LinkError::Keys(_))
    ));
}

#[test]
fn what_noren_signs_it_accepts() {
    let directory = TestDirectory::new();
    let key = directory.write("key", SECRET);
    let rules = rules(&directory, &[&key]);
    let order = LinkOrder {
        name: "vm",
        expires: Duration::from_secs(60),
        single_use: true,
        view_only: false,
        address: Some("192.0.2.7".to_owned()),
    };
    let link = sign_link(&rules, &order).expect("a link");
    let token = Token::from_query(Some(&format!("token={link}"))).expect("a token");
    let links = Links::open(&rules).expect("a key and a store");
    let peer = Some("192.0.2.7".parse().expect("an address"));
    assert!(links.read(&token, peer).expect("good").once.is_some());
    let long = LinkOrder {
        expires: Duration::from_secs(48 * 60 * 60),
        ..order
    };
    assert!(matches!(sign_link(&rules, &long), Err(SignError::Long(_))));
}
