//! Formats a status as lines for a terminal.

use std::time::SystemTime;

use anyhow::Context as _;
use noren::clock::unix_time;
use noren::status::{
    Address, App, Certificate, Channel, Cluster, Console, Source, Status, Subscription,
    TokenSource, Tunnel,
};

use super::cells::{Clock, Table, bytes, clean, number, optional, session};

/// Formats a status from the admin socket.
pub(super) fn lines(response: &[u8]) -> anyhow::Result<Vec<String>> {
    let status: Status = serde_json::from_slice(response).context("the answer of Noren")?;
    Ok(at(&status, Clock(unix_time(SystemTime::now()))))
}

/// Formats the shared consoles of a status; empty if there are none.
pub(in crate::cli) fn consoles(response: &[u8]) -> anyhow::Result<Vec<String>> {
    let status: Status = serde_json::from_slice(response).context("the answer of Noren")?;
    let clock = Clock(unix_time(SystemTime::now()));
    let lines = shared_consoles(&status.consoles, clock).lines();
    // Without the empty line above the title.
    Ok(lines.into_iter().skip(1).collect())
}

/// Formats a status at this time.
fn at(status: &Status, clock: Clock) -> Vec<String> {
    let mut lines = vec![format!(
        "Noren {}, up {}, {} of memory, {} of {} connections",
        clean(&status.version),
        clock.age(status.since),
        bytes(status.memory),
        status.connections.open,
        status.connections.limit,
    )];
    for table in [
        apps(&status.apps, clock),
        addresses(&status.apps, clock),
        tunnels(status, clock),
        shared_consoles(&status.consoles, clock),
        subscriptions(status, clock),
        channels(&status.channels),
        sources(&status.sources, clock),
        token_sources(&status.token_sources, clock),
        cluster(&status.cluster, clock),
        certificates(&status.certificates, clock),
    ] {
        lines.extend(table.lines());
    }
    lines
}

fn apps(apps: &[App], clock: Clock) -> Table<'static> {
    let row = |app: &App| {
        let condition = &app.condition;
        vec![
            clean(&app.name),
            place(app),
            clean(&condition.state),
            clock.age_if(condition.state_since),
            format!("{} of {}", app.busy, app.workers),
            format!("{} of {}", app.waiting, app.queue),
            number(app.limited),
            clock.last_success(condition),
            clock.last_error(condition),
        ]
    };
    Table::new(
        "Apps",
        &[
            "NAME",
            "AT",
            "STATE",
            "SINCE",
            "BUSY",
            "WAITING",
            "LIMITED",
            "LAST ANSWER",
            "LAST ERROR",
        ],
        apps.iter().map(row).collect(),
    )
}

/// Returns the address of an app, or the number of its addresses, which have a table of their own.
fn place(app: &App) -> String {
    match app.addresses.len() {
        0 | 1 => clean(&app.url),
        several => format!("{several} addresses"),
    }
}

/// Returns the table of the addresses of apps that have several.
fn addresses(apps: &[App], clock: Clock) -> Table<'static> {
    let row = |(app, address): (&App, &Address)| {
        let condition = &address.condition;
        let state = if address.drained {
            "drained"
        } else {
            condition.state.as_str()
        };
        vec![
            clean(&app.name),
            clean(&address.address),
            clean(state),
            clock.age_if(condition.state_since),
            format!("{} of {}", address.busy, address.workers),
            address.tunnels.to_string(),
            clock.last_success(condition),
            clock.last_error(condition),
        ]
    };
    let several = apps.iter().filter(|app| app.addresses.len() > 1);
    let rows = several.flat_map(|app| app.addresses.iter().map(move |address| (app, address)));
    Table::new(
        "Addresses",
        &[
            "APP",
            "AT",
            "STATE",
            "SINCE",
            "BUSY",
            "WEBSOCKETS",
            "LAST ANSWER",
            "LAST ERROR",
        ],
        rows.map(row).collect(),
    )
}

fn tunnels(status: &Status, clock: Clock) -> Table<'static> {
    let row = |tunnel: &Tunnel| {
        vec![
            format!("t{}", tunnel.id),
            console(tunnel),
            clean(&tunnel.peer),
            optional(tunnel.user.as_deref()),
            session(tunnel.session),
            clock.age(tunnel.since),
            bytes(tunnel.up),
            bytes(tunnel.down),
        ]
    };
    Table::new(
        format!("Tunnels: {}", status.tunnel_count),
        &[
            "ID", "TARGET", "PEER", "USER", "SESSION", "OPEN", "UP", "DOWN",
        ],
        status.tunnels.iter().map(row).collect(),
    )
}

