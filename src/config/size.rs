//! Numbers of bytes with a unit, such as `512B`, `64KiB`, `1MiB` and `4GiB`.

use crate::config::quantity::{self, Words};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// Powers of 1024 only: a reader could take "64KB" for either 64,000 or 65,536 bytes.
const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", GIB),
    ("MiB", MIB),
    ("KiB", KIB),
    ("B", 1),
];

/// Reads a size, zero included; the error text says what to write instead.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let (number, unit) = quantity::split(
        text,
        &Words {
            kind: "a size",
            examples: r#""64KiB", "1MiB" or "4GiB""#,
            with_unit: &format!(r#""{text}KiB", "{text}MiB" or, for bytes, {text}"#),
            smaller: r#""1536KiB""#,
        },
    )?;
    let Some((_, bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(unknown_unit(text, number, unit));
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(*bytes))
        // TOML's own integers end here; with the same end, a size means the same in both spellings.
        .filter(|size| i64::try_from(*size).is_ok())
        .ok_or_else(|| {
            format!(r#""{text}" is larger than any size can be; write at most "8388607TiB""#)
        })
}

/// Guesses the unit from its first letter: K, M, G or T.
fn unknown_unit(text: &str, number: &str, unit: &str) -> String {
    let first = unit.trim_start().get(..1).unwrap_or_default();
    let meant = UNITS
        .iter()
        .map(|(name, _)| *name)
        .find(|name| name.get(..1).is_some_and(|n| n.eq_ignore_ascii_case(first)));
    format!(
        r#"{text:?} has an unknown unit; write "{number}{}" (B, KiB, MiB, GiB or TiB)"#,
        meant.unwrap_or("KiB")
    )
}

/// Writes a size as the file would have it, in the largest unit that fits a whole number.
pub(super) fn show(bytes: u64) -> String {
    let fitting = UNITS
        .iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    fitting.map_or_else(
        || format!("{bytes}B"),
        |(name, unit)| format!("{}{name}", bytes / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_and_a_unit() {
        assert_eq!(parse("0B"), Ok(0));
        assert_eq!(parse("512B"), Ok(512));
        assert_eq!(parse("64KiB"), Ok(65_536));
        assert_eq!(parse("1MiB"), Ok(1_048_576));
        assert_eq!(parse("4GiB"), Ok(4_294_967_296));
        assert_eq!(parse("2TiB"), Ok(2_199_023_255_552));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "B",
            "64",
            "1.5MiB",
            "-1B",
            " 1B",
            "1 KiB",
            "64KB",
            "64kib",
            "64k",
            "1é",
            "8388608TiB",
            "99999999999999999999B",
        ] {
            assert!(parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_size_is_written_in_the_largest_whole_unit() {
        for text in [
            "0B", "256B", "1000B", "1KiB", "1536KiB", "16MiB", "1GiB", "3TiB",
        ] {
            assert_eq!(parse(text).map(show), Ok(text.to_owned()));
        }
    }
}
