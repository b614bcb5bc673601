//! What single directives of nginx say, in the words of noren.toml.

use crate::cli::import::syntax::Directive;

/// The port a server sends everybody to, with https.
pub(super) fn redirect_port(server: &Directive) -> Option<String> {
    // The whole server, whatever name was asked for: certbot writes a condition for each of its names.
    let whole = |one: &&Directive| match one.name() {
        "if" => one.arguments().iter().any(|word| {
            ["$host", "$scheme", "$server_", "$https", "$ssl_protocol"]
                .iter()
                .any(|name| word.contains(name))
        }),
        "location" => matches!(one.arguments(), [path] if path == "/"),
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

/// The names of a server, as far as they are names.
pub(super) fn hosts(server: &Directive) -> Vec<&str> {
    let names = server.all("server_name").flat_map(Directive::arguments);
    names
        .map(String::as_str)
        .filter(|name| *name != "_" && !name.is_empty() && !name.starts_with('~'))
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

/// A time of nginx, whose default unit is the second.
pub(super) fn duration(text: &str) -> Option<String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    let unit = match unit {
        "" | "s" => "s",
        "ms" | "m" | "h" | "d" => unit,
        _ => return None,
    };
    Some(format!("{number}{unit}"))
}

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
