//! Writes listeners, certificates and settings of the whole server. Must not know routes.

use super::super::draft::{list, quoted};
use super::addresses::{Address, Role};
use super::headers::GENERAL;
use super::server::{Listen, Server};
use super::syntax::Directive;
use super::upstream;
use super::writer::Writer;

/// Writes the listeners of all kept addresses.
pub(super) fn listeners<'a>(
    writer: &mut Writer<'a>,
    addresses: &[Address<'a>],
    servers: &[Server<'a>],
    base: Option<usize>,
) {
    let base = base.and_then(|base| addresses.get(base));
    for door in addresses {
        let first = door.listens.first().map(|(_, listen)| listen);
        let Some(first) = first else { continue };
        if door.role == Role::Unused {
            let why = "every listener offers every app here, and nginx does not answer the same at this address: \
                       nothing listens there";
            for (_, listen) in &door.listens {
                writer.report.leave_out(listen.at, why);
            }
            continue;
        }
        for (_, listen) in &door.listens {
            writer.report.carry(listen.at);
        }
        // A part of a server does not say where it listens.
        if first.at.id == 0 {
            continue;
        }
        let Some(address) = address(writer, addresses, door, first) else {
            continue;
        };
        let in_clear =
            door.role == Role::Redirect && door.sites.iter().any(|site| site.view.is_open());
        if in_clear {
            for (_, listen) in &door.listens {
                let why = "some servers are there behind TLS only, and every listener offers every app here: \
                           everybody is sent to https";
                writer.report.leave_out(listen.at, why);
            }
        }
        let protocol = match door.role {
            Role::Redirect => "redirect",
            _ if door.tls => "https",
            _ => "http",
        };
        let mut keys = vec![
            ("address", quoted(&address)),
            ("protocol", quoted(protocol)),
        ];
        if door.role == Role::Redirect {
            let sites = door.sites.iter().filter_map(|site| site.view.redirect());
            let port = sites.map(|redirect| redirect.port.as_str()).next();
            let port = port.or(base.map(|base| base.port.as_str()));
            let port = port.filter(|port| !matches!(*port, "" | "443"));
            keys.extend(port.map(|port| ("redirect-port", port.to_owned())));
        }
        proxies(writer, door, servers, &mut keys);
        clients(writer, base.filter(|_| door.tls), &mut keys);
        writer.draft.add("listener", &keys);
    }
}

/// Returns the address of a listener; `None` if another listener has it too.
fn address(
    writer: &mut Writer<'_>,
    addresses: &[Address<'_>],
    door: &Address<'_>,
    first: &Listen<'_>,
) -> Option<String> {
    let same_port = |beginning: &str| {
        let address = format!("{beginning}:{}", door.port);
        addresses.iter().find(|other| other.name == address)
    };
    let (four, six) = (same_port("0.0.0.0"), same_port("[::]"));
    let kept = |other: Option<&Address<'_>>| other.is_some_and(|other| other.role == door.role);
    if door.port.is_empty() {
        return Some(door.name.clone());
    }
    match door.name.as_str() {
        // `[::]` takes IPv4 too, and is what remains of the two.
        name if name.starts_with("0.0.0.0:") => {
            let bare = door.listens.iter().any(|(_, listen)| listen.bare);
            let both = kept(six) || six.is_none() && bare;
            Some(if both {
                format!("[::]:{}", door.port)
            } else {
                door.name.clone()
            })
        }
        name if name.starts_with("[::]:") => match four {
            Some(four) if four.role != Role::Unused => {
                if four.role != door.role {
                    writer.report.leave_out(
                        first.at,
                        "a listener at [::] would take IPv4 too, where another one is: \
                                                   nothing listens there",
                    );
                }
                None
            }
            _ => Some(door.name.clone()),
        },
        _ => {
            let wide = [four, six]
                .into_iter()
                .flatten()
                .any(|wide| wide.role != Role::Unused);
            if wide {
                writer.report.leave_out(
                    first.at,
                    "the listener at every address of this port takes this one too",
                );
                return None;
            }
            Some(door.name.clone())
        }
    }
}

/// Returns the trusted proxies, if all servers of an address have the same.
fn proxies<'a>(
    writer: &mut Writer<'a>,
    door: &Address<'a>,
    servers: &[Server<'a>],
    keys: &mut Vec<(&'static str, String)>,
) {
    let all = door
        .listens
        .iter()
        .filter_map(|(number, _)| servers.get(*number));
    let mut found: Option<Vec<&'a Directive>> = None;
    for server in all {
        let own = server.scope.nearest_all("set_real_ip_from");
        let header = server.scope.nearest("real_ip_header");
        let understood = header.is_some_and(|header| {
            let name = header.argument(0).to_lowercase();
            matches!(name.as_str(), "x-forwarded-for" | "proxy_protocol")
        });
        let same = |one: &Vec<&Directive>| {
            let words = |list: &[&Directive]| -> Vec<String> {
                list.iter().map(|one| one.argument(0).to_owned()).collect()
            };
            words(one) == words(&own)
        };
        if !understood && !own.is_empty() || found.as_ref().is_some_and(|found| !same(found)) {
            let why = "clients' addresses come from X-Forwarded-For, from Forwarded (forwarded-header = \
                       \"forwarded\" in the [[listener]]) or by the PROXY protocol, and every server of a listener \
                       has the same proxies; see trusted-proxies";
            for one in own.iter().chain(&header) {
                writer.report.leave_out(one, why);
            }
            found = Some(Vec::new());
            continue;
        }
        if found.is_none() {
            found = Some(own);
        }
        for name in ["real_ip_header", "real_ip_recursive"] {
            if let Some(one) = server.scope.nearest(name) {
                writer.report.carry(one);
            }
        }
    }
    let found = found.unwrap_or_default();
    let proxies: Vec<_> = found
        .iter()
        .map(|one| one.argument(0).trim_end_matches(':'))
        .collect();
    for one in &found {
        writer.report.carry(one);
    }
    if !proxies.is_empty() {
        keys.push(("trusted-proxies", list(proxies.iter().copied())));
    }
    let speaks = door
        .listens
        .iter()
        .find(|(_, listen)| listen.at.has("proxy_protocol"));
    if let Some((_, listen)) = speaks {
        if proxies.is_empty() {
            writer.report.leave_out(
                listen.at,
                "only proxies that are named may speak the PROXY protocol: write trusted-proxies = [\"ADDRESS\"] \
                 and proxy-protocol = true into the [[listener]]",
            );
        } else {
            keys.push(("proxy-protocol", "true".to_owned()));
        }
    }
}

/// Returns the authority for client certificates.
fn clients<'a>(
    writer: &mut Writer<'a>,
    base: Option<&Address<'a>>,
    keys: &mut Vec<(&'static str, String)>,
) {
    let Some(base) = base else { return };
    let open: Vec<_> = base
        .sites
        .iter()
        .filter(|site| site.view.is_open())
        .collect();
    let asks: Vec<_> = open.iter().filter_map(|site| site.view.verify).collect();
    let Some(first) = asks.first() else { return };
    for verify in &asks {
        writer.report.carry(verify.authority);
    }
    let all = asks.len() == open.len() && asks.iter().all(super::server::Verify::is_required);
    let how = if all { "required" } else { "optional" };
    keys.push(("client-authority", quoted(first.authority.argument(0))));
    keys.push(("client-certificate", quoted(how)));
}

/// Writes the certificates of all servers with TLS, beginning with that of the default server.
pub(super) fn certificates<'a>(
    writer: &mut Writer<'a>,
    addresses: &[Address<'a>],
    servers: &[Server<'a>],
) {
    for door in addresses
        .iter()
        .filter(|door| door.tls && door.role == Role::Listener)
    {
        let mut listens: Vec<_> = door.listens.iter().collect();
        listens.sort_by_key(|(_, listen)| !listen.is_default);
        for (number, _) in listens {
            let Some(server) = servers.get(*number) else {
                continue;
            };
            let files = server.scope.nearest_all("ssl_certificate");
            let keys = server.scope.nearest_all("ssl_certificate_key");
            for (index, (file, key)) in files.iter().zip(&keys).enumerate() {
                let is_path = |one: &Directive| {
                    !one.argument(0).contains('$')
                        && !one.argument(0).contains("data:")
                        && !one.argument(0).starts_with("engine:")
                };
                if index > 0 {
                    writer.report.leave_out(
                        file,
                        "a name has one certificate here: the first one of the server is taken",
                    );
                    writer.report.leave_out(
                        key,
                        "a name has one certificate here: the first one of the server is taken",
                    );
                } else if !is_path(file) || !is_path(key) {
                    writer.report.leave_out(
                        file,
                        "a certificate is a file with a fixed path here, or comes by [acme]",
                    );
                    writer.report.carry(key);
                } else {
                    writer.report.carry(file);
                    writer.report.carry(key);
                    let pair = [
                        ("certificate", quoted(file.argument(0))),
                        ("key", quoted(key.argument(0))),
                    ];
                    writer.draft.add("tls.certificate", &pair);
                }
            }
        }
    }
}

/// Carries over the directives that apply to all of Noren, in whatever block they are.
pub(super) fn general<'a>(writer: &mut Writer<'a>, directives: &'a [Directive]) {
    for one in directives {
        match one.name() {
            "server_name" => writer.report.carry(one),
            "ssl_protocols" => {
                writer.report.carry(one);
                let old = ["TLSv1", "TLSv1.1", "SSLv3", "SSLv2"];
                if one.arguments() == ["TLSv1.3"] {
                    writer.draft.set("tls", "minimum-version", &quoted("1.3"));
                } else if old.iter().any(|version| one.has(version)) {
                    writer
                        .report
                        .leave_out(one, "versions before TLS 1.2 are not spoken any more");
                }
            }
            "add_header" => header(writer, one),
            "server" if !one.block.is_empty() || one.arguments().is_empty() => {
                general(writer, &one.block);
            }
            "upstream" => upstream::report(&mut writer.report, one),
            "http" | "location" => general(writer, &one.block),
            _ => {}
        }
    }
}

fn header(writer: &mut Writer<'_>, header: &Directive) {
    let key = header.argument(0).to_lowercase();
    let value = header.argument(1);
    if writer.report.is_carried(header) {
        return;
    }
    if !GENERAL.contains(&key.as_str()) {
        writer.report.leave_out(
            header,
            "a header of every response has a fixed text in [headers], one of an app in its response-headers",
        );
    } else if value.contains('$') || !writer.draft.sets("headers", &key, &quoted(value)) {
        writer.report.leave_out(
            header,
            "[headers] has one text for all of Noren, and the first one is taken",
        );
    } else {
        writer.report.carry(header);
    }
}
