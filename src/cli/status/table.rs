//! A status as lines for a terminal.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use noren::text::escape;
use serde_json::Value;

/// The target of a tunnel, with what RFB has agreed on.
fn console(tunnel: &Value) -> String {
    let (target, rfb) = (word(of(tunnel, "target")), of(tunnel, "rfb"));
    match (of(rfb, "security"), of(rfb, "view_only")) {
        (Value::Null, _) => target,
        (security, Value::Bool(true)) => format!("{target} ({}, view only)", word(security)),
        (security, _) => format!("{target} ({})", word(security)),
    }
}

/// The lines of a status, as the admin socket gives it.
pub(super) fn lines(answer: &[u8]) -> anyhow::Result<Vec<String>> {
    let status: Value = serde_json::from_slice(answer).context("the answer of Noren")?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(at(&status, now))
}

fn at(status: &Value, now: Duration) -> Vec<String> {
    let since = |at: &Value| age(now, at);
    let mut lines = vec![format!(
        "Noren {}, up {}, {} of memory, {} of {} connections",
        word(of(status, "version")),
        since(of(status, "since")),
        bytes(of(status, "memory")),
        word(of(of(status, "connections"), "open")),
        word(of(of(status, "connections"), "limit")),
    )];
    let mut add = |title: String, heads: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            lines.push(String::new());
            lines.push(title);
            lines.extend(table(heads, &rows));
        }
    };
    add(
        "Apps".to_owned(),
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
        rows(of(status, "apps"), |app| {
            vec![
                word(of(app, "name")),
                places(app),
                word(of(app, "state")),
                if_any(of(app, "state_since"), &since),
                format!("{} of {}", word(of(app, "busy")), word(of(app, "workers"))),
                format!("{} of {}", word(of(app, "waiting")), word(of(app, "queue"))),
                word(of(app, "limited")),
                if_any(of(app, "last_success"), &|at| format!("{} ago", since(at))),
                if_any(of(app, "last_error_at"), &|at| {
                    format!("{} ago: {}", since(at), word(of(app, "last_error")))
                }),
            ]
        }),
    );
    add(
        "Addresses".to_owned(),
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
        addresses(of(status, "apps"), &since),
    );
    add(
        format!("Tunnels: {}", word(of(status, "tunnel_count"))),
        &[
            "ID", "TARGET", "PEER", "USER", "SESSION", "OPEN", "UP", "DOWN",
        ],
        rows(of(status, "tunnels"), |tunnel| {
            vec![
                format!("t{}", word(of(tunnel, "id"))),
                console(tunnel),
                word(of(tunnel, "peer")),
                word(of(tunnel, "user")),
                session(of(tunnel, "session")),
                since(of(tunnel, "since")),
                bytes(of(tunnel, "up")),
                bytes(of(tunnel, "down")),
            ]
        }),
    );
    add(
        format!("Subscribers: {}", word(of(status, "subscribers"))),
        &[
            "ID", "CHANNELS", "BY", "PEER", "USER", "SESSION", "OPEN", "BEHIND",
        ],
        rows(of(status, "listeners"), |one| {
            let channels = of(one, "channels")
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let channels: Vec<String> = channels.iter().map(word).collect();
            vec![
                format!("s{}", word(of(one, "id"))),
                channels.join(","),
                word(of(one, "transport")),
                word(of(one, "peer")),
                word(of(one, "user")),
                session(of(one, "session")),
                since(of(one, "since")),
                bytes(of(one, "behind")),
            ]
        }),
    );
    add(
        "Channels".to_owned(),
        &["NAME", "LISTENERS", "MESSAGES", "TROUBLE"],
        rows(of(status, "channels"), |one| {
            vec![
                word(of(one, "name")),
                word(of(one, "listeners")),
                word(of(one, "messages")),
                word(of(one, "trouble")),
            ]
        }),
    );
    add(
        "Sources".to_owned(),
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
        rows(of(status, "sources"), |one| {
            let up = match of(one, "since") {
                Value::Null => "no".to_owned(),
                at => since(at),
            };
            vec![
                word(of(one, "channel")),
                word(of(one, "kind")),
                word(of(one, "address")),
                up,
                word(of(one, "messages")),
                word(of(one, "waiting")),
                of(one, "lag")
                    .as_u64()
                    .map_or_else(String::new, |lag| format!("{lag} ms")),
                word(of(one, "last_error")),
            ]
        }),
    );
    add(
        "Cluster".to_owned(),
        &["STREAM", "AT", "UP", "WAITING", "LAST ERROR"],
        rows(of(status, "cluster"), |one| {
            let up = match of(one, "since") {
                Value::Null => "no".to_owned(),
                at => since(at),
            };
            vec![
                word(of(one, "stream")),
                word(of(one, "address")),
                up,
                word(of(one, "waiting")),
                word(of(one, "last_error")),
            ]
        }),
    );
    add(
        "Certificates".to_owned(),
        &["NAME", "ENDS IN", "ASKED FOR IN", "LAST ERROR"],
        rows(of(status, "certificates"), |one| {
            vec![
                word(of(one, "name")),
                until(now, of(one, "expires")),
                until(now, of(one, "next")),
                word(of(one, "last_error")),
            ]
        }),
    );
    lines
}

/// The address of an app, or the number of its addresses, which have a table of their own.
fn places(app: &Value) -> String {
    match of(app, "addresses").as_array().map_or(1, Vec::len) {
        0 | 1 => word(of(app, "url")),
        several => format!("{several} addresses"),
    }
}

