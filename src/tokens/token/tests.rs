use super::*;

fn token(query: &str) -> Token {
    Token::from_query(Some(query)).expect("the test's query has a token")
}

fn error(query: &str) -> TokenError {
    Token::from_query(Some(query)).expect_err("the test's query has no usable token")
}

#[test]
fn a_cookie_has_the_token_and_two_different_ones_are_refused() {
    let read = |lines: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, http::HeaderValue::from_static(line));
        }
        Token::from_cookie(&headers, "token").map(|token| token.plain().to_owned())
    };
    for lines in [
        &["token=vm"][..],
        &["a=b; token=vm; c=d"],
        &["a=b", "token=\"vm\""],
        &["token=; token=vm"],
        &["token=vm; token=vm"],
        &["xtoken=1; token=vm; tokens=2"],
    ] {
        assert_eq!(read(lines).as_deref(), Ok("vm"), "{lines:?}");
    }
    for (lines, error) in [
        (&["a=b"][..], TokenError::Missing),
        (&["token=vm; token=other"], TokenError::Several),
        (&["token=vm", "token=other"], TokenError::Several),
        (&["token=%zz"], TokenError::Escape),
    ] {
        assert_eq!(read(lines), Err(error), "{lines:?}");
    }
}

#[test]
fn the_first_token_parameter_counts_even_when_it_is_bad() {
    assert_eq!(token("path=x&token=one&token=two").plain(), "one");
    assert_eq!(error("token=&token=two"), TokenError::Empty);
    assert_eq!(error("token=%zz&token=two"), TokenError::Escape);
}

#[test]
fn other_parameters_are_no_token() {
    for query in [
        "",
        "tokens=a",
        "mytoken=a",
        "token",
        "TOKEN=a",
        "a=b?token=c",
        "x=1;token=a",
    ] {
        assert_eq!(error(query), TokenError::Missing, "{query}");
    }
    assert_eq!(Token::from_query(None), Err(TokenError::Missing));
}

#[test]
fn percent_escapes_are_decoded_once_and_plus_stays() {
    assert_eq!(token("token=a%2Bb+c%3D").plain(), "a+b+c=");
    assert_eq!(token("token=%252F").plain(), "%2F");
    assert_eq!(token("token=caf%C3%A9").plain(), "café");
    for query in ["token=%", "token=a%4", "token=%4g", "token=%+1", "token=%é"] {
        assert_eq!(error(query), TokenError::Escape, "{query}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_read_as_latin_1() {
    assert_eq!(token("token=caf%E9").plain(), "café");
    // The result of `btoa("café")`.
    assert_eq!(token("token=Y2Fm6Q").decoded(), Some("café"));
    assert_eq!(token("token=Y2Fm6Q%3D%3D").decoded(), Some("café"));
    assert_eq!(token("token=Y2Fmw6k").decoded(), Some("café"));
}

#[test]
fn a_token_has_1_to_4096_bytes() {
    assert_eq!(error("token="), TokenError::Empty);
    assert!(Token::from_query(Some(&format!("token={}", "%41".repeat(4096)))).is_ok());
    assert_eq!(
        error(&format!("token={}", "a".repeat(4097))),
        TokenError::Long
    );
}

#[test]
fn control_characters_are_refused_and_never_decoded_into_a_name() {
    for query in [
        "token=a%0Ab",
        "token=%00",
        "token=a%7F",
        "token=%C2%85",
        "token=%85",
        "token=a\rb",
    ] {
        assert_eq!(error(query), TokenError::Control, "{query:?}");
    }
    let encoded = token(&format!("token={}", encode("vm\n2026 forged line")));
    assert_eq!(encoded.decoded(), None);
}

#[test]
fn the_names_are_the_plain_text_and_what_it_decodes_to() {
    let notifications = token("token=d29rbm90aWZpY2F0aW9ucw");
    let names: Vec<&str> = notifications.names().collect();
    assert_eq!(names, ["d29rbm90aWZpY2F0aW9ucw", "woknotifications"]);
    assert_eq!(token("token=not.base64url").names().count(), 1);
}

#[test]
fn a_name_and_its_encoding_are_each_other() {
    assert_eq!(encode("woknotifications"), "d29rbm90aWZpY2F0aW9ucw");
    for name in ["vm", "café", "虚拟机", "a b?>~"] {
        assert_eq!(
            token(&format!("token={}", encode(name))).decoded(),
            Some(name)
        );
    }
}

#[test]
fn a_written_token_is_one_name() {
    for (sent, written, name) in [
        ("dm0", "dm0", "vm"),
        ("dm0=", "dm0", "vm"),
        ("dm0=", "dm0=", "vm"),
        ("Y2Fm6Q", "Y2Fmw6k", "café"),
        // It decodes to bytes that are no UTF-8, which Wok never writes.
        ("web1", "web1", "web1"),
        ("Y2Fm6Q", "Y2Fm6Q", "Y2Fm6Q"),
        ("a.b", "a.b", "a.b"),
    ] {
        let token = token(&format!("token={sent}"));
        assert_eq!(token.name_of(written.as_bytes()), name, "{sent} {written}");
    }
    let named = Token::named("vm");
    assert_eq!((named.name_of(b"vm"), named.name_of(b"dm0")), ("vm", "vm"));
}

#[test]
fn a_written_token_matches_what_was_sent_or_its_canonical_form() {
    let written = encode("café");
    for sent in ["Y2Fmw6k", "Y2Fmw6k=", "Y2Fmw6k%3d", "Y2Fm6Q", "Y2Fm6Q=="] {
        assert!(
            token(&format!("token={sent}")).is_written(written.as_bytes()),
            "{sent}"
        );
    }
    assert!(!token("token=caf%C3%A9").is_written(written.as_bytes()));
    assert!(!token("token=Y2Fmw6").is_written(written.as_bytes()));
    assert!(!token("token=Y2Fmw6kx").is_written(written.as_bytes()));
}

#[test]
fn equal_bytes_are_the_same_and_a_prefix_is_not() {
    assert!(same_bytes(b"secret", b"secret"));
    for other in [&b"secreT"[..], b"Secret", b"secre", b"secret1", b""] {
        assert!(!same_bytes(b"secret", other));
    }
}

#[test]
fn debug_output_does_not_show_the_token() {
    let shown = format!("{:?}", token("token=d29rbm90aWZpY2F0aW9ucw"));
    assert!(!shown.contains("d29r") && !shown.contains("woknotifications"));
}
