//! A message as people read it in a terminal.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What of an envelope is shown.
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

/// `[2026-11-23 22:31:07Z] channel event: data`
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

/// Text that a terminal only shows. Others have written it, and an escape sequence could do more: rename the
/// window, or overwrite what was said before.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '\n' => shown.push_str("\n    "),
            '\t' => shown.push(sign),
            sign if sign.is_control() => shown.extend(sign.escape_default()),
            sign => shown.push(sign),
        }
    }
    shown
}

/// Milliseconds since 1970 as a date and time, UTC. The date by Hinnant's `civil_from_days`.
fn time(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin in March here, so that a leap day is at the end of one.
    let march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
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
            r#"{"channel":"c","event":"\u001b[2J","data":"\u001b]0;x\u0007\u009b","time":0}"#,
        );
        let line = line.expect("an envelope");
        assert!(!line.trim_end().contains(char::is_control), "{line:?}");
    }
}
