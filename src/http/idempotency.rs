//! The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header): a client's own id of a request, by
//! which a retry is recognised. Only its syntax is handled here.

use http::HeaderMap;

use crate::http::Refusal;

/// Name of the header.
const NAME: &str = "idempotency-key";

/// Returns the key, if there is one. It is a string of structured fields (RFC 8941 §3.3.3), which many clients send
/// without quotes.
///
/// # Errors
/// A [`Refusal`] (400) for two keys, or an invalid one: another parser could read a different key.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut lines = headers.get_all(NAME).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    let text = std::str::from_utf8(line.as_bytes()).ok();
    match (text.and_then(unquoted), lines.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(Refusal::bad_request(
            "Idempotency-Key is one string, such as \"8e03978e-40d5\"",
        )),
    }
}

fn unquoted(text: &str) -> Option<String> {
    let text = text.trim();
    let Some(rest) = text.strip_prefix('"') else {
        return Some(text.to_owned());
    };
    let (mut key, mut signs) = (String::new(), rest.chars());
    loop {
        match signs.next()? {
            '"' => break,
            '\\' => key.push(signs.next().filter(|sign| matches!(sign, '"' | '\\'))?),
            sign => key.push(sign),
        }
    }
    signs.next().is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        let key = |text| unquoted(text);
        assert_eq!(key("a-1").as_deref(), Some("a-1"));
        assert_eq!(key(r#" "a-1" "#).as_deref(), Some("a-1"));
        assert_eq!(key(r#""a\"\\""#).as_deref(), Some(r#"a"\"#));
        for broken in [r#""a"#, r#""a"b"#, r#""\n""#] {
            assert_eq!(key(broken), None, "{broken}");
        }
    }
}
