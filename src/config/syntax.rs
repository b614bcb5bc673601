//! Rewords the errors of the `toml` crate about a text that is not TOML.
//!
//! Its messages name grammar rules ("invalid float, expected `inf`" for `level = info`). The
//! commonest slips are told from the message and the line, so that the operator can copy what to
//! write. A message not known here goes through as it is: this file makes errors clearer but
//! decides nothing.

use super::mask;

/// Explains a syntax error; `line` is its line, `at` the text it points to.
pub(super) fn explain(message: &str, line: &str, at: &str) -> String {
    if line.trim_start().starts_with(['/', ';']) {
        return r##"this is not TOML; a comment begins with "#""##.to_owned();
    }
    if message.starts_with("duplicate key") {
        return written_twice(line.trim(), at);
    }
    if is_about_a_value(message)
        && let Some(advice) = quote_the_value(line)
    {
        return advice;
    }
    let known = PLAIN_WORDS
        .iter()
        .find(|(start, _)| message.starts_with(start));
    known.map_or_else(
        || format!("this is not TOML: {message}"),
        |(_, words)| (*words).to_owned(),
    )
}

/// The beginning of a message, and the text to show instead.
const PLAIN_WORDS: [(&str, &str); 7] = [
    (
        "key with no value",
        r#"there is no "=" behind the key; write key = "value""#,
    ),
    (
        "unclosed table",
        "the table's name is not closed; write it as [name]",
    ),
    (
        "unclosed array table",
        "the table's name is not closed; write it as [[name]]",
    ),
    (
        "invalid basic string",
        "the string is not closed; end it with a double quote on the same line",
    ),
    (
        "missing escaped value",
        "the string has a lone backslash; write it twice, or use 'single quotes'",
    ),
    (
        "missing comma between array elements",
        r#"the list lacks a comma, or a "]" at its end"#,
    ),
    (
        "unexpected key or value",
        r##"something stands behind the value; begin a new line, or write "#" before a comment"##,
    ),
];

fn written_twice(line: &str, key: &str) -> String {
    let Some(header) = line.strip_prefix('[') else {
        return format!("`{key}` is already there above; write it once");
    };
    let name = header
        .trim_start_matches('[')
        .split(']')
        .next()
        .unwrap_or_default();
    let advice = if header.starts_with('[') {
        format!("write [[{name}]] every time, or [{name}] once")
    } else {
        "write it once".to_owned()
    };
    format!("[{name}] is already there above; {advice}")
}

fn is_about_a_value(message: &str) -> bool {
    const STARTS: [&str; 5] = [
        "string values must be quoted",
        "invalid float",
        "invalid boolean",
        "invalid integer",
        "unexpected leading zero",
    ];
    STARTS.iter().any(|start| message.starts_with(start))
}

/// Suggests the quoted form of a line such as `level = info`.
fn quote_the_value(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let value = value.split('#').next().unwrap_or_default().trim();
    if value.is_empty() {
        return Some(format!(r#"`{key}` has no value; write {key} = "value""#));
    }
    // In a list or an inline table the quotes belong somewhere inside.
    if value.starts_with(['[', '{', '"', '\'']) {
        return None;
    }
    // It may be a secret, or a part of one that goes on in the next line.
    if mask::is_secret(key) || mask::looks_secret(value) {
        return Some(format!(
            r#"the value needs straight double quotes; write {key} = "…""#
        ));
    }
    let lower = value.to_lowercase();
    if matches!(lower.as_str(), "true" | "false") {
        return Some(format!(
            "true and false are written small; write {key} = {lower}"
        ));
    }
    // A word processor turns straight quotes into these.
    let bare = value.trim_matches(['“', '”', '„', '‘', '’', '"']);
    Some(format!(
        r#"the value needs straight double quotes; write {key} = "{bare}""#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::de::DeTable;

    /// The explanation of the first syntax error in `text`.
    fn explained(text: &str) -> String {
        let error = DeTable::parse(text).err();
        let (message, span) = error
            .map(|error| (error.message().to_owned(), error.span()))
            .unwrap_or_default();
        let span = span.unwrap_or_default();
        let line = text.lines().nth(
            text.get(..span.start)
                .unwrap_or_default()
                .matches('\n')
                .count(),
        );
        explain(
            &message,
            line.unwrap_or_default(),
            text.get(span).unwrap_or_default(),
        )
    }

    #[test]
    fn a_value_without_quotes_is_shown_with_them() {
        for value in [
            "info",
            "10s",
            "64KiB",
            "/wok",
            "4GiB # a comment",
            "0660",
            "“x”",
            "1.2.3",
            "1.2.3.4:80",
            "nfo",
            "trap",
        ] {
            let said = explained(&format!("key = {value}\n"));
            assert!(said.contains(r#"write key = ""#), "{value}: {said}");
        }
        assert_eq!(
            explained("idle = 10s"),
            r#"the value needs straight double quotes; write idle = "10s""#
        );
    }

    #[test]
    fn the_commonest_slips_are_told_in_plain_words() {
        for (text, words) in [
            ("a =", r#"`a` has no value; write a = "value""#),
            (
                "a = True",
                "true and false are written small; write a = true",
            ),
            ("// a", r##"this is not TOML; a comment begins with "#""##),
            ("a = 1\na = 2", "`a` is already there above; write it once"),
            ("[a]\n[a]", "[a] is already there above; write it once"),
            (
                "[a.b]\n[[a.b]]",
                "[a.b] is already there above; write [[a.b]] every time, or [a.b] once",
            ),
            (
                "a",
                r#"there is no "=" behind the key; write key = "value""#,
            ),
            ("[a", "the table's name is not closed; write it as [name]"),
            (
                "[[a]",
                "the table's name is not closed; write it as [[name]]",
            ),
            (
                "a = \"b\nc = 1",
                "the string is not closed; end it with a double quote on the same line",
            ),
            (
                r#"a = "C:\dir""#,
                "the string has a lone backslash; write it twice, or use 'single quotes'",
            ),
            (
                r#"a = ["b" "c"]"#,
                r#"the list lacks a comma, or a "]" at its end"#,
            ),
            (
                "[a] b = 1",
                r##"something stands behind the value; begin a new line, or write "#" before a comment"##,
            ),
        ] {
            assert_eq!(explained(text), words, "{text:?}");
        }
    }

    #[test]
    fn any_other_message_goes_through() {
        assert_eq!(
            explain("something new", "a = 1", "a"),
            "this is not TOML: something new"
        );
    }
}
