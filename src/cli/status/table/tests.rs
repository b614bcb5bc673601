use std::time::Duration;

use serde_json::json;

use super::*;

#[test]
fn a_status_is_a_few_tables_and_nothing_in_it_can_move_the_cursor() {
    let status: Status = serde_json::from_value(json!({
            "version": "1.2.3",
            "since": 0,
            "memory": 43_000_000,
            "connections": {"open": 12, "limit": 10000},
            "apps": [
                {"name": "wok", "url": "127.0.0.1:8010", "state": "down",
                 "state_since": 89_940_000, "last_success": 89_000_000,
                 "last_error": "connect to 127.0.0.1:8010: refused", "last_error_at": 89_998_000,
                 "workers": 8, "busy": 3, "waiting": 0, "queue": 1000, "limited": 12,
                 "addresses": []},
                {"name": "new", "url": "unix:/a", "state": "unknown",
                 "workers": 1, "busy": 0, "waiting": 0, "queue": 9, "addresses": []},
            ],
            "tunnel_count": 1,
            "tunnels": [{
                "id": 7, "kind": "console", "target": "unix:/run/\u{1b}\u{202e}J", "peer": "192.0.2.1:5", "user": null,
                "session": 5, "since": 3_600_000, "up": 1500, "down": 9,
            }],
            "subscribers": 0,
        }))
        .expect("a status");
    let lines = at(&status, Clock(Duration::from_secs(90_000)));
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
