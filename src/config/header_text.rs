//! Names and values of header fields as texts of a file. Independent of the message that they are for.

/// RFC 9110, section 5.1: a token. The same holds for the name of a cookie (RFC 6265, section
/// 4.1.1).
pub(super) fn parse_header_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !text.is_empty() && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            r#"{text:?} is not a name; write letters, digits and "-", such as "Remote-User""#
        ))
    }
}

/// True if a header, its name in lower case, has a meaning of its own in a request to an app.
pub(super) fn is_set_elsewhere(lower: &str) -> bool {
    const ELSEWHERE: [&str; 12] = [
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "forwarded",
        "x-real-ip",
    ];
    ELSEWHERE.contains(&lower) || lower.starts_with("x-forwarded")
}

/// A line break here would let the file write a second header.
pub(super) fn parse_header_value(text: &str) -> Result<String, String> {
    let visible = text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if visible && text.trim() == text && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} cannot stand in a header; write visible ASCII without spaces around it"
        ))
    }
}
