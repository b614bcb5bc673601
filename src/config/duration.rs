//! Spans of time with a unit, such as `500ms`, `10s`, `5m`, `1h` and `2d`.

use std::time::Duration;

use crate::config::quantity::{self, Words};

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Longer is a slip of the pen; and `Instant::now() + duration` cannot overflow with a year.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Reads a duration, zero included; the error text says what to write instead.
pub fn parse(text: &str) -> Result<Duration, String> {
    let (number, unit) = quantity::split(
        text,
        &Words {
            kind: "a duration",
            examples: r#""10s", "5m" or "1h""#,
            with_unit: r#""10s", "5m" or "1h""#,
            smaller: r#""1500ms""#,
        },
    )?;
    let Some((_, milliseconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!(
            r#"{text:?} has an unknown unit; write "{number}s", or ms, m, h or d for the s"#
        ));
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(*milliseconds))
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| format!(r#""{text}" is longer than a year; write at most "365d""#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        let read = |text| parse(text).map(|duration| duration.as_millis());
        assert_eq!(read("0s"), Ok(0));
        assert_eq!(read("500ms"), Ok(500));
        assert_eq!(read("10s"), Ok(10_000));
        assert_eq!(read("5m"), Ok(300_000));
        assert_eq!(read("1h"), Ok(3_600_000));
        assert_eq!(read("365d"), Ok(31_536_000_000));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "s", "10", "1.5s", "-1s", "+1s", " 1s", "1s ", "1 s", "1S", "1sec", "1h30m",
            "366d", "soon",
        ] {
            assert!(parse(text).is_err(), "{text:?} was taken");
        }
        assert!(parse("99999999999999999999s").is_err() && parse("18446744073709551615d").is_err());
    }
}