/// The rows of the apps with several addresses.
fn addresses(apps: &Value, since: &dyn Fn(&Value) -> String) -> Vec<Vec<String>> {
    let several = |app: &&Value| {
        let addresses = of(app, "addresses").as_array();
        addresses.is_some_and(|addresses| addresses.len() > 1)
    };
    let of_app = |app: &Value| {
        rows(of(app, "addresses"), |one| {
            let state = if of(one, "drained") == &Value::Bool(true) {
                "drained".to_owned()
            } else {
                word(of(one, "state"))
            };
            vec![
                word(of(app, "name")),
                word(of(one, "address")),
                state,
                if_any(of(one, "state_since"), since),
                format!("{} of {}", word(of(one, "busy")), word(of(one, "workers"))),
                word(of(one, "tunnels")),
                if_any(of(one, "last_success"), &|at| format!("{} ago", since(at))),
                if_any(of(one, "last_error_at"), &|at| {
                    format!("{} ago: {}", since(at), word(of(one, "last_error")))
                }),
            ]
        })
    };
    let apps = apps.as_array().into_iter().flatten();
    apps.filter(several).flat_map(of_app).collect()
}

/// A field; null if there is none.
fn of<'v>(value: &'v Value, key: &str) -> &'v Value {
    static NULL: Value = Value::Null;
    value.get(key).unwrap_or(&NULL)
}

fn rows(list: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().into_iter().flatten().map(row).collect()
}

/// Columns as wide as their widest cell. The last is not filled up.
fn table(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let all = || std::iter::once(&heads).chain(rows);
    let width = |column: usize| {
        let cells = all().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"));
        format!("  {}", cells.collect::<Vec<_>>().join("  "))
            .trim_end()
            .to_owned()
    };
    all().map(line).collect()
}

/// A value as one word. Whatever could move the cursor of a terminal is not shown.
fn word(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars()
        .map(|sign| if escape::is_active(sign) { '?' } else { sign })
        .collect()
}

/// The number of a session, as `noren close` takes it.
fn session(number: &Value) -> String {
    match number {
        Value::Number(number) => format!("v{number}"),
        _ => "-".to_owned(),
    }
}

/// A moment as text, if there is one.
fn if_any(at: &Value, show: &dyn Fn(&Value) -> String) -> String {
    if at.is_null() {
        "-".to_owned()
    } else {
        show(at)
    }
}

/// Time since a moment, in its two largest units.
fn age(now: Duration, at: &Value) -> String {
    span(now.saturating_sub(moment(at)))
}

/// Time until a moment; empty if there is none.
fn until(now: Duration, at: &Value) -> String {
    if at.is_null() {
        return "-".to_owned();
    }
    span(moment(at).saturating_sub(now))
}

fn moment(at: &Value) -> Duration {
    Duration::from_millis(at.as_u64().unwrap_or_default())
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

fn bytes(value: &Value) -> String {
    let size = value.as_u64().unwrap_or_default();
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let found = units.iter().find(|(unit, _)| size >= *unit);
    found.map_or_else(
        || format!("{size} B"),
        |(unit, name)| {
            let tenths = u128::from(size) * 10 / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_a_few_tables_and_nothing_in_it_can_move_the_cursor() {
        let status = json!({
            "version": "1.2.3",
            "since": 0,
            "memory": 43_000_000,
            "connections": {"open": 12, "limit": 10000},
            "apps": [
                {"name": "wok", "url": "127.0.0.1:8010", "state": "down",
                 "state_since": 89_940_000, "last_success": 89_000_000,
                 "last_error": "connect to 127.0.0.1:8010: refused", "last_error_at": 89_998_000,
                 "workers": 8, "busy": 3, "waiting": 0, "queue": 1000, "limited": 12},
                {"name": "new", "url": "unix:/a", "state": "unknown",
                 "workers": 1, "busy": 0, "waiting": 0, "queue": 9},
            ],
            "tunnel_count": 1,
            "tunnels": [{
                "id": 7, "target": "unix:/run/\u{1b}\u{202e}J", "peer": "192.0.2.1:5", "user": null,
                "session": 5, "since": 3_600_000, "up": 1500, "down": 9,
            }],
            "subscribers": 0,
            "listeners": [],
            "channels": [],
            "sources": [],
        });
        let lines = at(&status, Duration::from_secs(90_000));
        assert_eq!(
            lines,
            [
                "Noren 1.2.3, up 1 d 1 h, 41.0 MiB of memory, 12 of 10000 connections",
                "",
                "Apps",
                "  NAME  AT              STATE    SINCE      BUSY    WAITING    LIMITED  LAST ANSWER       LAST ERROR",
                "  wok   127.0.0.1:8010  down     1 min 0 s  3 of 8  0 of 1000  12       16 min 40 s ago  2 s ago: \
                 connect to 127.0.0.1:8010: refused",
                "  new   unix:/a         unknown  -          0 of 1  0 of 9     -        -                -",
                "",
                "Tunnels: 1",
                "  ID  TARGET         PEER         USER  SESSION  OPEN   UP       DOWN",
                "  t7  unix:/run/??J  192.0.2.1:5  -     v5       1 d 0 h  1.4 KiB  9 B",
            ]
            .map(|line| {
                line.replace("OPEN   UP", "OPEN     UP")
                    .replace("LAST ANSWER       LAST", "LAST ANSWER      LAST")
            })
        );
    }
}
