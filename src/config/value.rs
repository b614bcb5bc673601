//! One TOML value as one Rust value. Each error text says what was expected, what was found and
//! what to write; where it stands is the reader's business.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::{duration, mask, secret_file, size};

/// A string.
pub(super) fn string<'a>(value: &'a DeValue<'_>) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| match value {
        // A value without quotes gets the exact text to write.
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            format!(
                r#"expected a string, found {}; write "{}""#,
                describe(value),
                plain(value)
            )
        }
        _ => format!(
            r#"expected a string, found {}; write it in double quotes, such as "text""#,
            describe(value)
        ),
    })
}

/// A string, or a list with at least one.
pub(super) fn string_or_strings<'a>(value: &'a DeValue<'_>) -> Result<Vec<&'a str>, String> {
    let Some(items) = value.as_array() else {
        return string(value).map(|text| vec![text]);
    };
    if items.is_empty() {
        return Err(
            r#"is a list of nothing; write at least one text, such as ["text"]"#.to_owned(),
        );
    }
    items.iter().map(|item| string(item.get_ref())).collect()
}

/// The text of a scalar that was written without quotes.
pub(super) fn unquoted(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            Some(plain(value))
        }
        DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// A string that `parse` understands. Advice to write a scalar in quotes is given only where that would be taken.
pub(super) fn parsed<T>(
    value: &DeValue<'_>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, String> {
    let advice = match string(value) {
        Ok(text) => return parse(text),
        Err(advice) => advice,
    };
    match unquoted(value).map(|text| parse(&text)) {
        Some(Err(refused)) => Err(format!(
            "expected a string, found {}: {refused}",
            describe(value)
        )),
        Some(Ok(_)) | None => Err(advice),
    }
}

/// `true` or `false`.
pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| {
        format!(
            "expected true or false, found {}; write true or false",
            describe(value)
        )
    })
}

/// Reads a whole number; `example` is the advice in an error.
pub(super) fn whole_number(value: &DeValue<'_>, example: &str) -> Result<i64, String> {
    let number = value.as_integer().ok_or_else(|| {
        // A valid number in quotes is repeated without them.
        let quoted = value.as_str().and_then(|text| text.trim().parse().ok());
        let example = quoted.map_or(example.to_owned(), |number: u64| number.to_string());
        format!(
            "expected a whole number, found {}; write {example}",
            describe(value)
        )
    })?;
    integer(number)
        .ok_or_else(|| format!("{number} is larger than any number can be; write {example}"))
}

/// A span of time, zero included.
pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, String> {
    match value {
        // The commonest slip; the text is the same with and without quotes.
        DeValue::Integer(_) => Err(format!(
            r#"{} has no unit; write "10s", "5m" or "1h""#,
            plain(value)
        )),
        DeValue::String(text) => duration::parse(text),
        _ => Err(format!(
            r#"expected a duration, found {}; write "10s", "5m" or "1h""#,
            describe(value)
        )),
    }
}

