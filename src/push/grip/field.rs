//! The header fields of GRIP: values with parameters, several in a line or in several lines. Independent of the meaning
//! of a field.

use http::HeaderMap;

/// One value of a field and its parameters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Value {
    /// The text up to the first `;`.
    pub(super) text: String,
    /// The parameters in order; names in lower case.
    pub(super) parameters: Vec<(String, String)>,
}

impl Value {
    /// The first parameter with this name.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        parameters
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }
}

/// All values of a field; an error with the reason if one is malformed.
pub(super) fn values(headers: &HeaderMap, name: &str) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    for line in headers.get_all(name) {
        let line = std::str::from_utf8(line.as_bytes()).map_err(|_| "it is not UTF-8")?;
        for text in split(line, ',')? {
            if !text.trim().is_empty() {
                values.push(value(text)?);
            }
        }
    }
    Ok(values)
}

/// The only value of a field whose text may contain commas; `None` without the field.
pub(super) fn single(headers: &HeaderMap, name: &str) -> Result<Option<Value>, String> {
    let mut lines = headers.get_all(name).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err("it is there twice".to_owned());
    }
    let line = std::str::from_utf8(line.as_bytes()).map_err(|_| "it is not UTF-8")?;
    value(line).map(Some)
}

fn value(text: &str) -> Result<Value, String> {
    let mut parts = split(text, ';')?.into_iter();
    let text = parts.next().unwrap_or_default().trim().to_owned();
    let parameters = parts.filter(|part| !part.trim().is_empty()).map(parameter);
    Ok(Value {
        text,
        parameters: parameters.collect::<Result<_, _>>()?,
    })
}

/// `name=value` or a name alone, whose value is empty.
pub(super) fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((name.trim().to_ascii_lowercase(), unquoted(value.trim())?))
}

/// A value without the quotes and backslashes around it.
fn unquoted(value: &str) -> Result<String, String> {
    let Some(rest) = value.strip_prefix('"') else {
        return Ok(value.to_owned());
    };
    let inner = rest.strip_suffix('"').ok_or("a quote is not closed")?;
    let mut plain = String::with_capacity(inner.len());
    let mut signs = inner.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => plain.push(signs.next().ok_or("a quote is not closed")?),
            '"' => return Err("there is a quote within quotes".to_owned()),
            sign => plain.push(sign),
        }
    }
    Ok(plain)
}

/// Splits at a separator outside quotes. A quote only begins behind `=`; before that it belongs to a name.
fn split(text: &str, at: char) -> Result<Vec<&str>, String> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut quoted, mut escaped, mut before) = (false, false, ' ');
    for (place, sign) in text.char_indices() {
        match sign {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if quoted => quoted = false,
            '"' if before == '=' => quoted = true,
            _ if sign == at && !quoted => {
                parts.push(text.get(begin..place).unwrap_or_default());
                begin = place + sign.len_utf8();
            }
            _ => {}
        }
        before = if sign == ' ' { before } else { sign };
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    parts.push(text.get(begin..).unwrap_or_default());
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    type Parameters = Vec<(String, String)>;

    fn read(lines: &[&'static str]) -> Result<Vec<(String, Parameters)>, String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("grip-channel", HeaderValue::from_static(line));
        }
        let values = values(&headers, "grip-channel")?;
        Ok(values
            .into_iter()
            .map(|value| (value.text, value.parameters))
            .collect())
    }

    #[test]
    fn values_stand_in_one_line_or_in_several() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let first = (
            "a".to_owned(),
            vec![pair("prev-id", "1"), pair("filter", "skip-self")],
        );
        let second = ("b".to_owned(), vec![pair("x", "1, \"2\";")]);
        let third = ("c".to_owned(), vec![]);
        assert_eq!(
            read(&[
                "a; Prev-ID=1; filter=skip-self, b; x=\"1, \\\"2\\\";\"",
                "c,"
            ]),
            Ok(vec![first, second, third])
        );
        assert_eq!(read(&[]), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for line in ["a; b=\"c", "a; b=\"c\\\"", "a; b=\"c\"d\""] {
            assert!(read(&[line]).is_err(), "{line}");
        }
    }
}
