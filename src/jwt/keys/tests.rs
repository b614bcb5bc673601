use super::*;

#[test]
fn what_is_no_key_is_told_without_its_words() {
    let jwk = |text: &str| parse(text.as_bytes(), Secret::Base64Url).map(|keys| keys.len());
    for text in [
        "",
        "secret!",
        "c2hvcnQ",
        "{}",
        r#"{"keys": 1}"#,
        r#"{"keys": []}"#,
        r#"{"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}"#,
        r#"{"kty": "oct", "alg": "RS256", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}"#,
        r#"{"kty": "oct", "use": "enc", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}"#,
        "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
    ] {
        let said = jwk(text).expect_err(text);
        assert!(
            !said.contains("c2hvcnQ") && !said.contains("secret!"),
            "{said}"
        );
    }
}
