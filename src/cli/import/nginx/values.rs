//! Translates the values of single directives of nginx into the words of noren.toml.

use crate::cli::import::syntax::Directive;

/// The port a server sends everybody to, with https.
pub(super) fn redirect_port(server: &Directive) -> Option<String> {
    // The whole server, whatever name was asked for: certbot writes a condition for each of its names.
    let whole = |one: &&Directive| match one.name() {
        "if" => is_about_the_address(one),
        // A pattern is taken for the whole, so that nothing it redirects is served in clear.
        "location" => match one.arguments() {
            [path] => path == "/" || path.starts_with('~'),
            [sign, path] => sign.starts_with('~') || (sign == "^~" && path == "/"),
            _ => false,
        },
        _ => false,
    };
    let inside = server.block.iter().filter(whole).flat_map(|one| &one.block);
    let mut targets = server
        .block
        .iter()
        .chain(inside)
        .filter(|one| matches!(one.name(), "return" | "rewrite"));
    let target = targets.find_map(|one| {
        one.arguments()
            .iter()
            .find_map(|word| word.strip_prefix("https://"))
    })?;
    let authority = target.split('/').next().unwrap_or_default();
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let port = port.map(|port| {
        port.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    });
    Some(
        port.filter(|port| !port.is_empty())
            .unwrap_or_else(|| "443".to_owned()),
    )
}

/// True if a condition concerns only the host name or the scheme of the request.
pub(super) fn is_about_the_address(condition: &Directive) -> bool {
    let names = ["$host", "$scheme", "$server_", "$https", "$ssl_protocol"];
    let mut words = condition.arguments().iter();
    words.any(|word| names.iter().any(|name| word.contains(name)))
}

/// The directory of a location that has one of its own.
pub(super) fn directory(location: &Directive, path: &str) -> Option<String> {
    if let Some(alias) = location.all("alias").next() {
        return Some(without_slash(alias.argument(0)).to_owned());
    }
    let root = location.all("root").next()?;
    let root = root.argument(0).trim_end_matches('/');
    Some(format!("{root}{}", path.trim_end_matches('/')))
}

pub(super) fn without_slash(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

/// The names of a server, as far as they are names. One that begins with a dot is a domain with all that is below.
pub(super) fn hosts(server: &Directive) -> Vec<String> {
    let names = server.all("server_name").flat_map(Directive::arguments);
    let names = names.filter(|name| *name != "_" && !name.is_empty() && !name.starts_with('~'));
    names
        .flat_map(|name| match name.strip_prefix('.') {
            Some(domain) => vec![domain.to_owned(), format!("*.{domain}")],
            None => vec![name.to_owned()],
        })
        .collect()
}

pub(super) fn with_port(place: &str, scheme: &str) -> String {
    let has_port = place
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    match (has_port, scheme) {
        (true, _) => place.to_owned(),
        (false, "https") => format!("{place}:443"),
        (false, _) => format!("{place}:80"),
    }
}

/// A time of nginx, such as `90`, `1h30m` or `1d 12h`, whose default unit is the second; none for what is no time, and
/// for 0.
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
    (sum > 0).then(|| format!("{}{name}", sum / unit))
}

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

/// A size of nginx in our units; none for 0, which is no limit there.
pub(super) fn size(text: &str) -> Option<String> {
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
    Some(shown.map_or_else(
        || format!("{bytes}B"),
        |(unit, name)| format!("{}{name}", bytes / unit),
    ))
}

/// The file of passwords and the realm of a location, if it asks for passwords. The nearest directive counts.
pub(super) fn login<'a>(nearest: &[&'a Directive]) -> Option<(&'a Directive, &'a Directive)> {
    let find = |name: &str| nearest.iter().copied().find(|one| one.name() == name);
    let realm = find("auth_basic").filter(|realm| realm.argument(0) != "off")?;
    Some((find("auth_basic_user_file")?, realm))
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
        let made = super::super::import(text, "n").expect("a good file");
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
