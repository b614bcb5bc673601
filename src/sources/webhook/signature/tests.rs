//! The examples of the services themselves, and what is no signature.

use http::{HeaderName, HeaderValue};

use super::*;

const TOLERANCE: Duration = Duration::from_secs(300);

fn secrets(form: WebhookSignature, texts: &[&str]) -> Result<Secrets, &'static str> {
    let secrets = texts.iter().map(|text| Secret::parse(text, form));
    secrets.collect::<Result<_, _>>().map(Secrets)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let value = HeaderValue::from_str(value).expect("a value");
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn at(seconds: u64) -> (SystemTime, Duration) {
    (
        std::time::UNIX_EPOCH + Duration::from_secs(seconds),
        TOLERANCE,
    )
}

#[test]
fn the_example_of_github_is_believed_and_nothing_near_it() {
    const SIGNED: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let form = WebhookSignature::Github;
    let own = secrets(
        form,
        &["another secret of before", "It's a Secret to Everybody"],
    );
    let own = own.expect("two secrets");
    let verify = |pairs: &[(&'static str, &str)], body: &str| {
        own.verify(form, &headers(pairs), body.as_bytes(), at(0))
    };
    let believed = verify(&[("x-hub-signature-256", SIGNED)], "Hello, World!");
    let hello = to_hex(digest(&SHA256, b"Hello, World!").as_ref());
    assert_eq!(believed, Ok(Believed { id: Some(hello) }));
    let wrong = verify(&[("x-hub-signature-256", SIGNED)], "Hello, World?");
    assert_eq!(wrong, Err(Unbelieved::Wrong));
    let unsigned = Err(Unbelieved::Unsigned("x-hub-signature-256"));
    for pairs in [
        &[][..],
        &[("x-hub-signature", SIGNED)],
        &[("x-hub-signature-256", "sha256=")],
        &[("x-hub-signature-256", &SIGNED[7..])],
        &[("x-hub-signature-256", &SIGNED[..69])],
        &[
            ("x-hub-signature-256", SIGNED),
            ("x-hub-signature-256", SIGNED),
        ],
    ] {
        assert_eq!(verify(pairs, "Hello, World!"), unsigned, "{pairs:?}");
    }
}

#[test]
fn the_example_of_standard_webhooks_is_believed_in_its_time_only() {
    let form = WebhookSignature::Standard;
    let own = secrets(form, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).expect("a secret");
    let body = br#"{"test": 2432232314}"#;
    let signed = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let verify = |id: &str, time: &str, signature: &str, now: u64| {
        let headers = headers(&[
            ("webhook-id", id),
            ("webhook-timestamp", time),
            ("webhook-signature", signature),
        ]);
        own.verify(form, &headers, body, at(now))
    };
    let (id, time) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
    let believed = Ok(Believed {
        id: Some(id.to_owned()),
    });
    assert_eq!(verify(id, time, signed, 1_614_265_330), believed);
    let several = format!("v1a,AAAA v1,c2hvcnQ= {signed} v2,x");
    assert_eq!(verify(id, time, &several, 1_614_265_630), believed);
    for now in [1_614_265_631, 1_614_265_029] {
        let late = verify(id, time, signed, now);
        assert!(matches!(late, Err(Unbelieved::Late(..))), "{now}: {late:?}");
    }
    assert_eq!(
        verify("msg_other", time, signed, 1_614_265_330),
        Err(Unbelieved::Wrong)
    );
    assert_eq!(
        verify(id, "1614265331", signed, 1_614_265_330),
        Err(Unbelieved::Wrong)
    );
    let unsigned = Err(Unbelieved::Unsigned("webhook-signature"));
    assert_eq!(verify("a.b", time, signed, 1_614_265_330), unsigned);
    for text in [
        "whsec_",
        "whsec_c2hvcnQgc2VjcmV0",
        "whsec_!!!!!!!!!!!!!!!!!!!!!!!!",
    ] {
        assert!(secrets(form, &[text]).is_err(), "{text}");
    }
}

#[test]
fn one_signature_of_stripe_is_enough_and_an_old_one_is_not() {
    let form = WebhookSignature::Stripe;
    let own = secrets(form, &["whsec_old-old-old-old", "whsec_new-new-new-new"]).expect("secrets");
    let body = br#"{"id": "evt_1", "type": "charge.succeeded"}"#;
    let key = hmac::Key::new(HMAC_SHA256, b"whsec_new-new-new-new");
    let text = [b"1700000000.".as_slice(), body].concat();
    let signed = to_hex(hmac::sign(&key, &text).as_ref());
    let zeros = "0".repeat(64);
    let verify = |value: &str, now: u64| {
        own.verify(
            form,
            &headers(&[("stripe-signature", value)]),
            body,
            at(now),
        )
    };
    let value = format!("t=1700000000,v1={zeros},v1={signed},v0={zeros}");
    assert_eq!(verify(&value, 1_700_000_000), Ok(Believed { id: None }));
    assert!(matches!(
        verify(&value, 1_700_000_301),
        Err(Unbelieved::Late(..))
    ));
    // v0 is of test events and is not looked at.
    let other = format!("t=1700000000,v1={zeros},v0={signed}");
    assert_eq!(verify(&other, 1_700_000_000), Err(Unbelieved::Wrong));
    for value in [
        format!("v1={signed}"),
        format!("t=1,t=1700000000,v1={signed}"),
        "t=1700000000,v1=xy".to_owned(),
        "nothing".to_owned(),
    ] {
        let unsigned = Err(Unbelieved::Unsigned("stripe-signature"));
        assert_eq!(verify(&value, 1_700_000_000), unsigned, "{value}");
    }
}

#[test]
fn the_token_of_gitlab_is_the_secret_itself() {
    let form = WebhookSignature::Gitlab;
    let own = secrets(form, &["a token of sixteen", "and the next of them"]).expect("secrets");
    let verify = |pairs: &[(&'static str, &str)]| own.verify(form, &headers(pairs), b"{}", at(0));
    let pairs = [
        ("x-gitlab-token", "and the next of them"),
        ("idempotency-key", "d1"),
    ];
    let believed = Ok(Believed {
        id: Some("d1".to_owned()),
    });
    assert_eq!(verify(&pairs), believed);
    assert_eq!(
        verify(&[("x-gitlab-token", "and the next of the")]),
        Err(Unbelieved::Wrong)
    );
    assert_eq!(verify(&[]), Err(Unbelieved::Unsigned("x-gitlab-token")));
    assert!(secrets(form, &["too short"]).is_err());
}
