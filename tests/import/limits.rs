//! `limit_req` and `limit_conn` of nginx as limits of apps and directories for each client address.

use std::time::Duration;

use noren::Config;
use noren::config::{RequestLimits, RequestRate};

use super::from_nginx;

const ZONES: &str = "limit_req_zone $binary_remote_addr zone=one:10m rate=5r/s;
    limit_req_zone $remote_addr zone=login:1m rate=10r/m;
    limit_conn_zone $binary_remote_addr zone=addr:10m;
    limit_req_zone $server_name zone=all:10m rate=100r/s;
    limit_conn_zone $limit zone=some:10m;\n";

/// A file with a server, and the configuration that is made of it.
fn made(server: &str) -> (Config, String) {
    from_nginx(&format!("{ZONES}server {{ listen 80; {server} }}\n"))
}

fn app<'a>(config: &'a Config, path: &str) -> &'a RequestLimits {
    let found = config
        .apps
        .iter()
        .find(|app| app.path.as_str().trim_end_matches('*') == path);
    &found
        .unwrap_or_else(|| panic!("no app at {path}"))
        .request_limits
}

fn rate(requests: u32, seconds: u64) -> RequestRate {
    RequestRate {
        requests,
        time: Duration::from_secs(seconds),
    }
}

#[test]
fn limits_of_an_address_are_carried_over_with_burst_delay_and_zone() {
    let (config, made) = made(
        "limit_conn addr 20;
         limit_req zone=one burst=20 delay=8;
         location / { proxy_pass http://127.0.0.1:1; }
         location /login { limit_req zone=login burst=5 nodelay; limit_req_status 429; proxy_pass http://127.0.0.1:1; }
         location /static { root /srv; }
         location /api { limit_req zone=one; proxy_pass http://127.0.0.1:2; }",
    );
    let whole = RequestLimits {
        rate: Some(rate(5, 1)),
        burst: 20,
        delay_after: Some(8),
        per_address: 20,
        zone: Some("one".to_owned()),
    };
    assert_eq!(app(&config, "/"), &whole, "{made}");
    assert_eq!(config.files.first().unwrap().request_limits, whole);
    let login = RequestLimits {
        rate: Some(rate(10, 60)),
        burst: 5,
        delay_after: None,
        per_address: 20,
        zone: Some("login".to_owned()),
    };
    assert_eq!(app(&config, "/login"), &login);
    let api = RequestLimits {
        burst: 0,
        delay_after: None,
        ..whole
    };
    assert_eq!(app(&config, "/api"), &api);
    // The connections count together in nginx, and in two zones here.
    assert!(
        made.contains("not carried over: ")
            && made.contains("limit_conn addr 20;\n#   nginx counts these together")
    );
    for carried in [
        "limit_req_zone $binary",
        "limit_req_zone $remote",
        "limit_conn_zone $binary",
    ] {
        assert!(!made.contains(carried), "{carried}: {made}");
    }
}

#[test]
fn what_counts_otherwise_or_only_logs_is_told_with_the_reason() {
    for (server, said) in [
        (
            "limit_req zone=all;",
            "`$server_name` counts for all clients together",
        ),
        ("limit_conn some 5;", "`$limit` counts by something else"),
        (
            "limit_req zone=other burst=5;",
            "its zone other is not in this file: write request-rate",
        ),
        (
            "limit_conn other 5;",
            "its zone other is not in this file: write requests-per-address",
        ),
        (
            "limit_req zone=one; limit_req_dry_run on;",
            "nginx only logs what is beyond this limit",
        ),
        ("limit_conn addr $limit;", "its number cannot be read"),
    ] {
        let (config, made) = made(&format!(
            "{server} location / {{ proxy_pass http://127.0.0.1:1; }}"
        ));
        assert_eq!(app(&config, "/"), &RequestLimits::default(), "{server}");
        assert!(made.contains(said), "{server}: {made}");
    }
    let (_, made) = made("location / { proxy_pass http://127.0.0.1:1; }");
    assert!(
        made.contains("no app and no directory here uses it"),
        "{made}"
    );
}

#[test]
fn of_several_limits_the_strictest_is_taken_and_nothing_waits_for_longer_than_a_minute() {
    let (config, made) = made(
        "limit_req zone=one burst=50 nodelay; limit_req zone=login burst=30; limit_conn addr 9; limit_conn addr 3;
         location / { proxy_pass http://127.0.0.1:1; }",
    );
    let expected = RequestLimits {
        rate: Some(rate(10, 60)),
        // Ten of them are a minute.
        burst: 10,
        delay_after: Some(0),
        per_address: 3,
        zone: Some("login".to_owned()),
    };
    assert_eq!(app(&config, "/"), &expected, "{made}");
    for said in ["the strictest in the long run is taken", "the burst is 10"] {
        assert!(made.contains(said), "{said}: {made}");
    }
}

#[test]
fn an_address_in_clear_with_another_limit_is_not_offered_as_the_one_with_tls() {
    let (config, _) = from_nginx(&format!(
        "{ZONES}server {{ listen 80; limit_req zone=login; location / {{ proxy_pass http://127.0.0.1:1; }} }}
         server {{ listen 443 ssl; ssl_certificate /c; ssl_certificate_key /k;
             location / {{ proxy_pass http://127.0.0.1:1; }} }}"
    ));
    let protocols: Vec<_> = config
        .listeners
        .iter()
        .map(|one| one.protocol.to_string())
        .collect();
    assert_eq!(protocols, ["https"]);
}
