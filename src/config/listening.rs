//! Addresses that one file listens on twice: only the first could be opened at start. Opens and resolves nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use toml::de::{DeTable, DeValue};

use super::address::host_and_port;
use super::admin;
use super::error::line_at;
use super::listener::{ListenAddress, Listener};
use super::problems::Problems;

/// One address that the file opens, and the place it is written at.
struct Opened {
    address: ListenAddress,
    key: String,
    /// Position in the file; `None` for the default listener, which is not written there.
    offset: Option<usize>,
}

/// Reports each address that an earlier listener already has. Malformed addresses are reported by the reader of their
/// table.
pub(super) fn check(document: &DeTable<'_>, text: &str, file_name: &str, problems: &Problems) {
    let mut earlier: Vec<Opened> = Vec::new();
    for opened in listeners(document).into_iter().chain(others(document)) {
        // Sources are compared with each other where channels are read.
        let sources = |other: &Opened| is_source(other) && is_source(&opened);
        let taken = earlier
            .iter()
            .find(|other| !sources(other) && collide(&other.address, &opened.address));
        if let Some(other) = taken {
            let line = other.offset.map_or_else(
                || "the default".to_owned(),
                |offset| format!("{file_name}:{}", line_at(text.as_bytes(), offset)),
            );
            let by = if other.address == opened.address {
                other.key.clone()
            } else {
                format!(r#"{} = "{}""#, other.key, other.address)
            };
            let said = format!(
                r#""{}" is listened on already by {by} ({line}); remove one of them, or give it another address"#,
                opened.address
            );
            problems.report(opened.offset, opened.key.clone(), said);
        }
        earlier.push(opened);
    }
}

fn is_source(opened: &Opened) -> bool {
    opened.key.starts_with("channel")
}

/// The addresses of `[[listener]]`.
fn listeners(document: &DeTable<'_>) -> Vec<Opened> {
    let default = |offset, index: usize| Opened {
        address: Listener::default().address,
        key: format!("listener[{index}].address"),
        offset,
    };
    let Some(items) = list(document, "listener") else {
        return vec![default(None, 0)];
    };
    let opened = items.iter().enumerate().filter_map(|(index, item)| {
        let table = item.get_ref().as_table()?;
        if table.get("address").is_none() {
            return Some(default(Some(item.span().start), index));
        }
        let key = format!("listener[{index}].address");
        read(table, "address", key, ListenAddress::parse)
    });
    opened.collect()
}

/// The addresses of `[admin]` and of the sources that listen.
fn others(document: &DeTable<'_>) -> Vec<Opened> {
    let mut opened = Vec::new();
    let table = document
        .get("admin")
        .and_then(|one| one.get_ref().as_table());
    if let Some(table) = table {
        let socket = |text: &str| Ok(ListenAddress::Unix(text.into()));
        let tcp = |text: &str| admin::tcp(text).map(ListenAddress::Tcp);
        opened.extend(read(table, "address", "admin.address".to_owned(), tcp));
        opened.extend(read(table, "socket", "admin.socket".to_owned(), socket));
    }
    for (number, channel) in list(document, "channel").into_iter().flatten().enumerate() {
        let sources = channel.get_ref().as_table();
        let sources = sources.and_then(|channel| list(channel, "source"));
        for (index, source) in sources.into_iter().flatten().enumerate() {
            let table = source.get_ref().as_table();
            let listens = table.filter(|one| word(one, "source") == Some("listen"));
            let key = format!("channel[{number}].source[{index}].address");
            opened.extend(listens.and_then(|one| read(one, "address", key, ListenAddress::parse)));
        }
    }
    opened
}

fn list<'a>(table: &'a DeTable<'_>, key: &str) -> Option<&'a toml::de::DeArray<'a>> {
    table.get(key)?.get_ref().as_array()
}

fn word<'a>(table: &'a DeTable<'_>, key: &str) -> Option<&'a str> {
    table
        .get(key)
        .map(toml::Spanned::get_ref)
        .and_then(DeValue::as_str)
}

fn read(
    table: &DeTable<'_>,
    name: &str,
    key: String,
    parse: impl Fn(&str) -> Result<ListenAddress, String>,
) -> Option<Opened> {
    let address = parse(word(table, name)?).ok()?;
    let offset = table.get(name).map(|found| found.span().start);
    Some(Opened {
        address,
        key,
        offset,
    })
}

fn collide(one: &ListenAddress, other: &ListenAddress) -> bool {
    let (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) = (one, other) else {
        return one == other;
    };
    let (Ok((one, port)), Ok((other, other_port))) = (host_and_port(one), host_and_port(other))
    else {
        return false;
    };
    if port != other_port || port == 0 {
        return false;
    }
    let (one_name, other_name) = (plain_name(&one), plain_name(&other));
    let (one, other) = (addresses(&one_name), addresses(&other_name));
    let every = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    one_name == other_name
        || one.contains(&every)
        || other.contains(&every)
        || one
            .iter()
            .any(|one| other.iter().any(|other| overlap(*one, *other)))
}

fn plain_name(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// The addresses of a host, as far as they are known without asking anybody.
fn addresses(host: &str) -> Vec<IpAddr> {
    if host == "localhost" {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    let address = host.parse::<IpAddr>();
    address.iter().map(IpAddr::to_canonical).collect()
}

/// True if two addresses are the same, or one of them is all of IPv4.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let four = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    one == other || (one.is_ipv4() && other.is_ipv4() && (one == four || other == four))
}
