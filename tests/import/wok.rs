//! The file of nginx that Wok brings.

use noren::config::{AppUrl, AppUrls, Protocol, SourceKind, TokenSource};

use super::from_nginx;

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
    let (config, made) = from_nginx(WOK);
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
    assert_eq!(
        app.urls,
        AppUrls::one(AppUrl::parse("http://localhost:8010").unwrap())
    );
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
    assert!(
        made.contains(r#"X-XSS-Protection = "1; mode=block""#),
        "{made}"
    );
    // What has no place is told, with its line, and nothing else is.
    let left: Vec<_> = made
        .lines()
        .filter(|line| line.starts_with("# not carried over"))
        .collect();
    assert_eq!(left.len(), 2, "{left:#?}");
    for (part, why) in [
        (":18: ssl_protocols TLSv1.1", "before TLS 1.2"),
        (":19: ssl_ciphers", "cipher suites"),
    ] {
        assert!(made.contains(part) && made.contains(why), "{part}\n{made}");
    }
}

#[test]
fn consoles_and_notifications_of_wok_are_for_who_is_logged_in() {
    let below = WOK
        .replace("location / {", "location /wok {")
        .replace("location /websockify {", "location /wok/websockify {")
        .replace("8001/;", "8001/wok/;");
    for (text, path, root) in [(WOK, "/", None), (below.as_str(), "/wok", Some("/wok"))] {
        let (config, made) = from_nginx(text);
        assert_eq!(config.session.path.as_deref(), Some("/tasks"), "{made}");
        assert!(config.session.is_required(config.bridge.session), "{made}");
        let app = config.apps.first().unwrap();
        assert!(app.encoded_slash, "{made}");
        assert_eq!(app.path.as_str(), path, "{made}");
        let found = app
            .server_root
            .as_ref()
            .map(noren::config::PathPrefix::as_str);
        assert_eq!(found, root, "{made}");
        assert_eq!(config.bridge.paths, ["/websockify"], "{made}");
        let channel = config.channels.first().unwrap();
        assert_eq!(channel.token.as_deref(), Some("woknotifications"), "{made}");
        for said in [
            "this is the file of Wok",
            "done otherwise: ",
            "proxy_redirect",
        ] {
            assert!(made.contains(said), "{made}");
        }
    }
}
