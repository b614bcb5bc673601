//! Tests that each key reaches its own field: the values differ from the defaults and from each other, so that two
//! keys that were swapped are found.

mod access;
mod apps;
mod bridge;

use std::time::Duration;

use super::*;

/// The configuration of a valid text; the assertion shows what is wrong with any other.
fn parsed(text: &str) -> Config {
    let result = Config::parse(text, "noren.toml");
    assert!(result.is_ok(), "{result:?}");
    result.unwrap_or_default()
}

fn with_app(rest: &str) -> Config {
    parsed(&format!("[[app]]\nurl = \"unix:/run/app\"\n{rest}"))
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn log_and_server_are_read() {
    let config = with_app(
        r#"
        [log]
        level = "trace"
        format = "json"
        access = false
        access-format = "combined"
        audit = "stdout"
        [server]
        drain = "0s"
        handover = "off"
        welcome = true
         hosts = ["door.example"]
        threads = 3
        traces = false
        "#,
    );
    assert_eq!(
        config.log,
        Log {
            level: Level::Trace,
            format: LogFormat::Json,
            access: false,
            access_format: AccessFormat::Combined,
            audit: Audit::Stdout,
        }
    );
    assert_eq!(
        config.server,
        Server {
            drain: Duration::ZERO,
            handover: None,
            welcome: true,
            hosts: ServerHosts::Listed(vec![HostPattern::Exact("door.example".to_owned())]),
            threads: 3,
            traces: false,
        }
    );
}

#[test]
fn listeners_are_read() {
    let config = with_app(
        r#"
        [[listener]]
        address = "127.0.0.1:0"
        protocol = "redirect"
        redirect-port = 8443
        [[listener]]
        address = "unix:/run/n"
        protocol = "http"
        mode = "0600"
        [[listener]]
        address = "systemd:https"
        trusted-proxies = ["192.0.2.7", "unix"]
        forwarded-header = "forwarded"
        proxy-protocol = true
        "#,
    );
    let default = Listener::default;
    let expected = [
        Listener {
            address: ListenAddress::Tcp("127.0.0.1:0".to_owned()),
            protocol: Protocol::Redirect,
            redirect_port: 8443,
            ..default()
        },
        Listener {
            address: ListenAddress::Unix("/run/n".into()),
            protocol: Protocol::Http,
            mode: 0o600,
            ..default()
        },
        Listener {
            address: ListenAddress::Systemd("https".to_owned()),
            trusted_proxies: vec![
                Network::parse("192.0.2.7").expect("a network"),
                Network::Unix,
            ],
            forwarded_header: ForwardedHeader::Forwarded,
            proxy_protocol: true,
            ..default()
        },
    ];
    assert_eq!(config.listeners, expected);
}

#[test]
fn tls_is_read() {
    let config = with_app(
        r#"
        [tls]
        minimum-version = "1.3"
        self-signed = "/var/lib/noren"
        http2 = false
        watch = "off"
        [[tls.certificate]]
        certificate = "c.pem"
        key = "credential:k.pem"
        names = ["A.example", "*.b.example"]
        "#,
    );
    let certificate = Certificate {
        certificate: "c.pem".into(),
        // This is where systemd puts it for the service; the tests run without.
        key: "/run/credentials/noren.service/k.pem".into(),
        names: vec!["a.example".to_owned(), "*.b.example".to_owned()],
    };
    let expected = Tls {
        minimum_version: TlsVersion::Tls13,
        self_signed: "/var/lib/noren".into(),
        http2: false,
        watch: None,
        certificates: vec![certificate],
    };
    assert_eq!(config.tls, expected);
}

#[test]
fn limits_are_read() {
    let config = with_app(
        r#"
        [limits]
        connections = 1
        connections-per-address = 0
        address-share = 100
        session-share = 1
        request-rate = 20
        login-failures = 21
        login-paths = ["/in", "/api/in"]
        token-failures = 22
        handshake = "2s"
        head = "3s"
        head-size = "8KiB"
        headers = 4
        keep-alive = "5s"
        body-idle = "6s"
        minimum-rate = "9B"
        minimum-rate-grace = "10s"
        body-size = 0
        request-buffer = "7B"
        request-memory = "9B"
        streams = 8
        "#,
    );
    let expected = Limits {
        connections: 1,
        connections_per_address: 0,
        address_share: 100,
        session_share: 1,
        request_rate: 20,
        login_failures: 21,
        login_paths: vec!["/in".to_owned(), "/api/in".to_owned()],
        token_failures: 22,
        handshake: seconds(2),
        head: seconds(3),
        head_size: 8192,
        headers: 4,
        keep_alive: seconds(5),
        body_idle: seconds(6),
        minimum_rate: 9,
        minimum_rate_grace: seconds(10),
        body_size: 0,
        request_buffer: 7,
        request_memory: 9,
        streams: 8,
    };
    assert_eq!(config.limits, expected);
}

#[test]
fn the_spool_is_read() {
    let config = with_app(
        r#"
        [spool]
        directory = "/srv/spool"
        size = "1MiB"
        files = 5
        memory = 0
        request-size = "2KiB"
        answer-buffer = "3KiB"
        answer-size = "4KiB"
        when-full = "refuse"
        "#,
    );
    let expected = Spool {
        directory: "/srv/spool".into(),
        size: 1 << 20,
        files: 5,
        memory: 0,
        request_size: 2 << 10,
        answer_buffer: 3 << 10,
        answer_size: 4 << 10,
        when_full: WhenFull::Refuse,
    };
    assert_eq!(config.spool, expected);
}

#[test]
fn headers_are_read_and_an_empty_one_is_kept_empty() {
    let config = with_app(
        r#"
        [headers]
        strict-transport-security = "max-age=1; includeSubDomains"
        x-frame-options = "SAMEORIGIN"
        x-content-type-options = ""
        "#,
    );
    let expected = SecurityHeaders {
        strict_transport_security: "max-age=1; includeSubDomains".to_owned(),
        x_frame_options: "SAMEORIGIN".to_owned(),
        x_content_type_options: String::new(),
        ..SecurityHeaders::default()
    };
    assert_eq!(config.headers, expected);
    assert_eq!(config.headers.general().default.len(), 2);
}

#[test]
fn rules_for_headers_are_read() {
    let config = with_app(
        r#"
        [app.request-headers]
        set = { X-Script-Name = "/wok" }
        [app.response-headers]
        remove = ["X-Powered-By"]
        default = { Content-Security-Policy = "default-src 'self'" }
        [headers]
        set = { Referrer-Policy = "no-referrer" }
        [headers.own]
        add = { Link = ["</a>; rel=help", "</b>; rel=license"] }
        "#,
    );
    let app = config.apps.first().expect("an app");
    let name = |field: &Field| field.name.as_str().to_owned();
    let names = |fields: &[Field]| fields.iter().map(name).collect::<Vec<_>>();
    assert_eq!(names(&app.request_headers.set), ["x-script-name"]);
    assert_eq!(app.response_headers.remove, ["x-powered-by"]);
    let default = names(&app.response_headers.default);
    assert_eq!(default, ["content-security-policy"]);
    assert_eq!(names(&config.headers.rules.set), ["referrer-policy"]);
    let links = config.headers.own.add.first().map(|link| link.values.len());
    assert_eq!(links, Some(2));
}

#[test]
fn acme_is_read() {
    let config = with_app(
        r#"
        [acme]
        names = ["WWW.example.org", "console.example.org"]
        contact = ["admin@example.org", "mailto:night@example.org"]
        directory = "https://acme.example:14000/dir"
        ca = "/etc/noren/acme.pem"
        challenge = "tls-alpn-01"
        store = "/var/lib/noren/acme"
        profile = "shortlived"
        key-id = "kid-1"
        key-file = "credential:acme"
        terms-of-service-agreed = true
        "#,
    );
    let acme = config.acme.unwrap();
    assert_eq!(
        acme,
        Acme {
            names: vec![
                "www.example.org".to_owned(),
                "console.example.org".to_owned()
            ],
            contact: vec![
                "mailto:admin@example.org".to_owned(),
                "mailto:night@example.org".to_owned()
            ],
            directory: "https://acme.example:14000/dir".to_owned(),
            ca: Some("/etc/noren/acme.pem".into()),
            challenge: Challenge::TlsAlpn,
            store: "/var/lib/noren/acme".into(),
            profile: Some("shortlived".to_owned()),
            external: Some(ExternalKey {
                id: "kid-1".to_owned(),
                file: SecretFile::Credential("acme".to_owned()),
            }),
        }
    );
    assert_eq!(
        acme.certificate("www.example.org").key,
        Path::new("/var/lib/noren/acme/acme.example-14000/www.example.org.pem")
    );
}
