//! `subprotocols` of the bridge, a token source or a target: protocols over WebSocket beside `binary` and `base64`.
//! Negotiates nothing.

use super::reader::Table;

/// Reads the list; `None` if the table does not have it.
pub(super) fn read(table: &mut Table<'_>) -> Option<Vec<String>> {
    let has = table.has("subprotocols");
    let list = table.list("subprotocols", Vec::new(), parse);
    if has
        && table.is_sound_so_far()
        && let Some(twice) = twice(&list)
    {
        table.problem(
            "subprotocols",
            format!(r#"has "{twice}" twice; take one out"#),
        );
    }
    has.then_some(list)
}

fn twice(list: &[String]) -> Option<&String> {
    let mut members = list.iter().enumerate();
    members.find_map(|(at, name)| list.get(..at)?.contains(name).then_some(name))
}

/// A name is a token (RFC 6455 §4.1), and compared by bytes.
fn parse(text: &str) -> Result<String, String> {
    if matches!(text, "binary" | "base64") {
        return Err(format!(
            r#""{text}" is spoken by every target; the list is for others, such as "mqtt", and may be empty"#
        ));
    }
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(is_sign) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            r#"{text:?} is not the name of a subprotocol; write for example "mqtt" or "v12.stomp""#
        ))
    }
}
