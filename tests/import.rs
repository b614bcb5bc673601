//! Tests of converting configurations of other servers to a valid noren.toml.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;
use std::process::Command;

use noren::Config;
use noren::config::{AppUrl, ListenAddress, Protocol, SourceKind, TlsVersion, TokenSource};

fn import(arguments: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_noren"))
        .arg("import")
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8(ran.stdout).unwrap()
}

fn nginx(text: &str) -> (Config, String) {
    let file = tempfile::Builder::new().suffix(".conf").tempfile().unwrap();
    fs::write(file.path(), text).unwrap();
    let made = import(&["nginx", file.path().to_str().unwrap()]);
    let config = Config::parse(&made, "made").unwrap_or_else(|error| panic!("{error}\n{made}"));
    (config, made)
}

/// The shape of what Wok writes for itself.
const WOK: &str = r#"
client_max_body_size 4194304k;
proxy_connect_timeout       600;
proxy_send_timeout          600;
proxy_read_timeout          600;
send_timeout                600;
map $http_upgrade $connection_upgrade {
    default upgrade;
    ''      close;
}
upstream websocket {
    server localhost:64667;
}
server {
    listen 0.0.0.0:8001 ssl;
    ssl_certificate /etc/wok/wok-cert.pem;
    ssl_certificate_key /etc/wok/wok-key.pem;
    ssl_protocols TLSv1.1 TLSv1.2;
    ssl_ciphers 'ECDHE-RSA-AES128-GCM-SHA256:!aNULL';
    ssl_prefer_server_ciphers on;
    add_header Strict-Transport-Security "max-age=31536000; includeSubdomains;";
    add_header X-Frame-Options DENY;
    add_header X-Content-Type-Options nosniff;
    add_header X-XSS-Protection "1; mode=block";
    location / {
        proxy_pass http://localhost:8010;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_redirect http://127.0.0.1:8010/ https://$host:8001/;
    }
    location /websockify {
        proxy_pass http://websocket;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
}
server {
    listen 0.0.0.0:8000;
    rewrite ^/(.*)$ https://$host:8001/$1 redirect;
}
"#;

#[test]
fn the_nginx_of_wok_becomes_a_door_with_everything_it_had() {
    let (config, made) = nginx(WOK);
    let listeners: Vec<_> = config
        .listeners
        .iter()
        .map(|listener| {
            (
                listener.address.to_string(),
                listener.protocol,
                listener.redirect_port,
            )
        })
        .collect();
    assert_eq!(
        listeners,
        [
            ("0.0.0.0:8001".to_owned(), Protocol::Https, 443),
            ("0.0.0.0:8000".to_owned(), Protocol::Redirect, 8001)
        ]
    );
    let [certificate] = config.tls.certificates.as_slice() else {
        panic!("one certificate");
    };
    assert_eq!(certificate.key.to_str(), Some("/etc/wok/wok-key.pem"));
    let [app] = config.apps.as_slice() else {
        panic!("one app");
    };
    assert_eq!(app.url, AppUrl::parse("http://localhost:8010").unwrap());
    assert_eq!(app.response.as_secs(), 600);
    assert_eq!(config.limits.body_size, 4 << 30);
    assert_eq!(
        config.headers.strict_transport_security,
        "max-age=31536000; includeSubdomains;"
    );
    assert_eq!(
        config.bridge.tokens,
        [TokenSource::trusted(SourceKind::Directory(
            "/var/lib/wok/ws-tokens".into()
        ))]
    );
    // Directives without a counterpart are reported with their lines, and nothing else is.
    let left: Vec<_> = made
        .lines()
        .filter(|line| line.starts_with("# not carried over"))
        .collect();
    assert_eq!(left.len(), 3, "{left:#?}");
    for (part, why) in [
        (":18: ssl_protocols TLSv1.1", "before TLS 1.2"),
        (":19: ssl_ciphers", "cipher suites"),
        (":24: add_header X-XSS-Protection", "[headers]"),
    ] {
        assert!(made.contains(part) && made.contains(why), "{part}\n{made}");
    }
}

#[test]
fn servers_for_several_names_and_paths_become_apps() {
    let (config, made) = nginx(
        "http { server { listen 80 default_server; listen [::]:80 default_server; server_name _;
           return 301 https://$host$request_uri; }
         server { listen 443 ssl http2; server_name a.example b.example;
           ssl_certificate /c; ssl_certificate_key /k; root /var/www/html; index index.html;
           location / { try_files $uri $uri/ =404; }
           location /api/ { proxy_pass http://127.0.0.1:9000/; proxy_read_timeout 5m; }
           location ~ \\.php$ { fastcgi_pass unix:/run/php.sock; }
           location /app { proxy_pass http://unix:/run/app.sock:; } } }",
    );
    assert_eq!(config.apps.len(), 2, "{made}");
    assert!(config.apps.iter().all(|app| app.hosts.len() == 2));
    assert_eq!(config.apps.first().unwrap().path.as_str(), "/api");
    assert_eq!(config.listeners.len(), 2, "the same address once: {made}");
    for part in [
        "root /var/www/html;",
        "location / { … }",
        "location ~ \\.php$ { … }",
        "paths are not rewritten",
    ] {
        assert!(made.contains(part), "{part}\n{made}");
    }
}

#[test]
fn a_file_that_is_not_nginx_is_told_by_its_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "server {\n  listen 80;\n").unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_noren"))
        .args(["import", "nginx", file.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&ran.stderr)
            .contains("line 1: the block that begins here has no end")
    );
}

#[test]
fn command_lines_of_websockify_become_a_bridge() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().to_str().unwrap();
    let line = |words: &[&str]| {
        let made = import(&[&["websockify", "--"], words].concat());
        let config = Config::parse(&made, "made").unwrap_or_else(|error| panic!("{error}\n{made}"));
        (config, made)
    };
    let (config, made) = line(&[
        "websockify",
        "--web",
        "/usr/share/novnc",
        "--cert=/etc/ssl/self.pem",
        "--token-plugin",
        "TokenFile",
        "--token-source",
        tokens,
        "--heartbeat=20",
        "-D",
        "192.0.2.1:6080",
    ]);
    assert_eq!(
        config.bridge.tokens,
        [TokenSource::trusted(SourceKind::Directory(tokens.into()))]
    );
    assert_eq!(
        config.bridge.heartbeat.map(|limit| limit.as_secs()),
        Some(20)
    );
    let listener = config.listeners.first().unwrap();
    assert_eq!(
        listener.address,
        ListenAddress::parse("192.0.2.1:6080").unwrap()
    );
    assert_eq!(listener.protocol, Protocol::Https);
    let certificate = config.tls.certificates.first().unwrap();
    assert_eq!(
        certificate.certificate, certificate.key,
        "both are in one file"
    );
    let files = config.files.first().unwrap();
    assert_eq!(files.directory.to_str(), Some("/usr/share/novnc"));
    assert!(!made.contains("not carried over"), "{made}");

    let (config, made) = line(&["6080", "localhost:5901"]);
    assert_eq!(config.listeners.first().unwrap().protocol, Protocol::Http);
    assert_eq!(
        config.bridge.targets.first().unwrap().address.to_string(),
        "localhost:5901"
    );
    assert!(made.contains("/websockify?token=console"), "{made}");

    let (config, _) = line(&["--unix-target=/run/vnc.sock", ":6080"]);
    assert_eq!(
        config.bridge.targets.first().unwrap().address.to_string(),
        "unix:/run/vnc.sock"
    );

    let (config, _) = line(&["--target-config=/etc/tokens.conf", "6080"]);
    assert_eq!(
        config.bridge.tokens,
        [TokenSource::trusted(SourceKind::File(
            "/etc/tokens.conf".into()
        ))]
    );

    let made = import(&[
        "websockify",
        "--",
        "6080",
        "--token-plugin",
        "own.Plugin",
        "--token-source",
        "/k",
        "--",
        "vncserver",
    ]);
    assert!(made.starts_with("# This is not complete yet:"), "{made}");
    assert!(
        made.contains("--token-plugin own.Plugin") && made.contains("vncserver"),
        "{made}"
    );
}

#[test]
fn every_source_and_every_login_of_websockify_has_its_place() {
    let made = |words: &[&str]| {
        let made = import(&[&["websockify", "--", "6080"], words].concat());
        let config = Config::parse(&made, "made").unwrap_or_else(|error| panic!("{error}\n{made}"));
        (config, made)
    };
    let source = |plugin, source| {
        let (config, made) = made(&[
            "--token-plugin",
            plugin,
            "--token-source",
            source,
            "--ssl-target",
        ]);
        let tokens = config.bridge.tokens.first().cloned();
        (tokens, config.bridge.signed, made)
    };
    let (tokens, _, _) = source("TokenFileName", "/run/vms");
    let tokens = tokens.unwrap();
    assert_eq!(tokens.kind, SourceKind::FileName("/run/vms".into()));
    assert!(tokens.tls.is_some());
    let (tokens, _, text) = source("BaseTokenAPI", "https://api.example/%s");
    let tokens = tokens.unwrap();
    assert_eq!(tokens.to_string(), "http https://api.example/{token}");
    assert!(text.contains("add yours"), "{text}");
    let (tokens, _, text) = source("TokenRedis", "redis.example:6380:3:secret:vms");
    let SourceKind::Redis(redis) = tokens.unwrap().kind else {
        panic!("{text}");
    };
    assert_eq!(redis.address.to_string(), "redis.example:6380");
    assert_eq!(
        (redis.database, redis.namespace.as_deref()),
        (3, Some("vms"))
    );
    assert!(!text.contains("secret\""), "{text}");
    let (_, signed, _) = source("websockify.token_plugins.JWTTokenApi", "/etc/key.pem");
    assert_eq!(signed.keys.first().unwrap().to_string(), "/etc/key.pem");
    assert_eq!((signed.longest, signed.tls.is_some()), (None, true));

    let (config, _) = made(&[
        "--auth-plugin=ExpectOrigin",
        "--auth-source=https://a.example https://b.example",
        "--host-token",
        "--ssl-version=tlsv1_3",
        "--record=/var/log/vnc/session",
        "--target-config=/t",
    ]);
    assert_eq!(config.bridge.entrance.origins.len(), 2);
    assert!(!config.bridge.entrance.missing_origin && config.bridge.host_token);
    assert_eq!(config.tls.minimum_version, TlsVersion::Tls13);
    let recording = config.bridge.recording.directory.unwrap();
    assert_eq!(recording.to_str(), Some("/var/log/vnc"));

    let (config, _) = made(&[
        "--cert=/c.pem",
        "--verify-client",
        "--cafile=/ca.pem",
        "--auth-plugin=ClientCertCNAuth",
        "--auth-source=ann bob",
        "--target-config=/t",
    ]);
    assert!(config.listeners.first().unwrap().clients.is_some());
    assert_eq!(config.bridge.entrance.certificate_names, ["ann", "bob"]);
    let (_, made) = made(&[
        "--auth-plugin=BasicHTTPAuth",
        "--auth-source=ann:tea",
        "h:1",
    ]);
    assert!(
        made.contains("htpasswd -nB ann") && !made.contains("tea"),
        "{made}"
    );
}

#[test]
fn proxies_clients_passwords_and_directories_of_nginx_have_their_place() {
    let (config, made) = nginx(
        "http { set_real_ip_from 192.0.2.0/24; real_ip_header X-Forwarded-For;
         limit_req_zone $binary_remote_addr zone=one:10m rate=1r/s;
         server { listen 443 ssl proxy_protocol; server_name a.example;
           ssl_certificate /c; ssl_certificate_key /k; ssl_client_certificate /ca; ssl_verify_client optional;
           location / { proxy_pass http://127.0.0.1:9000;
             auth_basic \"Staff only\"; auth_basic_user_file /etc/nginx/htpasswd; }
           location /static/ { root /var/www; }
           location /docs { alias /srv/docs/; } } }",
    );
    let listener = config.listeners.first().unwrap();
    assert_eq!(listener.trusted_proxies.len(), 1, "{made}");
    assert!(listener.proxy_protocol && listener.clients.is_some());
    let app = config.apps.first().unwrap();
    let users = app.entrance.users.as_deref().unwrap();
    assert_eq!(users.to_str(), Some("/etc/nginx/htpasswd"));
    assert_eq!(app.entrance.realm, "Staff only");
    let files = config.files.iter();
    let served: Vec<_> = files
        .map(|files| (files.path.as_str(), files.directory.to_str().unwrap()))
        .collect();
    assert_eq!(
        served,
        [("/static", "/var/www/static"), ("/docs", "/srv/docs")]
    );
    for part in ["limit_req_zone", "request-rate in [limits]", "only bcrypt"] {
        assert!(made.contains(part), "{part}\n{made}");
    }
}

#[test]
fn what_was_closed_is_not_open_after_an_import() {
    let websockify = |words: &[&str]| import(&[&["websockify", "--"], words].concat());
    let made = websockify(&[
        "--web=/w",
        "--web-auth",
        "--auth-plugin=BasicHTTPAuth",
        "--auth-source=ann:tea",
        "6080",
        "h:1",
    ]);
    let config = Config::parse(&made, "made").unwrap();
    assert!(
        config.files.is_empty() && config.bridge.entrance.users.is_some(),
        "{made}"
    );
    assert!(made.contains("--web /w") && !made.contains("tea"), "{made}");
    // A check that is not known here: the file is not valid until somebody has said who may pass.
    let made = websockify(&["--auth-plugin=own.Check", "6080", "h:1"]);
    assert!(made.starts_with("# This is not complete yet:"), "{made}");
    let made = websockify(&["--key-password", "s3cret", "6080", "h:1"]);
    assert!(!made.contains("s3cret"), "{made}");

    for closed in [
        "internal;",
        "auth_basic x; auth_basic_user_file /u;",
        "auth_request /ask;",
        "allow 192.0.2.1; deny all;",
    ] {
        let inside = format!("location /p {{ {closed} root /srv; }}");
        let (config, made) = nginx(&format!(
            "server {{ listen 80; location / {{ proxy_pass http://h:1; }} {inside} }}"
        ));
        assert!(config.files.is_empty(), "{made}");
        assert!(made.contains("location /p { … }"), "{made}");
        // Directives around a location apply in it.
        let file = tempfile::Builder::new().suffix(".conf").tempfile().unwrap();
        let text = format!("server {{ listen 80; {closed} location /p {{ root /srv; }} }}");
        fs::write(file.path(), text).unwrap();
        let made = import(&["nginx", file.path().to_str().unwrap()]);
        assert!(!made.contains("\n[[files]]"), "{made}");
    }
    let (config, made) = nginx(
        "server { listen 80; auth_basic Staff; auth_basic_user_file /u;
         location /websockify { proxy_pass http://localhost:64667; proxy_set_header Upgrade $http_upgrade; } }",
    );
    let users = config.bridge.entrance.users.as_deref();
    assert_eq!(
        users.and_then(std::path::Path::to_str),
        Some("/u"),
        "{made}"
    );
}

#[test]
fn options_of_websockify_with_a_value_take_it_and_a_socket_leaves_the_target_alone() {
    let config = |words: &[&str]| {
        let made = import(&[&["websockify", "--"], words].concat());
        Config::parse(&made, "made").unwrap_or_else(|error| panic!("{error}\n{made}"))
    };
    let listening = |config: &Config| config.listeners.first().unwrap().address.to_string();
    let target = |config: &Config| config.bridge.targets.first().unwrap().address.to_string();
    let made = config(&["--syslog", "/dev/log", "--legacy-syslog", "6080", "h:5901"]);
    assert_eq!(
        (listening(&made), target(&made)),
        ("[::]:6080".to_owned(), "h:5901".to_owned())
    );
    let made = config(&[
        "--unix-listen",
        "/run/d",
        "--unix-listen-mode=0600",
        "h:5901",
    ]);
    assert_eq!(
        (listening(&made), target(&made)),
        ("unix:/run/d".to_owned(), "h:5901".to_owned())
    );
}

#[test]
fn what_nginx_refuses_is_never_answered_by_the_app_of_a_shorter_path() {
    for guard in [
        "allow 192.0.2.0/24; deny all;",
        "internal;",
        "return 403;",
        "return 444;",
        "auth_request /ask;",
        "satisfy any; allow 192.0.2.1;",
        "limit_except GET { deny all; }",
        "if ($ssl_client_verify != SUCCESS) { return 403; }",
        "auth_basic Staff;",
    ] {
        let (config, made) = nginx(&format!(
            "server {{ listen 80; location / {{ proxy_pass http://h:1;
               location /in {{ {guard} proxy_pass http://h:1; }} }}
             location /admin/ {{ {guard} proxy_pass http://h:1; }} }}"
        ));
        for path in ["/admin", "/in"] {
            let app = config.apps.iter().find(|app| app.path.as_str() == path);
            let url = app.map(|app| app.url.to_string());
            assert_eq!(url.as_deref(), Some("unix:/dev/null/closed"), "{made}");
        }
        assert!(made.contains("location /admin/ { … }"), "{made}");
        // For a pattern of paths, the whole server.
        let (config, made) = nginx(&format!(
            "server {{ listen 80; location / {{ proxy_pass http://h:1; }} location ~ /\\.git {{ {guard} }} }}"
        ));
        assert!(
            config
                .apps
                .iter()
                .all(|app| app.url.to_string() == "unix:/dev/null/closed"),
            "{made}"
        );
    }
}

#[test]
fn what_nginx_redirects_to_https_is_not_served_in_clear() {
    for redirect in [
        "if ($host = a.example) { return 301 https://$host$request_uri; } return 404;",
        "location / { return 301 https://$host$request_uri; }",
    ] {
        let (config, made) = nginx(&format!(
            "server {{ listen 443 ssl; server_name a.example; ssl_certificate /c; ssl_certificate_key /k;
               location / {{ proxy_pass http://h:1; }} }}
             server {{ listen 80; server_name a.example; {redirect} }}"
        ));
        let plain = config
            .listeners
            .iter()
            .find(|one| one.address.to_string() == "[::]:80");
        assert_eq!(
            plain.map(|one| one.protocol),
            Some(Protocol::Redirect),
            "{made}"
        );
        assert_eq!(config.apps.len(), 1, "{made}");
    }
}

#[test]
fn two_families_of_one_port_are_one_listener_and_a_named_location_is_an_app() {
    let (config, made) = nginx(
        "upstream kitchen { server unix:/run/kitchen.sock fail_timeout=0; }
         server { listen 0.0.0.0:80; listen [::]:80 ipv6only=on; listen 80 quic; root /srv;
           location / { try_files $uri @kitchen; }
           location @kitchen { proxy_pass http://kitchen; } }",
    );
    let listening: Vec<_> = config
        .listeners
        .iter()
        .map(|one| one.address.to_string())
        .collect();
    assert_eq!(listening, ["[::]:80"], "{made}");
    let app = config.apps.first().unwrap();
    assert_eq!(
        (app.path.as_str(), app.url.to_string()),
        ("/", "unix:/run/kitchen.sock".to_owned()),
        "{made}"
    );
}

#[test]
fn what_may_hold_or_be_a_guard_is_closed_until_somebody_decides() {
    const CLOSED: &str = "unix:/dev/null/closed";
    for guard in [
        "include /etc/nginx/snippets/staff.conf;",
        "auth_ldap Staff;",
        "access_by_lua_file /etc/nginx/a.lua;",
        "return 302 /elsewhere;",
        "if ($cookie_s = \"\") { return 302 /login; }",
        "if ($cookie_s = \"\") { rewrite ^ /login redirect; }",
    ] {
        let (config, made) = nginx(&format!(
            "server {{ listen 80; location / {{ proxy_pass http://h:1; }}
             location /admin {{ {guard} proxy_pass http://h:1; }} }}"
        ));
        let app = config.apps.iter().find(|app| app.path.as_str() == "/admin");
        let url = app.map(|app| app.url.to_string());
        assert_eq!(url.as_deref(), Some(CLOSED), "{made}");
    }
    // A directory below a pattern that is closed, and a server that another would answer for.
    let (config, made) = nginx(
        "server { listen 80; server_name a.example; location /w/ { alias /srv/; location ~ \\.php$ { deny all; } } }
         server { listen 80; server_name b.example; return 403; }
         server { listen 80; server_name _; location / { proxy_pass http://h:1; } }",
    );
    assert!(config.files.is_empty(), "{made}");
    let closed = config
        .apps
        .iter()
        .filter(|app| app.url.to_string() == CLOSED);
    assert_eq!(closed.count(), 2, "{made}");
    // A listener that was there already asks nobody for a certificate.
    let (config, made) = nginx(
        "ssl_certificate /c; ssl_certificate_key /k;
         server { listen 0.0.0.0:443 ssl; server_name a.example; location / { proxy_pass http://h:1; } }
         server { listen [::]:443 ssl; server_name b.example; ssl_client_certificate /a; ssl_verify_client on;
           location / { proxy_pass http://h:2; } }",
    );
    assert!(
        config.apps.iter().any(|app| app.url.to_string() == CLOSED),
        "{made}"
    );
}

#[test]
fn what_nginx_never_hands_to_an_app_is_closed_here() {
    const CLOSED: &str = "unix:/dev/null/closed";
    let inside = |locations: &str| {
        format!("server {{ listen 80; {locations} location / {{ proxy_pass http://h:1; }} }}")
    };
    let secure = |settings: &str| {
        format!(
            "server {{ listen 443 ssl; ssl_certificate /c; ssl_certificate_key /k; {settings}
               location / {{ proxy_pass http://h:1; }} }}"
        )
    };
    let other = "server { listen 8080; location /m { proxy_pass http://h:2; } }";
    for (text, path) in [
        (inside("location /e { }"), "/e"),
        (inside("location /e { try_files $uri =403; }"), "/e"),
        (
            inside("location /e { try_files $uri =403; proxy_pass http://h:1; }"),
            "/e",
        ),
        (
            inside("location /e { return 301 https://x/; proxy_pass http://h:1; }"),
            "/e",
        ),
        (
            inside("location /e { proxy_pass http://h:1/public/; }"),
            "/e",
        ),
        (inside("location /adm { deny all; }"), "/"),
        (
            inside("location /adm { auth_basic x; auth_basic_user_file /u; proxy_pass http://h:1; }"),
            "/",
        ),
        (inside("rewrite ^/admin /login;"), "/"),
        (inside("location ~ /\\. { try_files /none =404; }"), "/"),
        (
            inside("if ($http_x_forwarded_proto != https) { return 301 https://$host$request_uri; }"),
            "/",
        ),
        (
            inside("if ($denied) { return 302 https://login.example/; }"),
            "/",
        ),
        (secure("ssl_verify_client on;"), "/"),
        (
            secure("ssl_verify_client optional_no_ca; ssl_client_certificate /a;"),
            "/",
        ),
        (secure("return 301 https://www.example$request_uri;"), "/"),
        (format!("{}{other}", secure("")), "/m"),
        (
            format!(
                "{}{}",
                secure("ssl_verify_client on; ssl_client_certificate /a;"),
                "server { listen 80; location /p { proxy_pass http://h:2; } }"
            ),
            "/",
        ),
        (
            "server { listen 80; location / { proxy_pass http://h:1; } }
             server { listen 127.0.0.1:81; server_name in; location /i { proxy_pass http://h:2; } }"
                .to_owned(),
            "/i",
        ),
    ] {
        let (config, made) = nginx(&text);
        let app = config.apps.iter().find(|app| app.path.as_str() == path);
        let url = app.map(|app| app.url.to_string());
        assert_eq!(url.as_deref(), Some(CLOSED), "{text}\n{made}");
        assert!(made.contains("# not carried over: "), "{text}\n{made}");
    }
}

#[test]
fn a_redirect_for_a_pattern_of_paths_is_not_served_in_clear() {
    let (config, made) = nginx(
        "server { listen 80; location ~ ^/(.*)$ { return 301 https://$host$request_uri; } }
         server { listen 443 ssl; ssl_certificate /c; ssl_certificate_key /k;
           location /api/ { proxy_pass http://h:1; } }",
    );
    let plain = config.listeners.first().map(|one| one.protocol);
    assert_eq!(plain, Some(Protocol::Redirect), "{made}");
    let app = config.apps.first().unwrap();
    assert_eq!(app.url, AppUrl::parse("http://h:1").unwrap(), "{made}");
}
