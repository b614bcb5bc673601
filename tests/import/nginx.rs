//! Files of nginx: what is carried over, and what is told.

use std::fs;

use noren::config::{Affinity, Protocol};

use super::{answer, from_nginx, import, made_of};

#[test]
fn servers_for_several_names_and_paths_become_apps() {
    let (config, made) = from_nginx(
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
    assert_eq!(answer(&config, "a.example", "/api/x.php"), None, "{made}");
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
fn proxies_clients_passwords_and_directories_of_nginx_have_their_place() {
    let (config, made) = from_nginx(
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
    for part in [
        "limit_req_zone",
        "no app and no directory here uses it",
        "only bcrypt",
    ] {
        assert!(made.contains(part), "{part}\n{made}");
    }
}

#[test]
fn two_families_of_one_port_are_one_listener_and_a_named_location_is_an_app() {
    let (config, made) = from_nginx(
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
        (app.path.as_str(), app.urls.to_string()),
        ("/", "unix:/run/kitchen.sock".to_owned()),
        "{made}"
    );
}

/// The lines that tell of something that is not carried over.
fn left(made: &str) -> Vec<&str> {
    let left = made
        .lines()
        .filter(|line| line.starts_with("# not carried over: "));
    left.collect()
}

#[test]
fn a_constant_stands_for_its_value_and_a_variable_for_nothing() {
    for (server, location, url) in [
        (
            "set $up 127.0.0.1:9000;",
            "proxy_pass http://$up;",
            "127.0.0.1:9000",
        ),
        ("", "set $up http://h:1; proxy_pass $up;", "h:1"),
        (
            "set $h h; set $p 2;",
            "proxy_pass http://${h}:$p$request_uri;",
            "h:2",
        ),
        ("set $up kitchen;", "proxy_pass http://$up;", "k:7"),
        (
            "resolver 127.0.0.11 valid=30s;",
            "set $up http://h:1; proxy_pass $up;",
            "h:1",
        ),
    ] {
        let (config, made) = from_nginx(&format!(
            "upstream kitchen {{ server k:7; }} server {{ listen 80; {server} location / {{ {location} }} }}"
        ));
        assert_eq!(answer(&config, "a", "/x").as_deref(), Some(url), "{made}");
        assert!(left(&made).is_empty(), "{made}");
    }
    for location in [
        "proxy_pass http://$arg_to;",
        "set $up h:1; if ($http_x) { set $up h:2; } proxy_pass http://$up;",
        // nginx asks for this path alone.
        "set $up h:1; proxy_pass http://$up/fixed/;",
    ] {
        let (config, made) = from_nginx(&format!(
            "server {{ listen 80; location / {{ {location} }} }}"
        ));
        assert_eq!(answer(&config, "a", "/x"), None, "{made}");
        assert!(made.contains("# not carried over: "), "{made}");
    }
}

#[test]
fn every_directive_is_carried_over_or_told_with_its_line() {
    let (config, made) = from_nginx(
        "map $uri $kind { default 1; }
geo $near { default 0; }
server { listen 443 ssl; server_name a.example;
ssl_certificate /a; ssl_certificate_key /k;
ssl_certificate /b;
ssl_certificate_key /l;
client_max_body_size 10m;
add_header X-Frame-Options DENY; add_header Referrer-Policy same-origin; add_header X-Id $request_id;
add_header X-Frame-Options SAMEORIGIN;
proxy_ssl_verify on;
proxy_buffering off;
limit_conn one 5;
error_page 502 /sorry.html;
location /own/ { own_directive 1; proxy_pass http://h:1; }
location / { proxy_pass http://h:1; proxy_read_timeout 400d;
proxy_redirect http://h/ https://a.example/; }
location /big/ { client_max_body_size 1g; proxy_pass http://h:1; } }
server { listen 443 ssl; server_name www.a.example; ssl_certificate /a; ssl_certificate_key /k;
return 301 https://a.example$request_uri; }",
    );
    assert_eq!(config.limits.body_size, 1 << 30, "{made}");
    let mut served = config.apps.iter().filter(|app| app.refuse.is_empty());
    assert!(served.all(|app| !app.response_spool), "{made}");
    for (line, what) in [
        (1, "map"),
        (2, "geo"),
        (5, "ssl_certificate /b"),
        (6, "ssl_certificate_key /l"),
        (7, "client_max_body_size 10m"),
        (8, "add_header X-Id"),
        (9, "add_header X-Frame-Options SAMEORIGIN"),
        (10, "proxy_ssl_verify"),
        (12, "limit_conn"),
        (13, "error_page"),
        (14, "location /own/"),
        (15, "proxy_read_timeout 400d"),
        (19, "return 301"),
    ] {
        let told = format!(":{line}: {what}");
        assert!(
            left(&made).iter().any(|left| left.contains(&told)),
            "{told}\n{made}"
        );
    }
    assert!(
        made.contains("# done otherwise: ") && made.contains(":16: proxy_redirect"),
        "{made}"
    );
    // A directive that nobody knows may be a guard.
    assert_eq!(answer(&config, "a.example", "/own/x"), None, "{made}");
}

#[test]
fn included_files_are_read_in_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    file(
        "own/a.conf",
        "server { listen 80; server_name a.example;\n include own/app.inc; }",
    );
    file(
        "own/b.conf",
        "server { listen 80; server_name b.example;\n include own/none.inc; location / { proxy_pass http://h:2; } }",
    );
    file(
        "own/app.inc",
        "\nlocation / { proxy_pass http://h:1; location /in { deny all; } }",
    );
    let whole = file("nginx.conf", "http { include own/*.conf; }");
    let made = import(&["nginx", &whole]);
    let config =
        noren::Config::parse(&made, "made").unwrap_or_else(|error| panic!("{error}\n{made}"));
    assert_eq!(
        answer(&config, "a.example", "/x").as_deref(),
        Some("h:1"),
        "{made}"
    );
    assert_eq!(answer(&config, "a.example", "/in/x"), None, "{made}");
    assert!(made.contains("own/app.inc:2: location /in"), "{made}");
    // A file that is not there may hold a guard.
    assert_eq!(answer(&config, "b.example", "/"), None, "{made}");
    // A directory has a line for each file.
    let own = directory.path().join("own");
    let survey = import(&["nginx", own.to_str().unwrap()]);
    let line = "a.conf: valid: apps 1, directories 0, closed 1, not carried over 1\n";
    assert!(survey.contains(line), "{survey}");
    let last = "3 files: 3 valid, 0 of them with nothing closed\n";
    assert!(survey.ends_with(last), "{survey}");
    assert!(
        made.contains("own/b.conf:2: include own/none.inc;"),
        "{made}"
    );
}

#[test]
fn a_route_stands_for_what_nginx_has_there_and_for_no_more() {
    let one = "h:1";
    let two = "h:2";
    for (locations, expected) in [
        (
            "location / { proxy_pass http://h:1; } location /app { proxy_pass http://h:2; }",
            &[
                ("/", Some(one)),
                ("/app", Some(two)),
                ("/apple", Some(two)),
                ("/ap", Some(one)),
            ][..],
        ),
        (
            "location / { proxy_pass http://h:1; } location /s { alias /srv/s; }",
            &[("/s/x", Some("/srv/s")), ("/sx", None), ("/x", Some(one))],
        ),
        (
            "location / { proxy_pass http://h:1; } location = /x { proxy_pass http://h:2; }",
            &[("/x", Some(two)), ("/x/y", Some(one)), ("/xy", Some(one))],
        ),
        (
            "location ^~ /a/ { proxy_pass http://h:2; } location / { proxy_pass http://h:1; } location ~ x$ { \
             return 403; }",
            &[("/a/x", Some(two)), ("/x", None), ("/y", Some(one))],
        ),
        (
            "location ~ ^/(api|auth)/ { proxy_pass http://h:2; } location / { proxy_pass http://h:1; }",
            &[
                ("/api/x", Some(two)),
                ("/auth/x", Some(two)),
                ("/apix", Some(one)),
            ],
        ),
    ] {
        let (config, made) = from_nginx(&format!("server {{ listen 80; {locations} }}"));
        for (path, url) in expected {
            assert_eq!(
                answer(&config, "a", path).as_deref(),
                *url,
                "{path}\n{made}"
            );
        }
    }
}

#[test]
fn methods_and_client_certificates_have_their_place() {
    for (text, methods) in [
        (
            "limit_except GET POST { deny all; }",
            Some("GET, POST, HEAD"),
        ),
        (
            "if ($request_method !~ ^(GET|HEAD|POST)$) { return 405; }",
            Some("GET, HEAD, POST"),
        ),
        (
            "if ($request_method = OPTIONS) { return 204; }",
            Some("GET, HEAD, POST, PUT, PATCH, DELETE"),
        ),
        ("limit_except GET { allow all; }", None),
    ] {
        let (config, made) = from_nginx(&format!(
            "server {{ listen 80; location / {{ {text} proxy_pass http://h:1; location /in/ {{ proxy_pass \
             http://h:2; }} }} }}"
        ));
        let app = config
            .apps
            .iter()
            .find(|app| app.path.as_str() == "/")
            .unwrap();
        assert_eq!(app.methods.allow().as_deref(), methods, "{made}");
    }
    let (config, made) = from_nginx(
        "ssl_certificate /c; ssl_certificate_key /k; ssl_client_certificate /a;
         server { listen 443 ssl; server_name a.example; ssl_verify_client on; location / { proxy_pass http://h:1; } }
         server { listen 443 ssl; server_name b.example; location / { proxy_pass http://h:2; } }",
    );
    let rules: Vec<_> = config
        .apps
        .iter()
        .map(|app| app.entrance.certificate)
        .collect();
    assert_eq!(
        rules,
        [
            noren::config::CertificateRule::Required,
            noren::config::CertificateRule::Optional
        ],
        "{made}"
    );
    assert!(
        config.listeners.first().unwrap().clients.is_some(),
        "{made}"
    );
}

#[test]
fn a_listener_is_there_where_nginx_answers_the_same() {
    let tls = "ssl_certificate /c; ssl_certificate_key /k;";
    for (text, expected) in [
        (
            format!("server {{ listen 80; listen 443 ssl; {tls} location / {{ proxy_pass http://h:1; }} }}"),
            &[("[::]:80", Protocol::Http), ("[::]:443", Protocol::Https)][..],
        ),
        (
            format!("server {{ listen 80; listen 443 ssl; {tls} if ($scheme = http) {{ return 301 \
                     https://$host$request_uri; }} location / {{ proxy_pass http://h:1; }} }}"),
            &[("[::]:80", Protocol::Redirect), ("[::]:443", Protocol::Https)],
        ),
        // The one of two servers is behind TLS only.
        (
            format!("{tls} server {{ listen 80; listen 443 ssl; server_name a; location / {{ proxy_pass \
                     http://h:1; }} }} server {{ listen 443 ssl; server_name b; location / {{ proxy_pass \
                     http://h:2; }} }}"),
            &[("[::]:80", Protocol::Redirect), ("[::]:443", Protocol::Https)],
        ),
        (
            "server { listen 80; location / { proxy_pass http://h:1; } } server { listen 127.0.0.1:81; location / \
             { proxy_pass http://h:2; } }".to_owned(),
            &[("[::]:80", Protocol::Http)],
        ),
        (
            "server { listen 0.0.0.0:80; location / { proxy_pass http://h:1; } } server { listen [::]:80; location \
             / { proxy_pass http://h:2; } }".to_owned(),
            &[("0.0.0.0:80", Protocol::Http)],
        ),
    ] {
        let (config, made) = from_nginx(&text);
        let found: Vec<_> = config.listeners.iter().map(|one| (one.address.to_string(), one.protocol)).collect();
        let expected: Vec<_> = expected.iter().map(|(address, protocol)| ((*address).to_owned(), *protocol)).collect();
        assert_eq!(found, expected, "{text}\n{made}");
    }
    assert!(made_of("server { listen 80; location / { proxy_pass http://h:1; } } server { listen 81; location / { \
                     proxy_pass http://h:2; } }").contains("nginx has this server at 0.0.0.0:81"));
}

#[test]
fn a_header_that_an_app_may_believe_comes_from_no_client() {
    let (config, made) = from_nginx(
        r#"server { listen 80; location / { proxy_set_header Host $host; proxy_set_header X-Staff yes;
             proxy_set_header X-Secret ""; proxy_set_header X-User $arg_user; proxy_set_header X-Real-IP $remote_addr;
             proxy_hide_header X-Powered-By; add_header Referrer-Policy no-referrer; proxy_pass http://h:1; } }"#,
    );
    let app = config.apps.first().unwrap();
    let removed: Vec<_> = app
        .request_headers
        .remove
        .iter()
        .map(http::HeaderName::as_str)
        .collect();
    assert_eq!(removed, ["x-secret", "x-user"], "{made}");
    let set = app.request_headers.set.first().unwrap();
    assert_eq!(
        (set.name.as_str(), set.values.len()),
        ("x-staff", 1),
        "{made}"
    );
    assert_eq!(app.response_headers.remove.len(), 1, "{made}");
    assert_eq!(app.response_headers.add.len(), 1, "{made}");
    assert_eq!(left(&made).len(), 1, "{made}");
    assert!(
        made.contains("proxy_set_header X-User $arg_user;"),
        "{made}"
    );
}

#[test]
fn an_app_over_tls_has_its_authority_and_its_name() {
    let (config, made) = from_nginx(
        "server { listen 80; proxy_ssl_trusted_certificate /ca.pem; proxy_ssl_name app.example;
         location / { proxy_ssl_verify on; proxy_pass https://h; } location /any/ { proxy_pass https://i:8443; } }",
    );
    let app = config.apps.first().unwrap();
    assert_eq!(app.urls.to_string(), "https://h:443", "{made}");
    let tls = app.tls.clone().unwrap();
    assert_eq!(tls.name.as_deref(), Some("app.example"), "{made}");
    assert_eq!(left(&made).len(), 1, "{made}");
    assert!(made.contains("location /any/ { … }"), "{made}");
}

#[test]
fn the_servers_of_an_upstream_are_the_addresses_of_an_app() {
    let (config, made) = from_nginx(
        "upstream web { least_conn; server a; server unix:/run/b.sock weight=3; server c:81; server a:80;
           server d backup; server e down; keepalive 16; }
         upstream sticky { ip_hash; server a:1; server b:1; }
         upstream hashed { hash $binary_remote_addr consistent; server a:2; server b:2; }
         upstream cookie { sticky cookie srv_id; server a:3; server b:3; }
         upstream spare { server a:4 down; server b:4 backup; }
         upstream other { hash $request_uri; server a:5; server b:5; }
         server { listen 80;
           location / { proxy_pass http://web; }
           location /sticky { proxy_pass http://sticky; }
           location /hashed { proxy_pass http://hashed; }
           location /cookie { proxy_pass http://cookie; }
           location /spare { proxy_pass http://spare; }
           location /other { proxy_pass http://other; } }",
    );
    for (path, urls, affinity) in [
        ("/", "a:80, unix:/run/b.sock, c:81", Affinity::None),
        ("/sticky", "a:1, b:1", Affinity::Address),
        ("/hashed", "a:2, b:2", Affinity::Address),
        ("/cookie", "a:3, b:3", Affinity::Cookie),
        ("/spare", "a:4", Affinity::None),
        ("/other", "a:5, b:5", Affinity::None),
    ] {
        let mut apps = config.apps.iter();
        let app = apps.find(|app| app.path.as_str().trim_end_matches('*') == path);
        let app = app.unwrap_or_else(|| panic!("{path}: {made}"));
        assert_eq!(
            (app.urls.to_string().as_str(), app.affinity),
            (urls, affinity),
            "{made}"
        );
    }
    let left = left(&made).join("\n");
    for told in [
        "server unix:/run/b.sock weight=3",
        "server d backup",
        "server e down",
        "hash $request_uri",
    ] {
        assert!(left.contains(told), "{told}: {made}");
    }
    for carried in ["ip_hash", "least_conn", "consistent", "sticky", "keepalive"] {
        assert!(!left.contains(carried), "{carried}: {made}");
    }
}

#[test]
fn compression_and_retries_have_their_place_where_nginx_has_them() {
    let (config, made) = from_nginx(
        "upstream web { server a; server b; }
         gzip on; gzip_vary on; gzip_proxied any; gzip_comp_level 6; gzip_min_length 256; gzip_disable msie6;
         gzip_types text/css application/json text/event-stream;
         server { listen 80;
           location / { proxy_pass http://web; }
           location /off/ { gzip off; proxy_next_upstream off; proxy_pass http://web; }
           location /once/ { gzip off; proxy_next_upstream_tries 1; proxy_pass http://web; }
           location /status/ { gzip off; proxy_next_upstream http_502; proxy_pass http://web; }
           location /br/ { gzip off; brotli on; brotli_types image/svg+xml; proxy_pass http://h:1; }
           location /all/ { gzip_types *; proxy_next_upstream error http_500 non_idempotent; proxy_pass http://web; }
           location /static/ { gzip_static on; root /srv; } }",
    );
    for (path, compress, elsewhere) in [
        (
            "/",
            &["text/html", "text/css", "application/json"][..],
            true,
        ),
        ("/off", &[], false),
        ("/once", &[], false),
        ("/status", &[], false),
        ("/br", &["text/html", "image/svg+xml"], false),
    ] {
        let app = config.apps.iter().find(|app| app.path.as_str() == path);
        let app = app.unwrap_or_else(|| panic!("{path}: {made}"));
        assert_eq!(app.compress, compress, "{path}: {made}");
        assert_eq!(app.retry_elsewhere, elsewhere, "{path}: {made}");
        assert!(!app.compress_private, "{made}");
    }
    assert!(config.files.first().unwrap().precompressed, "{made}");
    let left = left(&made).join("\n");
    for told in [
        "gzip_types text/css",
        "gzip_types *",
        "proxy_next_upstream error http_500",
    ] {
        assert!(left.contains(told), "{told}: {made}");
    }
    for carried in [
        "gzip on",
        "gzip_vary",
        "gzip_disable",
        "gzip_min_length",
        "gzip_static",
        "brotli",
        "proxy_next_upstream_tries",
    ] {
        assert!(!left.contains(carried), "{carried}: {made}");
    }
    assert!(made.contains("compress-private"), "{made}");
}
