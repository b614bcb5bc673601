//! Keeps secrets out of messages about a configuration. None belongs into the file, and people write them there all
//! the same: a password in place of the file it is in, a whole key, a user in a URL. The message goes to terminals,
//! logs and whoever calls `noren reload`. Decides nothing about the value.

use toml::de::DeValue;

/// Keys whose values are secrets or paths of secrets: those of Noren, and those of other programs.
const SECRET: &[&str] = &[
    "auth",
    "credentials",
    "key",
    "keys",
    "key-file",
    "password",
    "secret",
    "sig",
    "signature",
    "token",
    "users",
];
/// Replacement for a secret.
const MASK: &str = "…";
/// The shortest part of a secret that is searched for by itself.
const SHORTEST: usize = 3;

/// True if a key's name says that it holds a secret.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.trim().to_ascii_lowercase().replace('_', "-");
    let key = key.split('[').next().unwrap_or_default();
    let key = key
        .rsplit(['.', '"', '\''])
        .find(|part| !part.is_empty())
        .unwrap_or_default();
    let ends = ["-key", "-token", "apikey", "-secret"];
    SECRET.contains(&key) || key.contains("pass") || ends.iter().any(|end| key.ends_with(end))
}

/// True if a text looks like a secret in any place: a PEM section, or a URL with a user.
pub(super) fn looks_secret(text: &str) -> bool {
    let has_user = text
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('@'));
    text.contains("-----BEGIN") || text.contains("PRIVATE KEY") || has_user
}

/// The message about a value, without the value if that is a secret.
pub(super) fn masked(key: &str, value: &DeValue<'_>, message: String) -> String {
    let parts = scalars(value);
    if !is_secret(key) && !parts.iter().any(|part| looks_secret(part)) {
        return message;
    }
    let mut message = message;
    for part in &parts {
        message = message.replace(&format!("{part:?}"), &format!("\"{MASK}\""));
        message = message.replace(&format!("\"{part}\""), &format!("\"{MASK}\""));
        if part.len() >= SHORTEST {
            message = message.replace(part.as_str(), MASK);
        }
        let user = part
            .split_once("://")
            .and_then(|(_, rest)| rest.rsplit_once('@'));
        let pieces = user
            .map_or("", |(user, _)| user)
            .split([':', '/', '?', '#', '@']);
        for piece in pieces.filter(|piece| piece.len() >= SHORTEST) {
            message = message.replace(piece, MASK);
        }
    }
    message
}

/// The strings and numbers in a value, as they would be quoted.
fn scalars(value: &DeValue<'_>) -> Vec<String> {
    match value {
        DeValue::String(text) => vec![text.to_string()],
        DeValue::Integer(number) => vec![number.to_string()],
        DeValue::Float(number) => vec![number.to_string()],
        DeValue::Datetime(date) => vec![date.to_string()],
        DeValue::Boolean(_) | DeValue::Table(_) => Vec::new(),
        DeValue::Array(items) => items
            .iter()
            .flat_map(|item| scalars(item.get_ref()))
            .collect(),
    }
}

/// True if a text can be the location of a secret, and is not the secret: a path from the root or from a
/// directory, or a plain name of a file.
pub(super) fn is_place(text: &str) -> bool {
    if looks_secret(text) || text.is_empty() || text.len() > 4096 || text.contains(char::is_control)
    {
        return false;
    }
    if ["/", "./", "../"]
        .iter()
        .any(|start| text.starts_with(start))
    {
        return true;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let name = text.rsplit('/').next().unwrap_or_default();
    let has_extension = name.rsplit_once('.').is_some_and(|(_, extension)| {
        (1..=8).contains(&extension.len())
            && extension.bytes().all(|byte| byte.is_ascii_lowercase())
    });
    let is_word = text.len() <= 24
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || b"-_".contains(&byte));
    text.chars().all(plain) && (has_extension || is_word)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// The error for a file with this text in it.
    fn said(text: &str) -> String {
        let text = format!("[[app]]\nurl = \"http://127.0.0.1:1\"\n{text}");
        let read = Config::parse(&text, "noren.toml");
        read.expect_err(&text).to_string()
    }

    #[test]
    fn a_secret_that_was_written_into_the_file_is_not_repeated() {
        let pem = "-----BEGIN PRIVATE KEY-----\\nhunter2\\n-----END PRIVATE KEY-----";
        for (line, place) in [
            (format!("[[tls.certificate]]\ncertificate = \"/c\"\nkey = \"{pem}\""), ":5: "),
            (format!("[[tls.certificate]]\ncertificate = \"{pem}\"\nkey = \"/k\""), ":4: "),
            (format!("[hub.tokens]\nkeys = \"{pem}\""), ":4: "),
            (format!("[hub.tokens]\nkeys = [\"{pem}\"]"), ":4: "),
            ("[hub.tokens]\nkeys = [\"aHVudGVyMhunter2+/=\"]".to_owned(), ":4: "),
            ("[hub]\npublish-token = \"hunter2hunter2\"".to_owned(), ":4: "),
            ("[hub]\npublish-token = hunter2".to_owned(), ":4: "),
            ("[hub]\npublish-token = 44hunter2".to_owned(), ":4: "),
            ("[hub]\npublish-token = [\"hunter2\"]".to_owned(), ":4: "),
            ("[hub]\npublish-token = \"hunter2".to_owned(), ":4: "),
            ("[hub]\npublish-token = 'hunter2' hunter2".to_owned(), ":4: "),
            ("users = \"ann:hunter2\"".to_owned(), ":3: "),
            ("[cluster]\nurl = \"amqp://ann:hunter2@rabbit\"".to_owned(), ":4: "),
            ("[cluster]\nurl = \"http://ann:hunter2@rabbit\"".to_owned(), ":4: "),
            ("[cluster]\nurl = amqp://ann:hunter2@rabbit".to_owned(), ":4: "),
            ("[cluster]\nurl = \"amqp://rabbit\"\ncredentials = \"ann:hunter2\"".to_owned(), ":5: "),
            ("[cluster]\nurl = \"amqp://rabbit\"\nkey = \"hunter2\"".to_owned(), ":5: "),
            ("[[app]]\nname = \"b\"\nurl = \"http://ann:hunter2@h:1/x\"".to_owned(), ":5: "),
            ("[[app]]\nname = \"b\"\nurl = \"http://ann:hunter2/x@h:1\"".to_owned(), ":5: "),
            ("[[bridge.target]]\ntoken = \"hunter2\"\naddress = \"h:1\"\n[[bridge.target]]\ntoken = \
              \"hunter2\"\naddress = \"h:2\"".to_owned(), ":7: "),
            ("[[bridge.tokens]]\nsource = \"redis\"\naddress = \"h:1\"\nallow = []\npassword = \
              \"hunter2!\"".to_owned(), ":7: "),
            ("[[bridge.tokens]]\nsource = \"http\"\nallow = []\nurl = \
              \"https://ann:hunter2@h/{token}\"".to_owned(), ":6: "),
        ] {
            let said = said(&line);
            assert!(!said.contains("hunter2") && !said.contains("aHVud"), "{line}: {said}");
            assert!(said.contains(place), "{line}: {said}");
        }
    }

    #[test]
    fn the_place_of_a_secret_may_be_written_in_all_usual_ways() {
        for place in [
            "/etc/noren/key",
            "./key",
            "../keys/k",
            "key.pem",
            "certs/noren-key.pem",
            "users",
            "cluster-key",
            "/run/a b:c",
        ] {
            assert!(super::is_place(place), "{place}");
        }
    }
}
