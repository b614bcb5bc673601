//! Numbers with a unit, such as `10s` and `64KiB`: splits them, and says what is missing.

/// The words of one kind of quantity, for errors.
pub(super) struct Words<'a> {
    /// The kind, with its article.
    pub(super) kind: &'a str,
    /// Examples of the whole.
    pub(super) examples: &'a str,
    /// Advice for a number without a unit.
    pub(super) with_unit: &'a str,
    /// An example in a smaller unit, for a fraction.
    pub(super) smaller: &'a str,
}

/// Splits a text into its digits and its unit; both are there.
///
/// # Errors
/// The text that tells what to write instead.
pub(super) fn split<'t>(text: &'t str, words: &Words<'_>) -> Result<(&'t str, &'t str), String> {
    let end_of_digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end_of_digits);
    if number.is_empty() {
        return Err(format!(
            "{text:?} is not {}; write {}",
            words.kind, words.examples
        ));
    }
    if unit.is_empty() {
        return Err(format!("\"{text}\" has no unit; write {}", words.with_unit));
    }
    if unit.starts_with(['.', ',']) {
        return Err(format!(
            "{text:?} is not a whole number; write it in a smaller unit, such as {}",
            words.smaller
        ));
    }
    Ok((number, unit))
}
