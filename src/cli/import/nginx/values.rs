//! Converts values of nginx (times, sizes, directories, addresses) to the syntax of noren.toml. Must not know the
//! directive of a value.

use super::syntax::Directive;

/// Returns the directory that `root` or `alias` names for a path; `None` if it is not a fixed one.
pub(super) fn directory(directive: &Directive, path: &str) -> Option<String> {
    let written = directive.argument(0);
    if !written.starts_with('/') || written.contains('$') {
        return None;
    }
    let bare = |text: &str| match text.trim_end_matches('/') {
        "" => "/".to_owned(),
        text => text.to_owned(),
    };
    match directive.name() {
        "alias" => Some(bare(written)),
        _ => Some(bare(&format!("{}{path}", written.trim_end_matches('/')))),
    }
}

/// Adds the default port to the address of an app.
pub(super) fn with_port(authority: &str, scheme: &str) -> String {
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    match (has_port, scheme) {
        (true, _) => authority.to_owned(),
        (false, "https") => format!("{authority}:443"),
        (false, _) => format!("{authority}:80"),
    }
}

/// Parses a time of nginx, such as `90`, `1h30m` or `1d 12h`, whose default unit is the second; `None` for 0, for
/// more than a year, and for other texts.
pub(super) fn duration(text: &str) -> Option<String> {
    let mut rest = text.trim();
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(letters);
        let known = NGINX_UNITS.iter().find(|(name, _)| *name == unit);
        let part = number.parse::<u64>().ok()?.checked_mul(known?.1)?;
        sum = sum.checked_add(part)?;
        rest = behind.trim_start();
    }
    let whole = [(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let (unit, name) = whole.iter().find(|(unit, _)| sum.is_multiple_of(*unit))?;
    (1..=LONGEST)
        .contains(&sum)
        .then(|| format!("{}{name}", sum / unit))
}

/// The longest time in a noren.toml, in milliseconds: 365 days.
const LONGEST: u64 = 31_536_000_000;

/// Milliseconds in each unit of nginx; its months have 30 days and its years 365.
const NGINX_UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("", 1000),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
    ("M", 2_592_000_000),
    ("y", 31_536_000_000),
];

/// Parses a size of nginx, to bytes and to our units; `None` for 0, which means no limit in nginx.
pub(super) fn size(text: &str) -> Option<(u64, String)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    let bytes = match unit.to_lowercase().as_str() {
        "" => number,
        "k" => number.checked_mul(1 << 10)?,
        "m" => number.checked_mul(1 << 20)?,
        "g" => number.checked_mul(1 << 30)?,
        _ => return None,
    };
    let shown = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes.is_multiple_of(*unit));
    let shown = shown.map_or_else(
        || format!("{bytes}B"),
        |(unit, name)| format!("{}{name}", bytes / unit),
    );
    Some((bytes, shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_nginx_may_have_several_units() {
        for (text, ours) in [
            ("90", Some("90s")),
            ("600", Some("10m")),
            ("1h30m", Some("90m")),
            ("1h 30m 1s", Some("5401s")),
            ("1m500ms", Some("60500ms")),
            ("2d", Some("48h")),
            ("1w", Some("168h")),
            ("1M", Some("720h")),
            ("1y", Some("8760h")),
            ("1y1d", None),
            ("0", None),
            ("", None),
            ("1x", None),
            ("m", None),
            ("$time", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(duration(text).as_deref(), ours, "{text}");
        }
    }

    #[test]
    fn a_domain_a_socket_with_a_path_and_a_time_are_carried_over_or_told_with_their_line() {
        let text = "server { listen 80; server_name .example.com;\n proxy_read_timeout 1h30m;\n proxy_connect_timeout 0;
            location / { proxy_pass http://unix:/run/s:/; } }";
        let made = super::super::import_text(text, "n", &|_| None).expect("a good file");
        for part in [
            r#"hosts = ["example.com", "*.example.com"]"#,
            r#"response = "90m""#,
            r#"url = "unix:/run/s""#,
            "not carried over: n:3: proxy_connect_timeout 0;",
        ] {
            assert!(made.contains(part), "{part}\n{made}");
        }
    }
}