/// A span of time that is not nothing.
pub(super) fn time_limit(value: &DeValue<'_>) -> Result<Duration, String> {
    let limit = duration(value)?;
    if limit.is_zero() {
        return Err(r#"a limit of nothing lets nothing pass; write at least "1ms""#.to_owned());
    }
    Ok(limit)
}

/// A span of time that is not nothing, or `off`.
pub(super) fn time_limit_or_off(value: &DeValue<'_>) -> Result<Option<Duration>, String> {
    if value.as_str() == Some("off") {
        return Ok(None);
    }
    match duration(value) {
        Ok(limit) if limit.is_zero() => Err(r#"a limit of nothing is written "off""#.to_owned()),
        Ok(limit) => Ok(Some(limit)),
        // A text that begins with digits is a duration with a slip.
        Err(text) if plain(value).starts_with(|c: char| c.is_ascii_digit()) => Err(text),
        Err(text) => Err(text + r#", or "off""#),
    }
}

/// Reads a size, as a number of bytes or with a unit; `example` is the advice in an error.
pub(super) fn size(value: &DeValue<'_>, example: u64) -> Result<u64, String> {
    match value {
        DeValue::String(text) => size::parse(text),
        DeValue::Integer(number) => integer(number)
            .and_then(|bytes| u64::try_from(bytes).ok())
            .ok_or_else(|| {
                format!(
                    r#"{number} is not a size; write "{}" or a number of bytes"#,
                    size::show(example)
                )
            }),
        _ => Err(format!(
            r#"expected a size, found {}; write "{}""#,
            describe(value),
            size::show(example)
        )),
    }
}

/// Describes a value in the place of a list of strings.
pub(super) fn not_a_list(value: &DeValue<'_>) -> String {
    let example = value
        .as_str()
        .map_or_else(|| r#"["text"]"#.to_owned(), |text| format!("[{text:?}]"));
    format!(
        "expected a list of strings, found {}; write {example}",
        describe(value)
    )
}

/// Describes a value in the place of a table.
pub(super) fn not_a_table(value: &DeValue<'_>, path: &str) -> String {
    format!(
        "expected one table, found {}; write [{path}]",
        describe(value)
    )
}

/// Describes a value in the place of a list of tables.
pub(super) fn not_a_list_of_tables(value: &DeValue<'_>, path: &str) -> String {
    format!(
        "expected a list of tables, found {}; write [[{path}]]",
        describe(value)
    )
}

/// The value of a TOML integer, unless it is beyond 64 bits.
fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// The name of a file with a secret. What looks like the secret itself is refused, and not repeated.
pub(super) fn secret_path(text: &str) -> Result<PathBuf, String> {
    if mask::is_place(text) || text.starts_with("credential:") {
        return path(text);
    }
    Err("is not the place of a secret; write a file with its directory, such as \"/etc/noren/secret\" or \
         \"./secret\", and the secret into it".to_owned())
}

/// The name of a file or directory.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if mask::looks_secret(text) {
        Err(r#"is the content of a file; write its path, such as "/etc/noren/cert.pem""#.to_owned())
    } else if text.is_empty() || text.contains('\0') {
        Err(format!(
            r#"{text:?} is not a path; write for example "/etc/noren/cert.pem""#
        ))
    } else if let Some(name) = text.strip_prefix("credential:") {
        credential(name)
    } else {
        Ok(PathBuf::from(text))
    }
}

/// The file of one of systemd's credentials (`LoadCredential=`).
fn credential(name: &str) -> Result<PathBuf, String> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(format!(
            r#"{name:?} is not the name of a credential; write for example "credential:key.pem""#
        ));
    }
    Ok(secret_file::credential(name))
}

/// A string with something in it.
pub(super) fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("is empty; write at least one character".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&'static str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names = one_of(choices.iter().map(|(name, _)| *name));
        format!("{text:?} is not known here; write {names}")
    })
}

/// The word for `value` in a table of choices that holds every variant of its type.
pub(super) fn name_of<T: Copy + PartialEq>(
    value: T,
    choices: &[(&'static str, T)],
) -> &'static str {
    choices
        .iter()
        .find(|(_, choice)| *choice == value)
        .map_or("", |(name, _)| *name)
}

/// `"a", "b" or "c"`.
fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut quoted: Vec<String> = names.map(|name| format!(r#""{name}""#)).collect();
    let last = quoted.pop().unwrap_or_default();
    if quoted.is_empty() {
        last
    } else {
        format!("{} or {last}", quoted.join(", "))
    }
}

/// The type of a value, for "expected …, found …".
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {text:?}"),
        DeValue::Integer(_) | DeValue::Float(_) => format!("the number {}", plain(value)),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
            "a list of tables".to_owned()
        }
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A scalar as it was written, near enough.
fn plain(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::String(text) => text.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => String::new(),
    }
}

/// Decodes `%2F` to `/`; `None` if the result is not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
