//! Formats a message for people in a terminal.

use std::borrow::Cow;

use noren::text::escape;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::UtcDateTime;
use time::macros::format_description;

/// The parts of an envelope that are shown.
#[derive(Deserialize)]
struct Envelope<'e> {
    #[serde(borrow)]
    channel: Cow<'e, str>,
    #[serde(borrow)]
    event: Option<Cow<'e, str>>,
    #[serde(borrow)]
    data: &'e RawValue,
    #[serde(borrow)]
    encoding: Option<Cow<'e, str>>,
    time: u64,
}

/// Formats a message as `[2026-11-23 22:31:07Z] channel event: data`.
pub(super) fn human(envelope: &str) -> serde_json::Result<String> {
    let envelope: Envelope<'_> = serde_json::from_str(envelope)?;
    let mut line = format!("[{}] {}", time(envelope.time), shown(&envelope.channel));
    if let Some(event) = &envelope.event {
        line.push(' ');
        line.push_str(&shown(event));
    }
    line.push_str(": ");
    if let Some(encoding) = &envelope.encoding {
        line.push_str(&shown(encoding));
        line.push(' ');
    }
    let raw = envelope.data.get();
    let text = if raw.starts_with('"') {
        Cow::Owned(serde_json::from_str(raw)?)
    } else {
        Cow::Borrowed(raw)
    };
    line.push_str(&shown(&text));
    line.push('\n');
    Ok(line)
}

/// Escapes text for a terminal. It comes from others, and an escape sequence could rename the window, or overwrite
/// earlier lines.
fn shown(text: &str) -> String {
    escape::lines(text).replace('\n', "\n    ")
}

/// Formats Unix milliseconds as date and time in UTC.
fn time(milliseconds: u64) -> String {
    let format = format_description!(
        version = 2,
        "[year]-[month]-[day] [hour]:[minute]:[second]Z"
    );
    let seconds = i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX);
    let moment = UtcDateTime::from_unix_timestamp(seconds).unwrap_or(UtcDateTime::MAX);
    moment.format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_line_with_its_time_its_channel_and_its_event() {
        let line = human(
            r#"{"id":"a:1","channel":"job.1","event":"done","data":"a\nb","time":1763932800123}"#,
        );
        assert_eq!(
            line.expect("an envelope"),
            "[2025-11-23 21:20:00Z] job.1 done: a\n    b\n"
        );
        let line = human(r#"{"id":"a:1","channel":"c","data":{"a":[1]},"time":0}"#);
        assert_eq!(
            line.expect("an envelope"),
            "[1970-01-01 00:00:00Z] c: {\"a\":[1]}\n"
        );
        let line = human(
            r#"{"id":"a:1","channel":"c","data":"/wA=","encoding":"base64","time":951782399000}"#,
        );
        assert_eq!(
            line.expect("an envelope"),
            "[2000-02-28 23:59:59Z] c: base64 /wA=\n"
        );
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00Z");
        assert!(human("{}").is_err());
    }

    #[test]
    fn what_others_wrote_cannot_command_the_terminal() {
        let line = human(
            r#"{"channel":"c","event":"\u001b[2J","data":"\u001b]0;x\u0007\u009b\u202e","time":0}"#,
        );
        let line = line.expect("an envelope");
        assert!(!line.trim_end().contains(escape::is_active), "{line:?}");
    }
}