fn shared_consoles(consoles: &[Console], clock: Clock) -> Table<'static> {
    let row = |one: &Console| {
        let typist = one.typist.map(|tunnel| match &one.typist_user {
            Some(user) => format!("t{tunnel} ({})", clean(user)),
            None => format!("t{tunnel}"),
        });
        let open = if one.connected {
            clock.age(one.since)
        } else {
            "waits for its guest".to_owned()
        };
        vec![
            format!("c{}", one.id),
            clean(&one.target),
            one.viewers.to_string(),
            clean(&one.typing),
            optional(typist.as_deref()),
            open,
            bytes(one.received),
            bytes(one.kept as u64),
        ]
    };
    Table::new(
        "Shared consoles",
        &[
            "ID",
            "TARGET",
            "VIEWERS",
            "TYPING",
            "TYPES NOW",
            "OPEN",
            "DOWN",
            "KEPT",
        ],
        consoles.iter().map(row).collect(),
    )
}

/// Formats the target of a tunnel, with the security method of RFB or the state of a viewer of a shared console.
fn console(tunnel: &Tunnel) -> String {
    let target = clean(&tunnel.target);
    if let Some(viewer) = &tunnel.shared {
        let does = match (viewer.view_only, viewer.types) {
            (true, _) => ", view only",
            (false, true) => ", types",
            (false, false) => "",
        };
        return format!("{target} (1 of {}{does})", viewer.viewers);
    }
    match &tunnel.rfb {
        None => target,
        Some(rfb) if rfb.view_only => format!("{target} ({}, view only)", clean(&rfb.security)),
        Some(rfb) => format!("{target} ({})", clean(&rfb.security)),
    }
}

fn subscriptions(status: &Status, clock: Clock) -> Table<'static> {
    let row = |one: &Subscription| {
        vec![
            format!("s{}", one.id),
            clean(&one.channels.join(",")),
            clean(&one.transport),
            optional(one.peer.as_deref()),
            optional(one.user.as_deref()),
            session(one.session),
            clock.age(one.since),
            bytes(one.behind),
        ]
    };
    Table::new(
        format!("Subscribers: {}", status.subscribers),
        &[
            "ID", "CHANNELS", "BY", "PEER", "USER", "SESSION", "OPEN", "LAG",
        ],
        status.subscriptions.iter().map(row).collect(),
    )
}

fn channels(channels: &[Channel]) -> Table<'static> {
    let row = |one: &Channel| {
        vec![
            clean(&one.name),
            one.subscribers.to_string(),
            one.messages.to_string(),
            optional(one.trouble.as_deref()),
        ]
    };
    Table::new(
        "Channels",
        &["NAME", "SUBSCRIBERS", "MESSAGES", "TROUBLE"],
        channels.iter().map(row).collect(),
    )
}

fn sources(sources: &[Source], clock: Clock) -> Table<'static> {
    let row = |one: &Source| {
        let lag = one.lag.map(|lag| format!("{lag} ms"));
        vec![
            clean(&one.channel),
            clean(&one.kind),
            clean(&one.address),
            clock.up(one.since),
            one.messages.to_string(),
            number(one.waiting),
            lag.unwrap_or_default(),
            optional(one.last_error.as_deref()),
        ]
    };
    Table::new(
        "Sources",
        &[
            "CHANNEL",
            "KIND",
            "AT",
            "UP",
            "MESSAGES",
            "WAITING",
            "LAG",
            "LAST ERROR",
        ],
        sources.iter().map(row).collect(),
    )
}

fn token_sources(sources: &[TokenSource], clock: Clock) -> Table<'static> {
    let row = |one: &TokenSource| {
        vec![
            clean(&one.source),
            clean(&one.condition.state),
            one.known.to_string(),
            one.unknown.to_string(),
            one.failed.to_string(),
            clock.last_success(&one.condition),
            clock.last_error(&one.condition),
        ]
    };
    Table::new(
        "Token sources",
        &[
            "SOURCE",
            "STATE",
            "KNOWN",
            "UNKNOWN",
            "FAILED",
            "LAST ANSWER",
            "LAST ERROR",
        ],
        sources.iter().map(row).collect(),
    )
}

fn cluster(cluster: &[Cluster], clock: Clock) -> Table<'static> {
    let row = |one: &Cluster| {
        vec![
            clean(&one.stream),
            clean(&one.address),
            clock.up(one.since),
            one.waiting.to_string(),
            optional(one.last_error.as_deref()),
        ]
    };
    Table::new(
        "Cluster",
        &["STREAM", "AT", "UP", "WAITING", "LAST ERROR"],
        cluster.iter().map(row).collect(),
    )
}

fn certificates(certificates: &[Certificate], clock: Clock) -> Table<'static> {
    let row = |one: &Certificate| {
        vec![
            clean(&one.name),
            clock.until(one.expires),
            clock.until(one.next),
            optional(one.last_error.as_deref()),
        ]
    };
    Table::new(
        "Certificates",
        &["NAME", "ENDS IN", "NEXT RENEWAL", "LAST ERROR"],
        certificates.iter().map(row).collect(),
    )
}

#[cfg(test)]
mod tests;
