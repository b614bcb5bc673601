//! Parses parameters of a query, as `URLSearchParams` of browsers writes them
//! (<https://url.spec.whatwg.org/#urlencoded-parsing>). Independent of their names.

use std::borrow::Cow;

use crate::http::Refusal;

/// Returns the first parameter of this name, decoded.
///
/// # Errors
/// A [`Refusal`] (400) if its escapes are broken, or do not give UTF-8.
pub(crate) fn parameter<'q>(
    query: Option<&'q str>,
    name: &str,
) -> Result<Option<Cow<'q, str>>, Refusal> {
    let value = query.unwrap_or_default().split('&').find_map(|parameter| {
        let (found, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (found == name).then_some(value)
    });
    value
        .map(|value| {
            decode(value).ok_or_else(|| {
                Refusal::bad_request(format!(
                    "the parameter {name} of the address is not percent-encoded UTF-8"
                ))
            })
        })
        .transpose()
}

fn decode(value: &str) -> Option<Cow<'_, str>> {
    if !value.contains(['%', '+']) {
        return Some(Cow::Borrowed(value));
    }
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_by_its_whole_name_and_decoded() {
        let query = Some("keys=x&key=a+b%20%C3%A9&key=second&event");
        let found = |name| parameter(query, name).expect("sound").map(Cow::into_owned);
        assert_eq!(found("key").as_deref(), Some("a b é"));
        assert_eq!(found("event").as_deref(), Some(""));
        assert_eq!(found("ke"), None);
        assert!(parameter(None, "key").expect("sound").is_none());
    }

    #[test]
    fn broken_escapes_are_refused() {
        for query in ["a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert!(parameter(Some(query), "a").is_err(), "{query}");
        }
    }
}
